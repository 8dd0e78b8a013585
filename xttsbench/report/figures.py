"""Which figures a report of times has: the life of a request, what settings cost, and where the time goes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from xttsbench import table
from xttsbench.report.clips import settings_in_words
from xttsbench.report.encoding import WIDE, Picture, canvas, panels, picture
from xttsbench.report.picking import alike, drawable, some_texts, spread
from xttsbench.report.reading import Reading
from xttsbench.settings import STREAMING
from xttsbench.stats import whole_decodes


def of_times(run: Reading) -> Iterator[Picture]:
    """Draw the figures of times that the run has something to show in; call it inside `plot.style()`."""
    done = drawable(run.done)
    done = done[~whole_decodes(done)]
    if not len(done):
        return
    yield from _life(run, done)
    yield from _by_chunk_size(done)
    yield from _heat_map(done)
    yield from _model(run, done)
    yield from _stages(run)
    yield from _chunk_cost(run, done)
    yield from _by_length(done)
    yield from _effects(run)


def _life(run: Reading, done: pd.DataFrame) -> Iterator[Picture]:
    from xttsbench import plot

    streamed = done[done["engine"].isin(STREAMING) & (done["chunks"] > 1) & np.isfinite(done["safe_start_s"])]
    if not len(streamed):
        return
    longest = streamed[streamed["text"] == streamed.groupby("text")["audio_s"].median().idxmax()]
    cell = longest.groupby("cell", sort=False)["safe_start_s"].median().idxmin()
    mine = longest[longest["cell"] == cell]
    row = mine.loc[(mine["safe_start_s"] - mine["safe_start_s"].median()).abs().idxmin()]
    record = next(r for r in run.records if r.trial.id == row["id"])
    figure, ax = canvas(height=4.2)
    plot.life(
        ax,
        table.chunks([record]),
        sample_rate=record.sample_rate,
        first_audible_sample=record.first_audible_sample,
        corner=plot.corner_of(mine[mine["id"] == row["id"]]),
    )
    settings = settings_in_words(record)
    yield picture(
        figure,
        caption=f"The life of one request: {settings}, text {record.trial.text.name!r}, seed {record.trial.seed}; of "
        "the settings that stream, the one with the earliest safe start on the longest text.",
        alt=f"Audio that has arrived over time, against playback: {row['chunks']:.0f} chunks, the first after {_ms(row['ttfc_s'])}; "
        f"{row['audio_s']:.2f} s of audio, rtf {row['rtf']:.3f}, {row['stalls']:.0f} stalls, prebuffer {_ms(row['prebuffer_s'])}, "
        f"safe start {_ms(row['safe_start_s'])}.",
    )


def _by_chunk_size(done: pd.DataFrame) -> Iterator[Picture]:
    from xttsbench import plot

    rows, at = alike(done, but=("engine", "text", "stream_chunk_size"))
    if rows["stream_chunk_size"].nunique() < 2:
        return
    texts = some_texts(rows)
    for metric, words in (
        ("ttfc_s", "Time to first chunk"),
        ("safe_start_s", "Safe start"),
        ("rtf", "Real-time factor"),
    ):
        figure, axes = panels(len(texts))
        for ax, text in zip(axes, texts, strict=True):
            mine = rows[rows["text"] == text]
            plot.by_chunk_size(ax, mine, metric, corner=plot.corner_of(mine))
            ax.set_xlabel(f"{ax.get_xlabel()}, text {text}")
        yield picture(
            figure,
            caption=f"{words} over chunk size by engine{at}: every request, medians and 95 % intervals.",
            alt=f"{words} over stream_chunk_size. Medians of settings: {spread(rows, metric)}.",
        )


def _heat_map(done: pd.DataFrame) -> Iterator[Picture]:
    from xttsbench import plot

    rows, at = alike(done[done["engine"] == "stock"], but=("text", "stream_chunk_size", "overlap_wav_len"))
    if min(rows["stream_chunk_size"].nunique(), rows["overlap_wav_len"].nunique()) < 2:
        return
    texts = some_texts(rows)
    for metric, words in (("ttfc_s", "Time to first chunk"), ("rtf", "Real-time factor")):
        figure, axes = panels(len(texts))
        for ax, text in zip(axes, texts, strict=True):
            mine = rows[rows["text"] == text]
            plot.heat_map(ax, mine, metric, corner=plot.corner_of(mine))
            ax.set_xlabel(f"{ax.get_xlabel()}, text {text}")
        yield picture(
            figure,
            caption=f"{words} of stock over chunk size and overlap{at}: medians.",
            alt=f"{words} by stream_chunk_size and overlap_wav_len. Medians of settings: {spread(rows, metric)}.",
        )


def _model(run: Reading, done: pd.DataFrame) -> Iterator[Picture]:
    from matplotlib.figure import Figure

    from xttsbench import plot
    from xttsbench.fitting import fit_ttfc

    longest = done.groupby("text")["audio_s"].median().idxmax()
    trials = drawable(run.trials)
    trials = trials[(trials["text"] == longest) & ~whole_decodes(trials)]
    for engine in STREAMING:
        mine = trials[trials["engine"] == engine]
        try:
            fit = fit_ttfc(mine)
        except ValueError:  # several set-ups, or first chunks all of a size: there is no line to draw
            continue
        figure = Figure(figsize=(WIDE, 6.4))
        upper, lower = figure.subplots(2, 1, height_ratios=[3, 2])
        plot.ttfc_model(upper, fit)
        plot.ttfc_residuals(
            lower, fit, corner=plot.corner_of(mine[(mine["phase"] == "timed") & (mine["status"] == "ok")])
        )
        value = fit.coefficients["value"]
        yield picture(
            figure,
            caption=f"What the time to first chunk of {engine} is made of, on text {longest!r}: a line over the tokens of the "
            "first chunk, and its residuals.",
            alt=f"A line fitted to {fit.n} requests of {engine}: {_ms(value['intercept_s'])} and "
            f"{value['slope_s'] * 1000:.2f} ms a token; half of the requests lie within {_ms(fit.spread_s)} of it.",
        )


def _stages(run: Reading) -> Iterator[Picture]:
    from xttsbench import plot

    trials = drawable(run.trials)
    rows = trials[(trials["phase"] == "stages") & (trials["status"] == "ok")]
    columns = [name for name in rows if name.startswith("stage_")]
    if not len(rows) or not columns:
        return
    figure, ax = canvas(height=1.6 + 0.7 * rows["engine"].nunique())
    plot.stages(ax, rows, corner=plot.corner_of(rows))
    means = rows.groupby("engine", sort=False)[columns].mean()
    said = []
    for engine, row in means.iterrows():
        most = str(row.idxmax())
        said.append(
            f"{engine} {_ms(row.sum())}, most of it {most.removeprefix('stage_').removesuffix('_s').replace('_', ' ')} ({_ms(row[most])})"
        )
    yield picture(
        figure,
        caption="Where the time of a request goes, by engine, over all texts; timed in a pass of its own.",
        alt=f"Stacked bars of stages, mean a request: {'; '.join(said)}.",
    )


def _chunk_cost(run: Reading, done: pd.DataFrame) -> Iterator[Picture]:
    from xttsbench import plot

    streamed = done[done["engine"].isin(STREAMING)]
    rows, at = alike(streamed, but=("engine", "text"))
    if not len(rows):
        return
    rows = rows[rows["text"] == rows.groupby("text")["audio_s"].median().idxmax()]
    if not (rows["chunks"] > 2).any():
        return
    chunks = table.chunks(r for r in run.records if r.trial.id in set(rows["id"]))
    chunks = chunks.merge(rows[["id", "engine"]], on="id")
    figure, ax = canvas()
    plot.chunk_cost(ax, chunks, corner=plot.corner_of(rows))
    slopes = rows.groupby("engine", sort=False)["gap_slope_s"].median() * 1000
    yield picture(
        figure,
        caption=f"What chunk k costs over k, by engine: text {rows['text'].iloc[0]!r}{at}.",
        alt="Gap to the chunk before, over the chunk's number. Median growth: "
        + ", ".join(f"{engine} {slope:+.2f} ms a chunk" for engine, slope in slopes.items())
        + ".",
    )


def _by_length(done: pd.DataFrame) -> Iterator[Picture]:
    from xttsbench import plot

    rows, at = alike(done, but=("engine", "text"))
    if rows["text"].nunique() < 2:
        return
    figure, ax = canvas()
    plot.rtf_by_length(ax, rows, corner=plot.corner_of(rows))
    yield picture(
        figure,
        caption=f"Real-time factor over the length of the audio, by engine{at}.",
        alt=f"Real-time factor over seconds of audio, {rows['audio_s'].min():.1f} to {rows['audio_s'].max():.1f} s. "
        f"Medians of settings: {spread(rows, 'rtf')}.",
    )


def _effects(run: Reading) -> Iterator[Picture]:
    from xttsbench import plot, sampling

    if not len(run.effects):
        return
    found, pairs = run.effects, sampling.pairs(run.trials)
    corner = plot.corner_of(drawable(run.done))
    for metric in dict.fromkeys(found["metric"]):
        mine = found[found["metric"] == metric]
        if not (mine["effect"].abs() > 0).any():
            continue
        figure, ax = canvas(height=1.5 + 0.32 * len(mine[["parameter", "value"]].drop_duplicates()))
        plot.effects(ax, found, metric, pairs=pairs, corner=corner)
        beyond = [f"{r.engine} {r.parameter} {r.value}" for r in mine[mine["beyond"].astype(bool)].itertuples()]
        yield picture(
            figure,
            caption=f"What each sampling parameter changes in {plot.label(metric)}, beside what another seed alone does.",
            alt=f"Differences from the default in {plot.label(metric)}, {len(mine)} values. Beyond what another seed does: "
            f"{', '.join(beyond) or 'none'}.",
        )


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:,.0f} ms"
