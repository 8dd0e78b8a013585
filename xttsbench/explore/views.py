"""What the explorer draws and plays: many trials over what one picks, one trial's life, its sound."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from xttsbench import plot, stats, table
from xttsbench.explore.inline import audio, drawing, words
from xttsbench.record import Record
from xttsbench.table import METRICS

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def overview(ok: pd.DataFrame, metric: str, *, x: str, y: str, hue: str) -> str:
    """Return the figure of `metric` over `x`, in colours by `hue`; with `y` a map over both. '' for `y` or `hue` is none."""
    if not len(ok) or not ok[metric].notna().any():
        return words(f"no trial is left that has a {plot.label(metric)}; widen what is picked under 'only'.")
    corner = plot.corner_of(ok)
    timed = ok["phase"].isin(["timed", "replay"]).all()

    def draw(ax: Axes) -> Any:
        if y:
            return plot.heat_map(ax, ok, metric, x=x, y=y, corner=corner)
        if x == "stream_chunk_size" and hue and timed:
            return plot.by_chunk_size(ax, ok, metric, hue=hue, corner=corner)
        return plot.over(ax, ok, metric, x=x, hue=hue, corner=corner)

    alt = f"{plot.label(metric)} over {plot.label(x)}"
    alt += f" and {plot.label(y)}" if y else f", coloured by {hue}" if hue else ""
    try:
        drawn = drawing(draw, alt=f"{alt}, {len(ok)} trials")
    except ValueError as error:  # a map that would mix engines says so, and how to mend it in Python
        return words(f"{str(error).partition(';')[0]}; pick one above, under 'only'.", trouble=True)
    pooled = [name for name in stats.varying(ok) if name not in (x, y or hue)]
    if not pooled or (x in METRICS and not y):
        return drawn
    return drawn + words(f"A median pools what differs in {', '.join(pooled)}; pick one value above to part it.")


def life_of(record: Record, row: pd.DataFrame) -> str:
    """Return when a trial's chunks came, against playback; `row` is the trial in the table."""
    if not row["ttfc_s"].notna().any():
        return words("A replay has no times, so its chunks can't be held against playback.")
    chunks, corner = table.chunks([record]), plot.corner_of(row)

    def draw(ax: Axes) -> Any:
        return plot.life(
            ax,
            chunks,
            sample_rate=record.sample_rate,
            first_audible_sample=record.first_audible_sample,
            corner=corner,
        )

    return drawing(draw, alt=f"arrival of {len(chunks)} chunks against playback, {record.trial.engine}")


def sound_of(record: Record, folder: Path) -> str:
    """Return a player for a trial's audio, or why there is none."""
    if not record.audio:
        return words("This trial kept no audio (the run was made with --no-audio).")
    try:
        data = (folder / record.audio).read_bytes()
    except OSError as error:
        return words(f"{record.audio} can't be read ({error.strerror}).", trouble=True)
    return audio(data, kind=Path(record.audio).suffix.removeprefix("."), label=f"trial {record.trial.id}", wide=True)
