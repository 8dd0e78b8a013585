"""How is audio cut, levelled and written so that a listener hears the difference asked about, and nothing else?"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import soundfile as sf
from numpy.typing import ArrayLike

from xttsbench.metrics.regions import active_rms, check_audio

Signal = np.ndarray[Any, np.dtype[np.float32]]

FADE_S = 0.005
LEVEL_DB = -26.0  # of speech re full scale, as ITU-T P.56 and P.800 practice has it
PEAK = 0.98
ANCHOR_HZ = 3500.0  # ITU-R BS.1534-3, low-range anchor


def cut(audio: ArrayLike, *, sample_rate: int, from_s: float, to_s: float, fade_s: float = FADE_S) -> Signal:
    """Return the audio between two times (s), faded at both ends so that cutting makes no click of its own.

    What lies beyond the audio is left out. A clip shorter than two fades is faded over half its length.

    Raises
    ------
    ValueError
        If `from_s` is not before `to_s`, or nothing of the audio lies between them.

    Examples
    --------
    >>> len(cut(np.ones(24000), sample_rate=24000, from_s=0.4, to_s=0.6))
    4800
    """
    if not from_s < to_s:
        raise ValueError(f"from_s is {from_s} and to_s {to_s}; expected a start before an end, in seconds.")
    x = check_audio(audio, sample_rate=sample_rate)
    low, high = max(0, round(from_s * sample_rate)), min(len(x), round(to_s * sample_rate))
    if low >= high:
        raise ValueError(
            f"nothing lies between {from_s} and {to_s} s of {len(x) / sample_rate:.3f} s of audio; are these seconds, not samples?"
        )
    clip = x[low:high].astype(np.float32)
    fade = min(round(fade_s * sample_rate), len(clip) // 2)
    if fade:
        ramp = np.sin(np.linspace(0, np.pi / 2, fade, endpoint=False, dtype=np.float32)) ** 2
        clip[:fade] *= ramp
        clip[len(clip) - fade :] *= ramp[::-1]
    return clip


def levelled(clips: Sequence[Signal], *, sample_rate: int, level_db: float = LEVEL_DB) -> list[Signal]:
    """Return clips of one loudness: the same RMS over their active speech (`active_rms`), and the same length.

    Where that would clip a peak in any of them all are lowered together; a silent clip is left as it is. Shorter ones are
    filled up with silence, so that length tells nothing.

    Examples
    --------
    >>> hum = np.sin(np.arange(24000) * 0.05).astype(np.float32)
    >>> loud, quiet = levelled([hum, 0.01 * hum], sample_rate=24000)
    >>> bool(np.allclose(loud, quiet, atol=1e-6))
    True
    """
    wanted = 10 ** (level_db / 20)
    out = []
    for clip in clips:
        own = active_rms(clip.astype(np.float64), sample_rate=sample_rate)
        out.append(clip * np.float32(wanted / own) if np.isfinite(own) else clip)
    peak = max((float(np.abs(c).max(initial=0.0)) for c in out), default=0.0)
    longest = max((len(c) for c in out), default=0)
    down = np.float32(min(1.0, PEAK / peak) if peak else 1.0)
    return [np.pad(c * down, (0, longest - len(c))) for c in out]


def anchor(audio: ArrayLike, *, sample_rate: int, cutoff_hz: float = ANCHOR_HZ) -> Signal:
    """Return the audio without what lies above 3.5 kHz: the low anchor of a MUSHRA test, bad on purpose.

    Flat to the cut-off and 60 dB down 500 Hz above it, which is within the mask of ITU-R BS.1534-3; no delay.

    Examples
    --------
    >>> high = np.sin(2 * np.pi * 4500 * np.arange(24000) / 24000)
    >>> bool(np.abs(anchor(high, sample_rate=24000)[1000:-1000]).max() < 0.001)
    True
    """
    from scipy.signal import fftconvolve, firwin, kaiserord

    x = check_audio(audio, sample_rate=sample_rate)
    taps, beta = kaiserord(60.0, 500.0 / (sample_rate / 2))
    filter_ = firwin(taps | 1, cutoff_hz + 250.0, window=("kaiser", beta), fs=sample_rate)
    return np.asarray(fftconvolve(x, filter_, mode="same")[: len(x)], dtype=np.float32)


def wav(audio: ArrayLike, *, sample_rate: int, slower: int = 1, dither: int | None = None) -> bytes:
    """Return the audio as a 16-bit WAV file in memory.

    `slower` 2 or 4 has the same samples played at a half or a quarter of their rate: an octave or two lower, but a click stays
    the click that it was, which a time stretch by phase vocoder would smear. `dither` is a seed: noise of one bit makes two
    files of one sound differ byte by byte, and cannot be heard.

    Raises
    ------
    ValueError
        If `slower` is below 1.

    Examples
    --------
    >>> sf.info(io.BytesIO(wav(np.zeros(2400), sample_rate=24000, slower=2))).duration
    0.2
    """
    if slower < 1:
        raise ValueError(f"slower is {slower}; expected 1 (as it is), 2 or 4.")
    x = np.clip(check_audio(audio, sample_rate=sample_rate), -1, 1) * 32767
    if dither is not None:
        rng = np.random.default_rng(dither)
        x = x + rng.uniform(-0.5, 0.5, len(x)) + rng.uniform(-0.5, 0.5, len(x))
    buffer = io.BytesIO()
    samples = np.clip(np.round(x), -32768, 32767).astype(np.int16)
    sf.write(buffer, samples, sample_rate // slower, format="WAV", subtype="PCM_16")
    return buffer.getvalue()
