"""What one gains by giving up the other: two figures of each contender, and those that nothing beats in both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from xttsbench.plot.style import FAINT, INK, label, look, put_corner, put_legend, put_nothing, scale
from xttsbench.stats import pareto

if TYPE_CHECKING:
    from matplotlib.axes import Axes

REACHES, ANGLES = (9, 16, 26, 38, 52), range(0, 360, 30)
PLACES = [(r * math.cos(math.radians(a)), r * math.sin(math.radians(a))) for r in REACHES for a in ANGLES]
DARKER = 0.7  # a colour that is clear as a mark is pale as a word
Box = tuple[float, float, float, float]


def trade_off(
    ax: Axes,
    rows: pd.DataFrame,
    *,
    x: str = "safe_start_s",
    y: str = "click_excess",
    labels: str = "variant",
    corner: str = "",
) -> Axes:
    """Draw two figures, both the better the smaller, of each row; those that no other beats in both are full and joined.

    `rows` are those of `comparison.compare`, a row a contender and kind of seam; `_lo` and `_hi` of `x` and `y` are drawn
    where the table has them. Rows without one of the two are left out, and said so.
    """
    ax.set(xlabel=label(x), ylabel=label(y))
    given = len(rows.drop_duplicates([labels, x, y])) if {x, y, labels} <= set(rows.columns) else len(rows)
    lacking = [name for name in (x, y, labels) if name not in rows]
    known = rows.iloc[:0] if lacking else rows[np.isfinite(rows[[x, y]].astype(float)).all(axis=1)]
    if not len(known):
        return put_nothing(ax, f"no row with {x} and {y}", corner=corner)
    known = known.drop_duplicates([labels, x, y])
    front = pareto(known, x, y)
    at_x, at_y = known[x].to_numpy(dtype=float) * scale(x), known[y].to_numpy(dtype=float) * scale(y)
    best = np.lexsort((at_y, at_x))
    best = best[front.to_numpy()[best]]
    ax.plot(
        at_x[best],
        at_y[best],
        color=FAINT,
        lw=1.2,
        marker="",
        drawstyle="steps-post",
        label="Pareto front (full symbols): no other is better in both",
        zorder=1,
    )
    looks = look(known[labels])
    lines: list[Box] = []
    for k, (_, row) in enumerate(known.iterrows()):
        colour, marker = looks[row[labels]]
        left, right = _interval(row, x)
        low, high = _interval(row, y)
        lines += [(left, at_y[k], right, at_y[k]), (at_x[k], low, at_x[k], high)]
        ax.errorbar(
            at_x[k],
            at_y[k],
            xerr=np.clip([[at_x[k] - left], [right - at_x[k]]], 0, None),
            yerr=np.clip([[at_y[k] - low], [high - at_y[k]]], 0, None),
            fmt=marker,
            ms=8,
            color=colour,
            mfc=colour if front.iloc[k] else "white",
            mew=1.4,
            elinewidth=0.9,
            ecolor=(colour, 0.45),
            zorder=3,
            clip_on=False,
        )
    ax.margins(0.12)
    lowest_x, lowest_y, *_ = np.min(lines, axis=0)
    if lowest_x >= 0 and not x.endswith("_excess"):
        ax.set_xlim(0)
    if lowest_y >= 0 and not y.endswith("_excess"):
        ax.set_ylim(0)
    if y.endswith("_excess"):
        left, right = ax.get_xlim()
        lines.append((left, 0.0, right, 0.0))
        ax.axhline(0, color=INK, lw=0.8, ls="--", label="no more than at controls", zorder=1)
    put_legend(ax)
    put_corner(ax, corner)
    put_names(ax, at_x, at_y, _names(known, labels), colours=[looks[v][0] for v in known[labels]], lines=lines)
    left_out = given - len(known)
    if left_out:
        words = f"{left_out} of {given} rows lack one of the two"
        ax.text(0.99, 0.98, words, transform=ax.transAxes, ha="right", va="top", fontsize=8, color=FAINT)
    return ax


def _interval(row: pd.Series, name: str) -> tuple[float, float]:
    """Return the ends of a row's interval as drawn; without one, its value twice."""
    low, high = row.get(f"{name}_lo", np.nan), row.get(f"{name}_hi", np.nan)
    ends = (low, high) if np.isfinite([low, high]).all() else (row[name], row[name])
    return float(ends[0]) * scale(name), float(ends[1]) * scale(name)


def _names(rows: pd.DataFrame, labels: str) -> list[str]:
    """Return what to write at each point: its label, and the kind of seam where a label has several."""
    if "kind" not in rows:
        return [str(v) for v in rows[labels]]
    several = rows.groupby(labels)["kind"].transform("nunique") > 1
    return [
        f"{name}, {kind}" if more else str(name)
        for name, kind, more in zip(rows[labels], rows["kind"], several, strict=True)
    ]


def put_names(
    ax: Axes,
    x: Any,
    y: Any,
    names: list[str],
    *,
    colours: Sequence[str],
    lines: Sequence[Box] = (),
    size: float = 8.5,
) -> None:
    """Write a name beside each point, in its colour: at the nearest place where it covers no name, no point and none of `lines`.

    `lines` are (x, y, x, y) of their ends, upright or level. Where no place is free, the one that covers least is taken. A
    place that is nearer to another point comes after those that are not; a name there, or far off, is led to its own.
    """
    from matplotlib.colors import to_rgb
    from matplotlib.patheffects import withStroke

    ax.figure.canvas.figure.draw_without_rendering()  # only a laid-out figure knows how far apart two points are
    per_point = ax.figure.dpi / 72
    points = ax.transData.transform(np.column_stack([x, y]))
    edges = ax.get_window_extent().extents
    halo = [withStroke(linewidth=2.5, foreground="white", alpha=0.8)]
    ends = ax.transData.transform(np.reshape(lines, (-1, 2))).reshape(-1, 4)
    taken: list[Box] = [_around(px, py, px, py, 5 * per_point) for px, py in points]
    taken += [_around(x0, y0, x1, y1, per_point) for x0, y0, x1, y1 in ends]
    for k in np.argsort(-points[:, 1], kind="stable"):
        ink = tuple(DARKER * part for part in to_rgb(colours[k]))
        text = ax.annotate(
            names[k],
            (x[k], y[k]),
            xytext=(0, 0),
            textcoords="offset points",
            fontsize=size,
            color=ink,
            zorder=4,
            path_effects=halo,
        )
        extent = text.get_window_extent()
        choices = []
        for rank, (dx, dy) in enumerate(PLACES):
            right, above = (dx > 1) - (dx < -1), (dy > 1) - (dy < -1)
            left = points[k, 0] + dx * per_point - extent.width * (1 - right) / 2
            low = points[k, 1] + dy * per_point - extent.height * (1 - above) / 2
            box = (left, low, left + extent.width, low + extent.height)
            outside = box[0] < edges[0] or box[1] < edges[1] or box[2] > edges[2] or box[3] > edges[3]
            covered = sum(_overlap(box, other) for other in taken) + 1e4 * outside
            choices.append((covered, _astray(box, points, k), rank, box))
        _, astray, rank, box = min(choices)
        taken.append(box)
        text.set_position(((box[0] - points[k, 0]) / per_point, (box[1] - points[k, 1]) / per_point))
        if astray or np.hypot(*PLACES[rank]) > 20:
            centre = ((box[0] + box[2]) / 2 - points[k, 0], (box[1] + box[3]) / 2 - points[k, 1])
            reach = (
                centre[0] / per_point,
                (box[1] - points[k, 1] if centre[1] > 0 else box[3] - points[k, 1]) / per_point,
            )
            ax.annotate(
                "",
                (x[k], y[k]),
                reach,
                textcoords="offset points",
                arrowprops=dict(arrowstyle="-", color=ink, lw=0.7),
            )


def _astray(box: Box, points: Any, own: int) -> bool:
    """Return whether another point is about as near to a box as its own, or nearer; points that lie on one another are one."""
    nearest = np.clip(points, box[:2], box[2:])
    away = np.hypot(*(points - nearest).T)
    others = np.hypot(*(points - points[own]).T) > 1
    return bool((away[others] < 1.2 * away[own]).any())


def _around(left: float, low: float, right: float, high: float, margin: float) -> Box:
    return left - margin, low - margin, right + margin, high + margin


def _overlap(a: Box, b: Box) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
