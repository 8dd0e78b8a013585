"""On a CUDA device: the clock is right there, stages add up, out-of-memory is a row. Run by `pytest -m cuda`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from samples import NANO, SHORT, snr_db

from xttsbench import clock, runner
from xttsbench.engines.session import Session
from xttsbench.settings import ENGINES, Settings
from xttsbench.spec import EngineConfig, Trial

pytestmark = pytest.mark.cuda


@pytest.fixture(scope="module")
def gpu(homes):
    return Session(EngineConfig(model="random", device="cuda"))


def stock(session, **settings) -> Trial:
    return Trial(engine="stock", config=session.config, settings=Settings(**settings), text=SHORT, seed=1)


def test_a_chunk_is_stamped_when_its_samples_are_in_host_memory(gpu):
    """Against CUDA events: no chunk is stamped before the GPU had finished it.

    A large chunk, which the GPU decodes for longer than the host takes to queue it: of a small one the GPU is done as soon.
    """
    trial = replace(stock(gpu, stream_chunk_size=80), text=replace(SHORT, text=" ".join([SHORT.text] * 3)))
    runner.execute(gpu, trial)
    finished = []
    start = torch.cuda.Event(enable_timing=True)

    def request():
        torch.cuda.synchronize()
        start.record()
        for piece in gpu.stream(stock(gpu)):
            done = torch.cuda.Event(enable_timing=True)
            done.record()
            finished.append(done)
            yield piece

    got = clock.listen(request)
    torch.cuda.synchronize()
    ends = [start.elapsed_time(e) / 1000 for e in finished]
    assert all(c.arrival_s >= e - 1e-3 for c, e in zip(got.chunks, ends, strict=True))
    assert got.chunks[0].yielded_s < ends[0], "the library hands the first chunk over before the GPU has made it"


@pytest.mark.parametrize("engine", ENGINES)
def test_stages_add_up_to_the_wall_time_within_5_percent(gpu, engine):
    trial = replace(stock(gpu), engine=engine)
    runner.execute(gpu, trial)
    record, _ = runner.execute(gpu, replace(trial, phase="stages"))
    assert record.status == "ok", record.error
    assert sum(record.stages.values()) == pytest.approx(record.end_s, rel=0.05)
    assert record.stages["prefill"] > 2e-3  # 30 layers over 70 positions, whatever stream they ran on


def test_peak_memory_is_measured(gpu):
    record, _ = runner.execute(gpu, stock(gpu))
    assert record.memory["device_peak_allocated"] > 1.8e9
    assert record.memory["device_peak_reserved"] >= record.memory["device_peak_allocated"]


def test_out_of_memory_is_a_row_and_the_next_trial_runs(gpu):
    runner.execute(gpu, stock(gpu))
    gpu.recover()
    held = torch.cuda.memory_reserved() / torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(held)
    try:
        long = replace(SHORT, text=SHORT.text * 8)
        record, _ = runner.execute(gpu, replace(stock(gpu), text=long, engine="whole"))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert record.status == "failed" and "OutOfMemoryError" in record.error
    record, _ = runner.execute(gpu, stock(gpu))
    assert record.status == "ok", record.error


@pytest.mark.parametrize("precision", ["fp32", "tf32", "fp16", "bf16"])
def test_every_precision_speaks(homes, precision):
    session = Session(replace(NANO, device="cuda", precision=precision))
    record, audio = runner.execute(
        session, Trial(engine="stock", config=session.config, settings=Settings(), text=SHORT)
    )
    assert record.status == "ok", record.error
    assert np.isfinite(audio).all() and len(audio) > 24000


def test_cuda_and_cpu_speak_the_same_greedy_tokens(homes, nano):
    session = Session(replace(NANO, device="cuda"))
    greedy = Settings(top_k=1)
    records = [
        runner.execute(s, Trial(engine="stock", config=s.config, settings=greedy, text=SHORT))[0]
        for s in (session, nano)
    ]
    assert [c.tokens for c in records[0].chunks] == [c.tokens for c in records[1].chunks]


@pytest.mark.parametrize("model", ["nano", "random"])
def test_seamless_speaks_stocks_greedy_tokens(homes, gpu, model):
    session = gpu if model == "random" else Session(replace(NANO, device="cuda"))
    tokens = []
    for engine, greedy in (("stock", {"top_k": 1}), ("seamless", {"do_sample": False})):
        runner.execute(session, replace(stock(session, **greedy), engine=engine))
        tokens.append(session.codes())
    assert session.seamless().fused
    assert tokens[0] == tokens[1] and len(tokens[0][0]) > 20


def test_seamless_says_the_same_whether_the_vocoder_and_the_token_loop_work_at_once_or_not(homes):
    session = Session(replace(NANO, device="cuda"))
    trial = replace(stock(session, stream_chunk_size=5), engine="seamless")
    runner.execute(session, trial)
    session.seed(4)
    pieces, _ = session.staged(trial)  # with a stage clock one thing happens after the other
    plain = clock.listen(lambda: pieces)
    codes = session.codes()
    session.seed(4)
    both = clock.listen(lambda: session.stream(trial))
    assert session.codes() == codes
    assert [c.samples for c in both.chunks] == [c.samples for c in plain.chunks]
    assert snr_db(both.audio, plain.audio) > 100


@pytest.mark.parametrize("engine", ["stock", "naive", "seamless"])
def test_a_replay_says_what_was_said(homes, engine):
    session = Session(replace(NANO, device="cuda"))
    trial = replace(stock(session), engine=engine)
    session.keep = True
    _, audio = runner.execute(session, trial)
    record, again = runner.execute(session, replace(trial, phase="replay"))
    assert record.status == "ok", record.error
    assert snr_db(again, audio) > 80


def test_the_first_request_of_an_engine_speaks_the_tokens_of_its_seed(homes):
    """Its kernels are built and its graphs captured after the seed was set."""
    session = Session(replace(NANO, device="cuda"))
    trial = replace(stock(session), engine="seamless")
    codes = []
    for _ in range(2):
        record, _ = runner.execute(session, trial)
        assert record.status == "ok", record.error
        codes.append(session.codes())
    assert codes[0] == codes[1]


def test_callers_with_a_thread_each_are_served_by_one_engine(homes):
    """Greedy, and none prepared: states are made and graphs captured while others speak."""
    session = Session(replace(NANO, device="cuda"))
    trials = [
        replace(stock(session, do_sample=False), engine="seamless", text=replace(SHORT, text=f"{SHORT.text} {k}."))
        for k in range(4)
    ]
    held, engine = session.voice(trials[0]), session.seamless()

    def speak(trial):
        pieces = engine.stream(
            trial.text.text,
            trial.settings,
            gpt_cond_latent=held.gpt_cond_latent,
            speaker_embedding=held.speaker_embedding,
        )
        return np.concatenate([clock.to_host(piece.audio) for piece in pieces])

    with ThreadPoolExecutor(len(trials)) as pool:
        together = list(pool.map(speak, trials))
    for trial, audio in zip(trials, together, strict=True):
        assert snr_db(audio, speak(trial)) > 100
