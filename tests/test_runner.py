"""Trials to records with the real model: failures are rows, resume is the same run, cold and warm are kept apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from samples import NANO, SHORT, TWO

from xttsbench import runner, stats, store, table
from xttsbench.engines import naive
from xttsbench.grid import Sweep
from xttsbench.settings import Settings
from xttsbench.spec import Trial, VoiceSpec
from xttsbench.store import Run

SMALL = Sweep(
    configs=(NANO,), engines=("stock", "whole"), texts=(SHORT, TWO), grid={"stream_chunk_size": (10, 20)}, repeats=2
)


@pytest.fixture
def lent(nano, monkeypatch):
    """The runner gets the session of the tests instead of loading one, and may not close it."""
    monkeypatch.setattr(runner, "open_session", lambda config, accept_cpml=False: nano)
    monkeypatch.setattr(nano, "close", lambda: None)
    return nano


def finished(folder, sweep=SMALL, **kwargs):
    with Run.create(folder, {"sweep": sweep.to_json()}) as run:
        return list(runner.run(sweep, run, **kwargs))


def test_every_trial_becomes_a_record_with_its_audio(lent, tmp_path):
    steps = finished(tmp_path / "run")
    records = list(store.read(tmp_path / "run"))
    assert [r.trial for r in records] == SMALL.trials()
    assert [s.done for s in steps] == list(range(1, len(records) + 1)) and steps[-1].left_s == 0
    for r in records:
        assert r.status == "ok" and r.voice_s > 0 and r.first_audible_sample >= 0
        assert len(store.read_audio(tmp_path / "run", r)) == sum(c.samples for c in r.chunks)
        assert bool(r.stages) == (r.trial.phase == "stages")
        assert r.memory["process_rss"] > 1e8 and "others_cores" in r.state
    pairs = {}
    for r in records:
        pairs.setdefault((r.trial.cell, r.trial.seed), []).append(store.read_audio(tmp_path / "run", r))
    assert all(np.array_equal(a[0], b) for a in pairs.values() for b in a), "one seed, one utterance"


def test_resume_gives_the_same_trials_as_an_unbroken_run(lent, tmp_path):
    finished(tmp_path / "unbroken", keep_audio=False)
    with Run.create(tmp_path / "broken", {}) as run:
        steps = runner.run(SMALL, run, keep_audio=False)
        for _ in range(7):
            next(steps)
        steps.close()
    with open(tmp_path / "broken" / store.TRIALS, "ab") as f:
        f.write(b'{"schema": 1, "torn')
    with Run.resume(tmp_path / "broken") as run:
        rest = list(runner.run(SMALL, run, keep_audio=False))
    unbroken, broken = (list(store.read(tmp_path / name)) for name in ("unbroken", "broken"))
    assert len(rest) == len(unbroken) - 7
    assert [r.trial.id for r in broken] == [r.trial.id for r in unbroken]
    sizes = [[[c.samples for c in r.chunks] for r in run] for run in (broken, unbroken)]
    assert sizes[0] == sizes[1]


def test_max_seconds_stops_between_trials(lent, tmp_path):
    assert len(finished(tmp_path / "run", max_seconds=0)) <= 1


def failing(lent, monkeypatch, error):
    def stream(*args, **kwargs):
        raise error

    monkeypatch.setattr(lent.loaded.xtts, "inference_stream", stream)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("boom\nmore"),
        AssertionError(),
    ],
)
def test_a_failed_trial_is_a_row_and_the_sweep_goes_on(lent, tmp_path, monkeypatch, error):
    failing(lent, monkeypatch, error)
    finished(tmp_path / "run")
    _, trials = table.load_run(tmp_path / "run")
    assert (trials.groupby("engine")["status"].unique().map(list)).to_dict() == {"stock": ["failed"], "whole": ["ok"]}
    row = trials[trials["engine"] == "stock"].iloc[0]
    assert type(error).__name__ in row["error"] and "\n" not in row["error"]
    assert np.isnan(row["ttfc_s"]) and np.isnan(row["rtf"]) and np.isnan(row["tokens"])


def test_a_text_over_400_tokens_is_a_failed_row(nano, trial):
    record, audio = runner.execute(nano, replace(trial, text=replace(SHORT, text="word " * 200)))
    assert record.status == "failed" and "400 tokens" in record.error and len(audio) == 0


def test_nan_audio_is_a_failed_row(nano, trial, monkeypatch):
    monkeypatch.setattr(
        nano.loaded.xtts, "inference_stream", lambda *a, **k: iter([torch.tensor([0.1, float("nan"), 0.2])])
    )
    record, _ = runner.execute(nano, trial)
    assert record.status == "failed" and record.error == "NaN audio: 1 of 3 samples are not finite"


def test_an_engine_that_yields_nothing_is_a_failed_row(nano, trial, monkeypatch):
    monkeypatch.setattr(nano.loaded.xtts, "inference_stream", lambda *a, **k: iter(()))
    assert runner.execute(nano, trial)[0].error == "no audio: the engine yielded nothing"


def test_an_interrupt_passes_through(nano, trial, monkeypatch):
    def stream(*a, **k):
        raise KeyboardInterrupt

    monkeypatch.setattr(nano.loaded.xtts, "inference_stream", stream)
    with pytest.raises(KeyboardInterrupt):
        runner.execute(nano, trial)


def test_the_voice_is_not_in_the_time_to_the_first_chunk(nano, trial, monkeypatch):
    """Were the voice computed inside the request, the first chunk could not come before it is done."""
    order = []
    voice, listen = nano.voice, runner.clock.listen
    monkeypatch.setattr(nano, "voice", lambda t: (order.append("voice"), voice(t))[1])
    monkeypatch.setattr(runner.clock, "listen", lambda *a, **k: (order.append("clock"), listen(*a, **k))[1])
    runner.execute(nano, replace(trial, voice=VoiceSpec(speaker="nano")))
    assert order[:2] == ["voice", "clock"]


def test_a_change_of_configuration_loads_again(nano, monkeypatch, tmp_path):
    opened = []
    monkeypatch.setattr(runner, "open_session", lambda config, accept_cpml=False: (opened.append(config), nano)[1])
    monkeypatch.setattr(nano, "close", lambda: None)
    configs = (NANO, replace(NANO, threads=1))
    plan = replace(SMALL, configs=configs, engines=("whole",), texts=(SHORT,), grid={}, repeats=1, stages=False)
    finished(tmp_path / "run", plan, keep_audio=False)
    assert opened == list(configs)
    opened.clear()
    finished(tmp_path / "again", plan, keep_audio=False, first=nano)
    assert opened == [configs[1]]


REPLAYED = replace(
    SMALL,
    engines=("stock",),
    texts=(SHORT,),
    grid={"stream_chunk_size": (10, 20), "overlap_wav_len": (64,)},
    replay=True,
)


def test_a_replay_has_the_chunks_of_a_fresh_run_and_no_times(lent, tmp_path):
    finished(tmp_path / "run", REPLAYED)
    records = list(store.read(tmp_path / "run"))
    assert [r.trial for r in records] == REPLAYED.trials() and len(records) == 6
    fresh, audio = runner.execute(lent, replace(records[0].trial, phase="timed"))
    assert [c.samples for c in records[0].chunks] == [c.samples for c in fresh.chunks]
    assert np.abs(store.read_audio(tmp_path / "run", records[0]) - np.clip(audio, -1, 1)).max() < 1e-4
    for r in records:
        assert r.status == "ok" and not r.stages and not r.memory and not r.flags
        assert (
            all(np.isnan([c.arrival_s, c.yielded_s]).all() for c in r.chunks) and np.isnan([r.end_s, r.energy_j]).all()
        )
    _, trials = table.load_run(tmp_path / "run")
    sizes = {"audio_s", "chars_per_s", "tokens", "chunks"}
    assert set(table.METRICS) - set(trials[list(table.METRICS)].dropna(axis=1, how="all").columns) == {
        m for m in table.METRICS if m not in sizes
    }
    assert len(trials.groupby("seed")["tokens"].unique().explode()) == 2, "one utterance a seed"


def test_a_replay_is_resumed_within_an_utterance(lent, tmp_path):
    finished(tmp_path / "unbroken", REPLAYED, keep_audio=False)
    with Run.create(tmp_path / "broken", {}) as run:
        steps = runner.run(REPLAYED, run, keep_audio=False)
        next(steps)
        steps.close()
    with Run.resume(tmp_path / "broken") as run:
        assert len(list(runner.run(REPLAYED, run, keep_audio=False))) == 5
    one, two = (list(store.read(tmp_path / name)) for name in ("unbroken", "broken"))
    assert [(r.trial.id, [c.samples for c in r.chunks]) for r in one] == [
        (r.trial.id, [c.samples for c in r.chunks]) for r in two
    ]


def test_a_failed_capture_is_a_failed_row_in_every_cell(lent, tmp_path, monkeypatch):
    failing(lent, monkeypatch, torch.OutOfMemoryError("CUDA out of memory"))
    plan = replace(REPLAYED, seed=50)
    finished(tmp_path / "run", plan)
    _, trials = table.load_run(tmp_path / "run")
    assert trials["status"].tolist() == ["failed"] * 6 and trials["error"].str.contains("OutOfMemoryError").all()
    assert trials["chunks"].isna().all()
    assert any("6 of 6 trials failed" in d for d in stats.doubts(trials, stats.summary(trials)))


AGAIN = replace(
    SMALL, engines=("stock", "naive", "seamless"), texts=(TWO,), grid={"join": ("none", "pause")}, repeats=1, reuse=True
)


def by_way(folder):
    """Return the requests of a finished run by engine and phase, with their audio."""
    return {
        (r.trial.engine, r.trial.phase): (r, store.read_audio(folder, r))
        for r in store.read(folder)
        if r.trial.phase in ("timed", "replay")
    }


def test_what_a_request_generated_is_decoded_whole_and_joined_anew(lent, tmp_path):
    finished(tmp_path / "run", replace(AGAIN, stages=False))
    got = by_way(tmp_path / "run")
    assert len(got) == 6 and all(r.status == "ok" for r, _ in got.values())
    for engine in ("stock", "seamless"):
        (streamed, _), (whole, audio) = got[engine, "timed"], got[engine, "replay"]
        assert whole.chunks[-1].tokens == streamed.chunks[-1].tokens and np.isnan(whole.end_s)
        assert len(audio) == len(got["seamless", "timed"][1])
    assert np.abs(got["stock", "replay"][1] - got["seamless", "timed"][1]).max() < 1e-3
    plain, (paused, audio) = got["naive", "timed"], got["naive", "replay"]
    fresh = runner.execute(lent, replace(paused.trial, phase="timed"))
    assert [c.samples for c in paused.chunks] == [c.samples for c in fresh[0].chunks]
    assert np.abs(audio - np.clip(fresh[1], -1, 1)).max() < 1e-4
    assert paused.state == plain[0].state and paused.flags == plain[0].flags


def test_a_sentence_joined_anew_comes_when_it_was_synthesised(nano, trial, monkeypatch):
    """The clock is put forward by what synthesis took, and joining is timed as it is done now."""
    now = [0.0]
    monkeypatch.setattr(nano, "keep", True)
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    synthesise, trim = nano.loaded.xtts.inference, naive.trim

    def slow(*args, **kwargs):
        now[0] += 10
        return synthesise(*args, **kwargs)

    def slow_trim(*args, **kwargs):
        now[0] += 0.25
        return trim(*args, **kwargs)

    monkeypatch.setattr(nano.loaded.xtts, "inference", slow)
    monkeypatch.setattr(naive, "trim", slow_trim)
    first = replace(trial, engine="naive", text=TWO)
    runner.execute(nano, first)
    again = replace(first, phase="replay", settings=Settings(join="trimmed"))
    for _ in range(2):
        record, _ = runner.execute(nano, again)
        assert [round(c.arrival_s, 6) for c in record.chunks] == [10.25, 20.5] and record.end_s == pytest.approx(20.5)
    record, _ = runner.execute(nano, replace(again, seed=99))
    assert [round(c.arrival_s, 6) for c in record.chunks] == [10.25, 20.5], "said anew, and counted once"
    assert now[0] == pytest.approx(20 + 0.5 + 0.5 + 20.5 + 0.5)


def broken_off_and_gone_on_with(folder, plan):
    """Run a plan up to its first timed request in one go, and the rest in another."""
    with Run.create(folder, {}) as run:
        steps = runner.run(plan, run)
        while next(steps).record.trial.phase != "timed":
            pass
        steps.close()
    with Run.resume(folder) as run:
        list(runner.run(plan, run))


@pytest.mark.parametrize("engine", ["stock", "naive", "seamless"])
def test_a_replay_is_the_same_whether_its_request_was_made_just_now_or_not(lent, tmp_path, engine):
    plan = replace(AGAIN, engines=(engine,), stages=False)
    finished(tmp_path / "unbroken", plan)
    broken_off_and_gone_on_with(tmp_path / "broken", plan)
    one, two = by_way(tmp_path / "unbroken"), by_way(tmp_path / "broken")
    assert one.keys() == two.keys() and len(one) == 2
    for way, (record, audio) in one.items():
        assert [c.samples for c in record.chunks] == [c.samples for c in two[way][0].chunks]
        assert np.abs(audio - two[way][1]).max() < 1e-4


def test_a_run_broken_off_in_its_warm_ups_is_warmed_up_whole(lent, tmp_path, monkeypatch):
    """What the first process warmed is cold in the second: nothing may be timed before every shape was."""
    with Run.create(tmp_path / "broken", {}) as run:
        steps = runner.run(SMALL, run, keep_audio=False)
        for _ in range(3):
            assert next(steps).record.trial.phase in ("cold", "warmup")
        steps.close()
    made, execute = [], runner.execute
    monkeypatch.setattr(
        runner, "execute", lambda session, trial, **k: (made.append(trial), execute(session, trial, **k))[1]
    )
    with Run.resume(tmp_path / "broken") as run:
        list(runner.run(SMALL, run, keep_audio=False))
    first = [t.phase for t in made].index("timed")
    warm = {(t.engine, t.settings.stream_chunk_size, t.text) for t in made[:first]}
    assert warm == {(t.engine, t.settings.stream_chunk_size, t.text) for t in made[first:]}
    assert [r.trial for r in store.read(tmp_path / "broken")] == SMALL.trials(), "each is on record once"


def test_sentences_said_anew_for_another_join_are_flagged(lent, tmp_path):
    """Broken off between the first join and the others: their times are of another synthesis, and say so."""
    plan = replace(AGAIN, engines=("naive",), grid={"join": ("none", "pause", "trimmed")}, stages=False)
    broken_off_and_gone_on_with(tmp_path / "broken", plan)
    records = [r for r in store.read(tmp_path / "broken") if r.trial.phase in ("timed", "replay")]
    assert [runner.ANEW in r.flags for r in records] == [False, True, True]
    assert "others_cores" in records[1].state and records[2].state == records[1].state
    said = stats.doubts(table.trials(records), stats.summary(table.trials(records)))
    assert any("2 of 3 trials are flagged generated_anew: sentences were synthesised again" in d for d in said)


def test_nothing_is_kept_unless_it_is_used_again(lent, trial, tmp_path):
    finished(tmp_path / "run", replace(SMALL, texts=(SHORT,), repeats=1))
    assert not lent.keep and not lent._kept.latents and not lent._kept.said


def test_a_whole_call_cannot_be_replayed(nano, trial):
    record, _ = runner.execute(nano, replace(trial, engine="whole", phase="replay"))
    assert record.status == "failed" and "'whole' can't be replayed" in record.error


def test_failure_in_words_of_a_missing_speaker(nano):
    t = Trial(engine="stock", config=NANO, settings=Settings(), text=SHORT, voice=VoiceSpec(speaker="nobody"))
    assert "known: nano" in runner.execute(nano, t)[0].error


def test_every_engine_keeps_its_tokens(nano, trial):
    """The same seed gives stock and seamless the same tokens; a replay, which generates none, keeps none."""
    split = Settings(enable_text_splitting=True)
    long = replace(TWO, name="long", text=f"{TWO.text} {TWO.text}")
    kept = {
        engine: runner.execute(nano, replace(trial, engine=engine, text=long, settings=split))[0]
        for engine in ("stock", "seamless", "naive", "whole")
    }
    assert kept["stock"].codes == kept["seamless"].codes
    for engine, record in kept.items():
        assert len(record.codes) == record.chunks[-1].sentence + 1 > 1, engine
        assert sum(map(len, record.codes)) == record.chunks[-1].tokens, engine
    assert 0 <= table.trials([kept["stock"]])["repetition"][0] < 1
    replayed, _ = runner.execute(nano, replace(trial, phase="replay"))
    assert replayed.status == "ok" and replayed.codes == ()
