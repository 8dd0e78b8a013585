"""Is there a click at the seam? A sample that the speech around it does not foretell, in units of the local robust spread."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from xttsbench.metrics.regions import BATCH, Floats, Ints, Regions, active_rms, fft_size, regions

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
    edges, which = np.unique(np.stack([r.start, r.end]), return_inverse=True)
    found = _stands_out(r, edges, window_s, reach_s, floor)[which.reshape(2, -1)]
    return np.asarray(np.fmax(found[0], found[1]))


def _stands_out(r: Regions, at: Ints, window_s: float, reach_s: float, floor: float) -> Floats:
    """Return how far each of some samples stands out of its surroundings, shape (samples,)."""
    out = np.full(len(at), np.nan)
    order = r.samples(ORDER_S)
    most, least = round(window_s * r.sample_rate) + order, round(0.01 * r.sample_rate) + order
    room = np.stack([np.minimum(at, most), np.minimum(len(r.audio) - at, most)], axis=1)
    for before, after in np.unique(room, axis=0):
        alike = np.flatnonzero((room == (before, after)).all(axis=1))
        if min(before, after) < least or np.isnan(floor):
            continue
        for some in np.split(alike, range(BATCH, len(alike), BATCH)):
            around = r.audio[at[some, None] + np.arange(-before, after)]
            out[some] = _worst(around, int(before), order, round(reach_s * r.sample_rate), floor, r.sample_rate)
    return out


def _worst(around: Floats, centre: int, order: int, reach: int, floor: float, sample_rate: int) -> Floats:
    n, guard = around.shape[1], round(GUARD_S * sample_rate)
    size = fft_size(n + order)
    around = around - around.mean(axis=1, keepdims=True)
    impulse = linear_prediction(around, order=order)
    step = np.cumsum(impulse, axis=1) * np.exp(-np.arange(order + 1) / (STEP_DECAY_S * sample_rate))
    residual = np.fft.rfft(around, size) * np.fft.rfft(impulse, size)
    worst = np.zeros(len(around))
    for shape in (impulse, step):
        # Correlation with the shape that whitening gives to an impulse (or a step) at each sample that has all of it.
        matched = np.abs(np.fft.irfft(residual * np.conj(np.fft.rfft(shape, size)), size))
        matched /= np.sqrt(np.sum(shape**2, axis=1, keepdims=True))
        near = matched[:, centre - reach : centre + reach + 1]
        rest = np.concatenate([matched[:, order : centre - guard], matched[:, centre + guard + 1 : n - order]], axis=1)
        worst = np.maximum(worst, near.max(axis=1) / np.maximum(1.4826 * np.median(rest, axis=1), floor))
    return worst


def linear_prediction(windows: Floats, *, order: int) -> Floats:
    """Return the coefficients of each window's whitening filter (first one 1), by the autocorrelation method with a Hann window.

    Of windows of shape (windows, n), by the recursion of Levinson and Durbin, shape (windows, order + 1).
    """
    size = fft_size(windows.shape[1] + order)
    spectrum = np.fft.rfft(windows * np.hanning(windows.shape[1]), size)
    correlation = np.fft.irfft(spectrum * np.conj(spectrum), size)[:, : order + 1]
    error = correlation[:, 0] * (1 + WHITE_FLOOR) + 1e-18
    out = np.zeros((len(windows), order + 1))
    out[:, 0] = 1.0
    for k in range(1, order + 1):
        reflection = -np.einsum("ij,ij->i", out[:, :k], correlation[:, k:0:-1]) / error
        out[:, 1 : k + 1] += reflection[:, None] * out[:, k - 1 :: -1][:, :k]
        error = error * (1 - reflection**2)
    return out
