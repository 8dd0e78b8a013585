"""What does a sampling parameter change? Each value's difference from the default, beside what another seed alone does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from xttsbench.plot.style import FAINT, INK, LABELS, PLATE, jitter, look, put_corner, put_nothing, scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes

QUIET = "#6e6e6e"


def effects(
    ax: Axes, effects: pd.DataFrame, metric: str, *, pairs: pd.DataFrame | None = None, corner: str = ""
) -> Axes:
    """Draw what each value of each parameter changes in `metric`: median difference from the default, interval, and the null in grey.

    A filled mark is beyond what another seed does, a hollow one is not. `effects` is a table of `sampling.effects`; with the
    table of `sampling.pairs` of the same trials, every pair is a faint point.
    """
    mine = effects[(effects["metric"] == metric)] if len(effects) else effects
    words, unit, _ = LABELS.get(metric, (metric, "", 1.0))
    if not len(mine) or not np.isfinite(mine["effect"].astype(float)).any():
        return put_nothing(ax, f"no value of a parameter can be held against the default in {words}", corner=corner)
    by, names = scale(metric), list(dict.fromkeys(mine["engine"]))
    looks, lines = look(names), _lines(mine)
    ax.axvline(0, color=INK, lw=1.0)
    for n, name in enumerate(names):
        colour, marker = looks[name]
        for row in mine[mine["engine"] == name].itertuples():
            y = lines[row.parameter, row.value] + (n - (len(names) - 1) / 2) * 0.8 / len(names)
            half = 0.36 / len(names)
            ax.fill_betweenx([y - half, y + half], row.null_lo * by, row.null_hi * by, color=FAINT, alpha=0.3, lw=0)
            if pairs is not None:
                here = pairs[
                    (pairs["engine"] == name) & (pairs["metric"] == metric) & (pairs["parameter"] == row.parameter)
                ]
                raw = here[here["value"] == row.value]["difference"].to_numpy(dtype=float) * by
                ax.scatter(raw, y + half * jitter(len(raw)) / 0.3, s=10, color=colour, marker=marker, alpha=0.3, lw=0)
            if np.isfinite(row.effect_lo):
                ax.plot([row.effect_lo * by, row.effect_hi * by], [y, y], color=colour, lw=2.2, marker="")
            fill = colour if row.beyond else "white"
            ax.plot([row.effect * by], [y], color=colour, marker=marker, ms=6, mfc=fill, mew=1.3, zorder=4)
            if row.unchanged:
                where: dict[str, Any] = {
                    "transform": ax.get_yaxis_transform(),
                    "ha": "right",
                    "va": "center",
                    "bbox": PLATE,
                }
                ax.text(0.99, y, "same tokens, same length", fontsize=8, **where)
    _scales(ax, mine, lines)
    low, high = _reach(mine)
    beyond = 0
    if high > low:
        ax.set_xlim(low * by, high * by)
        raw = pairs[pairs["metric"] == metric]["difference"] if pairs is not None else pd.Series(dtype=float)
        beyond = int(((raw < low) | (raw > high)).sum())
    ax.set_xlabel(
        f"{words}: difference from the default"
        + (f" ({unit})" if unit else "")
        + (f"\npairs beyond this axis: {beyond}" if beyond else "")
    )
    _legend(ax, mine, looks)
    put_corner(ax, corner)
    return ax


def _reach(mine: pd.DataFrame) -> tuple[float, float]:
    """Return limits that hold every median, interval and null with half as much again: one slow trial must not hide the rest."""
    drawn = mine[["effect", "effect_lo", "effect_hi", "null_lo", "null_hi"]].to_numpy(dtype=float)
    low, high = min(0.0, float(np.nanmin(drawn))), max(0.0, float(np.nanmax(drawn)))
    return low - (high - low) / 2, high + (high - low) / 2


def _lines(mine: pd.DataFrame) -> dict[tuple[str, Any], int]:
    """Return on which line each (parameter, value) stands: by parameter, its values in order, the default among them."""
    lines: dict[tuple[str, Any], int] = {}
    at = 0
    for parameter, group in mine.groupby("parameter", sort=False):
        for value in sorted({*group["value"], *group["default"]}):
            lines[parameter, value] = at
            at += 1
        at += 1
    return lines


def _scales(ax: Axes, mine: pd.DataFrame, lines: dict[tuple[str, Any], int]) -> None:
    default = dict(zip(mine["parameter"], mine["default"], strict=True))
    said = [
        f"{parameter} {value:g}"
        if isinstance(value, int | float) and not isinstance(value, bool)
        else f"{parameter} {value}"
        for parameter, value in lines
    ]
    marks = [value == default[parameter] for parameter, value in lines]
    ax.set_yticks(
        list(lines.values()), [f"{words}, default" if own else words for words, own in zip(said, marks, strict=True)]
    )
    for tick, own in zip(ax.get_yticklabels(), marks, strict=True):
        tick.set_color(QUIET if own else INK)
    at = [y for y, own in zip(lines.values(), marks, strict=True) if own]
    ax.plot(np.zeros(len(at)), at, ls="", marker="|", ms=9, mew=2, color=INK)
    ax.set_ylim(max(lines.values()) + 0.7, -0.7)
    ax.grid(visible=False, axis="y")


def _legend(ax: Axes, mine: pd.DataFrame, looks: dict[Any, tuple[str, str]]) -> None:
    from matplotlib.patches import Patch

    handles: list[Any] = [Patch(color=FAINT, alpha=0.3, lw=0, label="95 % of medians if\nonly the seed differed")]
    for name, (colour, marker) in looks.items():
        (point,) = ax.plot([], [], ls="", marker=marker, color=colour, mew=1.3, label=f"{name}, beyond the seed")
        (hollow,) = ax.plot(
            [], [], ls="", marker=marker, color=colour, mfc="white", mew=1.3, label=f"{name}, not beyond"
        )
        handles += [point, hollow]
    counts = sorted(set(mine["n"]))
    title = f"n = {counts[0]} pairs a value" if len(counts) == 1 else f"n = {counts[0]} to {counts[-1]} pairs a value"
    if not (mine["p_least"] < 0.05).any():
        title += ",\ntoo few for a verdict"
    ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.0, 1.0), title=title, alignment="left")
