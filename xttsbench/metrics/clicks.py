"""Is there a click at the seam? A sample that the speech around it does not foretell, in units of the local robust spread."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from xttsbench.metrics.regions import BATCH, Floats, Ints, Regions, active_rms, fft_size, regions

WINDOW_S = 0.1
REACH_S = 0.0005
# An impulse is best seen against the sound of the moment; a step needs finer resolution of low frequencies, so a longer look.
IMPULSE_WINDOW, IMPULSE_ORDER_S = 0.2, 0.0075
STEP_ORDER_S, STEP_DECAY_S = 0.015, 0.005
GUARD_S = 0.001
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

    A listener notices a tick, the louder the higher the value; ordinary speech exceeds 3 to 5 at one in a hundred random
    places. The local spectrum (linear prediction) whitens the signal, and a filter matched to an impulse and one matched
    to a step gather what whitening has spread out, each with a view of the speech of its own. The largest value within
    `reach_s` of an edge of the region is divided by the median absolute value around it.

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
        Speech to each side that tells what is ordinary for a step, seconds; for an impulse it is a fifth of that.
    reach_s
        How far from an edge a click still belongs to the seam, seconds.

    Returns
    -------
    numpy.ndarray
        Robust standard deviations, shape (seams,); NaN where the audio ends within 18 ms of the seam or is silent.

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
    >>> bool(value[0] < 5), bool(value[1] > 10)
    (True, True)
    """
    r = regions(audio, seams, sample_rate=sample_rate, overlap_samples=overlap_samples)
    floor = active_rms(r.audio, sample_rate=sample_rate) * QUIET
    edges, which = np.unique(np.stack([r.start, r.end]), return_inverse=True)
    near = {"reach_s": reach_s, "floor": floor}
    impulse = stands_out(r, edges, window_s=IMPULSE_WINDOW * window_s, order_s=IMPULSE_ORDER_S, **near)
    step = stands_out(r, edges, window_s=window_s, order_s=STEP_ORDER_S, decay_s=STEP_DECAY_S, **near)
    found = np.fmax(impulse, step)[which.reshape(2, -1)]
    return np.asarray(np.fmax(found[0], found[1]))


def stands_out(
    r: Regions,
    at: Ints,
    *,
    window_s: float,
    order_s: float,
    floor: float,
    decay_s: float = 0.0,
    reach_s: float = REACH_S,
) -> Floats:
    """Return how far some samples stand out of their surroundings as an impulse, or as a step if a decay is given."""
    out = np.full(len(at), np.nan)
    order, reach, guard = r.samples(order_s), round(reach_s * r.sample_rate), r.samples(GUARD_S)
    fall = np.exp(-np.arange(order + 1) / (decay_s * r.sample_rate)) if decay_s else None
    most, least = r.samples(window_s) + order, r.samples(0.01) + order
    room = np.stack([np.minimum(at, most), np.minimum(len(r.audio) - at, most)], axis=1)
    for before, after in np.unique(room, axis=0):
        if min(before, after) < least or np.isnan(floor):
            continue
        alike = np.flatnonzero((room == (before, after)).all(axis=1))
        for some in np.split(alike, range(BATCH, len(alike), BATCH)):
            around = r.audio[at[some, None] + np.arange(-before, after)]
            matched = _matched(around - around.mean(axis=1, keepdims=True), order, fall)
            near = matched[:, before - reach : before + reach + 1].max(axis=1)
            rest = np.delete(
                matched[:, order:-order], np.s_[before - order - guard : before - order + guard + 1], axis=1
            )
            out[some] = near / np.maximum(1.4826 * np.median(rest, axis=1), floor)
    return out


def _matched(around: Floats, order: int, fall: Floats | None) -> Floats:
    """Correlate whitened sound with what whitening makes of an impulse or a step at each sample; the first and last `order` are not valid."""
    n = around.shape[1]
    size = fft_size(n + order)
    predictor = linear_prediction(around, order=order)
    shape = predictor if fall is None else np.cumsum(predictor, axis=1) * fall
    whitened = np.fft.rfft(around, size) * np.fft.rfft(predictor, size)
    matched = np.fft.irfft(whitened * np.conj(np.fft.rfft(shape, size)), size)[:, :n]
    return np.asarray(np.abs(matched) / np.sqrt(np.sum(shape**2, axis=1, keepdims=True)))


def linear_prediction(windows: Floats, *, order: int) -> Floats:
    """Return the coefficients of each window's whitening filter (first one 1), by the autocorrelation method with a Hann window.

    Of windows of shape (windows, n), shape (windows, order + 1).
    """
    from scipy.linalg import solve_toeplitz

    n = windows.shape[1]
    size = fft_size(n + order)
    spectrum = np.fft.rfft(windows * np.hanning(n), size)
    correlation = np.fft.irfft(spectrum * np.conj(spectrum), size)[:, : order + 1]
    correlation[:, 0] = correlation[:, 0] * (1 + WHITE_FLOOR) + 1e-18
    solved = np.array([solve_toeplitz(row[:-1], row[1:]) for row in correlation])
    return np.concatenate([np.ones((len(windows), 1)), -solved], axis=1)
