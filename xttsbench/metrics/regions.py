"""Where a metric looks: a seam is a region [start, end) of the put-together audio, and a metric compares what touches it.

A hard cut has an empty region. A cross-fade is as long as its overlap, because inside it both
neighbours sound at once; zeros put between sentences are a region too. Regions never depend on what
is heard, so a control point gets exactly the geometry of the seam it stands for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ACTIVE_RANGE_DB = 30.0
ACTIVE_WINDOW_S = 0.05
BATCH = 128


@dataclass(frozen=True)
class Regions:
    """Checked input of a seam metric.

    Attributes
    ----------
    audio
        Mono samples as float64, shape (n,).
    start, end
        First sample of each region and the first one after it; equal at a hard cut. Shape (seams,).
    sample_rate
        Hz.
    """

    audio: Floats
    start: Ints
    end: Ints
    sample_rate: int

    def samples(self, seconds: float) -> int:
        """Return a length in samples, at least one."""
        return max(1, round(seconds * self.sample_rate))

    def sides(self, seconds: float) -> tuple[Ints, Floats, Floats]:
        """Return which regions have so much audio to each side, and what lies before and after them, shape (those, samples)."""
        n = self.samples(seconds)
        kept = np.flatnonzero((self.start >= n) & (self.end + n <= len(self.audio)))
        span = np.arange(n)
        return kept, self.audio[self.start[kept, None] - n + span], self.audio[self.end[kept, None] + span]


def check_audio(audio: ArrayLike, *, sample_rate: int, name: str = "audio") -> Floats:
    """Return mono audio as float64; ValueError says what was wrong with it."""
    if isinstance(sample_rate, bool) or not isinstance(sample_rate, int | np.integer) or sample_rate < 4000:
        raise ValueError(f"sample_rate is {sample_rate!r}; expected a whole number of Hz from 4000 up (is it kHz?).")
    signal = np.asarray(audio)
    if signal.ndim != 1:
        raise ValueError(f"{name} has shape {signal.shape}; expected mono, shape (n,): take one channel first.")
    if not np.issubdtype(signal.dtype, np.floating):
        raise ValueError(f"{name} holds {signal.dtype}; expected floats in -1..1: divide 16-bit samples by 32768.")
    signal = signal.astype(np.float64)
    if not np.isfinite(signal).all():
        raise ValueError(f"{name} holds {int((~np.isfinite(signal)).sum())} samples that are NaN or infinite.")
    return signal


def regions(
    audio: ArrayLike, seams: ArrayLike, *, sample_rate: int, overlap_samples: ArrayLike = 0, edges: bool = False
) -> Regions:
    """Check audio, seam positions and overlaps, and return them as regions.

    Parameters
    ----------
    audio
        Mono floats, shape (n,).
    seams
        Index of the first sample of each later piece, shape (seams,).
    sample_rate
        Hz.
    overlap_samples
        Length of each region: the cross-fade, or the zeros between two pieces; one number or one a seam.
    edges
        Whether a region may touch the first or the last sample.

    Raises
    ------
    ValueError
        If a seam is not a whole number or lies outside the audio, or an overlap is negative.
    """
    signal = check_audio(audio, sample_rate=sample_rate)
    at = np.asarray(seams)
    if at.ndim != 1:
        raise ValueError(f"seams has shape {at.shape}; expected a list of sample indices, shape (seams,).")
    if at.size and not np.issubdtype(at.dtype, np.integer):
        raise ValueError(f"seams holds {at.dtype}; expected whole sample indices: are these seconds, not samples?")
    start = at.astype(np.int64)
    length = np.asarray(overlap_samples)
    if not np.issubdtype(length.dtype, np.integer) or length.ndim > 1 or (length.ndim and len(length) != len(start)):
        raise ValueError(
            f"overlap_samples is {overlap_samples!r}; expected whole samples, one or one a seam ({len(start)})."
        )
    if (length < 0).any():
        raise ValueError(f"overlap_samples goes down to {int(length.min())}; expected 0 (a hard cut) or more.")
    low = 0 if edges else 1
    if len(start) and (start.min() < low or start.max() > len(signal) - low):
        raise ValueError(
            f"a seam lies at sample {int(start.min() if start.min() < low else start.max())}, outside the audio of "
            f"{len(signal)} samples; expected {low}..{len(signal) - low} (was the audio resampled after the seams were found?)."
        )
    end = np.minimum(start + length, len(signal))
    return Regions(audio=signal, start=start, end=end.astype(np.int64), sample_rate=int(sample_rate))


def moving_power(audio: Floats, width: int) -> Floats:
    """Return the mean square of `width` samples around each sample, zeros beyond the edges."""
    total = np.concatenate([[0.0], np.cumsum(audio * audio)])
    total = np.pad(total, (width // 2, width - width // 2), mode="edge")
    return np.asarray(np.maximum(total[width:-1] - total[: -width - 1], 0.0) / width)


def active_rms(audio: Floats, *, sample_rate: int) -> float:
    """Return the RMS of the speech alone, so that leading or inner silence does not change it; NaN if all is silent.

    A sample counts as speech where the 50 ms around it are within 30 dB of the loudest 50 ms. This is the
    idea of ITU-T P.56 (active speech level) without its hangover.

    Examples
    --------
    >>> tone = np.sin(np.arange(8000) * 0.3)
    >>> padded = np.concatenate([np.zeros(8000), tone])
    >>> bool(abs(active_rms(padded, sample_rate=8000) / np.sqrt(0.5) - 1) < 0.02)
    True
    """
    if not len(audio):
        return float("nan")
    power = moving_power(audio, max(1, round(ACTIVE_WINDOW_S * sample_rate)))
    peak = float(power.max())
    if peak <= 1e-18:
        return float("nan")
    active = power > peak * 10 ** (-ACTIVE_RANGE_DB / 10)
    return float(np.sqrt(np.mean(audio[active] ** 2)))


def periodicity(
    window: Floats, *, sample_rate: int, f0_min_hz: float = 60.0, f0_max_hz: float = 500.0
) -> tuple[float, float]:
    """Return how periodic a window is (0..1) and its period in samples (NaN if no peak is found).

    Of the peaks of `period_peaks` the shortest lag within 10 % of the best is taken: twice a period is a period too.

    Examples
    --------
    >>> tone = np.sin(2 * np.pi * 200 * np.arange(960) / 24000)
    >>> strength, period = periodicity(tone, sample_rate=24000)
    >>> round(strength, 2), round(24000 / period)
    (1.0, 200)
    """
    strength, period = periodicities(window[None], sample_rate=sample_rate, f0_min_hz=f0_min_hz, f0_max_hz=f0_max_hz)
    return float(strength[0]), float(period[0])


def periodicities(
    windows: Floats, *, sample_rate: int, f0_min_hz: float = 60.0, f0_max_hz: float = 500.0
) -> tuple[Floats, Floats]:
    """Return `periodicity` of many windows at once: strengths and periods, shape (windows,), of windows of shape (windows, n)."""
    out = np.zeros((2, len(windows)))
    for i in range(0, len(windows), BATCH):
        strength, period = period_peaks(
            windows[i : i + BATCH], sample_rate=sample_rate, f0_min_hz=f0_min_hz, f0_max_hz=f0_max_hz
        )
        best = np.nan_to_num(strength).max(axis=1, initial=0.0)
        first = np.argmax(strength >= 0.9 * best[:, None], axis=1)
        lag = np.take_along_axis(period, first[:, None], axis=1)[:, 0]
        out[:, i : i + BATCH] = np.minimum(best, 1.0), np.where(best > 0, lag, np.nan)
    return out[0], out[1]


def period_peaks(
    windows: Floats, *, sample_rate: int, f0_min_hz: float = 60.0, f0_max_hz: float = 500.0
) -> tuple[Floats, Floats]:
    """Return the peaks of the normalised autocorrelation of windows of shape (windows, n): their strengths, and their lags.

    Lags are in samples, rising, shape (windows, lags), as are the strengths; both are NaN where a lag is no peak. Each lag is
    scaled by the energy of the samples it compares; a parabola refines it.
    """
    m, n = windows.shape
    low, high = int(sample_rate / f0_max_hz), min(int(sample_rate / f0_min_hz) + 1, int(0.7 * n))
    if high - low < 3:
        return np.full((m, 1), np.nan), np.full((m, 1), np.nan)
    x = windows - windows.mean(axis=1, keepdims=True)
    energy = np.cumsum(x * x, axis=1)
    whole = energy[:, -1:]
    size = fft_size(n + high)
    spectrum = np.fft.rfft(x, size)
    correlation = np.fft.irfft(spectrum * np.conj(spectrum), size)[:, low:high]
    scale = np.sqrt(energy[:, n - high : n - low][:, ::-1] * (whole - energy[:, low - 1 : high - 1]))
    value = correlation / np.maximum(scale, np.maximum(1e-12 * whole, 1e-30))
    left, inner, right = value[:, :-2], value[:, 1:-1], value[:, 2:]
    peak = (inner > left) & (inner >= right) & (whole > 1e-18 * n)
    bend = left - 2 * inner + right
    lag = np.arange(low + 1, high - 1) + 0.5 * (left - right) / np.where(bend < 0, bend, -np.inf)
    return np.where(peak, inner, np.nan), np.where(peak, lag, np.nan)


def fft_size(least: int) -> int:
    """Return a length from `least` up at which a transform is fast."""
    from scipy.fft import next_fast_len

    return int(next_fast_len(least, real=True))
