"""What one request goes through: its life from the call to the last sound, its stages, and what each chunk costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from xttsbench.metrics.latency import latency, playback
from xttsbench.plot.marks import NEAR, measured, summarised
from xttsbench.plot.style import CONTROL, FAINT, INK, SEAM, in_order, look, put_corner, put_legend, put_nothing
from xttsbench.record import Chunk
from xttsbench.stats import median_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STAGES = {  # in the order in which a request comes to them: name, colour, hatch
    "text": ("text", "#333333", ""),
    "prefill": ("prefill", "#e69f00", "//"),
    "token_loop": ("token loop", "#56b4e9", ""),
    "latents": ("latents, second pass", "#cc79a7", "\\\\"),
    "vocoder": ("vocoder", "#0072b2", ""),
    "join": ("join", "#d55e00", "xx"),
    "other": ("other", "#cccccc", ""),
}
BRIGHT = ("#e69f00", "#56b4e9", "#cccccc", "#cc79a7")
WIDE_ENOUGH = 0.06
MOST_MARKS = 40


def life(ax: Axes, chunks: pd.DataFrame, *, sample_rate: int, first_audible_sample: int = -1, corner: str = "") -> Axes:
    """Draw one request: the audio that has arrived over time, and two players that eat it.

    One player starts with the first chunk and falls silent where it has nothing to play (shaded); the other waits for
    the least prebuffer after which nothing is ever missing.

    Parameters
    ----------
    chunks
        Rows of `table.chunks` of one trial.
    sample_rate
        Hz.
    first_audible_sample
        Of the trial's record; with it the safe start is marked, the first sound of the gapless player.
    """
    if "id" in chunks and chunks["id"].nunique() > 1:
        raise ValueError(f"life draws one trial, these chunks are of {chunks['id'].nunique()}; pick one id.")
    ax.set(xlabel="time since the request (s)", ylabel="audio (s)")
    heard = chunks[chunks["samples"] > 0] if len(chunks) else chunks
    if not len(heard):
        return put_nothing(ax, "no chunk with a sample in it", corner=corner)
    if heard["arrival_s"].isna().any():
        return put_nothing(ax, "no arrival times: a replay has none", corner=corner)
    arrival, length = heard["arrival_s"].to_numpy(dtype=float), heard["samples"].to_numpy(dtype=float) / sample_rate
    figures = latency(
        [Chunk(a, a, int(n)) for a, n in zip(arrival, heard["samples"], strict=True)],
        end_s=float(arrival[-1]),
        sample_rate=sample_rate,
        first_audible_sample=first_audible_sample,
    )
    ends = np.cumsum(length)
    starts = ends - length
    played, waits = playback(arrival, length)
    ttfc, prebuffer, audio = figures["ttfc_s"], figures["prebuffer_s"], figures["audio_s"]
    silent = 0
    for begin, wait in zip(played - waits, waits, strict=True):
        if wait > 0:
            name = (
                "" if silent else f"silent: {_count(figures['stalls'], 'stall')}, {figures['stall_s'] * 1000:,.0f} ms"
            )
            ax.axvspan(begin, begin + wait, fc=SEAM, alpha=0.25, hatch="///", ec=SEAM, lw=0, label=name, zorder=1)
            silent += 1
    received = f"{_count(len(heard), 'chunk')}, first after {ttfc * 1000:,.0f} ms"
    last = max(arrival[-1], played[-1] + length[-1], ttfc + prebuffer + audio)
    steps = np.concatenate([[0.0], arrival, [last]]), np.concatenate([[0.0], ends, ends[-1:]])
    ax.plot(*steps, drawstyle="steps-post", color=INK, marker="", lw=1.4, zorder=3)
    mark = "o" if len(heard) <= MOST_MARKS else ""
    ax.plot(arrival, ends, marker=mark, ls="", color=INK, ms=4.5, zorder=4)
    ax.plot([], [], marker=mark, color=INK, lw=1.4, ms=4.5, label=received)
    ax.axvline(ttfc, color=FAINT, lw=0.9, ls=":", zorder=1)
    ax.plot(
        np.stack([played, played + length], axis=1).ravel(),
        np.stack([starts, ends], axis=1).ravel(),
        color=CONTROL,
        marker="",
        lw=2.2,
        label="playing at once" + ("" if silent else ": no stall"),
        zorder=2.5,
    )
    gapless = ttfc + prebuffer
    if prebuffer > 0:
        ax.plot(
            [gapless, gapless + audio],
            [0, audio],
            color="#009e73",
            marker="",
            ls=(0, (4, 2)),
            lw=1.8,
            label=f"after {prebuffer * 1000:,.0f} ms of prebuffer",
            zorder=2.6,
        )
        ax.annotate(
            "", (ttfc, 0), (gapless, 0), arrowprops=dict(arrowstyle="<->", color="#009e73", shrinkA=0, shrinkB=0)
        )
    if np.isfinite(figures["safe_start_s"]):
        safe = figures["safe_start_s"]
        at = first_audible_sample / sample_rate
        name = f"safe start: {safe * 1000:,.0f} ms"
        ax.plot([safe], [at], "*", color=SEAM, ms=13, mec="black", mew=0.6, ls="", label=name, zorder=5, clip_on=False)
    ax.set_xlim(0, last * 1.02)
    ax.set_ylim(0, audio * 1.04)
    put_legend(ax)
    put_corner(ax, corner)
    return ax


def _count(number: float, noun: str) -> str:
    return f"{number:,.0f} {noun}" + ("" if number == 1 else "s")


def stages(ax: Axes, trials: pd.DataFrame, *, corner: str = "") -> Axes:
    """Draw where the time goes, a bar an engine: the median of each stage for a second of audio, as texts differ in length.

    Under each bar are the totals of single requests, and their median with its interval; medians of parts need not add
    up to the median of the whole.
    """
    ax.set_xlabel("time per second of audio, medians (ms)")
    columns = [c for c in trials.columns if c.startswith("stage_") and c.endswith("_s")]
    rows = measured(trials, "audio_s", phases=["stages"])
    rows = rows[rows[columns].notna().any(axis=1)] if columns else rows.iloc[:0]
    if not len(rows):
        return put_nothing(ax, "no trial of a stages pass", corner=corner)
    engines = in_order(rows["engine"])
    names = [n for n in STAGES if f"stage_{n}_s" in columns] + [c[6:-2] for c in columns if c[6:-2] not in STAGES]
    each = rows[[f"stage_{n}_s" for n in names]].fillna(0.0).div(rows["audio_s"], axis=0) * 1000
    medians, totals = each.groupby(rows["engine"]).median().loc[engines], each.sum(axis=1)
    widest = max(totals.max(), medians.sum(axis=1).max())
    at, left = np.arange(len(engines)), np.zeros(len(engines))
    for name in names:
        words, colour, hatch = STAGES.get(name, (name, "white", ".."))
        values = medians[f"stage_{name}_s"].to_numpy()
        ax.barh(at, values, left=left, height=0.5, color=colour, hatch=hatch, ec="white", lw=0.6, label=words)
        for k in (k for k, value in enumerate(values) if value > WIDE_ENOUGH * widest):
            ink, box = "black" if colour in BRIGHT else "white", dict(boxstyle="square,pad=0.15", fc=colour, ec="none")
            ax.text(
                left[k] + values[k] / 2,
                k,
                f"{values[k]:,.0f}",
                ha="center",
                va="center",
                color=ink,
                fontsize=8,
                bbox=box if hatch else None,
            )
        left += values
    for k, engine in enumerate(engines):
        mine = totals[rows["engine"] == engine].to_numpy()
        median, low, high = median_interval(mine)
        ax.plot(
            mine, np.full(len(mine), k + 0.40), "o", ms=3.5, color=INK, mew=0, alpha=0.4, label="" if k else "requests"
        )
        ax.errorbar(
            median,
            k + 0.33,
            xerr=np.nan_to_num([[median - low], [high - median]]),
            fmt="|",
            color="black",
            ms=7,
            mew=1.6,
            elinewidth=1.2,
            capsize=2,
        )
    counts = rows["engine"].value_counts()
    ax.set_yticks(at, [f"{engine}\nn = {counts[engine]}" for engine in engines])
    ax.set_ylim(len(engines) - 0.4, -0.5)
    ax.set_xlim(0, widest * 1.04)
    if widest > 1000 * NEAR * 2:
        ax.axvline(1000, color="black", lw=1, ls="--", label="real time")
        ax.set_xlim(0, max(1050, widest * 1.04))
    ax.grid(False, axis="y")
    put_legend(ax)
    put_corner(ax, corner)
    return ax


def chunk_cost(ax: Axes, chunks: pd.DataFrame, *, corner: str = "") -> Axes:
    """Draw how long chunk k was waited for after chunk k - 1, over k, by engine: flat, or climbing as a request goes on.

    `chunks` are rows of `table.chunks` of trials alike in text and chunk size, with a column `engine` if there are several.
    A whole call has no gaps and is left out.
    """
    ax.set(xlabel="chunk, counted from 0 within the request", ylabel="gap to the chunk before (ms)")
    known = chunks[np.isfinite(chunks["gap_s"].astype(float)) & (chunks["samples"] > 0)] if len(chunks) else chunks
    if "engine" in known:
        known = known[known["engine"] != "whole"]
    if not len(known):
        return put_nothing(ax, "no chunk with a gap before it", corner=corner)
    engines = known["engine"] if "engine" in known else pd.Series("", index=known.index)
    for engine, (colour, marker) in look(in_order(engines)).items():
        mine = known[engines == engine]
        groups = ((k, group["gap_s"] * 1000) for k, group in mine.groupby("chunk"))
        n = mine["id"].nunique()
        summarised(ax, groups, colour=colour, marker=marker, name=f"{engine} (n = {n})".strip())
    ax.set_ylim(0)
    ax.locator_params(axis="x", integer=True)
    put_legend(ax)
    put_corner(ax, corner)
    return ax
