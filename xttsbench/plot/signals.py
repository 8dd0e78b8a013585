"""What one utterance looks like: waveform, spectrogram and F0, with its seams and controls marked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from xttsbench.plot.style import CONTROL, INK, SEAM

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Signal = np.ndarray[Any, np.dtype[np.floating[Any]]]


def waveform(
    ax: Axes,
    audio: Signal,
    *,
    sample_rate: int,
    seams: Sequence[int] = (),
    controls: Sequence[int] = (),
    start_s: float = 0.0,
) -> Axes:
    """Draw the samples over time (s, the first at `start_s`), seams as solid and controls as dotted lines."""
    ax.plot(start_s + np.arange(len(audio)) / sample_rate, audio, lw=0.4, marker="", color=INK, rasterized=True)
    ax.set_ylabel("amplitude")
    return _marked(ax, sample_rate=sample_rate, seams=seams, controls=controls, start_s=start_s)


def spectrogram(
    ax: Axes,
    audio: Signal,
    *,
    sample_rate: int,
    seams: Sequence[int] = (),
    controls: Sequence[int] = (),
    start_s: float = 0.0,
) -> Axes:
    """Draw the spectrogram, 0 to 8 kHz, 80 dB deep, with seams and controls."""
    from scipy.signal import ShortTimeFFT
    from scipy.signal.windows import hann

    hop = sample_rate // 200
    transform = ShortTimeFFT(hann(hop * 5), hop, sample_rate, mfft=1024)
    power = 10 * np.log10(np.abs(transform.stft(np.asarray(audio, dtype=float))) ** 2 + 1e-12)
    left, right, low, high = transform.extent(len(audio))
    ax.imshow(
        power,
        origin="lower",
        aspect="auto",
        cmap="Greys",
        extent=(left + start_s, right + start_s, low, high),
        vmin=power.max() - 80,
        vmax=power.max(),
        interpolation="bilinear",
    )
    ax.grid(visible=False)
    ax.set_ylim(0, 8000)
    ax.set_ylabel("frequency (Hz)")
    return _marked(ax, sample_rate=sample_rate, seams=seams, controls=controls, start_s=start_s)


def pitch(
    ax: Axes,
    audio: Signal,
    *,
    sample_rate: int,
    seams: Sequence[int] = (),
    controls: Sequence[int] = (),
    start_s: float = 0.0,
) -> Axes:
    """Draw F0 (Hz, log scale) where the voice has one, with seams and controls. Tracker: librosa's pYIN."""
    import librosa

    f0, _, likely = librosa.pyin(
        np.asarray(audio, dtype=np.float32), fmin=60, fmax=500, sr=sample_rate, frame_length=1024, hop_length=240
    )
    f0 = np.where(likely > 0.5, f0, np.nan)
    ax.plot(start_s + np.arange(len(f0)) * 240 / sample_rate, f0, ".", ms=2, color=INK)
    ax.set_yscale("log")
    ax.set_ylim(60, 500)
    ax.set_yticks([75, 150, 300], ["75", "150", "300"])
    ax.minorticks_off()
    ax.set_ylabel("F0 (Hz)")
    return _marked(ax, sample_rate=sample_rate, seams=seams, controls=controls, start_s=start_s)


def _marked(ax: Axes, *, sample_rate: int, seams: Sequence[int], controls: Sequence[int], start_s: float) -> Axes:
    for place in controls:
        ax.axvline(start_s + place / sample_rate, color=CONTROL, lw=0.7, ls=":", alpha=0.7)
    for place in seams:
        ax.axvline(start_s + place / sample_rate, color=SEAM, lw=1.0)
    ax.set_xlabel("time (s)")
    return ax
