"""Does the sound jump at the seam? Level and spectrum just before the region against just after it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from xttsbench.metrics.regions import Floats, active_rms, periodicities, regions

LEVEL_WINDOW_S = 0.010
PITCH_WINDOW_S = 0.035
SPECTRUM_WINDOW_S = 0.012
FLOOR_DB = -50.0
MELS = 40
CEPSTRA = 13


def level_step_db(
    audio: ArrayLike,
    seams: ArrayLike,
    *,
    sample_rate: int,
    overlap_samples: ArrayLike = 0,
    window_s: float = LEVEL_WINDOW_S,
) -> Floats:
    """Return how much louder the speech is just after the seam than just before it.

    A listener notices a sudden change of loudness from about 3 dB in a sustained vowel; elsewhere speech itself
    moves more than that within 20 ms. To be fair to the voice, the window is exactly one glottal period
    where the signal is periodic, so that the phase of the period does not count as a change of level.

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
        Window where the signal is not periodic, seconds.

    Returns
    -------
    numpy.ndarray
        Decibels, positive where it gets louder, shape (seams,). Levels under 50 dB below the speech count as
        that (from silence to silence is 0 dB). NaN where the audio ends within 35 ms of the region or is silent.

    Raises
    ------
    ValueError
        If audio, rate, seams or overlaps are not what `regions` expects.

    Notes
    -----
    Pitch-synchronous level after Hess, "Pitch Determination of Speech Signals", Springer 1983; the reference is the
    active speech level of ITU-T P.56.

    Examples
    --------
    >>> tone = 0.1 * np.sin(2 * np.pi * 200 * np.arange(24000) / 24000)
    >>> tone[12000:] *= 10 ** (6 / 20)
    >>> step = level_step_db(tone, np.array([6000, 12000]), sample_rate=24000)
    >>> [round(float(v), 1) + 0.0 for v in step]
    [0.0, 6.0]
    """
    r = regions(audio, seams, sample_rate=sample_rate, overlap_samples=overlap_samples)
    floor = _floor_power(r.audio, sample_rate)
    out = np.full(len(r.start), np.nan)
    kept, before, after = r.sides(PITCH_WINDOW_S)
    # From the seam outwards, so that a window is what comes first on either side.
    was, now = (_level_db(side, sample_rate, r.samples(window_s), floor) for side in (before[:, ::-1], after))
    out[kept] = now - was
    return out


def level_dip_db(audio: ArrayLike, seams: ArrayLike, *, sample_rate: int, overlap_samples: ArrayLike = 0) -> Floats:
    """Return how much quieter the inside of a cross-fade is than what lies on its two sides.

    A listener notices a short loss of body at each seam: a linear cross-fade of two sounds that do not agree loses up
    to 3 dB in its middle, and far more where they are out of phase.

    Parameters
    ----------
    audio
        Mono floats, shape (n,).
    seams
        Sample index of each seam, shape (seams,).
    sample_rate
        Hz.
    overlap_samples
        Length of each seam's cross-fade; the middle half of it is what is measured.

    Returns
    -------
    numpy.ndarray
        Decibels, negative where the level dips, shape (seams,); NaN for regions under 10 ms (there is no inside) and
        where the audio ends sooner than half a region from it, or is silent.

    Raises
    ------
    ValueError
        If audio, rate, seams or overlaps are not what `regions` expects.

    Notes
    -----
    Linear gains add in power only if the two sides agree: Fink, Holters and Zoelzer, "Signal-matched power-complementary
    cross-fading and dry-wet mixing", DAFx 2016.

    Examples
    --------
    >>> hum = np.sin(2 * np.pi * 200 * np.arange(24000) / 24000)
    >>> hum[12240:12720] *= 0.5
    >>> dip = level_dip_db(hum, np.array([6000, 12000]), sample_rate=24000, overlap_samples=960)
    >>> [round(float(v), 1) + 0.0 for v in dip]
    [0.0, -6.0]
    """
    r = regions(audio, seams, sample_rate=sample_rate, overlap_samples=overlap_samples)
    floor = _floor_power(r.audio, sample_rate)
    out = np.full(len(r.start), np.nan)
    for i, (start, end) in enumerate(zip(r.start, r.end, strict=True)):
        length = int(end - start)
        half = length // 2
        if length < r.samples(0.01) or start < half or end + half > len(r.audio):
            continue
        inside = r.audio[start + length // 4 : end - length // 4]
        sides = 0.5 * (_db(r.audio[start - half : start], floor) + _db(r.audio[end : end + half], floor))
        out[i] = _db(inside, floor) - sides
    return out


def spectrum_step_db(
    audio: ArrayLike,
    seams: ArrayLike,
    *,
    sample_rate: int,
    overlap_samples: ArrayLike = 0,
    window_s: float = SPECTRUM_WINDOW_S,
) -> Floats:
    """Return the mel-cepstral distance between the sound just before the seam and just after it.

    A listener notices a sudden change of timbre: another vowel, another voice, a muffled stretch. The level is left out
    (`level_step_db` has it).

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
        Length of the window to each side, seconds.

    Returns
    -------
    numpy.ndarray
        Decibels, 0 or more, shape (seams,); NaN where the audio ends within a window of the region or is silent.

    Raises
    ------
    ValueError
        If audio, rate, seams or overlaps are not what `regions` expects.

    Notes
    -----
    Kubichek, "Mel-cepstral distance measure for objective speech quality assessment", IEEE PACRIM 1993: coefficients
    1 to 12 of 40 mel bands up to 8 kHz, with a floor 50 dB under the speech.

    Examples
    --------
    >>> n = np.arange(12000)
    >>> low, high = np.sin(2 * np.pi * 300 * n / 24000), np.sin(2 * np.pi * 3000 * n / 24000)
    >>> step = spectrum_step_db(np.concatenate([low, high]), np.array([6000, 12000]), sample_rate=24000)
    >>> bool(step[0] < 3), bool(step[1] > 20)
    (True, True)
    """
    r = regions(audio, seams, sample_rate=sample_rate, overlap_samples=overlap_samples)
    floor = _floor_power(r.audio, sample_rate)
    out = np.full(len(r.start), np.nan)
    kept, *sides = r.sides(window_s)
    was, now = (cepstra(side, sample_rate=sample_rate, floor_power=floor) for side in sides)
    out[kept] = 10 / np.log(10) * np.sqrt(2 * np.sum((now - was)[:, 1:] ** 2, axis=1))
    return out


def _floor_power(audio: Floats, sample_rate: int) -> float:
    return active_rms(audio, sample_rate=sample_rate) ** 2 * 10 ** (FLOOR_DB / 10)


def _db(window: Floats, floor_power: float) -> float:
    return float(10 * np.log10(np.mean(window * window) + floor_power))


def _level_db(windows: Floats, sample_rate: int, fallback: int, floor_power: float) -> Floats:
    """Return the level of each window's first period, or of its first `fallback` samples where it has none."""
    strength, period = periodicities(windows, sample_rate=sample_rate)
    n = np.where(strength >= 0.5, np.round(np.nan_to_num(period)), fallback)
    power = np.sum(np.where(np.arange(windows.shape[1]) < n[:, None], windows**2, 0.0), axis=1) / n
    return np.asarray(10 * np.log10(power + floor_power))


def cepstra(frames: Floats, *, sample_rate: int, floor_power: float) -> Floats:
    """Return mel cepstra 0 to 12 of each frame, natural logarithm of power, shape (frames, 13)."""
    from scipy.fft import dct

    n = frames.shape[-1]
    size = max(1024, 1 << (n - 1).bit_length())
    shape = np.hanning(n)
    power = np.abs(np.fft.rfft(frames * shape, size)) ** 2 / np.sum(shape**2)
    bands = power @ mel_bands(sample_rate, size).T + floor_power
    return np.asarray(dct(np.log(bands), norm="ortho")[..., :CEPSTRA] / np.sqrt(MELS / 2))


@lru_cache(maxsize=8)
def mel_bands(sample_rate: int, size: int, *, bands: int = MELS, top_hz: float = 8000.0) -> Floats:
    """Return triangular mel filters of unit area, shape (bands, size // 2 + 1), by O'Shaughnessy's formula."""
    top = 2595 * np.log10(1 + min(top_hz, sample_rate / 2) / 700)
    edges = 700 * (10 ** (np.linspace(0, top, bands + 2) / 2595) - 1)
    bins = np.fft.rfftfreq(size, 1 / sample_rate)
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    shape = np.maximum(0, np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)))
    return np.asarray(shape / np.maximum(shape.sum(axis=1, keepdims=True), 1e-12))
