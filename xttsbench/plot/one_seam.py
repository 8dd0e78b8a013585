"""What does one seam look like? Waveform, spectrogram and F0 around it, beside one of its controls."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd

from xttsbench.metrics.seams import METRICS
from xttsbench.places import ordinary
from xttsbench.plot.signals import Signal, pitch, spectrogram, waveform
from xttsbench.plot.style import CONTROL, INK, LABELS, SEAM, figures, put_nothing

CONTEXT_S = 0.1
DRAWINGS = (waveform, spectrogram, pitch)


def close_up(
    axes: Any, audio: Signal, places: pd.DataFrame, *, seam: int, sample_rate: int, around_s: float = 0.25
) -> Any:
    """Draw waveform, spectrogram and F0 around one seam (left) and around the most ordinary of its controls (right).

    Parameters
    ----------
    axes
        Three rows, two columns, as `figure.subplots(3, 2)` gives them.
    audio
        The put-together audio of one utterance, shape (n,).
    places
        The rows of that utterance in a table of `places.places`.
    seam
        Index of the seam, as in the column of that name.
    sample_rate
        Hz.
    around_s
        How much to draw to each side, seconds.

    Raises
    ------
    ValueError
        If `places` holds several utterances, or not that seam.
    """
    mine = places[places["seam"] == seam]
    if places["id"].nunique() > 1 or not (mine["place"] == "seam").any():
        raise ValueError(
            f"seam {seam} of {places['id'].nunique()} utterances, with seams {sorted(set(places['seam']))}; expected the rows "
            "of one utterance that has this seam, e.g. places[places['id'] == id]."
        )
    here = mine[mine["place"] == "seam"].iloc[0]
    control = ordinary(mine[mine["place"] == "control"], samples=len(audio))
    kind = {"chunk": "between chunks", "sentence": "between sentences"}.get(here["kind"], here["kind"])
    _column(axes[:, 0], audio, here, sample_rate=sample_rate, around_s=around_s, colour=SEAM)
    axes[-1, 0].set_xlabel("time from the seam (ms)")
    axes[0, 0].set_title(_titled(f"seam {seam}, {kind}", here, sample_rate), pad=34)
    if control is None:
        for ax in axes[:, 1]:
            ax.set_axis_off()
        put_nothing(axes[0, 1], "no control: nothing else in this audio is like this seam")
        return axes
    _column(axes[:, 1], audio, control, sample_rate=sample_rate, around_s=around_s, colour=CONTROL)
    axes[-1, 1].set_xlabel("time from the control (ms)")
    axes[0, 1].set_title(_titled("the most ordinary of its controls", control, sample_rate), pad=34)
    loudest = max(abs(v) for ax in axes[0] for v in ax.get_ylim())
    images = [ax.images[0] for ax in axes[1]]
    top = max(image.get_clim()[1] for image in images)
    for ax in axes[0]:
        ax.set_ylim(-loudest, loudest)
    for image in images:
        image.set_clim(top - 80, top)
    for ax in axes[:, 1]:
        ax.set_ylabel("")
        ax.tick_params(labelleft=False)
    return axes


def _column(axes: Any, audio: Signal, row: pd.Series, *, sample_rate: int, around_s: float, colour: str) -> None:
    at, length = int(row["sample"]), int(row["overlap_samples"]) / sample_rate
    reach = round((around_s + CONTEXT_S + length) * sample_rate)
    first = max(0, at - reach)
    clip = audio[first : at + reach]
    for ax, draw in zip(axes, DRAWINGS, strict=True):
        draw(ax, clip, sample_rate=sample_rate, start_s=(first - at) / sample_rate)
        ax.axvline(0, color=colour, lw=1.2)
        if draw is spectrogram and length:  # its greys are levels, and a shade would change them
            ax.axvline(length, color=colour, lw=1.2, ls=":")
        else:
            ax.axvspan(0, length, color=colour, alpha=0.15, lw=0)
        ax.set_xlim(-around_s, around_s + length)
        ax.xaxis.set_major_formatter(lambda value, _: f"{1000 * value:.0f}")
        ax.set_xlabel("")
        ax.tick_params(labelbottom=ax is axes[-1])
    near = audio[max(0, at - round(around_s * sample_rate)) : at + round((around_s + length) * sample_rate)]
    loudest = 1.1 * float(np.max(np.abs(near), initial=1e-3))
    axes[0].set_ylim(-loudest, loudest)
    axes[0].lines[0].set_linewidth(0.8)
    axes[2].lines[0].set_markersize(4)
    axes[0].text(0, 1.02, _said(row), transform=axes[0].transAxes, va="bottom", fontsize=8, color=INK)


def _titled(words: str, row: pd.Series, sample_rate: int) -> str:
    return f"{words}, at {row['sample'] / sample_rate:.2f} s"


def _said(row: pd.Series) -> str:
    """Return the defined metrics of a place in words, in two lines."""
    values = []
    for metric in METRICS:
        words, unit, by = LABELS[metric]
        if np.isfinite(row[metric]):
            short = re.sub(" against.*", " ratio", words)
            values.append(
                f"{short} {figures(row[metric] * by)}"
                + (f" {unit}" if unit not in ("", "robust deviations", "times") else "")
            )
    half = (len(values) + 1) // 2
    return ";  ".join(values[:half]) + "\n" + ";  ".join(values[half:])
