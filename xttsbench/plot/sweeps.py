"""What a setting does to a figure of a trial: over chunk size, over length, over two settings, and the model of ttfc."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from xttsbench.plot.marks import measured, put_real_time, summarised
from xttsbench.plot.style import (
    CONTROL,
    FAINT,
    INK,
    figures,
    in_order,
    label,
    look,
    put_corner,
    put_legend,
    put_nothing,
    scale,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from xttsbench.fitting import TtfcFit

DODGE = 1.045
MOST_CELLS = 80


def by_chunk_size(ax: Axes, trials: pd.DataFrame, metric: str, *, hue: str = "engine", corner: str = "") -> Axes:
    """Draw a metric over stream_chunk_size, one colour a value of `hue`: all trials, medians and 95 % intervals.

    Engines that take no chunk size stand to the right, under their names.
    """
    ax.set(xlabel=label("stream_chunk_size"), ylabel=label(metric))
    rows = measured(trials, metric)
    if not len(rows):
        return put_nothing(ax, f"no trial with {metric}", corner=corner)
    size = pd.to_numeric(rows["stream_chunk_size"]).astype(float)
    sizes = np.unique(size.dropna())
    unsized = in_order(rows.loc[size.isna(), "engine"])
    slots = {engine: (sizes[-1] if len(sizes) else 1.0) * 2 ** (k + 1.0) for k, engine in enumerate(unsized)}
    at = size.fillna(rows["engine"].map(slots))
    looks = look(in_order(rows[hue].dropna()))
    for k, (value, (colour, marker)) in enumerate(looks.items()):
        aside = 1.0 if hue == "engine" and value in unsized else DODGE ** (k - (len(looks) - 1) / 2)
        mine = rows[rows[hue] == value]
        for streams in (True, False):
            part = mine[size[mine.index].notna() == streams]
            groups = [(float(x) * aside, g[metric] * scale(metric)) for x, g in part.groupby(at)]
            named = streams or size[mine.index].isna().all()
            summarised(
                ax, groups, colour=colour, marker=marker, name=_named(hue, value) if named else "", joined=streams
            )
    rest = rows[rows[hue].isna()]
    for engine, mine in rest.groupby("engine"):
        colour, marker = look([engine])[engine]
        groups = [(float(x), g[metric] * scale(metric)) for x, g in mine.groupby(at)]
        summarised(ax, groups, colour=colour, marker=marker, joined=False)
    put_real_time(ax, metric)
    ticks = [*sizes, *slots.values()]
    ax.set_xscale("log", base=2)
    ax.set_xlim(ticks[0] / 1.4, ticks[-1] * 1.4)
    ax.set_xticks(ticks, [f"{v:g}" for v in sizes] + unsized)
    ax.minorticks_off()
    if len(sizes) and slots:
        ax.axvline(sizes[-1] * 2**0.5, color=INK, lw=0.8)
    put_legend(ax)
    put_corner(ax, corner)
    return ax


def _named(hue: str, value: Any) -> str:
    said = f"{value:g}" if isinstance(value, float | int) else str(value)
    return said if hue in ("engine", "text", "model", "variant") else f"{hue} = {said}"


def heat_map(
    ax: Axes,
    trials: pd.DataFrame,
    metric: str,
    *,
    x: str = "stream_chunk_size",
    y: str = "overlap_wav_len",
    corner: str = "",
) -> Axes:
    """Draw the median of a metric over two settings, the number of trials in every cell."""
    ax.set(xlabel=label(x), ylabel=label(y))
    rows = measured(trials, metric)
    rows = rows.dropna(subset=[x, y]) if {x, y} <= set(rows.columns) else rows.iloc[:0]
    if not len(rows):
        return put_nothing(ax, f"no trial with {metric}, {x} and {y}", corner=corner)
    engines = rows["engine"].unique()
    if len(engines) > 1 and "engine" not in (x, y):
        raise ValueError(
            f"heat_map would mix {', '.join(engines)} in its cells; pick one: trials[trials['engine'] == {engines[0]!r}]."
        )
    cells = (rows[metric].astype(float) * scale(metric)).groupby([rows[y], rows[x]])
    medians, counts = cells.median().unstack(), cells.size().unstack()
    image = ax.imshow(medians, aspect="auto", origin="lower")
    ax.set_xticks(range(medians.shape[1]), [_plain(v) for v in medians.columns])
    ax.set_yticks(range(medians.shape[0]), [_plain(v) for v in medians.index])
    ax.grid(False)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    if medians.size <= MOST_CELLS:
        middle = (np.nanmin(medians) + np.nanmax(medians)) / 2
        for (i, j), value in np.ndenumerate(medians.to_numpy(dtype=np.float64)):
            if np.isfinite(value):
                ink = "black" if value > middle else "white"
                ax.text(
                    j,
                    i,
                    f"{figures(value)}\nn = {counts.iloc[i, j]:g}",
                    ha="center",
                    va="center",
                    color=ink,
                    fontsize=8,
                )
    ax.figure.colorbar(image, ax=ax, label=f"{label(metric)}, median")
    put_corner(ax, corner)
    return ax


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float | int) else str(value)


def rtf_by_length(ax: Axes, trials: pd.DataFrame, *, corner: str = "") -> Axes:
    """Draw the real-time factor over the length of the audio, by engine: all trials, and the median of each text."""
    ax.set(xlabel=label("audio_s"), ylabel=label("rtf"))
    rows = measured(trials, "rtf", "audio_s")
    if not len(rows):
        return put_nothing(ax, "no trial with rtf and audio_s", corner=corner)
    for engine, (colour, marker) in look(in_order(rows["engine"])).items():
        mine = rows[rows["engine"] == engine]
        groups = sorted(
            ((g["audio_s"].median(), g["rtf"]) for _, g in mine.groupby("text")), key=lambda group: group[0]
        )
        summarised(ax, groups, colour=colour, marker=marker, name=f"{engine} (n = {len(mine)})", xs=rows["audio_s"])
    put_real_time(ax, "rtf")
    low, high = rows["audio_s"].min(), rows["audio_s"].max()
    if high > 5 * low:
        ax.set_xscale("log")
        ax.set_xlim(low / 1.3, high * 1.3)
        ticks = [t for t in (0.5, 1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 300, 500) if low / 1.3 <= t <= high * 1.3]
        ax.set_xticks(ticks, [f"{t:g}" for t in ticks])
        ax.minorticks_off()
    put_legend(ax)
    put_corner(ax, corner)
    return ax


def ttfc_model(ax: Axes, fit: TtfcFit, *, corner: str = "") -> Axes:
    """Draw the time to first chunk over its tokens, the fitted line with its interval, and its parts where they are known."""
    rows, line, value = fit.residuals, fit.line, fit.coefficients["value"]
    tokens = line["tokens"]
    colour, marker = look([fit.engine])[fit.engine]
    parts = [
        ("prefill", value["prefill_s"] + 0 * tokens, "#e69f00", "//"),
        ("the rest that is done once", value["rest_s"] + 0 * tokens, "#cccccc", ""),
        (f"tokens × {value['step_s'] * 1000:.2f} ms of step", value["step_s"] * tokens, "#56b4e9", ""),
        (
            f"tokens × {value['vocoder_token_s'] * 1000:.2f} ms of vocoder",
            value["vocoder_token_s"] * tokens,
            CONTROL,
            "\\\\",
        ),
    ]
    if not fit.stages:
        why = "not split into parts: no stages pass"
    elif not all((part >= 0).all() for _, part, _, _ in parts):
        why = "not split into parts: one would be negative"
    else:
        why = ""
        under = 0 * tokens
        for name, part, fill, hatch in parts:
            ax.fill_between(
                tokens,
                under * 1000,
                (under + part) * 1000,
                fc=fill,
                alpha=0.35,
                hatch=hatch,
                ec="white",
                lw=0,
                label=name,
            )
            under = under + part
    if why:
        ax.text(0.99, 0.02, why, transform=ax.transAxes, ha="right", va="bottom", fontsize=8, color=FAINT)
    ax.plot(
        rows["tokens"],
        rows["ttfc_s"] * 1000,
        marker,
        ms=4,
        color=colour,
        alpha=0.5,
        mew=0,
        label=f"{fit.engine} (n = {fit.n})",
    )
    ax.fill_between(tokens, line["lo"] * 1000, line["hi"] * 1000, color=INK, alpha=0.25, lw=0, label="95 % interval")
    name = f"{value['intercept_s'] * 1000:,.0f} ms + tokens × {value['slope_s'] * 1000:.2f} ms"
    ax.plot(tokens, line["fitted_s"] * 1000, color=INK, marker="", label=name)
    ax.set(xlabel=label("first_tokens"), ylabel=label("ttfc_s"))
    ax.set_xlim(0, tokens.iloc[-1] * 1.04)
    ax.set_ylim(0)
    ax.locator_params(axis="x", integer=True)
    put_legend(ax)
    put_corner(ax, corner)
    return ax


def ttfc_residuals(ax: Axes, fit: TtfcFit, *, corner: str = "") -> Axes:
    """Draw what the fitted line leaves over, by text; the band holds half of the trials."""
    rows = fit.residuals
    spread = fit.spread_s * 1000
    ax.axhspan(-spread, spread, color=INK, alpha=0.12, lw=0, label=f"half of the trials: within {figures(spread)} ms")
    ax.axhline(0, color=INK, lw=1)
    for text, (colour, marker) in look(rows["text"].unique()).items():
        mine = rows[rows["text"] == text]
        ax.plot(
            mine["tokens"], mine["residual_s"] * 1000, marker, ms=5, color=colour, alpha=0.7, mew=0, label=str(text)
        )
    ax.set(xlabel=label("first_tokens"), ylabel="measured less fitted (ms)")
    ax.set_xlim(0, rows["tokens"].max() * 1.04)
    ax.locator_params(axis="x", integer=True)
    put_legend(ax)
    put_corner(ax, corner)
    return ax
