"""Trials to records: load once a configuration, seed, listen, write, survive failures.

The runner never looks inside a model: `engines.session.Session` is its only door to torch, imported when
the first model is loaded.
"""

from __future__ import annotations

import datetime
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from xttsbench import clock, machine
from xttsbench.grid import Sweep, warmups
from xttsbench.metrics.latency import first_audible
from xttsbench.record import NAN, Record
from xttsbench.spec import EngineConfig, Trial
from xttsbench.store import Run

if TYPE_CHECKING:
    from xttsbench.engines.session import Session

SAMPLE_RATE = 24000
FATAL = (KeyboardInterrupt, SystemExit)
ANEW = "generated_anew"


@dataclass(frozen=True)
class Progress:
    """One step of a run: the record just written, how many of how many are done, seconds spent and expected still."""

    record: Record
    done: int
    total: int
    spent_s: float
    left_s: float


def open_session(config: EngineConfig, *, accept_cpml: bool = False) -> Session:
    """Load the model of `config`; this is where torch is imported."""
    from xttsbench.engines.session import Session

    return Session(config, accept_cpml=accept_cpml)


def execute(
    session: Session, trial: Trial, *, heard: Callable[[Any], None] | None = None, before: Record | None = None
) -> tuple[Record, Any]:
    """Run one trial and return its record with its audio (n,) float32.

    A failure becomes a record with status 'failed' and the reason; only an interrupt passes through. `before` is the record
    of the last request that generated something: what made it doubtful makes a replay of it doubtful.
    """
    started = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
    record = Record(trial=trial, started_at=started, sample_rate=SAMPLE_RATE, note=session.loaded.note)
    audio = np.zeros(0, dtype=np.float32)
    try:
        voice = session.voice(trial)
        record = replace(record, voice_s=voice.voice_s)
        if trial.phase == "replay":
            record, audio = _replayed(session, record, heard, before)
        else:
            record, audio = _measured(session, record, heard)
        fault = _fault(audio)
        if fault:
            return replace(record, status="failed", error=fault), audio
        record = replace(record, first_audible_sample=first_audible(audio, sample_rate=SAMPLE_RATE))
    except FATAL:
        raise
    except Exception as error:
        session.recover()
        first = str(error).strip().splitlines()[0] if str(error).strip() else ""
        record = replace(record, status="failed", error=f"{type(error).__name__}: {first}")
    return record, audio


def _measured(session: Session, record: Record, heard: Callable[[Any], None] | None) -> tuple[Record, Any]:
    trial = record.trial
    before = machine.snapshot()
    session.reset_memory()
    session.seed(trial.seed)
    stages: dict[str, float] = {}
    if trial.phase == "stages":
        pieces, stage_clock = session.staged(trial)
        got = clock.listen(lambda: pieces, heard=heard)
        stages = stage_clock.totals()
    else:
        got = clock.listen(lambda: session.stream(trial), heard=heard)
    after = machine.snapshot()
    record = replace(
        record,
        chunks=got.chunks,
        end_s=got.end_s,
        stages=stages,
        memory={**session.memory(), "process_rss": machine.process_rss_bytes()},
        energy_j=machine.energy_j(before, after),
        state=machine.state(before, after),
        flags=(*machine.flags(before, after), *session.flags(trial)),
        codes=session.codes(),
    )
    return record, got.audio


def _replayed(
    session: Session, record: Record, heard: Callable[[Any], None] | None, before: Record | None
) -> tuple[Record, Any]:
    """Listen with a clock that tells nothing: what a replay costs is not what its settings cost.

    Another join of naive chunking is the exception: all but the synthesis is done again, and that lies a whole sentence
    before it, so the clock is put forward by what it took. Where that sentence is not at hand (the run was gone on with
    between the two, or the first failed) it is generated anew, and flagged so.
    """
    rejoined = record.trial.engine == "naive"
    anew = before is None or before.status != "ok" or before.trial.utterance != record.trial.utterance
    then = machine.snapshot()
    got = clock.listen(
        lambda: session.stream(record.trial), heard=heard, now=session.clock if rejoined else lambda: NAN
    )
    record = replace(record, chunks=got.chunks, end_s=got.end_s)
    if rejoined and anew:
        now = machine.snapshot()
        record = replace(record, state=machine.state(then, now), flags=(*machine.flags(then, now), ANEW))
    elif rejoined and before is not None:
        record = replace(record, state=before.state, flags=before.flags)
    return record, got.audio


def _fault(audio: Any) -> str:
    if len(audio) == 0:
        return "no audio: the engine yielded nothing"
    bad = int((~np.isfinite(audio)).sum())
    return f"NaN audio: {bad:,} of {len(audio):,} samples are not finite" if bad else ""


def run(
    sweep: Sweep,
    store: Run,
    *,
    accept_cpml: bool = False,
    keep_audio: bool = True,
    max_seconds: float = float("inf"),
    first: Session | None = None,
) -> Iterator[Progress]:
    """Run what of the sweep is not in the store yet, yielding a step after each trial is on disk.

    Parameters
    ----------
    sweep
        What to run; its trials' ids say what is there already.
    store
        An entered `Run`.
    keep_audio
        Whether to write each trial's audio.
    max_seconds
        No trial begins after this many seconds.
    first
        A session opened already, used where its configuration is the one wanted.
    """
    there = store.ids()
    todo = [t for t in sweep.trials() if t.id not in there]
    start = time.monotonic()
    done = 0
    for config, grouped in itertools.groupby(todo, key=lambda t: t.config):
        trials = list(grouped)
        if first is not None and first.config == config:
            session, first = first, None
        else:
            session = open_session(config, accept_cpml=accept_cpml)
        try:
            if trials[0].phase != "cold" and not sweep.replay:
                # what another process warmed, and has on record, is cold in this one
                for trial in warmups(trials):
                    execute(session, trial)
            begun, before = time.monotonic(), None
            session.keep = sweep.reuse
            for number, trial in enumerate(trials, 1):
                if time.monotonic() - start > max_seconds:
                    return
                record, audio = execute(session, trial, before=before)
                before = record if trial.phase == "timed" or ANEW in record.flags else before
                if keep_audio and len(audio) and record.status == "ok":
                    name = store.keep_audio(trial.id, audio, sample_rate=record.sample_rate)
                    record = replace(record, audio=name)
                store.append(record)
                done += 1
                spent = time.monotonic() - begun
                yield Progress(record, done, len(todo), time.monotonic() - start, spent / number * (len(todo) - done))
        finally:
            session.close()
