"""Is there a hole at the seam? The silence a listener hears there, in seconds and against the utterance's own pauses."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from xttsbench.metrics.regions import Floats, Ints, active_rms, check_audio, moving_power, regions

LEVEL_WINDOW_S = 0.01
SHORTEST_S = 0.02
NATURAL_S = 0.1
REACH_S = 0.01
LOWEST_DB, HIGHEST_DB, ABOVE_FLOOR_DB = -40.0, -20.0, 6.0


def pause_s(audio: ArrayLike, seams: ArrayLike, *, sample_rate: int, overlap_samples: ArrayLike = 0) -> Floats:
    """Return how long the silence at each seam lasts.

    A listener notices a hole: inside a phrase from about 100 ms (stop consonants close for 50 to 100 ms), at
    the end of a sentence only where it is out of proportion. All silence that touches the region counts, also what
    the voice itself left before and after it.

    Parameters
    ----------
    audio
        Mono floats, shape (n,).
    seams
        Sample index of each seam, shape (seams,).
    sample_rate
        Hz.
    overlap_samples
        Length of each seam's region: the zeros put between two sentences, or the cross-fade.

    Returns
    -------
    numpy.ndarray
        Seconds, 0 where the seam lies within speech, shape (seams,); NaN if the whole audio is silent.

    Raises
    ------
    ValueError
        If audio, rate, seams or overlaps are not what `regions` expects.

    Examples
    --------
    >>> tone = np.sin(2 * np.pi * 200 * np.arange(12000) / 24000)
    >>> spoken = np.concatenate([tone, np.zeros(4800), tone])
    >>> [round(float(v), 2) for v in pause_s(spoken, np.array([6000, 12000]), sample_rate=24000)]
    [0.0, 0.2]
    """
    r = regions(audio, seams, sample_rate=sample_rate, overlap_samples=overlap_samples)
    if np.isnan(active_rms(r.audio, sample_rate=sample_rate)):
        return np.full(len(r.start), np.nan)
    runs = silences(r.audio, sample_rate=sample_rate)
    reach = r.samples(REACH_S)
    meets = (runs[:, 0] <= r.end[:, None] + reach) & (runs[:, 1] >= r.start[:, None] - reach)
    return np.asarray((meets * (runs[:, 1] - runs[:, 0])).sum(axis=1) / sample_rate)


def pause_ratio(audio: ArrayLike, seams: ArrayLike, *, sample_rate: int, overlap_samples: ArrayLike = 0) -> Floats:
    """Return the silence at each seam as a multiple of the utterance's own median pause.

    A listener hears a sentence join as natural near 1, and as halting well above it.

    Parameters
    ----------
    audio
        Mono floats, shape (n,).
    seams
        Sample index of each seam, shape (seams,).
    sample_rate
        Hz.
    overlap_samples
        Length of each seam's region: the zeros put between two sentences, or the cross-fade.

    Returns
    -------
    numpy.ndarray
        A ratio, 0 where the seam lies within speech, shape (seams,); NaN if the utterance has no pause of 100 ms or more
        away from the seams.

    Raises
    ------
    ValueError
        If audio, rate, seams or overlaps are not what `regions` expects.

    Examples
    --------
    >>> tone = np.sin(2 * np.pi * 200 * np.arange(12000) / 24000)
    >>> spoken = np.concatenate([tone, np.zeros(4800), tone, np.zeros(9600), tone])
    >>> [round(float(v), 1) for v in pause_ratio(spoken, np.array([30000]), sample_rate=24000)]
    [2.0]
    """
    natural = natural_pause_s(audio, seams, sample_rate=sample_rate, overlap_samples=overlap_samples)
    return pause_s(audio, seams, sample_rate=sample_rate, overlap_samples=overlap_samples) / natural


def natural_pause_s(audio: ArrayLike, seams: ArrayLike, *, sample_rate: int, overlap_samples: ArrayLike = 0) -> float:
    """Return the median of the pauses of 100 ms or more inside the utterance that touch no seam, in seconds; NaN if none."""
    r = regions(audio, seams, sample_rate=sample_rate, overlap_samples=overlap_samples)
    reach = r.samples(REACH_S)
    natural = [
        high - low
        for low, high in silences(r.audio, sample_rate=sample_rate)
        if low > 0
        and high < len(r.audio)
        and high - low >= NATURAL_S * sample_rate
        and not any(low <= e + reach and s - reach <= high for s, e in zip(r.start, r.end, strict=True))
    ]
    return float(np.median(natural)) / sample_rate if natural else float("nan")


def silences(audio: ArrayLike, *, sample_rate: int) -> Ints:
    """Return the silent stretches of at least 20 ms, as rows of first sample and the one after the last, shape (runs, 2).

    Silent is what lies 6 dB or less above the quietest twentieth of the speech from its first to its last word, but
    at least 20 and at most 40 dB under the speech itself: so a noisy room has pauses too, and leading silence changes nothing.

    Examples
    --------
    >>> tone = np.sin(2 * np.pi * 200 * np.arange(12000) / 24000)
    >>> low, high = silences(np.concatenate([tone, np.zeros(4800), tone]), sample_rate=24000)[0]
    >>> round(float(high - low) / 24000, 2)
    0.2
    """
    signal = check_audio(audio, sample_rate=sample_rate)
    speech = active_rms(signal, sample_rate=sample_rate)
    if np.isnan(speech):
        return np.array([[0, len(signal)]], dtype=np.int64) if len(signal) else np.zeros((0, 2), dtype=np.int64)
    width = max(1, round(LEVEL_WINDOW_S * sample_rate))
    level = 10 * np.log10(moving_power(signal, width) / speech**2 + 1e-12)
    loud = np.flatnonzero(level > HIGHEST_DB)
    inner = level[loud[0] : loud[-1] + 1]
    threshold = float(np.clip(np.percentile(inner, 5) + ABOVE_FLOOR_DB, LOWEST_DB, HIGHEST_DB))
    quiet = np.concatenate([[False], level < threshold, [False]]).astype(np.int8)
    turns = np.flatnonzero(np.diff(quiet)).reshape(-1, 2)
    # The level is a mean over `width` samples, so speech reaches half of it into the silence on either side.
    inner_edge = np.array([-(width // 2), width - width // 2]) * ((turns > 0) & (turns < len(signal)))
    runs = np.clip(turns + inner_edge, 0, len(signal))
    return np.asarray(runs[runs[:, 1] - runs[:, 0] >= SHORTEST_S * sample_rate], dtype=np.int64)
