"""How does a figure depend on whatever column one picks: raw trials, and the median of each value with its interval."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from xttsbench.plot.marks import measured, put_real_time, summarised
from xttsbench.plot.style import INK, in_order, label, look, put_corner, put_legend, put_nothing, scale
from xttsbench.settings import SETTINGS
from xttsbench.table import METRICS
from xttsbench.texts import NAMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NONE = "none"  # of an engine that doesn't take the setting
WIDTH = 0.5


def over(ax: Axes, trials: pd.DataFrame, metric: str, *, x: str, hue: str = "", corner: str = "") -> Axes:
    """Draw `metric` of each trial over column `x`, in a colour and marker a value of `hue` ('' for one).

    Over a setting each value has a place of its own, in order, and medians have their 95 % intervals; over another
    metric there are trials only. Trials of every phase are drawn: choose them first.
    """
    ax.set(xlabel=label(x), ylabel=label(metric))
    rows = measured(trials, metric, phases=trials["phase"].unique() if len(trials) else ())
    if not len(rows):
        return put_nothing(ax, f"no trial with {metric}", corner=corner)
    names = ordered(rows[hue]) if hue else [""]
    places = {name: k for k, name in enumerate(ordered(rows[x]))}
    numbers = x in SETTINGS and SETTINGS[x].type in ("int", "float")
    for k, (name, (colour, marker)) in enumerate(look(names).items()):
        mine = rows[as_words(rows[hue]) == name] if hue else rows
        colour = colour if hue else INK
        said = name if hue in ("", "engine", "text") else f"{hue} = {name}"
        values = mine[metric].astype(float) * scale(metric)
        if x in METRICS:
            at = mine[x].astype(float) * scale(x)
            ax.plot(at, values, marker, color=colour, ms=5, alpha=0.7, mew=0, label=said)
            continue
        aside = 0.0 if hue == x else (k - (len(names) - 1) / 2) * WIDTH / len(names)
        groups = [(places[at] + aside, group) for at, group in values.groupby(as_words(mine[x]))]
        summarised(
            ax, sorted(groups, key=lambda group: group[0]), name=said, joined=numbers, colour=colour, marker=marker
        )
    if x not in METRICS:
        ax.set_xticks(list(places.values()), list(places))
        ax.set_xlim(-0.5, len(places) - 0.5)
    if rows[metric].min() >= 0:
        put_real_time(ax, metric)
    if hue:
        put_legend(ax)
    put_corner(ax, corner)
    return ax


def ordered(values: pd.Series) -> list[str]:
    """Return the values of a column as text, each once: as a legend has them, texts by length, 'none' last."""
    known = in_order(values.dropna())
    if set(known) <= set(NAMES):
        known.sort(key=NAMES.index)
    return [*dict.fromkeys(_word(v) for v in known), *([NONE] if values.isna().any() else [])]


def as_words(values: pd.Series) -> pd.Series:
    """Return a column as text, as `ordered` has it."""
    return pd.Series([NONE if pd.isna(v) else _word(v) for v in values], index=values.index, dtype=object)


def _word(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
