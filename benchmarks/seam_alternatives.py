"""What else could measure clicks, pitch and pauses at a seam? Other views, trackers and a speech detector on the same faults.

Needs swift-f0, pyworld, silero-vad.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly
from seam_faults import Recording, Spot, places, spot
from seam_trials import auc, magnitude

from xttsbench.metrics import clicks
from xttsbench.metrics.regions import active_rms, regions

Floats = NDArray[np.float64]
Track = Callable[[Floats, int], tuple[Floats, Floats]]
SIDE_S = 0.03
# Window and order of the impulse's view; window, order and decay of the step's. Milliseconds.
CLICK_VIEWS: dict[str, tuple[tuple[float, float], tuple[float, float, float]]] = {
    "one view for both, 50 ms and order 5 ms": ((50, 5), (50, 5, 2)),
    "shorter, 20 ms": ((20, 5), (20, 5, 2)),
    "longer, 100 ms": ((100, 5), (100, 5, 2)),
    "finer, order 15 ms": ((50, 15), (50, 15, 2)),
    "`click`: 20 ms and 7.5 ms, 100 ms and 15 ms": ((20, 7.5), (100, 15, 5)),
    "the step at order 10 ms": ((20, 7.5), (100, 10, 5)),
    "the step over 70 ms": ((20, 7.5), (70, 15, 5)),
    "the step with decay 2 ms": ((20, 7.5), (100, 15, 2)),
    "the impulse over 30 ms": ((30, 7.5), (100, 15, 5)),
    "the impulse at order 10 ms": ((20, 10), (100, 15, 5)),
}


def click_choices(sources: Sequence[Recording], *, n: int, seed: int) -> list[dict[str, Any]]:
    """Return, by what the two matched filters see of the speech, AUC of impulses and steps 30 and 40 dB under it, anywhere."""
    cells = [(fault, size) for fault in ("click", "step") for size in (-30.0, -40.0)]
    rng = np.random.default_rng(seed)
    given: dict[tuple[str, float], list[tuple[Recording, list[Spot]]]] = {}
    for cell in [("clean", 0.0), *cells]:
        fault, clean = ("click", True) if cell[0] == "clean" else (cell[0], False)
        given[cell] = [
            (q, [spot(q, int(p), fault, cell[1], rng, clean=clean) for p in places("anywhere", q, n, rng)])
            for q in sources
        ]
    rows = []
    for name, (impulse, step) in CLICK_VIEWS.items():
        begin = time.perf_counter()
        values = {
            cell: [np.array([_viewed(s, q, impulse, step) for s in spots]) for q, spots in parts]
            for cell, parts in given.items()
        }
        row: dict[str, Any] = {"method": name, "n": n}
        for fault, size in cells:
            pairs = zip(values[fault, size], values["clean", 0.0], strict=True)
            row[f"{fault} {size:g} dB"] = float(np.mean([auc(now, was) for now, was in pairs]))
        rows.append(row | {"ms": 1000 * (time.perf_counter() - begin) / (n * len(sources) * len(given))})
    return rows


def _viewed(given: Spot, source: Recording, impulse: tuple[float, float], step: tuple[float, float, float]) -> float:
    r = regions(given.audio, np.array([given.seam]), sample_rate=source.sample_rate)
    floor = active_rms(r.audio, sample_rate=r.sample_rate) * clicks.QUIET
    found = [
        clicks.stands_out(r, r.start, window_s=w / 1000, order_s=o / 1000, decay_s=d / 1000, floor=floor)[0]
        for w, o, d in ((*impulse, 0.0), step)
    ]
    return float(np.nanmax(found))


def trackers() -> dict[str, Track]:
    """Return F0 trackers by name: each takes audio and rate and returns times (s) and Hz, NaN where unvoiced."""
    import librosa
    import pyworld
    from swift_f0 import SwiftF0

    swift = SwiftF0()

    def by_swift(audio: Floats, rate: int) -> tuple[Floats, Floats]:
        found = swift.detect(audio.astype(np.float32), rate, fmin=60, fmax=500)
        return found.timestamps, np.where(found.confidence > 0.5, found.pitch_hz, np.nan)

    def by_harvest(audio: Floats, rate: int) -> tuple[Floats, Floats]:
        hz, at = pyworld.harvest(audio, rate, f0_floor=60, f0_ceil=500, frame_period=2.5)
        return at, np.where(hz > 0, hz, np.nan)

    def by_dio(audio: Floats, rate: int) -> tuple[Floats, Floats]:
        hz, at = pyworld.dio(audio, rate, f0_floor=60, f0_ceil=500, frame_period=2.5)
        hz = pyworld.stonemask(audio, hz, at, rate)
        return at, np.where(hz > 0, hz, np.nan)

    def by_pyin(audio: Floats, rate: int) -> tuple[Floats, Floats]:
        length, hop = 1 << round(np.log2(0.043 * rate)), round(0.005 * rate)
        hz, _, _ = librosa.pyin(audio, fmin=60, fmax=500, sr=rate, frame_length=length, hop_length=hop)
        return librosa.times_like(hz, sr=rate, hop_length=hop), hz

    return {"swift-f0": by_swift, "WORLD harvest": by_harvest, "WORLD dio": by_dio, "librosa.pyin": by_pyin}


def pitch_choices(sources: Sequence[Recording], *, n: int, seed: int) -> list[dict[str, Any]]:
    """Return, for our measure and each tracker, AUC at 100 cents in steady vowels, the size it reads, and its time."""
    rng = np.random.default_rng(seed)
    clean, faulty = [], []
    for source in sources:
        clean += [
            (spot(source, int(p), "pitch", 100, rng, clean=True), source) for p in places("steady", source, n, rng)
        ]
        faulty += [(spot(source, int(p), "pitch", 100, rng), source) for p in places("steady", source, n, rng)]

    def read(track: Track, given: Spot, rate: int) -> float:
        reach = round(0.4 * rate)
        low = max(0, given.seam - reach)
        at, hz = track(np.ascontiguousarray(given.audio[low : given.seam + reach]), rate)
        middle = (given.seam - low) / rate
        was = hz[(at >= middle - SIDE_S) & (at < middle)]
        now = hz[(at >= middle) & (at <= middle + SIDE_S)]
        if not np.isfinite(was).any() or not np.isfinite(now).any():
            return float("nan")
        return abs(float(1200 * np.log2(np.nanmedian(now) / np.nanmedian(was))))

    measures: dict[str, Callable[[Spot, int], float]] = {
        "`pitch_step_cents` (one-sided autocorrelation)": lambda s, r: magnitude("pitch_step_cents", s, r)
    }
    for name, track in trackers().items():
        measures[name] = lambda s, r, track=track: read(track, s, r)  # type: ignore[misc]
    rows = []
    for name, measure in measures.items():
        begin = time.perf_counter()
        was = np.array([measure(s, q.sample_rate) for s, q in clean])
        now = np.array([measure(s, q.sample_rate) for s, q in faulty])
        rows.append(
            {
                "method": name,
                "auc": auc(now, was),
                "reads": float(np.nanmedian(now)),
                "undefined": float(np.mean(np.isnan(now))),
                "ms": 1000 * (time.perf_counter() - begin) / (len(was) + len(now)),
            }
        )
    return rows


def pause_choices(sources: Sequence[Recording], *, n: int, seed: int) -> list[dict[str, Any]]:
    """Return, for our detector and silero-vad, AUC of pauses of 50, 150 and 300 ms inside phrases."""
    from silero_vad import get_speech_timestamps, load_silero_vad

    model = load_silero_vad(onnx=True)

    def by_silero(given: Spot, rate: int) -> float:
        import torch

        audio = resample_poly(given.audio, 2, 3) if rate == 24000 else given.audio
        seam = given.seam * 16000 // rate
        loud = audio / max(np.abs(audio).max(), 1e-9)
        spoken = get_speech_timestamps(
            torch.from_numpy(loud.astype(np.float32)), model, min_silence_duration_ms=20, speech_pad_ms=0
        )
        ends = [0, *(s["end"] for s in spoken)]
        starts = [*(s["start"] for s in spoken), len(audio)]
        reach = 0.03 * 16000
        return float(sum(b - a for a, b in zip(ends, starts, strict=True) if a - reach <= seam <= b + reach) / 16000)

    rng = np.random.default_rng(seed)
    ours: Callable[[Spot, int], float] = lambda s, r: magnitude("pause_s", s, r)  # noqa: E731
    rows = []
    for name, measure in (("`pause_s` (energy)", ours), ("silero-vad", by_silero)):
        row: dict[str, Any] = {"method": name}
        for ms in (50, 150, 300):
            was, now = [], []
            for source in sources:
                for p, q in zip(places("phrase", source, n, rng), places("phrase", source, n, rng), strict=True):
                    was.append(measure(spot(source, int(p), "pause", ms, rng, clean=True), source.sample_rate))
                    now.append(measure(spot(source, int(q), "pause", ms, rng), source.sample_rate))
            row[f"auc {ms} ms"] = auc(np.array(now), np.array(was))
        rows.append(row)
    return rows
