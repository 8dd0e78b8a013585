"""Does the melody jump at the seam? Pitch of the last periods before it against the first after it, in cents."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from xttsbench.metrics.regions import Floats, periodicity, regions

WINDOW_S = 0.025
VOICED = 0.75


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
        Cents, positive where the voice rises, shape (seams,); NaN where either side is not voiced, or the audio ends.

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
    for i in range(len(r.start)):
        before, after = r.before(i, window_s), r.after(i, window_s)
        if before is None or after is None:
            continue
        was, period_before = periodicity(before, sample_rate=sample_rate)
        now, period_after = periodicity(after, sample_rate=sample_rate)
        if min(was, now) >= VOICED and np.isfinite(period_before) and np.isfinite(period_after):
            out[i] = 1200 * np.log2(period_before / period_after)
    return out
