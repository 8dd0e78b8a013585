"""The engines are the library's own calls and nothing else: same seed, same samples, tapped or not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from samples import NANO, SHORT, TWO

from xttsbench import clock
from xttsbench.engines import naive
from xttsbench.engines.taps import STAGES, StageClock, Taps
from xttsbench.settings import Settings, call_arguments, samples_of
from xttsbench.spec import Trial


def heard(session, trial, **kwargs):
    session.seed(trial.seed)
    return clock.listen(lambda: session.stream(trial, **kwargs))


def bare_stream(session, trial):
    voice = session.voice(trial)
    session.seed(trial.seed)
    chunks = session.loaded.xtts.inference_stream(
        trial.text.text,
        "en",
        voice.gpt_cond_latent,
        voice.speaker_embedding,
        **call_arguments("stock", trial.settings),
    )
    return [c.numpy() for c in chunks]


def test_stock_is_inference_stream_sample_for_sample(nano, trial):
    bare = bare_stream(nano, trial)
    got = heard(nano, trial)
    assert [c.samples for c in got.chunks] == [len(c) for c in bare]
    assert np.array_equal(got.audio, np.concatenate(bare))
    assert np.array_equal(np.concatenate(bare_stream(nano, trial)), got.audio), "taps were taken off again"


def test_stock_counts_tokens_and_sentences(nano, trial):
    long = replace(
        trial, text=replace(TWO, text=TWO.text + " " + TWO.text), settings=Settings(enable_text_splitting=True)
    )
    got = heard(nano, long)
    sentences = {c.sentence for c in got.chunks}
    assert sentences == {0, 1}
    per_sentence = [max(c.tokens for c in got.chunks if c.sentence == s) for s in (0, 1)]
    lengths = [sum(c.samples for c in got.chunks if c.sentence == s) for s in (0, 1)]
    assert lengths == [samples_of(per_sentence[0]), samples_of(per_sentence[1] - per_sentence[0])]


def test_whole_is_inference(nano, trial):
    whole = replace(trial, engine="whole")
    voice = nano.voice(whole)
    nano.seed(whole.seed)
    out = nano.loaded.xtts.inference(
        SHORT.text, "en", voice.gpt_cond_latent, voice.speaker_embedding, **call_arguments("whole", whole.settings)
    )
    got = heard(nano, whole)
    assert np.array_equal(got.audio, out["wav"])
    assert got.chunks[0].tokens == out["gpt_latents"].shape[1]
    assert len(got.chunks) == 1


@pytest.mark.parametrize("join", ["none", "pause", "trimmed"])
def test_naive_yields_a_chunk_a_sentence(nano, trial, join):
    got = heard(nano, replace(trial, engine="naive", text=TWO, settings=Settings(join=join, top_k=1)))
    assert [c.sentence for c in got.chunks] == [0, 1]
    tails = [got.audio[: got.chunks[0].samples], got.audio[got.chunks[0].samples :]]
    silent = [not np.any(t[-naive.PAUSE_SAMPLES :]) for t in tails]
    assert silent == [join == "pause"] * 2


def test_trimmed_is_shorter_than_none_and_pause_longer_by_its_zeros(nano, trial):
    length = {
        join: len(heard(nano, replace(trial, engine="naive", text=TWO, settings=Settings(join=join, top_k=1))).audio)
        for join in ("none", "pause", "trimmed")
    }
    assert length["trimmed"] < length["none"]
    assert length["pause"] == length["none"] + 2 * naive.PAUSE_SAMPLES


def test_stages_are_all_of_the_wall_time(nano, trial):
    for engine in ("stock", "naive", "whole"):
        pieces, stage_clock = nano.staged(replace(trial, engine=engine, text=TWO))
        got = clock.listen(lambda p=pieces: p)
        totals = stage_clock.totals()
        expected = {"text", "prefill", "token_loop", "vocoder"} | ({"join"} if engine == "stock" else {"latents"})
        assert expected <= set(totals) <= set(STAGES)
        assert all(seconds > 0 for seconds in totals.values())
        named = sum(seconds for name, seconds in totals.items() if name != "other")
        assert 0.8 * got.end_s < named <= 1.05 * got.end_s, "what no stage names is little"


def test_staged_audio_is_the_same_audio(nano, trial):
    plain = heard(nano, trial)
    pieces, _ = nano.staged(trial)
    nano.seed(trial.seed)
    assert np.array_equal(clock.listen(lambda: pieces).audio, plain.audio)


def test_capture_keeps_codes_and_latents_that_decode_to_the_audio(nano, trial):
    taps = Taps(nano.loaded.xtts, capture=True)
    got = heard(nano, replace(trial, settings=Settings(stream_chunk_size=600)), taps=taps)
    ((codes, latents),) = taps.captured
    assert len(codes) == len(latents) == taps.tokens == got.chunks[-1].tokens
    with torch.inference_mode():
        whole = nano.loaded.xtts.hifigan_decoder(
            torch.cat(latents)[None], g=nano.voice(trial).speaker_embedding
        ).squeeze()
    assert np.array_equal(whole.numpy(), got.audio)


def test_a_stream_broken_off_leaves_no_tap_behind(nano, trial):
    stream = nano.stream(trial)
    next(stream)
    stream.close()
    xtts = nano.loaded.xtts
    tapped = [(xtts.tokenizer, "encode"), (xtts.gpt, "get_generator"), (xtts.gpt, "generate")]
    assert not any(name in vars(owner) for owner, name in tapped)


def test_two_requests_at_once_are_refused(nano, trial):
    first = nano.stream(trial)
    next(first)
    with pytest.raises(RuntimeError, match="one request at a time"):
        next(nano.stream(trial))
    first.close()


def test_bf16_runs_under_autocast_and_gives_finite_float_audio(trial):
    from xttsbench.engines.session import Session

    session = Session(replace(NANO, precision="bf16"))
    got = heard(session, replace(trial, config=session.config))
    assert got.audio.dtype == np.float32 and np.isfinite(got.audio).all() and len(got.audio) > 24000
    assert not torch.is_autocast_enabled("cpu")


def test_stage_clock_has_one_stage_at_a_time():
    stages = StageClock(torch.device("cpu"))
    stages.to("vocoder")
    stages.to("join")
    totals = stages.totals()
    assert set(totals) == {"other", "vocoder", "join"}


def test_trial_settings_reach_the_library(nano, monkeypatch):
    """Every setting an engine takes is passed under the library's own name, or is the voice's."""
    seen = {}

    def stream(text, language, *voice, **kwargs):
        seen.update(kwargs)
        return iter(())

    monkeypatch.setattr(nano.loaded.xtts, "inference_stream", stream)
    chosen = Settings(stream_chunk_size=7, overlap_wav_len=99, temperature=0.3, top_k=3, top_p=0.4, speed=1.5)
    t = Trial(engine="stock", config=NANO, settings=chosen, text=SHORT)
    assert list(nano.stream(t)) == []
    assert seen == call_arguments("stock", chosen)
    assert set(seen) == {
        "stream_chunk_size",
        "overlap_wav_len",
        "temperature",
        "length_penalty",
        "repetition_penalty",
        "top_k",
        "top_p",
        "do_sample",
        "speed",
        "enable_text_splitting",
    }
