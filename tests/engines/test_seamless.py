"""Seamless on real models: the library's own tokens, one decode's own samples, and nothing left behind."""

from __future__ import annotations

import threading
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch
from samples import NANO, SHORT, TWO, snr_db

from xttsbench import clock
from xttsbench.engines.seamless import Seamless, chunk_sizes
from xttsbench.engines.session import UNFUSED
from xttsbench.engines.taps import STAGES, Taps
from xttsbench.settings import Settings, samples_of
from xttsbench.spec import Trial
from xttsbench.stats import CAUSES


def seamless(**settings):
    text = settings.pop("text", SHORT)
    return Trial(engine="seamless", config=NANO, settings=Settings(**settings), text=text, seed=3)


def heard(session, trial):
    session.seed(trial.seed)
    return clock.listen(lambda: session.stream(trial))


@pytest.fixture(scope="module")
def whole(nano):
    """One decode of the latents that stock streaming makes of SHORT under seed 3, and their number."""
    trial = replace(seamless(), engine="stock")
    taps = Taps(nano.loaded.xtts, capture=True)
    nano.seed(3)
    for _ in nano.stream(trial, taps=taps):
        pass
    with torch.inference_mode():
        latents = torch.cat(taps.captured[0][1])[None]
        decoder = nano.loaded.xtts.hifigan_decoder
        return decoder(latents, g=nano.voice(trial).speaker_embedding).squeeze().numpy(), latents.shape[1]


@pytest.mark.parametrize(
    "schedule",
    [
        dict(stream_chunk_size=20),
        dict(stream_chunk_size=1),
        dict(stream_chunk_size=600),
        dict(stream_chunk_size=20, first_chunk_size=5),
        dict(stream_chunk_size=40, first_chunk_size=4, chunk_growth=1.3),
    ],
)
def test_equals_one_decode_of_stocks_latents(nano, whole, schedule):
    got = heard(nano, seamless(**schedule))
    true, tokens = whole
    assert snr_db(got.audio, true) > 100
    assert len(got.audio) == samples_of(tokens)
    assert got.chunks[-1].tokens == tokens
    assert all(c.samples for c in got.chunks)
    at = 0
    for chunk in got.chunks[:-1]:
        at += chunk.samples
        assert snr_db(got.audio[at - 256 : at + 256], true[at - 256 : at + 256]) > 90


@pytest.mark.parametrize("schedule", [dict(stream_chunk_size=600), dict(stream_chunk_size=9, first_chunk_size=4)])
@pytest.mark.parametrize("speed", [1.0, 1.3])
def test_kept_latents_are_decoded_as_they_would_be_streamed(nano, schedule, speed):
    trial = seamless(text=replace(TWO, text=f"{TWO.text} {TWO.text}"), enable_text_splitting=True, speed=speed)
    voice, kept = nano.voice(trial), []
    nano.seed(3)
    for _ in nano.seamless().stream(trial.text.text, trial.settings, **latents_of(voice), latents=kept):
        pass
    settings = replace(trial.settings, **schedule)
    fresh = heard(nano, replace(trial, settings=settings))
    sentences = [torch.cat(made) for made in kept]
    again = clock.listen(lambda: nano.seamless().decode(sentences, settings, speaker_embedding=voice.speaker_embedding))
    assert len(kept) > 1 and len(again.chunks) >= len(kept)
    assert [(c.samples, c.sentence, c.tokens) for c in again.chunks] == [
        (c.samples, c.sentence, c.tokens) for c in fresh.chunks
    ]
    assert snr_db(again.audio, fresh.audio) > 100


def latents_of(voice):
    return {"gpt_cond_latent": voice.gpt_cond_latent, "speaker_embedding": voice.speaker_embedding}


def test_stock_is_far_from_it_at_the_same_settings(nano, whole):
    stock = replace(seamless(stream_chunk_size=5), engine="stock")
    assert snr_db(heard(nano, stock).audio, whole[0]) < 40


def test_sentences_are_generations_of_their_own_as_in_stock(nano):
    text = replace(TWO, text=TWO.text + " " + TWO.text)
    got = heard(nano, seamless(text=text, enable_text_splitting=True))
    stock = heard(nano, replace(seamless(text=text, enable_text_splitting=True), engine="stock"))
    assert {c.sentence for c in got.chunks} == {0, 1}
    assert len(got.audio) == len(stock.audio)
    assert got.chunks[-1].tokens == stock.chunks[-1].tokens


def test_greedy_is_greedy_whatever_the_seed(nano):
    one, two = (heard(nano, replace(seamless(do_sample=False), seed=s)).audio for s in (1, 2))
    assert np.array_equal(one, two)
    assert np.array_equal(one, heard(nano, seamless(top_k=1)).audio)


def test_speed_stretches_as_stock_does(nano):
    for speed in (0.7, 1.6):
        ours, stock = (heard(nano, replace(seamless(speed=speed), engine=e)).audio for e in ("seamless", "stock"))
        assert len(ours) == len(stock)
        assert snr_db(ours, stock) > 3


def test_the_model_is_left_as_it_was(nano):
    xtts = nano.loaded.xtts
    before = {name: (v.data_ptr(), v.clone()) for name, v in xtts.state_dict().items()}
    heard(nano, seamless())
    after = xtts.state_dict()
    assert list(before) == list(after)
    assert all(v.data_ptr() == before[n][0] and torch.equal(v, before[n][1]) for n, v in after.items())


def test_a_cancelled_request_leaves_nothing(nano):
    engine, voice = nano.seamless(), nano.voice(seamless())
    held = []
    take = engine._loop._take
    engine._loop._take = lambda *size: held.append(take(*size)) or held[-1]
    try:
        pieces = engine.stream(
            SHORT.text,
            Settings(stream_chunk_size=5),
            gpt_cond_latent=voice.gpt_cond_latent,
            speaker_embedding=voice.speaker_embedding,
        )
        piece = next(pieces)
        state = weakref.ref(held.pop())
        audio = weakref.ref(piece.audio)
        del piece
        pieces.close()
        assert state() is None and audio() is None
        assert list(pieces) == []
    finally:
        del engine._loop._take


def test_stages_cover_the_call(nano):
    pieces, stages = nano.staged(seamless())
    for _ in pieces:
        pass
    totals = stages.totals()
    assert {"text", "prefill", "token_loop", "vocoder"} <= set(totals) <= set(STAGES)


def test_a_callers_autocast_changes_nothing(nano):
    plain = heard(nano, seamless()).audio
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert np.array_equal(heard(nano, seamless()).audio, plain)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_speaks(nano, precision):
    engine, voice = Seamless(nano.loaded.xtts, precision=precision), nano.voice(seamless())
    pieces = engine.stream(
        SHORT.text,
        Settings(do_sample=False),
        gpt_cond_latent=voice.gpt_cond_latent,
        speaker_embedding=voice.speaker_embedding,
    )
    audio = torch.cat([p.audio for p in pieces])
    assert audio.dtype == torch.float32 and audio.isfinite().all() and audio.abs().max() > 0.05


def test_full_shape_lasts_as_long_as_its_tokenizer_says():
    from xttsbench.models.full_shape import SHAPE, build, human_tokens

    small = dict(gpt_layers=2, gpt_n_model_channels=64, gpt_n_heads=2, decoder_input_dim=64)
    xtts = build(shape={**SHAPE, **small})
    voice = torch.randn(1, 32, 64), torch.randn(1, 512, 1)
    with torch.inference_mode():
        got = []
        for text in ("oh, well", "hello there"):
            pieces = Seamless(xtts).stream(text, Settings(), gpt_cond_latent=voice[0], speaker_embedding=voice[1])
            got.append(sum(len(p.audio) for p in pieces))
    assert got == [samples_of(human_tokens(t)) for t in ("oh, well", "hello there")]


def test_too_long_a_sentence_is_refused_in_words(nano):
    with pytest.raises(ValueError, match="text tokens, the model takes 255; shorten it"):
        heard(nano, seamless(text=replace(SHORT, text="a long tale " * 40)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(precision="fp8"), "unknown precision 'fp8'"),
        (dict(compile="fast"), "unknown compile 'fast'"),
        (dict(precision="tf32"), "needs a CUDA device"),
        (dict(cuda_graph=True), "needs a CUDA device"),
    ],
)
def test_what_it_cant_do_is_said(nano, arguments, message):
    with pytest.raises(ValueError, match=message):
        Seamless(nano.loaded.xtts, **arguments)


@pytest.mark.parametrize(
    ("settings", "sizes"),
    [
        (dict(stream_chunk_size=20), [20, 20, 20, 20]),
        (dict(stream_chunk_size=20, first_chunk_size=5), [5, 20, 20, 20]),
        (dict(stream_chunk_size=20, first_chunk_size=5, chunk_growth=2), [5, 10, 20, 20]),
        (dict(stream_chunk_size=10, first_chunk_size=30, chunk_growth=2), [30, 10, 10, 10]),
        (dict(stream_chunk_size=4, chunk_growth=1.5), [4, 4, 4, 4]),
    ],
)
def test_schedules(settings, sizes):
    schedule = chunk_sizes(Settings(**settings))
    assert [next(schedule) for _ in sizes] == sizes


@pytest.mark.cuda
@pytest.mark.parametrize(("precision", "floor"), [("fp32", 100), ("tf32", 40), ("fp16", 35), ("bf16", 15)])
def test_cuda_exactness_by_precision(precision, floor):
    from xttsbench.engines.seamless import DTYPES, numerics
    from xttsbench.engines.window import Vocoder, Window
    from xttsbench.models.nano import load_nano

    decoder = load_nano().to("cuda").hifigan_decoder
    latents, speaker = torch.randn(100, 256, device="cuda"), torch.randn(1, 512, 1, device="cuda")
    with torch.inference_mode():
        with numerics(latents.device, tf32=False):
            true = decoder(latents[None], g=speaker).squeeze()
        with numerics(latents.device, tf32=precision == "tf32"):
            window = Window(Vocoder(decoder, DTYPES[precision]), speaker)
            got = torch.cat([window.push(latents[i : i + 20], final=i == 80) for i in range(0, 100, 20)])
    assert snr_db(got.cpu().numpy(), true.cpu().numpy()) > floor


@pytest.mark.cuda
def test_cuda_cancelling_gives_the_memory_back():
    from xttsbench.models.nano import load_nano

    xtts = load_nano().to("cuda")
    engine = Seamless(xtts)
    voice = torch.randn(1, 8, 256, device="cuda"), torch.randn(1, 512, 1, device="cuda")

    def start():
        return engine.stream(
            SHORT.text, Settings(stream_chunk_size=5), gpt_cond_latent=voice[0], speaker_embedding=voice[1]
        )

    for piece in start():
        del piece
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    pieces = start()
    next(pieces)
    pieces.close()
    torch.cuda.synchronize()
    assert torch.cuda.memory_allocated() <= before


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_tokens_and_sound_at_the_same_time_are_the_same_sound(nano, two_threads):
    """With a thread to spare the token loop runs on while the vocoder decodes: same tokens, same samples, same chunks."""
    text = replace(TWO, text=TWO.text + " " + TWO.text)
    trial = seamless(text=text, enable_text_splitting=True, stream_chunk_size=5)
    nano.seed(3)
    pieces, _ = nano.staged(trial)  # with a stage clock one thing happens after the other
    plain = clock.listen(lambda: pieces)
    codes = nano.codes()
    both = heard(nano, trial)
    assert [replace(c, arrival_s=0, yielded_s=0) for c in both.chunks] == [
        replace(c, arrival_s=0, yielded_s=0) for c in plain.chunks
    ]
    assert snr_db(both.audio, plain.audio) > 120
    assert nano.codes() == codes and len(codes) == 2
    assert torch.get_num_threads() == 2


def running() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name == "token loop"]


def test_a_request_cancelled_amid_both_ends_its_thread_and_gives_the_threads_back(nano, two_threads):
    pieces = nano.stream(seamless(stream_chunk_size=5))
    next(pieces), next(pieces)
    assert running() and torch.get_num_threads() == 1
    pieces.close()
    assert not running() and torch.get_num_threads() == 2
    assert nano.codes() == (), "a generation that was cut off has not said its tokens"


def test_an_error_in_the_token_loop_comes_out_of_the_stream(nano, two_threads, monkeypatch):
    loop = nano.seamless()._loop
    launch = loop._launch
    monkeypatch.setattr(loop, "_launch", lambda *a: launch(*a) if a[1] < 12 else 1 / 0)
    with pytest.raises(ZeroDivisionError):
        heard(nano, seamless(stream_chunk_size=5))
    assert not running() and torch.get_num_threads() == 2


def test_a_token_step_without_its_kernels_is_flagged_on_cuda_only(nano, monkeypatch):
    assert nano.flags(seamless()) == ()
    monkeypatch.setattr(nano, "config", replace(NANO, device="cuda"))
    assert nano.flags(seamless()) == (UNFUSED,) and UNFUSED in CAUSES
    assert nano.flags(replace(seamless(), engine="stock")) == ()
