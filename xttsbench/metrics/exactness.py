"""Is streamed audio what one whole decode would have been? SNR and spectral distance by distance from the seam, and lost samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from xttsbench.metrics.regions import Floats, Ints, check_audio, regions

DISTANCES_S = (-0.15, -0.1, -0.05, -0.025, 0.0, 0.025, 0.05, 0.1, 0.15)
MAX_SHIFT_S = 0.2
PROBE_S = 0.02
BEST_SNR_DB = 140.0
CLEARLY = 0.25


@dataclass(frozen=True)
class Exactness:
    """Streamed audio against one whole decode of the same latents.

    Attributes
    ----------
    snr_db
        Over everything that both have, once lost and repeated samples are allowed for; at most 140 dB (float32).
    lsd_db
        Log-spectral distance, mean over frames.
    lost_samples, repeated_samples
        Sums over the seams, plus what the end lacks or has too much.
    edges_s
        Bounds of the distance classes, seconds from the start of the seam's region (negative is before), shape (classes + 1,).
    seam_snr_db, seam_lsd_db
        By seam and distance class, shape (seams, classes); NaN where a class has no samples of its own (nearer to
        another seam, or beyond the end) or the reference is silent.
    lag_samples
        Index in the whole decode minus index in the streamed audio, for each piece, shape (seams + 1,); NaN where a piece
        is silent, too short, or found nowhere.
    jump_samples
        Change of lag at each seam: positive were lost, negative repeated, shape (seams,).
    """

    snr_db: float
    lsd_db: float
    lost_samples: int
    repeated_samples: int
    edges_s: Floats
    seam_snr_db: Floats
    seam_lsd_db: Floats
    lag_samples: Floats
    jump_samples: Floats


def exactness(
    streamed: ArrayLike,
    whole: ArrayLike,
    seams: ArrayLike,
    *,
    sample_rate: int,
    overlap_samples: ArrayLike = 0,
    edges_s: tuple[float, ...] = DISTANCES_S,
    max_shift_s: float = MAX_SHIFT_S,
) -> Exactness:
    """Compare streamed audio with one whole decode of the same latents, sample by sample around each seam.

    A listener notices nothing above about 60 dB, a slight roughness at 30 dB, and a blurred or doubled sound below 15 dB;
    lost or repeated samples are heard as a stumble from about 10 ms.

    Parameters
    ----------
    streamed
        The put-together audio of the stream, mono floats, shape (n,).
    whole
        One decode of the same latents, mono floats, shape (m,).
    seams
        Sample index of each seam in `streamed`, shape (seams,).
    sample_rate
        Hz, of both.
    overlap_samples
        Length of each seam's cross-fade.
    edges_s
        Bounds of the distance classes, rising, seconds.
    max_shift_s
        How many samples may be lost or repeated at one seam, seconds.

    Returns
    -------
    Exactness
        Values of the whole, by piece, and by seam and distance.

    Raises
    ------
    ValueError
        If an input is not what `regions` expects, is empty, or `edges_s` does not rise.

    Notes
    -----
    Log-spectral distance: Gray and Markel, "Distance measures for speech processing", IEEE ASSP 24(5), 1976; here over
    frames of 512 samples at 24 kHz with a floor 80 dB under the whole.

    Examples
    --------
    >>> whole = np.random.default_rng(0).normal(0, 0.1, 24000)
    >>> streamed = np.delete(whole, range(12000, 12100))
    >>> found = exactness(streamed, whole, np.array([6000, 12000]), sample_rate=24000)
    >>> found.lost_samples, found.repeated_samples, found.jump_samples.tolist()
    (100, 0, [0.0, 100.0])
    """
    r = regions(streamed, seams, sample_rate=sample_rate, overlap_samples=overlap_samples, edges=True)
    reference = check_audio(whole, sample_rate=sample_rate, name="whole")
    edges = np.asarray(edges_s, dtype=np.float64)
    if len(edges) < 2 or (np.diff(edges) <= 0).any():
        raise ValueError(f"edges_s is {edges_s}; expected at least two rising bounds in seconds, e.g. (-0.1, 0, 0.1).")
    if not len(r.audio) or not len(reference):
        raise ValueError(
            f"streamed has {len(r.audio)} samples and whole {len(reference)}; both need some to be compared."
        )
    bounds = np.concatenate([[0], r.start, [len(r.audio)]])
    first = np.concatenate([[0], r.end])
    lag = _lags(
        r.audio, reference, np.column_stack([first, bounds[1:]]), sample_rate=sample_rate, max_shift_s=max_shift_s
    )
    known = _filled(lag)
    jump = np.diff(known)
    tail = len(reference) - len(r.audio) - int(known[-1])
    steps = np.concatenate([[known[0]], jump, [tail]])
    aligned = _aligned(reference, bounds, known, len(r.audio))
    error = r.audio - aligned
    valid = np.isfinite(error)
    spectral, centres = _log_spectral_distance(r.audio, np.where(valid, aligned, 0.0), sample_rate=sample_rate)
    whole_frames = valid[np.minimum(centres, len(valid) - 1)] if len(centres) else np.zeros(0, dtype=bool)
    nearest, distance = _nearest(r.start, len(r.audio))
    kind = np.digitize(distance / sample_rate, edges) - 1
    snr = np.full((len(r.start), len(edges) - 1), np.nan)
    lsd = np.full_like(snr, np.nan)
    for s in range(len(r.start)):
        mine = (nearest == s) & valid
        for k in range(len(edges) - 1):
            here = mine & (kind == k)
            snr[s, k] = _snr_db(aligned[here], error[here])
            frames = here[centres] if len(centres) else whole_frames
            lsd[s, k] = float(spectral[frames].mean()) if frames.any() else np.nan
    return Exactness(
        snr_db=_snr_db(aligned[valid], error[valid]),
        lsd_db=float(spectral[whole_frames].mean()) if whole_frames.any() else float("nan"),
        lost_samples=int(steps[steps > 0].sum()),
        repeated_samples=int(-steps[steps < 0].sum()),
        edges_s=edges,
        seam_snr_db=snr,
        seam_lsd_db=lsd,
        lag_samples=lag,
        jump_samples=np.where(np.isnan(lag[:-1]) | np.isnan(lag[1:]), np.nan, np.diff(lag)),
    )


def _lags(streamed: Floats, whole: Floats, pieces: Ints, *, sample_rate: int, max_shift_s: float) -> Floats:
    """Find each piece in the whole by normalised cross-correlation, near where the one before it was found."""
    from scipy.signal import fftconvolve

    shift, out, last = round(max_shift_s * sample_rate), np.full(len(pieces), np.nan), 0
    for i, (low, high) in enumerate(pieces):
        # The middle is least touched by what the decoder does near a seam.
        margin = (high - low) // 4
        probe = streamed[low + margin : high - margin]
        if len(probe) < PROBE_S * sample_rate / 4 or np.max(np.abs(probe), initial=0.0) < 1e-6:
            continue
        begin = max(0, low + margin + last - shift)
        field = whole[begin : low + margin + last + shift + len(probe)]
        if len(field) < len(probe):
            continue
        energy = np.concatenate([[0.0], np.cumsum(field * field)])
        local = np.sqrt(np.maximum(energy[len(probe) :] - energy[: -len(probe)], 1e-12 * energy[-1] + 1e-18))
        match = fftconvolve(field, probe[::-1], mode="valid") / (local * np.sqrt(probe @ probe))
        expected = low + margin + last - begin
        best = int(np.argmax(match))
        # A rough join also shifts the best match a little: only a far better one moves the piece.
        if 0 <= expected < len(match) and 1 - match[best] > CLEARLY * (1 - match[expected]) - 1e-9:
            best = int(expected)
        if match[best] > 0.5:
            last = begin + best - int(low + margin)
            out[i] = last
    return out


def _filled(lag: Floats) -> Ints:
    known, last = np.zeros(len(lag), dtype=np.int64), 0
    for i, value in enumerate(lag):
        last = last if np.isnan(value) else int(value)
        known[i] = last
    return known


def _aligned(whole: Floats, bounds: Ints, lag: Ints, n: int) -> Floats:
    index = np.arange(n) + np.repeat(lag, np.diff(bounds))
    inside = (index >= 0) & (index < len(whole))
    return np.where(inside, whole[np.clip(index, 0, len(whole) - 1)], np.nan)


def _nearest(start: Ints, n: int) -> tuple[Ints, Ints]:
    at = np.arange(n)
    if not len(start):
        return np.full(n, -1, dtype=np.int64), at
    nearest = np.searchsorted((start[:-1] + start[1:]) / 2, at, side="right").astype(np.int64)
    return nearest, (at - start[nearest]).astype(np.int64)


def _snr_db(reference: Floats, error: Floats) -> float:
    power = float(np.sum(reference**2))
    if not len(reference) or power <= 1e-18 * len(reference):
        return float("nan")
    return float(10 * np.log10(power / max(float(np.sum(error**2)), power * 10 ** (-BEST_SNR_DB / 10))))


def _log_spectral_distance(a: Floats, b: Floats, *, sample_rate: int) -> tuple[Floats, Ints]:
    size = 1 << (round(sample_rate * 0.0213) - 1).bit_length()
    if len(a) < size:
        return np.zeros(0), np.zeros(0, dtype=np.int64)
    at = np.arange(0, len(a) - size + 1, size // 4)
    window = np.hanning(size)
    floor = np.mean(b**2) * np.sum(window**2) * 1e-8 + 1e-18

    def log_power(x: Floats) -> Floats:
        frames = np.lib.stride_tricks.sliding_window_view(x, size)[at]
        return np.asarray(10 * np.log10(np.abs(np.fft.rfft(frames * window)) ** 2 + floor))

    distance = np.sqrt(np.mean((log_power(a) - log_power(b)) ** 2, axis=1))
    return np.asarray(distance), (at + size // 2).astype(np.int64)
