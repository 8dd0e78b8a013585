"""A run for people: the table, what to be careful about, and the next step."""

from __future__ import annotations

import math
from pathlib import Path

from xttsbench import readable, stats, store, table


def show_run(folder: Path) -> int:
    """Print a run's table and doubts, write its summary.csv, and name the next step. 1 if no timed trial succeeded."""
    meta, trials = table.load_run(folder)
    if not len(trials):
        print(f"{folder} holds no trial yet")
        return 1
    rows = stats.summary(trials)
    store.write_derived(folder / "summary.csv", rows.to_csv(index=False))
    if len(rows):
        print(f"{readable.INTERVALS}\n{readable.times(rows).to_string(index=False)}")
    stages = readable.stages(trials)
    if len(stages):
        print(f"\n{readable.POOLED}\n{stages.to_string(index=False)}\n")
    note = meta["model"].get("note")
    if note:
        print(f"note: {note}")
    for sentence in readable.cold(trials):
        print(sentence)
    for doubt in stats.doubts(trials, rows):
        print(f"careful: {doubt}")
    ok = int((trials["status"] == "ok").sum())
    print(f"{ok} of {len(trials)} trials succeeded; {folder / 'trials.jsonl'}, {folder / 'summary.csv'}")
    print(f"next: python -m xttsbench sweep --like {folder} --repeats 20")
    return 0 if len(rows) and rows["n"].sum() else 1


def duration(seconds: float) -> str:
    """Return a length of time in words, e.g. '12 s'."""
    if not math.isfinite(seconds):
        return "?"
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
