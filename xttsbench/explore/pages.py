"""What the explorer says in tables: medians, failures, the figures of one trial. As HTML, with every word escaped."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from xttsbench import plot, stats
from xttsbench.explore import inline
from xttsbench.plot.over import NONE, as_words
from xttsbench.plot.style import LABELS, scale
from xttsbench.readable import interval
from xttsbench.table import METRICS

MEASURED = ("timed", "replay")
MOST = 200
MOST_NAMED = 4


def summary(ok: pd.DataFrame, metric: str, vary: Sequence[str]) -> str:
    """Return the medians of `metric` by setting, or where none was timed, its values trial by trial."""
    title = plot.label(metric)
    if ok["phase"].isin(MEASURED).any():
        rows = stats.summary(ok, [metric])
        shown = pd.DataFrame({name: as_words(rows[name]) for name in vary or ["engine"]})
        shown["n"] = rows["n"].to_numpy()
        shown[f"{title}: median [95 %]"] = [
            interval(r, metric, scale(metric), _digits(metric)) for _, r in rows.iterrows()
        ]
        return inline.table(
            shown, caption="median of the timed trials by setting, with its 95 % bootstrap interval", most=MOST
        )
    shown = pd.DataFrame({name: as_words(ok[name]) for name in ("phase", *(vary or ["engine"]))})
    shown[title] = [_number(v, metric) for v in ok[metric]]
    return inline.table(shown, caption="trials one by one: medians are of timed trials only", most=MOST)


def failures(trials: pd.DataFrame, vary: Sequence[str]) -> str:
    """Return the failed trials with their errors; '' if none failed."""
    failed = trials[trials["status"] != "ok"]
    if not len(failed):
        return ""
    shown = pd.DataFrame({name: as_words(failed[name]) for name in ("phase", *(vary or ["engine", "text"]), "repeat")})
    shown["error"] = failed["error"]
    return inline.table(shown, caption=f"{len(failed)} trials failed", most=MOST)


def figures(row: pd.Series) -> str:
    """Return every figure that a trial has, its flags, and what it said."""
    has = [name for name in METRICS if isinstance(row[name], float | int) and math.isfinite(row[name])]
    cells = "".join(
        f'<div style="padding:0 12px 0 0"><span style="opacity:.75">{html.escape(plot.label(name))}</span> '
        f"<b>{_number(row[name], name)}</b></div>"
        for name in has
    )
    flags = f"<p>flagged: {html.escape(row['flags'])}</p>" if row["flags"] else ""
    return (
        f'<div style="display:grid;grid-template-columns:repeat(2,minmax(0,1fr));line-height:1.5">{cells}</div>{flags}'
    )


def names(trials: pd.DataFrame, vary: Sequence[str], metric: str) -> list[tuple[str, str]]:
    """Return (line of a list, id) of every trial: what tells it apart, and its metric.

    Where more than a line holds varies, a trial is told by what is not as in most of them.
    """
    columns = {name: as_words(trials[name]) for name in vary or ["engine"]}
    usual = {name: values.mode().iloc[0] for name, values in columns.items()} if len(vary) > MOST_NAMED else {}
    unit = LABELS.get(metric, ("", "", 1.0))[1]
    out = []
    for k, row in trials.iterrows():
        told = {name: values[k] for name, values in columns.items() if values[k] not in (NONE, usual.get(name))}
        said = ", ".join(value if name in ("engine", "text") else f"{name} {value}" for name, value in told.items())
        value = (
            "failed" if row["status"] != "ok" else f"{_number(row[metric], metric)} {unit}".strip() if metric else ""
        )
        out.append((f"{row['phase']} {row['repeat']}: {said or 'as most'}; {value}", str(row["id"])))
    return out


def _digits(metric: str) -> int:
    whole = metric.endswith("_bytes") or metric in ("tokens", "chunks", "stalls")
    return 0 if whole or LABELS.get(metric, ("", "", 1.0))[1] == "ms" else 3


def _number(value: Any, metric: str) -> str:
    return f"{value * scale(metric):,.{_digits(metric)}f}" if math.isfinite(value) else "-"
