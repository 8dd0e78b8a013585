"""Is there a click at the seam? A sample that the speech around it does not foretell, in units of the local robust spread."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from xttsbench.metrics.regions import Floats, active_rms, regions

WINDOW_S = 0.05
REACH_S = 0.0005
ORDER_S = 0.005
GUARD_S = 0.001
STEP_DECAY_S = 0.002
WHITE_FLOOR = 1e-7
QUIET = 10 ** (-70 / 20)


def click(
    audio: ArrayLike,
    seams: ArrayLike,
    *,
    sample_rate: int,
    overlap_samples: ArrayLike = 0,
    window_s: float = WINDOW_S,
    reach_s: float = REACH_S,
) -> Floats:
    """Return how far the seam stands out of the whitened speech around it, in robust standard deviations.

    A listener notices a tick, the louder the higher the value; ordinary speech reaches about 4 to 6 at a random
    place. The local spectrum (linear prediction over `window_s` to each side) whitens the signal, and a filter
    matched to an impulse and one matched to a step gather what whitening has spread out. The largest value
    within `reach_s` of an edge of the region is divided by the median absolute value around it.

    Parameters
    ----------
    audio
        Mono floats, shape (n,).
    seams
        Sample index of each seam, shape (seams,).
    sample_rate
        Hz.
    overlap_samples
        Length of each seam's region; both its edges are looked at.
    window_s
        Speech to each side that tells what is ordinary, seconds.
    reach_s
        How far from an edge a click still belongs to the seam, seconds.

    Returns
    -------
    numpy.ndarray
        Robust standard deviations, shape (seams,); NaN where the audio ends within 10 ms of the seam or is silent.

    Raises
    ------
    ValueError
        If audio, rate, seams or overlaps are not what `regions` expects.

    Notes
    -----
    Detection by the residual of linear prediction: Vaseghi and Rayner, "Detection and suppression of impulsive
    noise in speech communication systems", IEE Proc. I 137(1), 1990; the matched filter after it is theirs as well.
    Essentia's DiscontinuityDetector is a relative without the matched filter. The white floor 70 dB under the
    local level keeps an empty band (speech recorded at 16 kHz in a file of 24 kHz) from magnifying what nobody hears.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> noise = rng.normal(0, 0.1, 24000)
    >>> noise[12000] += 2.0
    >>> value = click(noise, np.array([6000, 12000]), sample_rate=24000)
    >>> bool(value[0] < 5), bool(value[1] > 15)
    (True, True)
    """
    r = regions(audio, seams, sample_rate=sample_rate, overlap_samples=overlap_samples)
    floor = active_rms(r.audio, sample_rate=sample_rate) * QUIET
    out = np.full(len(r.start), np.nan)
    for i, (start, end) in enumerate(zip(r.start, r.end, strict=True)):
        edges = [start] if start == end else [start, end]
        found = [_stands_out(r.audio, int(e), sample_rate, window_s, reach_s, floor) for e in edges]
        out[i] = np.nan if np.isnan(found).all() else np.nanmax(found)
    return out


def _stands_out(audio: Floats, at: int, sample_rate: int, window_s: float, reach_s: float, floor: float) -> float:
    from scipy.signal import fftconvolve, lfilter

    half, order = round(window_s * sample_rate), round(ORDER_S * sample_rate)
    reach, guard = round(reach_s * sample_rate), round(GUARD_S * sample_rate)
    low, high = max(0, at - half - order), min(len(audio), at + half + order)
    shortest = round(0.01 * sample_rate) + order
    if np.isnan(floor) or at - low < shortest or high - at < shortest:
        return float("nan")
    around = audio[low:high] - audio[low:high].mean()
    predictor = linear_prediction(around, order=order)
    residual = lfilter(predictor, [1.0], around)
    step = np.cumsum(predictor) * np.exp(-np.arange(order + 1) / (STEP_DECAY_S * sample_rate))
    centre, worst = at - low, 0.0
    for shape in (predictor, step):
        # Correlation with the shape that whitening gives to an impulse (or a step) at each sample.
        matched = fftconvolve(residual, shape[::-1])[order : order + len(residual)] / np.sqrt(shape @ shape)
        matched[:order] = np.nan
        matched[-order:] = np.nan
        near = np.abs(matched[centre - reach : centre + reach + 1])
        rest = np.abs(np.concatenate([matched[: centre - guard], matched[centre + guard + 1 :]]))
        spread = 1.4826 * float(np.nanmedian(rest))
        worst = max(worst, float(np.nanmax(near)) / max(spread, floor))
    return worst


def linear_prediction(window: Floats, *, order: int) -> Floats:
    """Return the coefficients of the whitening filter (first one 1), by the autocorrelation method with a Hann window."""
    from scipy.linalg import solve_toeplitz

    shaped = window * np.hanning(len(window))
    size = 1 << (2 * len(shaped) - 1).bit_length()
    spectrum = np.fft.rfft(shaped, size)
    correlation = np.fft.irfft(spectrum * np.conj(spectrum), size)[: order + 1]
    correlation[0] = correlation[0] * (1 + WHITE_FLOOR) + 1e-18
    return np.concatenate([[1.0], -solve_toeplitz(correlation[:-1], correlation[1:])])
