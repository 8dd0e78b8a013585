"""Do seams differ from what is no seam? Their excess over controls, the audible share, and exactness by distance."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from xttsbench import places as seam_places
from xttsbench.metrics.seams import METRICS
from xttsbench.plot.style import (
    CONTROL,
    FAINT,
    INK,
    LABELS,
    PLATE,
    SEAM,
    jitter,
    label,
    look,
    put_corner,
    put_nothing,
    scale,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

EXACT_DB = 100.0
MOST_SERIES = 7
MOST_LETTERS = 70  # in a line under an axis


def excess(ax: Axes, places: pd.DataFrame, metric: str, *, corner: str = "") -> Axes:
    """Draw how far each seam exceeds its own controls in `metric`, by variant: points, their median and its 95 % interval.

    `places` is a table of `places.places`; the medians and intervals are those of `places.excesses`, and of `compare`.
    """
    points = seam_places.excess_by_seam(places, metric)
    points = points[np.isfinite(points["excess"].astype(float))]
    if not len(points):
        return put_nothing(
            ax, f"no seam has a {LABELS.get(metric, (metric,))[0]} and a control to hold it against", corner=corner
        )
    found = seam_places.excesses(places, metric)
    rows = found[np.isfinite(found["excess"])]
    without = ", ".join(f"{r.variant} ({r.kind})" for r in found.drop(rows.index).itertuples())
    several = rows["kind"].nunique() > 1
    looks, by = _looks(rows["variant"]), scale(metric)
    ax.axvline(0, color=INK, lw=1.0)
    for y, row in enumerate(rows.itertuples()):
        mine = points[(points["variant"] == row.variant) & (points["kind"] == row.kind)]["excess"].to_numpy(dtype=float)
        colour, marker = looks[row.variant]
        ax.scatter(mine * by, y + jitter(len(mine)), s=14, color=colour, marker=marker, alpha=0.35, lw=0)
        _interval(ax, row.excess * by, y, row.low * by, row.high * by, colour=colour, marker=marker)
    names = [f"{r.variant}, {r.kind} seams" if several else r.variant for r in rows.itertuples()]
    ax.set_yticks(range(len(rows)), [f"{name} ({n})" for name, n in zip(names, rows["seams"], strict=True)])
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.grid(visible=False, axis="y")
    words, unit, _ = LABELS.get(metric, (metric, "", 1.0))
    ax.set_xlabel(f"{words}: seam above its own controls" + (f" ({unit})" if unit else ""))
    if rows["low"].isna().any():
        ax.set_xlabel(f"{ax.get_xlabel()}\nno interval below six seams")
    if without:
        words = textwrap.fill(f"undefined, or without a control: {without}", MOST_LETTERS)
        ax.set_xlabel(f"{ax.get_xlabel()}\n{words}")
    put_corner(ax, corner)
    return ax


def audible(ax: Axes, rows: pd.DataFrame, *, corner: str = "") -> Axes:
    """Draw which share of seams lies beyond the 99th percentile of their controls, by metric and variant, with Wilson's interval.

    `rows` come from `comparison.compare`. Chance alone gives 1 %, the line.
    """
    shares = [f"{m}_audible_share" for m in METRICS]
    there = rows[rows["kind"] != "-"] if len(rows) else rows
    undefined = there[there[shares].isna().all(axis=1)] if len(there) else there
    there = there.drop(undefined.index)
    if not len(there):
        return put_nothing(
            ax, "no share to draw: no seam, or too few controls to say what is beyond them", corner=corner
        )
    variants = sorted(set(there["variant"]), key=seam_places.natural)
    if len(variants) > MOST_SERIES:
        return put_nothing(ax, _too_many(variants), corner=corner)
    there = there.sort_values("variant", key=lambda names: names.map(variants.index), kind="stable")
    several = there["kind"].nunique() > 1
    looks, step = look(variants), 0.8 / len(there)
    for k, metric in enumerate(METRICS):
        if k % 2:
            ax.axhspan(k - 0.5, k + 0.5, color=FAINT, alpha=0.12, lw=0)
        share = f"{metric}_audible_share"
        for n, row in enumerate(there.to_dict("records")):
            colour, marker = looks[row["variant"]]
            y = k + (n - (len(there) - 1) / 2) * step
            low, high, hollow = row[f"{share}_lo"], row[f"{share}_hi"], several and row["kind"] == "sentence"
            _interval(ax, row[share], y, low, high, colour=colour, marker=marker, hollow=hollow)
        if there[share].isna().all():
            ax.text(0.0016, k, "too few seams or controls to say", va="center", fontsize=8, color=INK)
    ax.axvline(0.01, color=INK, lw=1.0, ls="--")
    ax.set_xscale("function", functions=(lambda x: np.sqrt(np.maximum(x, 0)), np.square))
    ax.set_xlim(0, 1)
    ax.set_xticks([0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1], ["0", "1\nchance", "5", "10", "25", "50", "75", "100"])
    ax.set_ylim(len(METRICS) - 0.5, -0.5)
    ax.set_yticks(
        range(len(METRICS)),
        [LABELS[m][0].replace(" against the utterance's own", "\nagainst its own") for m in METRICS],
    )
    ax.grid(visible=False, axis="y")
    ax.set_xlabel("seams beyond 99 % of their controls (%, root scale)")
    for row in there.itertuples():
        colour, marker = looks[row.variant]
        name = f"{row.variant}, {row.kind} ({row.seams})" if several else f"{row.variant} ({row.seams})"
        fill = "white" if several and row.kind == "sentence" else colour
        ax.plot([], [], ls="", color=colour, marker=marker, mfc=fill, mew=1.3, label=name)
    if len(undefined) or there[shares].isna().to_numpy().any():
        without = ", ".join(f"{r.variant} ({r.kind})" for r in undefined.itertuples())
        words = "no mark: undefined there, or too few controls" + (f"; none at all for {without}" if without else "")
        ax.set_xlabel(f"{ax.get_xlabel()}\n{textwrap.fill(words, MOST_LETTERS)}")
    ax.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), title="seams", alignment="left")
    put_corner(ax, corner)
    return ax


def exactness(ax: Axes, distances: pd.DataFrame, *, corner: str = "") -> Axes:
    """Draw how exact the audio is around chunk seams, by distance and variant: each seam faint, their median and its 95 % interval.

    `distances` is a table of `places.distances`; the medians are those of `places.by_distance`.
    """
    chunk = distances[(distances["kind"] == "chunk") & np.isfinite(distances["snr_db"].astype(float))]
    names = sorted(set(chunk["variant"]), key=seam_places.natural)
    if not names:
        return put_nothing(ax, "no chunk seam can be held against one decode of the same tokens", corner=corner)
    if len(names) > MOST_SERIES:
        return put_nothing(ax, _too_many(names), corner=corner)
    rows, looks = seam_places.by_distance(chunk), look(names)
    edges_s = np.unique(np.concatenate([rows["from_s"], rows["to_s"]]))
    edges = edges_s * 1000
    ax.axvline(0, color=SEAM, lw=1.0)
    ax.axhline(EXACT_DB, color=INK, lw=1.0, ls="--")
    for n, name in enumerate(names):
        colour, marker = looks[name]
        mine, seams = rows[rows["variant"] == name], chunk[chunk["variant"] == name]
        at = {
            start: 1000 * (start + (end - start) * (n + 1) / (len(names) + 1))
            for start, end in zip(mine["from_s"], mine["to_s"], strict=True)
        }
        spread = np.diff(edges).min() / (len(names) + 1)
        ax.scatter(
            seams["from_s"].map(at) + spread * jitter(len(seams)),
            seams["snr_db"],
            s=8,
            color=colour,
            marker=marker,
            alpha=0.25,
            lw=0,
            zorder=1,
        )
        known = mine.set_index("from_s")["snr_db"]
        steps = [known.get(start, np.nan) for start in edges_s[:-1]]
        ax.stairs(steps, edges, baseline=None, color=colour, lw=1.8, zorder=2)
        for row in mine.itertuples():
            _interval(
                ax, at[row.from_s], row.snr_db, row.snr_db_lo, row.snr_db_hi, colour=colour, marker=marker, upright=True
            )
        count = seams.drop_duplicates(["id", "seam"]).shape[0]
        ax.plot([], [], color=colour, marker=marker, label=f"{name} ({count})")
    ax.set_xlim(edges[0], edges[-1])
    ax.set_ylim(min(0.0, chunk["snr_db"].min()), 150)
    ax.set_xticks(edges, [f"{edge:g}" for edge in edges])
    ax.text(edges[-1], EXACT_DB - 1, "exact but for rounding", ha="right", va="top", fontsize=8, color=INK, bbox=PLATE)
    ax.set_xlabel("distance from the start of the seam (ms)")
    ax.set_ylabel(label("snr_db"))
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), title="chunk seams", alignment="left")
    put_corner(ax, corner)
    return ax


def _interval(
    ax: Axes,
    x: float,
    y: float,
    low: float,
    high: float,
    *,
    colour: str,
    marker: str,
    upright: bool = False,
    hollow: bool = False,
) -> None:
    """Draw a median as a marker with its interval; the marker alone where there is none."""
    middle = y if upright else x
    if not np.isfinite(middle):
        return
    if np.isfinite(low) and np.isfinite(high):
        if upright:
            ax.plot([x, x], [low, high], color=colour, lw=1.6, marker="", zorder=3)
        else:
            ax.plot([low, high], [y, y], color=colour, lw=2.2, marker="", solid_capstyle="butt", zorder=3)
    fill, edge = ("white", colour) if hollow else (colour, "white")
    ax.plot([x], [y], marker=marker, ms=6.5, mfc=fill, mec=edge, mew=1.3 if hollow else 0.8, zorder=4, clip_on=False)


def _looks(names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Return `look`, or one look for all where there are too many to tell apart and each has a line of its own."""
    distinct = list(dict.fromkeys(names))
    return look(distinct) if len(distinct) <= MOST_SERIES else dict.fromkeys(distinct, (CONTROL, "o"))


def _too_many(names: Sequence[str]) -> str:
    return f"{len(names)} variants are too many to tell apart here; choose up to {MOST_SERIES} of them in the column 'variant'"
