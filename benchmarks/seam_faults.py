"""Faults of known size, put into a recording of real speech at a known sample; sizes in dB are relative to the speech's RMS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xttsbench.metrics.regions import active_rms, moving_power, periodicity

Floats = NDArray[np.float64]
EXCERPT_S = 2.0
SHIPPED = ("two_cities", "beckett", "endgame_nagg_nell", "clone-test")


@dataclass(frozen=True)
class Recording:
    """Speech at the rate at which its band is full, so that an empty upper band makes nothing easy."""

    name: str
    audio: Floats
    sample_rate: int
    rms: float


@dataclass(frozen=True)
class Spot:
    """A faulty excerpt: what to measure, and where."""

    audio: Floats
    seam: int
    overlap_samples: int = 0


def load(path: Path, *, sample_rate: int = 0, name: str = "") -> Recording:
    """Read one file, mono; resample only if asked (0 keeps its rate) or if it is above 24 kHz."""
    import soundfile

    audio, rate = soundfile.read(path, dtype="float64", always_2d=True)
    return recording(name or path.stem, audio[:, 0], int(rate), sample_rate or min(int(rate), 24000))


def recording(name: str, audio: Floats, rate: int, wanted: int) -> Recording:
    """Return samples at a wanted rate, with the RMS of their speech."""
    from math import gcd

    from scipy.signal import resample_poly

    if wanted != rate:
        common = gcd(rate, wanted)
        audio = resample_poly(audio, wanted // common, rate // common)
    return Recording(name, audio, wanted, active_rms(audio, sample_rate=wanted))


def shipped(*, native: bool = True) -> dict[str, list[Recording]]:
    """Return the development and the held-out part of the recordings in the wheel `moonshine-voice`.

    Development: the first half of two_cities and clone-test. Held out: the second half of two_cities, and two
    recordings whose speakers development never heard. two_cities and clone-test have nothing above 8 kHz, so at their
    native band they are taken at 16 kHz; with `native` False all are at the 24 kHz of XTTS.
    """
    import importlib.util

    spec = importlib.util.find_spec("moonshine_voice")
    if spec is None or spec.origin is None:
        raise SystemExit("the recordings come from a wheel: pip install --no-deps moonshine-voice (development only).")
    folder = Path(spec.origin).parent / "assets"
    rates = {"two_cities": 16000, "clone-test": 16000, "beckett": 16000, "endgame_nagg_nell": 24000}
    all_of = {n: load(folder / f"{n}.wav", sample_rate=rates[n] if native else 24000) for n in SHIPPED}
    first, second = halves(all_of["two_cities"])
    return {
        "development": [first, all_of["clone-test"]],
        "held-out": [second, all_of["beckett"], all_of["endgame_nagg_nell"]],
    }


def halves(whole: Recording) -> tuple[Recording, Recording]:
    """Cut a recording in its middle."""
    middle = len(whole.audio) // 2
    first, second = (
        Recording(
            f"{whole.name} ({which} half)", part, whole.sample_rate, active_rms(part, sample_rate=whole.sample_rate)
        )
        for which, part in (("first", whole.audio[:middle]), ("second", whole.audio[middle:]))
    )
    return first, second


def places(where: str, source: Recording, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw n places: 'anywhere', 'sounding', 'phrase' or 'steady'.

    Anywhere: pauses included. Sounding: anywhere but in silence 50 dB under the speech, where a change of level is no fault.
    Phrase: speech for 80 ms to both sides. Steady: a sustained vowel; 25 ms windows from -50 to +50 ms are all voiced,
    their pitch stays within 150 cents and their level within 9 dB.
    """
    rate = source.sample_rate
    margin = round(0.6 * rate)
    grid = np.arange(margin, len(source.audio) - margin, round(0.001 * rate))
    if where != "anywhere":
        level = 10 * np.log10(moving_power(source.audio, round(0.02 * rate)) / source.rms**2 + 1e-9)
        reach = round((0.01 if where == "sounding" else 0.08) * rate) // 4
        near = np.stack([level[grid + k * reach] for k in range(-4, 5)])
        grid = grid[near.min(axis=0) > (-50 if where == "sounding" else -15)]
    if where != "steady":
        return rng.choice(grid, size=n, replace=len(grid) < n).astype(np.int64)
    kept: list[int] = []
    for p in rng.permutation(grid):
        if len(kept) == n:
            break
        if _steady(source, int(p)):
            kept.append(int(p))
    return np.array(kept, dtype=np.int64)


def _steady(source: Recording, at: int) -> bool:
    rate = source.sample_rate
    width, cents, level = round(0.025 * rate), [], []
    for offset_s in (-0.05, -0.0375, -0.025, -0.0125, 0.0, 0.0125, 0.025):
        window = source.audio[at + round(offset_s * rate) :][:width]
        strength, period = periodicity(window, sample_rate=rate)
        if strength < 0.7:
            return False
        cents.append(1200 * np.log2(period))
        level.append(10 * np.log10(np.mean(window**2)))
    return bool(np.ptp(cents) < 150 and np.ptp(level) < 9)


def spot(source: Recording, at: int, fault: str, size: float, rng: np.random.Generator, *, clean: bool = False) -> Spot:
    """Return an excerpt of 2 s to each side with one fault at `at`; if `clean` without it, but with the same region."""
    reach = round(EXCERPT_S * source.sample_rate)
    low = max(0, at - reach)
    longer = 2 if fault == "rate" else 1
    left, right = source.audio[low:at], source.audio[at : at + longer * reach]
    if clean:
        overlap = round(size * source.sample_rate / 1000) if fault.startswith("crossfade") else 0
        return Spot(np.concatenate([left, right]), len(left) - overlap, overlap)
    return FAULTS[fault](source, left, right, size, rng)


def _click(source: Recording, left: Floats, right: Floats, size: float, rng: np.random.Generator) -> Spot:
    right = right.copy()
    right[0] += source.rms * 10 ** (size / 20) * rng.choice([-1, 1])
    return Spot(np.concatenate([left, right]), len(left))


def _step(source: Recording, left: Floats, right: Floats, size: float, rng: np.random.Generator) -> Spot:
    decay = np.exp(-np.arange(len(right)) / (0.02 * source.sample_rate))
    jump = source.rms * 10 ** (size / 20) * rng.choice([-1, 1])
    return Spot(np.concatenate([left, right + jump * decay]), len(left))


def _level(source: Recording, left: Floats, right: Floats, size: float, rng: np.random.Generator) -> Spot:
    """Change the gain within 2 ms: at once would be a click as well."""
    ramp = np.minimum(np.arange(len(right)) / (0.002 * source.sample_rate), 1.0)
    return Spot(np.concatenate([left, right * 10 ** (ramp * size * rng.choice([-1, 1]) / 20)]), len(left))


def _pitch(source: Recording, left: Floats, right: Floats, size: float, rng: np.random.Generator) -> Spot:
    """Play the rest faster or slower, as a tape would: the formants move along, and nothing clicks."""
    from scipy.interpolate import CubicSpline

    ratio = 2 ** (size * rng.choice([-1, 1]) / 1200)
    time = np.arange(0, len(right) - 1, ratio)
    return Spot(np.concatenate([left, CubicSpline(np.arange(len(right)), right)(time)]), len(left))


def _pause(source: Recording, left: Floats, right: Floats, size: float, rng: np.random.Generator) -> Spot:
    """Half of the time digital silence, half of the time the room of the recording itself; size in ms."""
    n = round(size * source.sample_rate / 1000)
    hole = np.zeros(n)
    if rng.random() < 0.5:
        width = round(0.1 * source.sample_rate)
        power = moving_power(source.audio, width)[width:-width]
        quiet = source.audio[width + int(np.argmin(power)) - width // 2 :][:width]
        hole = np.tile(np.concatenate([quiet, quiet[::-1]]), n // (2 * width) + 1)[:n]
    return Spot(np.concatenate([left, hole, right]), len(left))


def _lost(source: Recording, left: Floats, right: Floats, size: float, rng: np.random.Generator) -> Spot:
    return Spot(np.concatenate([left, right[round(size * source.sample_rate / 1000) :]]), len(left))


def _repeated(source: Recording, left: Floats, right: Floats, size: float, rng: np.random.Generator) -> Spot:
    n = round(size * source.sample_rate / 1000)
    return Spot(np.concatenate([left, left[len(left) - n :], right]), len(left))


def _rate(source: Recording, left: Floats, right: Floats, size: float, rng: np.random.Generator) -> Spot:
    """Speak the rest `size` times as fast (or as slow), pitch kept."""
    import librosa

    ratio = size if rng.random() < 0.5 else 1 / size
    stretched = librosa.effects.time_stretch(right, rate=ratio, n_fft=512)
    rise = np.minimum(np.arange(len(stretched)) / (0.02 * source.sample_rate), 1.0)
    right = np.pad(right, (0, max(0, len(stretched) - len(right))))[: len(stretched)]
    return Spot(np.concatenate([left, stretched * rise + right * (1 - rise)]), len(left))


def _unlike(source: Recording, left: Floats, right: Floats, size: float, rng: np.random.Generator) -> Spot:
    return _faded(source, left, size, rng, power=0.5)


def _unlike_linear(source: Recording, left: Floats, right: Floats, size: float, rng: np.random.Generator) -> Spot:
    return _faded(source, left, size, rng, power=1.0)


def _faded(source: Recording, left: Floats, size: float, rng: np.random.Generator, *, power: float) -> Spot:
    """Go over to another place of the recording within `size` ms; gains add to 1 (power 1) or their squares do (0.5)."""
    n = round(size * source.sample_rate / 1000)
    reach = round(EXCERPT_S * source.sample_rate)
    other = int(places("phrase", source, 1, rng)[0])
    onto = source.audio[other : other + reach]
    n = min(n, len(left), len(onto))
    rise = np.linspace(0, 1, n, endpoint=False)
    fade = left[len(left) - n :] * (1 - rise) ** power + onto[:n] * rise**power
    return Spot(np.concatenate([left[: len(left) - n], fade, onto[n:]]), len(left) - n, n)


FAULTS: dict[str, Callable[[Recording, Floats, Floats, float, np.random.Generator], Spot]] = {
    "click": _click,
    "step": _step,
    "level": _level,
    "pitch": _pitch,
    "pause": _pause,
    "lost": _lost,
    "repeated": _repeated,
    "rate": _rate,
    "crossfade, equal power": _unlike,
    "crossfade, linear": _unlike_linear,
}
