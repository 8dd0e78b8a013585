"""A replay is the stock run that it stands for: the same chunks, the same samples to the last bits, one token loop for all."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from samples import NANO, SHORT, TWO, snr_db

from xttsbench import clock
from xttsbench.engines.replay import Replayer, capture, chunk_ends
from xttsbench.settings import Settings
from xttsbench.spec import Text, Trial

WORD = Text("word", "en", "Rice is served.")  # 23 tokens, SHORT 56: chunks of one token are decoded whole each time


@pytest.fixture(scope="module")
def replayer(nano):
    return Replayer(nano.loaded.xtts)


def both(nano, replayer, trial):
    """Return what a replay and a fresh run of one trial gave."""
    got = clock.listen(lambda: replayer.stream(trial, nano.voice(trial)))
    nano.seed(trial.seed)
    return got, clock.listen(lambda: nano.stream(trial))


def shape(heard):
    return [(c.samples, c.sentence, c.tokens) for c in heard.chunks]


def same(nano, replayer, **settings):
    text = settings.pop("text", WORD if settings["stream_chunk_size"] < 4 else SHORT)
    trial = Trial(engine="stock", config=NANO, settings=Settings(**settings), text=text, seed=1)
    got, fresh = both(nano, replayer, trial)
    assert shape(got) == shape(fresh)
    assert len(got.chunks) > 2 or settings["stream_chunk_size"] > 40
    assert snr_db(got.audio, fresh.audio) >= 100
    return got


@pytest.mark.parametrize(
    ("size", "overlap"), [(1, 1024), (1, 2048), (4, 8192), (5, 64), (5, 4096), (20, 1024), (20, 20000), (600, 1024)]
)
def test_a_replay_equals_a_fresh_run(nano, replayer, size, overlap):
    got = same(nano, replayer, stream_chunk_size=size, overlap_wav_len=overlap)
    assert (got.chunks[0].samples == 0) == ((size, overlap) in {(1, 1024), (1, 2048), (4, 8192)}), "empty first chunks"


def test_a_last_chunk_that_is_full_is_decoded_once_more(nano, replayer):
    tokens = same(nano, replayer, stream_chunk_size=600).chunks[-1].tokens
    size = next(n for n in (4, 7, tokens) if tokens % n == 0)
    got = same(nano, replayer, stream_chunk_size=size)
    assert [c.tokens for c in got.chunks][-2:] == [tokens, tokens]
    assert got.chunks[-1].samples == 1024


@pytest.mark.parametrize("speed", [0.7, 0.95, 1.3])
@pytest.mark.parametrize("size", [3, 16])
def test_speed_stretches_each_prefix_as_the_library_does(nano, replayer, speed, size):
    """At 0.95 a prefix under 19 tokens isn't stretched at all, while longer ones are."""
    same(nano, replayer, stream_chunk_size=size, speed=speed)


def test_every_sentence_is_a_generation_of_its_own(nano, replayer):
    text = Text("long", "en", f"{TWO.text} {TWO.text}")
    limits = nano.loaded.xtts.tokenizer.char_limits
    assert len(text.text) > limits["en"]
    got = same(nano, replayer, text=text, stream_chunk_size=20, enable_text_splitting=True)
    assert {c.sentence for c in got.chunks} >= {0, 1}


def test_the_token_loop_runs_once_an_utterance_and_the_decoder_never(nano, trial, monkeypatch):
    runs, decodes = [], []
    xtts = nano.loaded.xtts
    generator, forward = xtts.gpt.get_generator, xtts.hifigan_decoder.forward
    monkeypatch.setattr(type(xtts.gpt), "get_generator", lambda self, **k: (runs.append(1), generator(**k))[1])
    monkeypatch.setattr(
        type(xtts.hifigan_decoder), "forward", lambda self, *a, **k: (decodes.append(1), forward(*a, **k))[1]
    )
    replayer, voice = Replayer(xtts), nano.voice(trial)
    for size in (10, 20, 600):
        cell = replace(trial, text=WORD, settings=Settings(stream_chunk_size=size))
        assert len(list(replayer.stream(cell, voice)))
    assert len(runs) == 1
    list(replayer.stream(replace(cell, seed=4), voice))
    assert len(runs) == 2 and not decodes
    assert "forward" not in vars(xtts.hifigan_decoder)


def test_a_capture_leaves_the_model_as_it_was(nano, trial):
    voice = nano.voice(trial)
    nano.seed(0)
    (got,) = capture(nano.loaded.xtts, WORD.text, Settings(), voice)
    assert got.latents.shape == (got.tokens, nano.loaded.xtts.gpt.model_dim)
    assert "forward" not in vars(nano.loaded.xtts.hifigan_decoder) and "encode" not in vars(nano.loaded.xtts.tokenizer)


def test_a_failed_capture_fails_every_cell_and_is_not_tried_again(nano, trial, monkeypatch):
    tried = []

    def fail(*args, **kwargs):
        tried.append(1)
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(nano.loaded.xtts, "inference_stream", fail)
    replayer = Replayer(nano.loaded.xtts)
    for size in (10, 20):
        with pytest.raises(torch.OutOfMemoryError):
            list(replayer.stream(replace(trial, settings=Settings(stream_chunk_size=size)), nano.voice(trial)))
    assert len(tried) == 1
    monkeypatch.undo()
    assert list(replayer.stream(replace(trial, text=WORD), nano.voice(trial)))


def test_where_no_latent_is_left_both_fail(nano, replayer, trial):
    short = replace(trial, text=WORD, settings=Settings(stream_chunk_size=2, speed=4.0))
    with pytest.raises(ValueError, match="raise stream_chunk_size or lower speed"):
        list(replayer.stream(short, nano.voice(short)))
    nano.seed(0)
    with pytest.raises(RuntimeError):
        list(nano.stream(short))


def test_only_stock_is_replayed(nano, replayer, trial):
    with pytest.raises(ValueError, match="only 'stock'"):
        list(replayer.stream(replace(trial, engine="whole"), nano.voice(trial)))


def test_chunk_ends_are_those_of_the_library():
    assert list(chunk_ends(3, 5)) == [(3, True)]
    assert list(chunk_ends(2, 1)) == [(1, False), (2, False), (2, True)]


def test_text_that_the_library_refuses_is_refused(nano, replayer, trial):
    with pytest.raises(AssertionError, match="400 tokens"):
        list(replayer.stream(replace(trial, text=replace(SHORT, text="word " * 200)), nano.voice(trial)))
