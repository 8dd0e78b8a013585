"""Does the voice hurry or drag after the seam? How fast its spectrum changes after it against before it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from xttsbench.metrics.regions import Floats, active_rms, check_audio, regions
from xttsbench.metrics.steps import cepstra

SPAN_S = 2.0
LEAST_S = 0.8
HOP_S = 0.01
WINDOW_S = 0.025
FLOOR_DB = -40.0
SPEECH_DB = -20.0


def rate_step_octaves(
    audio: ArrayLike,
    seams: ArrayLike,
    *,
    sample_rate: int,
    overlap_samples: ArrayLike = 0,
    span_s: float = SPAN_S,
) -> Floats:
    """Return how much faster the voice articulates after the seam than before it, 1 being twice as fast.

    A listener notices a change of tempo, as if another take had been pasted in. The rate is the mean speed at which
    the mel cepstrum moves while there is speech, so pauses do not count. It is the coarsest of the seam metrics:
    one seam tells little (docs/validation.md), many seams together tell a trend.

    Parameters
    ----------
    audio
        Mono floats, shape (n,).
    seams
        Sample index of each seam, shape (seams,).
    sample_rate
        Hz.
    overlap_samples
        Length of each seam's region; the spans lie outside it.
    span_s
        How much audio to each side is used, seconds; less near the ends of the audio.

    Returns
    -------
    numpy.ndarray
        Octaves, positive where the voice hurries, shape (seams,); NaN where a side has under 0.8 s of speech.

    Raises
    ------
    ValueError
        If audio, rate, seams or overlaps are not what `regions` expects.

    Notes
    -----
    Spectral change as a measure of speaking rate: Furui, "On the role of spectral transition for speech perception",
    JASA 80(4), 1986. Counting syllable nuclei (de Jong and Wempe 2009) was tried first and found fewer changes.

    Examples
    --------
    >>> t = np.arange(96000) / 24000
    >>> sweep = 800 + 500 * np.sin(2 * np.pi * np.cumsum(np.where(t < 2, 2.0, 4.0)) / 24000)
    >>> voice = np.sin(2 * np.pi * np.cumsum(sweep) / 24000)
    >>> bool(rate_step_octaves(voice, np.array([48000]), sample_rate=24000)[0] > 0.5)
    True
    """
    r = regions(audio, seams, sample_rate=sample_rate, overlap_samples=overlap_samples)
    at, speed = spectral_speed(r.audio, sample_rate=sample_rate)
    span = r.samples(span_s)
    out = np.full(len(r.start), np.nan)
    for i, (start, end) in enumerate(zip(r.start, r.end, strict=True)):
        # A frame that reaches across the seam belongs to neither side.
        half = r.samples(WINDOW_S / 2 + 2 * HOP_S)
        was = speed[(at >= start - span) & (at < start - half)]
        now = speed[(at >= end + half) & (at < end + span)]
        if min(np.isfinite(was).sum(), np.isfinite(now).sum()) * HOP_S >= LEAST_S:
            out[i] = np.log2(np.nanmean(now) / np.nanmean(was))
    return out


def spectral_speed(audio: ArrayLike, *, sample_rate: int) -> tuple[Floats, Floats]:
    """Return times (samples) and the distance the mel cepstrum moves within 20 ms around each; NaN without speech."""
    signal = check_audio(audio, sample_rate=sample_rate)
    speech = active_rms(signal, sample_rate=sample_rate)
    window, hop = round(WINDOW_S * sample_rate), round(HOP_S * sample_rate)
    if np.isnan(speech) or len(signal) < window + 4 * hop:
        return np.zeros(0), np.zeros(0)
    frames = np.lib.stride_tricks.sliding_window_view(signal, window)[::hop]
    power = np.mean(frames**2, axis=1)
    shape = cepstra(frames, sample_rate=sample_rate, floor_power=speech**2 * 10 ** (FLOOR_DB / 10))[:, 1:]
    smooth = (shape[:-2] + shape[1:-1] + shape[2:]) / 3
    speed = np.sqrt(np.sum((smooth[2:] - smooth[:-2]) ** 2, axis=1))
    # All five frames that a speed is made of must be speech, or the onset after a silence would count as movement.
    quietest = np.lib.stride_tricks.sliding_window_view(power, 5).min(axis=1)
    loud = quietest > speech**2 * 10 ** (SPEECH_DB / 10)
    centre = (np.arange(len(speed)) + 2) * hop + window / 2
    return np.asarray(centre, dtype=np.float64), np.where(loud & (speed > 0), speed, np.nan)
