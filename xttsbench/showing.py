"""A run for people: the table, what to be careful about, and the next step."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from xttsbench import stats, store, table

TIMES = (
    ("ttfc_s", "ttfc ms", 1000, 0),
    ("rtf", "rtf", 1, 3),
    ("prebuffer_s", "prebuffer ms", 1000, 0),
    ("stalls", "stalls", 1, 0),
)


def show_run(folder: Path) -> int:
    """Print a run's table and doubts, write its summary.csv, and name the next step. 1 if no timed trial succeeded."""
    meta, trials = table.load_run(folder)
    if not len(trials):
        print(f"{folder} holds no trial yet")
        return 1
    rows = stats.summary(trials)
    store.write_derived(folder / "summary.csv", rows.to_csv(index=False))
    if len(rows):
        print(render(rows))
    stages = trials[(trials["phase"] == "stages") & (trials["status"] == "ok")].filter(regex="^(engine|stage_.*)$")
    if len(stages):
        medians = stages.groupby("engine").median() * 1000
        medians.columns = [name.removeprefix("stage_").removesuffix("_s") for name in medians.columns]
        print("\nstages, median ms a request, timed in a pass of their own")
        print(medians.to_string(float_format=lambda v: f"{v:,.1f}", na_rep="-") + "\n")
    note = meta["model"].get("note")
    if note:
        print(f"note: {note}")
    cold = trials[(trials["phase"] == "cold") & (trials["status"] == "ok")]
    for _, row in cold.iterrows():
        print(
            f"the first request after loading ({row['engine']}, {row['text']}) took {row['ttfc_s'] * 1000:,.0f} ms to its first chunk; it is in no median"
        )
    for doubt in stats.doubts(trials, rows):
        print(f"careful: {doubt}")
    ok = int((trials["status"] == "ok").sum())
    print(f"{ok} of {len(trials)} trials succeeded; {folder / 'trials.jsonl'}, {folder / 'summary.csv'}")
    print(f"next: python -m xttsbench sweep --like {folder} --repeats 20")
    return 0 if len(rows) and rows["n"].sum() else 1


def render(rows: Any) -> str:
    """Return a summary as a table for people: what differs between rows, then median and 95 % interval."""
    shown = rows[stats.varying(rows)].copy() if len(rows) > 1 else rows[["engine", "text"]].copy()
    for name in shown:
        shown[name] = [_plain(v) for v in shown[name]]
    shown.insert(len(shown.columns), "n", rows["n"].to_numpy())
    for metric, title, scale, digits in TIMES:
        shown[title] = [interval(r, metric, scale, digits) for _, r in rows.iterrows()]
    text: str = shown.to_string(index=False)
    return f"median [95 % bootstrap interval]\n{text}"


def interval(row: Any, metric: str, scale: float, digits: int) -> str:
    """Return a metric of a summary row as text: median [low, high], scaled."""
    values = [row[metric], row[f"{metric}_lo"], row[f"{metric}_hi"]]
    words = ["-" if not math.isfinite(v) else f"{v * scale:,.{digits}f}" for v in values]
    return words[0] if words[0] == "-" else f"{words[0]} [{words[1]}, {words[2]}]"


def _plain(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    return f"{value:g}" if isinstance(value, float) else str(value)


def duration(seconds: float) -> str:
    """Return a length of time in words, e.g. '12 s'."""
    if not math.isfinite(seconds):
        return "?"
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
