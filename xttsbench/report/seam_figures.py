"""Which figures a report of seams has: what is heard at them, how exact they are, what they cost, and the worst from near."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from xttsbench import comparison, places
from xttsbench.comparison import WORDS
from xttsbench.metrics.seams import METRICS
from xttsbench.report.encoding import WIDE, Picture, canvas, picture
from xttsbench.report.picking import drawable
from xttsbench.report.reading import Reading
from xttsbench.settings import SETTINGS
from xttsbench.stats import short, whole_decodes

MOST_VARIANTS = 7
MOST_METRICS = 3
MANY_ROWS = 12
MOST_CLOSE_UPS = {"chunk": 2, "sentence": 1}


def of_seams(run: Reading) -> Iterator[Picture]:
    """Draw the figures of seams that the run has something to show in; call it inside `plot.style()`."""
    from xttsbench import plot

    corner = plot.corner_of(drawable(run.done[~whole_decodes(run.done)]))
    found = places.places(list(run.heard))
    few, which = _few(run)
    yield from _audible(few, which, corner)
    yield from _excess(run, found, corner)
    yield from _exactness(run, few, which, corner)
    yield from _trade_off(run, corner)
    yield from _close_ups(run, found)


def _audible(rows: pd.DataFrame, which: str, corner: str) -> Iterator[Picture]:
    from xttsbench import plot

    there = rows[rows["kind"] != "-"]
    if not len(there):
        return
    figure, ax = canvas(height=4.6)
    plot.audible(ax, there, corner=corner)
    said = []
    for _, row in there.iterrows():
        shares = {metric: row[f"{metric}_audible_share"] for metric in METRICS}
        known = {metric: share for metric, share in shares.items() if np.isfinite(share)}
        if known:
            most = max(known, key=known.__getitem__)
            said.append(f"{row['variant']}, {row['kind']} seams: at most {known[most]:.0%} ({WORDS[most][0]})")
    yield picture(
        figure,
        caption=f"Which share of seams stands out from the audio around it{which}: beyond the 99th percentile of their "
        "controls; 1 % is what chance gives.",
        alt=f"Share of seams beyond 99 % of their controls, by metric. {'; '.join(said) or 'No share could be told'}.",
    )


def _excess(run: Reading, found: pd.DataFrame, corner: str) -> Iterator[Picture]:
    from xttsbench import plot

    rows = run.compared[run.compared["kind"] != "-"]
    beyond = [metric for _, row in rows.iterrows() for metric in comparison.exceeding(row)]
    most = MOST_METRICS if len(rows) <= MANY_ROWS else 1
    metrics = sorted(set(beyond), key=lambda m: (-beyond.count(m), list(METRICS).index(m)))[:most] or ["click"]
    for metric in metrics:
        figure, ax = canvas(height=1.4 + (0.34 if len(rows) <= MANY_ROWS else 0.26) * len(rows))
        plot.excess(ax, found, metric, corner=corner)
        above = beyond.count(metric)
        values = rows[f"{metric}_excess"].astype(float)
        spread = (
            f"Medians from {short(values.min(), sign=True)} to {short(values.max(), sign=True)}. "
            if values.notna().any()
            else ""
        )
        yield picture(
            figure,
            caption=f"How far seams exceed their own controls in {WORDS[metric][0]}: every seam, medians and 95 % intervals.",
            alt=f"Excess of each seam over its controls in {WORDS[metric][0]}, by contender and kind of seam. {spread}"
            f"Above zero with certainty: {above} of {len(rows)}.",
        )


def _exactness(run: Reading, few: pd.DataFrame, which: str, corner: str) -> Iterator[Picture]:
    from xttsbench import plot

    distances = places.distances(list(run.heard))
    distances = distances[distances["variant"].isin(few["variant"])]
    if not (distances["kind"] == "chunk").any():
        return
    figure, ax = canvas(height=4.2)
    plot.exactness(ax, distances, corner=corner)
    once = few.drop_duplicates("variant")
    said = [f"{r['variant']} {r['snr_db']:.1f} dB" for _, r in once.iterrows() if np.isfinite(r["snr_db"])]
    yield picture(
        figure,
        caption=f"How exact the audio is over the distance from a chunk seam{which}, against one decode of the same tokens.",
        alt=f"Signal-to-noise ratio over distance from the seam. Over whole utterances: {', '.join(said) or 'not known'}.",
    )


def _trade_off(run: Reading, corner: str) -> Iterator[Picture]:
    from xttsbench import plot

    rows = run.compared
    both = rows[
        np.isfinite(rows["safe_start_s"].astype(float))
        & np.isfinite(rows.get("click_excess", pd.Series(np.nan, rows.index)).astype(float))
    ]
    if len(both) < 2:
        return
    figure, ax = canvas(height=4.4)
    plot.trade_off(ax, rows, corner=corner)
    said = [
        f"{r['variant']}, {r['kind']} seams: {r['safe_start_s'] * 1000:,.0f} ms and {short(r['click_excess'], sign=True)}"
        for _, r in both.iterrows()
    ]
    yield picture(
        figure,
        caption="What is traded: safe start against clicks at seams over those elsewhere. Full marks are on the Pareto front: "
        "no other is better in both medians.",
        alt=f"Safe start against excess of clicks. {'; '.join(said)}.",
    )


def _close_ups(run: Reading, found: pd.DataFrame) -> Iterator[Picture]:
    from matplotlib.figure import Figure

    from xttsbench import plot

    shown: list[tuple[str, str]] = []
    for score, h, seam, metric in comparison.scored_seams(list(run.heard)):
        name, kind = comparison.variant(h.record), h.seams["kind"][seam]
        if (name, kind) in shown or [k for _, k in shown].count(kind) == MOST_CLOSE_UPS[kind]:
            continue
        shown.append((name, kind))
        figure = Figure(figsize=(WIDE, 6.4))
        mine = found[found["id"] == h.record.trial.id]
        plot.close_up(figure.subplots(3, 2), h.audio, mine, seam=seam, sample_rate=h.record.sample_rate)
        at = h.seams["sample"][seam] / h.record.sample_rate
        yield picture(
            figure,
            caption=f"The worst {kind} seam of {name}, from near, beside the most ordinary of its controls: text "
            f"{h.record.trial.text.name!r}, seed {h.record.trial.seed}.",
            alt=f"Waveform, spectrogram and F0 around a {kind} seam of {name} at {at:.2f} s and around a control. "
            f"The seam stands out by {score:.1f} spreads of its controls in {WORDS[metric][0]}.",
            pixels=True,
        )


def _few(run: Reading) -> tuple[pd.DataFrame, str]:
    """Return as many contenders as a figure can tell apart, and which they are, in words where some are left out."""
    rows = run.compared
    names = list(dict.fromkeys(rows["variant"]))
    if len(names) <= MOST_VARIANTS:
        return rows, ""
    size = SETTINGS["stream_chunk_size"].default
    kept = [name for name in names if run.replayed and name.startswith(f"{size}/")][:MOST_VARIANTS]
    if kept:
        return rows[rows["variant"].isin(kept)], f", of variants with chunk size {size}"
    return rows[rows["variant"].isin(names[:MOST_VARIANTS])], f", of the first {MOST_VARIANTS} of {len(names)} variants"
