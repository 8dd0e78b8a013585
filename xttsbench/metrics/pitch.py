"""Does the melody jump at the seam? Pitch of the last periods before it against the first after it, in cents."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from xttsbench.metrics.regions import Floats, period_peaks, regions

WINDOW_S = 0.025
VOICED = 0.75
LIKELY, POSSIBLE = 0.9, 0.6
DOUBTFUL_CENTS = 600.0


def pitch_step_cents(
    audio: ArrayLike,
    seams: ArrayLike,
    *,
    sample_rate: int,
    overlap_samples: ArrayLike = 0,
    window_s: float = WINDOW_S,
) -> Floats:
    """Return how much higher the voice is just after the seam than just before it.

    A listener notices a sudden turn of the melody, or another intonation, from about a semitone (100 cents). Each side is
    measured from its own samples alone: a tracker with a long window would see both sides at once and halve the step.

    Parameters
    ----------
    audio
        Mono floats, shape (n,).
    seams
        Sample index of each seam, shape (seams,).
    sample_rate
        Hz.
    overlap_samples
        Length of each seam's region; the windows lie outside it.
    window_s
        Length of the window to each side, seconds: two periods of the lowest voice to follow.

    Returns
    -------
    numpy.ndarray
        Cents, positive where the voice rises, shape (seams,); NaN where either side is not voiced, or the audio
        ends. A jump of a whole octave cannot be told from two periods taken for one and comes out small.

    Raises
    ------
    ValueError
        If audio, rate, seams or overlaps are not what `regions` expects.

    Notes
    -----
    The normalised autocorrelation of Boersma, "Accurate short-term analysis of the fundamental frequency", IFA Proceedings
    17, 1993, without his path search. docs/validation.md compares it with swift-f0, WORLD and pYIN as trackers.

    Examples
    --------
    >>> step = 200 * 2 ** (165 / 1200)
    >>> hz = np.where(np.arange(24000) < 12000, 200, step)
    >>> tone = np.sin(2 * np.pi * np.cumsum(hz) / 24000)
    >>> [round(float(v)) + 0 for v in pitch_step_cents(tone, np.array([6000, 12000]), sample_rate=24000)]
    [0, 165]
    """
    r = regions(audio, seams, sample_rate=sample_rate, overlap_samples=overlap_samples)
    out = np.full(len(r.start), np.nan)
    kept, *sides = r.sides(window_s)
    before, after = (_peaks(side, sample_rate) for side in sides)
    out[kept] = [_interval_cents(was, now) for was, now in zip(before, after, strict=True)]
    return out


def _peaks(windows: Floats, sample_rate: int) -> list[tuple[Floats, Floats]]:
    strength, period = period_peaks(windows, sample_rate=sample_rate)
    return [(s[known], p[known]) for s, p, known in zip(strength, period, np.isfinite(strength), strict=True)]


def _interval_cents(before: tuple[Floats, Floats], after: tuple[Floats, Floats]) -> float:
    (strength, period), (strength_after, period_after) = before, after
    if min(strength.max(initial=0), strength_after.max(initial=0)) < VOICED:
        return float("nan")
    likely = float(period[strength >= LIKELY * strength.max()][0])
    likely_after = float(period_after[strength_after >= LIKELY * strength_after.max()][0])
    step = 1200 * np.log2(likely / likely_after)
    if abs(step) > DOUBTFUL_CENTS:
        # A multiple of the period is easily taken for it: a weaker peak that agrees with the other side explains the jump.
        other = np.concatenate(
            [
                1200 * np.log2(_multiples(strength, period, likely) / likely_after),
                1200 * np.log2(likely / _multiples(strength_after, period_after, likely_after)),
            ]
        )
        nearest = float(other[np.argmin(np.abs(other))])
        step = nearest if abs(nearest) < DOUBTFUL_CENTS / 2 else step
    return float(step)


def _multiples(strength: Floats, period: Floats, likely: float) -> Floats:
    ratio = np.maximum(period / likely, likely / period)
    return np.asarray(period[(strength >= POSSIBLE * strength.max()) & (np.abs(ratio - np.round(ratio)) < 0.1)])
