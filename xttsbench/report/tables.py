"""The tables of a report, as rows of text that page and Markdown share."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from xttsbench import readable
from xttsbench.record import Record

BYTES = 2**30


@dataclass(frozen=True)
class Table:
    """A caption over columns and rows of text; the first `labels` columns name a row, the others are its figures."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    labels: int = 1


def of_frame(caption: str, frame: pd.DataFrame, *, labels: int) -> Table:
    """Return a frame of `readable` as a table."""
    rows = tuple(tuple(readable.plain(v) for v in row) for row in frame.itertuples(index=False))
    return Table(caption, tuple(str(name) for name in frame.columns), rows, labels)


def times(summary: pd.DataFrame) -> Table:
    """Return the times of a sweep."""
    shown = readable.times(summary)
    return of_frame(f"Times of each setting: {readable.INTERVALS}", shown, labels=list(shown).index("n"))


def stages(trials: pd.DataFrame) -> Table:
    """Return where the time of a request goes."""
    return of_frame(_capital(readable.POOLED), readable.stages(trials), labels=1)


def contenders(rows: pd.DataFrame) -> Table:
    """Return the times of a comparison."""
    return of_frame(f"How soon and how fast: {readable.INTERVALS}", readable.contenders(rows), labels=1)


def shares(rows: pd.DataFrame) -> Table:
    """Return which share of the seams of a comparison stands out."""
    return of_frame(f"Seams: {readable.SHARES}", readable.shares(rows), labels=2)


def sizes(rows: pd.DataFrame) -> Table:
    """Return how large pauses and pitch steps at the seams of a comparison are, and how exact it is."""
    return of_frame(_capital(readable.SIZES), readable.sizes(rows), labels=2)


def orders(rows: pd.DataFrame) -> Table:
    """Return what is heard at first and at later seams, of `comparison.by_order`."""
    return of_frame(_capital(readable.ORDERS), readable.orders(rows), labels=3)


def machine(meta: Mapping[str, Any]) -> Table:
    """Return what the run was made on."""
    m = meta["machine"]
    rows = [
        ("processor", f"{m.get('cpu', '-')}, {_number(m.get('cores'))} cores, {_number(m.get('threads'))} threads"),
        ("memory", _size(m.get("ram_bytes"))),
        ("GPU", _gpu(m)),
        ("system", f"{m.get('os', '-')}, Python {m.get('python', '-')}"),
        ("versions", ", ".join(f"{name} {version}" for name, version in m.get("versions", {}).items())),
        ("commit", f"{m.get('commit', '-')}{', with changes that are not committed' if m.get('dirty') else ''}"),
    ]
    return Table("The machine", ("what", "value"), tuple(rows))


def model(meta: Mapping[str, Any]) -> Table:
    """Return which model spoke, and how it was run."""
    described = meta["model"]
    rows = [
        ("weights", f"SHA-256 {described.get('weights_sha256') or '-'}"),
        ("about it", described.get("note") or "as released"),
        ("torch threads", _number(described.get("torch_threads"))),
    ]
    rows += [("run as", _config(config)) for config in meta["sweep"]["configs"]]
    return Table("The model", ("what", "value"), tuple(rows))


def asked(meta: Mapping[str, Any], records: Sequence[Record]) -> Table:
    """Return what the run was asked to do, and how much of it is there."""
    sweep = meta["sweep"]
    phases: dict[str, int] = {}
    for r in records:
        phases[r.trial.phase] = phases.get(r.trial.phase, 0) + 1
    failed = sum(r.status != "ok" for r in records)
    voices = {r.trial.voice.label for r in records} or {"-"}
    grid = "; ".join(f"{name}: {', '.join(map(str, values))}" for name, values in sweep.get("grid", {}).items())
    began = min((r.started_at for r in records if r.started_at), default="-")
    rows = [
        ("preset", sweep.get("preset") or "none"),
        ("engines", ", ".join(sweep["engines"])),
        ("settings", (grid or "defaults") + ("; one at a time" if sweep.get("one_at_a_time") else "")),
        ("repeats", f"{sweep['repeats']}, seeds from {sweep['seed']}"),
        ("voice", ", ".join(sorted(voices))),
        ("requests", ", ".join(f"{n} {phase}" for phase, n in phases.items()) + f"; {failed} of {len(records)} failed"),
        ("began", re.sub(r"T(\d\d:\d\d:\d\d).*", r" \1 UTC", began)),
    ]
    return Table("What was asked", ("what", "value"), tuple(rows))


def texts(meta: Mapping[str, Any]) -> Table:
    """Return the texts that were spoken."""
    rows = tuple((t["name"], t["language"], t["text"]) for t in meta["sweep"]["texts"])
    return Table("The texts", ("name", "language", "text"), rows, labels=3)


def failures(trials: pd.DataFrame) -> Table:
    """Return each error with how often it came and with which engine; no row if nothing failed."""
    failed = trials[trials["status"] != "ok"] if len(trials) else trials
    groups = failed.groupby(["engine", "phase", "error"], sort=False) if len(failed) else ()
    rows = tuple((str(e), str(p), str(error), str(len(group))) for (e, p, error), group in groups)
    return Table("What failed", ("engine", "phase", "error", "requests"), rows, labels=3)


def _config(config: Mapping[str, Any]) -> str:
    name = Path(config["model"]).name
    more = [
        f"{k} {v}"
        for k, v in config.items()
        if k in ("compile", "threads", "deepspeed") and v not in ("none", 0, False)
    ]
    return ", ".join([name, config["device"], config["precision"], *more])


def _gpu(m: Mapping[str, Any]) -> str:
    if m.get("gpu", "none") == "none":
        return "none"
    return f"{m['gpu']}, {_size(m.get('gpu_memory_bytes'))}, driver {m.get('driver', '-')}, CUDA {m.get('torch_cuda', '-')}"


def _capital(words: str) -> str:
    return words[0].upper() + words[1:]


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) and math.isfinite(value) else "-"


def _size(value: Any) -> str:
    return f"{value / BYTES:.1f} GiB" if isinstance(value, int | float) and math.isfinite(value) else "-"
