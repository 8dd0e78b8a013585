"""Which trials a figure of a report takes, so that it mixes nothing that differs, and how their medians are said in words."""

from __future__ import annotations

import pandas as pd

from xttsbench import stats
from xttsbench.report.encoding import plain
from xttsbench.settings import SETTINGS

MOST_TEXTS = 3


def drawable(trials: pd.DataFrame) -> pd.DataFrame:
    """Return trials whose words can stand in a figure as they are."""
    words = {
        name: trials[name].map(plain, na_action="ignore")
        for name in ("text", "model", "machine", "note")
        if name in trials
    }
    return trials.assign(**words)


def alike(rows: pd.DataFrame, *, but: tuple[str, ...]) -> tuple[pd.DataFrame, str]:
    """Return the rows that agree in everything that varies but `but`, at the default where that is there; and at what, in words."""
    said = []
    for name in stats.varying(rows):
        if name in but:
            continue
        values = rows[name].dropna()
        default = SETTINGS[name].default if name in SETTINGS else None
        value = default if (values == default).any() else values.iloc[0]
        rows = rows[rows[name].isna() | (rows[name] == value)]
        said.append(f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}")
    return rows, f", at {', '.join(said)}" if said else ""


def some_texts(rows: pd.DataFrame) -> list[str]:
    """Return up to three texts, the shortest, the longest and one between."""
    by_length = rows.groupby("text")["audio_s"].median().sort_values(kind="stable")
    names = list(by_length.index)
    return names if len(names) <= MOST_TEXTS else [names[0], names[len(names) // 2], names[-1]]


def spread(rows: pd.DataFrame, metric: str) -> str:
    """Return the least and the greatest median of a metric among each engine's settings, in words."""
    by, unit = (1000, " ms") if metric.endswith("_s") else (1, "")
    digits = 0 if unit else 3
    medians = rows.groupby(["engine", "cell"], sort=False)[metric].median().dropna() * by
    said = []
    for engine, values in medians.groupby(level=0, sort=False):
        low, high = (f"{v:,.{digits}f}" for v in (values.min(), values.max()))
        said.append(f"{engine} {low}{unit}" if low == high else f"{engine} {low} to {high}{unit}")
    return ", ".join(said)
