"""Can one hear the joins? Every seam metric, at each seam and at its matched controls, in one call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from xttsbench.metrics.clicks import click
from xttsbench.metrics.controls import Controls, control_points
from xttsbench.metrics.exactness import Exactness, exactness
from xttsbench.metrics.excess import Excess, excess_over_control
from xttsbench.metrics.pauses import natural_pause_s, pause_ratio, pause_s
from xttsbench.metrics.pitch import pitch_step_cents
from xttsbench.metrics.rate import rate_step_octaves
from xttsbench.metrics.regions import Floats, Ints, regions
from xttsbench.metrics.steps import level_dip_db, level_step_db, spectrum_step_db

__all__ = [
    "METRICS",
    "Controls",
    "Exactness",
    "Excess",
    "SeamMeasures",
    "click",
    "control_points",
    "exactness",
    "excess_over_control",
    "judge",
    "level_dip_db",
    "level_step_db",
    "measure_seams",
    "natural_pause_s",
    "pause_ratio",
    "pause_s",
    "pitch_step_cents",
    "pool",
    "rate_step_octaves",
    "spectrum_step_db",
]

METRICS: Mapping[str, Callable[..., Floats]] = {
    f.__name__: f
    for f in (
        click,
        level_step_db,
        level_dip_db,
        spectrum_step_db,
        pitch_step_cents,
        pause_s,
        pause_ratio,
        rate_step_octaves,
    )
}


@dataclass(frozen=True)
class SeamMeasures:
    """Seam metrics of one utterance, or of several pooled.

    Attributes
    ----------
    at_seams, at_controls
        Values by metric name, shape (seams,) and (controls,).
    controls
        Where the controls lie and which seam each stands for.
    utterance
        Which utterance each seam comes from, shape (seams,).
    """

    at_seams: Mapping[str, Floats]
    at_controls: Mapping[str, Floats]
    controls: Controls
    utterance: Ints


def measure_seams(
    audio: ArrayLike,
    seams: ArrayLike,
    *,
    sample_rate: int,
    overlap_samples: ArrayLike = 0,
    per_seam: int = 20,
    seed: int = 0,
    metrics: Sequence[str] = tuple(METRICS),
) -> SeamMeasures:
    """Take every metric at each seam and at places like it that are none.

    Parameters
    ----------
    audio
        The put-together audio, mono floats, shape (n,).
    seams
        Sample index of the first sample of each later piece, shape (seams,).
    sample_rate
        Hz.
    overlap_samples
        Length of each seam's region: the cross-fade, or the zeros between two sentences; 0 at a hard cut.
    per_seam, seed
        As in `control_points`.
    metrics
        Names out of `METRICS`.

    Returns
    -------
    SeamMeasures
        Of this one utterance.

    Raises
    ------
    ValueError
        If an input is not what `regions` expects, or a metric's name is not known.

    Examples
    --------
    >>> hum = 0.1 * np.sin(2 * np.pi * 200 * np.arange(48000) / 24000)
    >>> hum[24000:] *= 2
    >>> found = measure_seams(hum, np.array([24000]), sample_rate=24000, metrics=["level_step_db"])
    >>> round(float(found.at_seams["level_step_db"][0])), bool(np.abs(found.at_controls["level_step_db"]).max() < 0.1)
    (6, True)
    """
    unknown = [m for m in metrics if m not in METRICS]
    if unknown:
        raise ValueError(f"unknown metric {unknown[0]!r}; known: {', '.join(METRICS)}.")
    r = regions(audio, seams, sample_rate=sample_rate, overlap_samples=overlap_samples)
    length = r.end - r.start
    controls = control_points(
        r.audio, r.start, sample_rate=sample_rate, overlap_samples=length, per_seam=per_seam, seed=seed
    )
    places = np.concatenate([r.start, controls.positions])
    lengths = np.concatenate([length, controls.overlap_samples])
    values: dict[str, Floats] = {}
    for name in metrics:
        if name == "pause_ratio":
            # The natural pause is that of the seams' own utterance, also for a control that lies in one.
            natural = natural_pause_s(r.audio, r.start, sample_rate=sample_rate, overlap_samples=length)
            values[name] = pause_s(r.audio, places, sample_rate=sample_rate, overlap_samples=lengths) / natural
        else:
            values[name] = METRICS[name](r.audio, places, sample_rate=sample_rate, overlap_samples=lengths)
    n = len(r.start)
    return SeamMeasures(
        at_seams={k: v[:n] for k, v in values.items()},
        at_controls={k: v[n:] for k, v in values.items()},
        controls=controls,
        utterance=np.zeros(n, dtype=np.int64),
    )


def pool(measures: Sequence[SeamMeasures]) -> SeamMeasures:
    """Put the measures of several utterances together; each stays an utterance of its own for the interval."""
    if not measures:
        raise ValueError("no measures were given; expected at least one utterance's.")
    seams = np.cumsum([0, *(len(m.utterance) for m in measures)])
    utterances = np.cumsum([0, *(int(m.utterance.max(initial=-1)) + 1 for m in measures)])
    controls = Controls(
        positions=np.concatenate([m.controls.positions for m in measures]),
        seam=np.concatenate([m.controls.seam + o for m, o in zip(measures, seams, strict=False)]),
        overlap_samples=np.concatenate([m.controls.overlap_samples for m in measures]),
    )
    return SeamMeasures(
        at_seams={k: np.concatenate([m.at_seams[k] for m in measures]) for k in measures[0].at_seams},
        at_controls={k: np.concatenate([m.at_controls[k] for m in measures]) for k in measures[0].at_controls},
        controls=controls,
        utterance=np.concatenate([m.utterance + o for m, o in zip(measures, utterances, strict=False)]),
    )


def judge(measures: SeamMeasures, metric: str, *, which: ArrayLike | None = None, seed: int = 0) -> Excess:
    """Judge one metric over all seams, or over those that `which` marks (one kind of seam, say).

    Raises
    ------
    ValueError
        If the metric was not measured, or `which` is not one truth value a seam.
    """
    if metric not in measures.at_seams:
        raise ValueError(f"{metric!r} was not measured; there are {', '.join(measures.at_seams)}.")
    values = measures.at_seams[metric]
    mask = np.ones(len(values), dtype=bool) if which is None else np.asarray(which)
    if mask.dtype != np.bool_ or mask.shape != values.shape:
        raise ValueError(
            f"which is {mask.dtype} of shape {mask.shape}; expected one truth value a seam, shape {values.shape}."
        )
    return excess_over_control(
        np.where(mask, values, np.nan),
        measures.at_controls[metric],
        measures.controls.seam,
        groups=measures.utterance,
        seed=seed,
    )
