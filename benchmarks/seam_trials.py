"""What the seam metrics say about faults of known size: detection, confusion, false alarms and coverage, as plain numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata, spearmanr
from seam_faults import Recording, Spot, places, spot

from xttsbench.metrics.exactness import exactness
from xttsbench.metrics.excess import excess_over_control
from xttsbench.metrics.seams import METRICS, SeamMeasures, judge, measure_seams, pool

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """A fault, where it is put, which metric is to find it, and the sizes tried (rising severity)."""

    fault: str
    where: str
    metric: str
    sizes: tuple[float, ...]
    unit: str
    target: tuple[float, float] | None = None


CASES = (
    Case("click", "anywhere", "click", (-60, -50, -40, -30, -20, -10), "dB", (-30, 0.995)),
    Case("step", "anywhere", "click", (-60, -50, -40, -30, -20, -10), "dB", (-30, 0.995)),
    Case("level", "steady", "level_step_db", (0.5, 1, 3, 6, 12), "dB", (6, 0.95)),
    Case("level", "anywhere", "level_step_db", (0.5, 1, 3, 6, 12), "dB", (12, 0.95)),
    Case("level", "sounding", "level_step_db", (0.5, 1, 3, 6, 12), "dB"),
    Case("pitch", "steady", "pitch_step_cents", (25, 50, 100, 200, 400), "cents", (100, 0.95)),
    Case("pitch", "phrase", "pitch_step_cents", (25, 50, 100, 200, 400), "cents"),
    Case("pause", "phrase", "pause_s", (20, 50, 100, 150, 300, 800), "ms", (150, 0.95)),
    Case("lost", "phrase", "click", (0.5, 1, 5, 20, 50), "ms"),
    Case("repeated", "phrase", "click", (0.5, 1, 5, 20, 50), "ms"),
    Case("crossfade, linear", "phrase", "spectrum_step_db", (0, 5, 20, 43, 85), "ms"),
    Case("crossfade, linear", "phrase", "level_dip_db", (20, 43, 85, 170), "ms"),
    Case("crossfade, equal power", "phrase", "level_dip_db", (20, 43, 85, 170), "ms"),
    Case("rate", "phrase", "rate_step_octaves", (1.25, 1.5, 2), "times"),
)
FAULT_SIZES = {
    "none": 0.0,
    "click": -30.0,
    "step": -30.0,
    "level": 6.0,
    "pitch": 200.0,
    "pause": 150.0,
    "lost": 5.0,
    "repeated": 5.0,
    "crossfade, equal power": 5.0,
    "crossfade, linear": 43.0,
    "rate": 2.0,
}


@dataclass(frozen=True)
class Cell:
    """Detection of one fault of one size: area under the ROC curve and share found, within each recording, then their mean."""

    size: float
    auc: float
    found: float
    median: float
    n: int
    undefined: float
    by_recording: dict[str, float]


@dataclass(frozen=True)
class Detection:
    """One case over all its sizes: the smallest that is found, and whether the median rises with size (Spearman)."""

    case: Case
    cells: tuple[Cell, ...]
    clean_median: float
    smallest_50: float
    smallest_90: float
    rises: float


def auc(faulty: Floats, clean: Floats) -> float:
    """Return the chance that a faulty value exceeds a clean one, ties counting half; NaN if either is empty."""
    faulty, clean = faulty[np.isfinite(faulty)], clean[np.isfinite(clean)]
    if not len(faulty) or not len(clean):
        return float("nan")
    ranks = rankdata(np.concatenate([faulty, clean]))[: len(faulty)]
    return float((ranks.sum() - len(faulty) * (len(faulty) + 1) / 2) / (len(faulty) * len(clean)))


def magnitude(metric: str, given: Spot, rate: int) -> float:
    """Return one metric at the seam of an excerpt, without its sign."""
    value = METRICS[metric](
        given.audio, np.array([given.seam]), sample_rate=rate, overlap_samples=given.overlap_samples
    )
    return abs(float(value[0]))


def detect(case: Case, sources: Sequence[Recording], *, n: int, seed: int) -> Detection:
    """Measure n clean and n faulty places a size and recording; the threshold is each recording's clean 99th percentile."""
    rng = np.random.default_rng(seed)
    per_size: dict[float, list[tuple[str, Floats, Floats]]] = {size: [] for size in case.sizes}
    clean_all: list[float] = []
    for source in sources:
        drawn = places(case.where, source, n, rng)
        if not len(drawn):
            continue
        by_region: dict[float, Floats] = {}
        for size in case.sizes:
            region = size if case.fault.startswith("crossfade") else 0.0
            if region not in by_region:
                by_region[region] = _values(case, source, drawn, size, rng, clean=True)
            faulty = _values(case, source, places(case.where, source, n, rng), size, rng, clean=False)
            per_size[size].append((source.name, faulty, by_region[region]))
        clean_all += list(by_region[next(iter(by_region))])
    cells = tuple(_cell(size, rows) for size, rows in per_size.items())
    return Detection(
        case=case,
        cells=cells,
        clean_median=float(np.nanmedian(clean_all)),
        smallest_50=_smallest(cells, 0.5),
        smallest_90=_smallest(cells, 0.9),
        rises=float(spearmanr(range(len(cells)), [c.median for c in cells]).statistic),
    )


def _values(
    case: Case, source: Recording, drawn: NDArray[np.int64], size: float, rng: np.random.Generator, *, clean: bool
) -> Floats:
    spots = (spot(source, int(p), case.fault, size, rng, clean=clean) for p in drawn)
    return np.array([magnitude(case.metric, s, source.sample_rate) for s in spots])


def _cell(size: float, rows: list[tuple[str, Floats, Floats]]) -> Cell:
    found, everything = [], np.concatenate([f for _, f, _ in rows])
    for _, faulty, clean in rows:
        found.append(_beyond(faulty, clean))
    areas = {name: auc(faulty, clean) for name, faulty, clean in rows}
    return Cell(
        size=size,
        auc=float(np.nanmean(list(areas.values()))),
        found=float(np.nanmean(found)),
        median=float(np.nanmedian(everything)),
        n=len(everything),
        undefined=float(np.mean(np.isnan(everything))),
        by_recording=areas,
    )


def _beyond(faulty: Floats, clean: Floats) -> float:
    """Return the share of faulty values above the clean 99th percentile; NaN where fewer than 30 of either are defined."""
    faulty, clean = faulty[np.isfinite(faulty)], clean[np.isfinite(clean)]
    return float(np.mean(faulty > np.quantile(clean, 0.99))) if min(len(faulty), len(clean)) >= 30 else float("nan")


def _smallest(cells: tuple[Cell, ...], share: float) -> float:
    return next((c.size for i, c in enumerate(cells) if all(d.found >= share for d in cells[i:])), float("nan"))


def confusion(sources: Sequence[Recording], *, n: int, seed: int) -> dict[str, dict[str, float]]:
    """Return, by fault and metric, the share of places beyond that metric's clean 99th percentile (inside phrases)."""
    rng = np.random.default_rng(seed)
    names = [m for m in METRICS if m != "pause_ratio"]
    out: dict[str, dict[str, float]] = {}
    for fault, size in FAULT_SIZES.items():
        beyond: dict[str, list[float]] = {m: [] for m in names}
        for source in sources:
            kind = "level" if fault == "none" else fault
            clean = [spot(source, int(p), kind, size, rng, clean=True) for p in places("phrase", source, n, rng)]
            drawn = places("phrase", source, n, rng)
            faulty = [spot(source, int(p), kind, size, rng, clean=fault == "none") for p in drawn]
            for m in names:
                was = np.array([magnitude(m, s, source.sample_rate) for s in clean])
                now = np.array([magnitude(m, s, source.sample_rate) for s in faulty])
                beyond[m].append(_beyond(now, was))
        out[fault] = {
            m: float(np.mean([b for b in v if np.isfinite(b)])) if np.isfinite(v).any() else np.nan
            for m, v in beyond.items()
        }
    return out


@dataclass(frozen=True)
class Alarms:
    """How often pretended seams count as audible; `low` and `high` bound the rate over other rounds of the same recordings.

    `ties` is the share of controls that have exactly the value of their threshold, and so do not exceed it.
    """

    alarms: int
    seams: int
    rate: float
    low: float
    high: float
    by_recording: dict[str, float]
    ties: float


def false_alarms(sources: Sequence[Recording], *, repeats: int, seed: int) -> dict[str, Alarms]:
    """Judge pretended seams of clean speech as `compare` judges real ones, by metric."""
    rng = np.random.default_rng(seed)
    rounds: dict[str, list[tuple[str, int, int, float]]] = {m: [] for m in METRICS}
    for source in sources:
        rate, overlap = source.sample_rate, round(0.0427 * source.sample_rate)
        for _ in range(repeats):
            found = pool([_pretend(source, rate, overlap, rng) for _ in range(4)])
            for m in METRICS:
                verdict = judge(found, m)
                if np.isfinite(verdict.threshold):
                    alarms = round(verdict.audible_share * verdict.seams)
                    ties = float(np.mean(np.abs(found.at_controls[m]) == verdict.threshold))
                    rounds[m].append((source.name, alarms, verdict.seams, ties))
    return {m: _alarms(rows, seed) for m, rows in rounds.items()}


def _alarms(rows: list[tuple[str, int, int, float]], seed: int) -> Alarms:
    counts = np.array([(alarms, seams) for _, alarms, seams, _ in rows]).reshape(-1, 2)
    nan = float("nan")
    if not len(counts):
        return Alarms(0, 0, nan, nan, nan, {}, nan)
    drawn = counts[np.random.default_rng(seed).integers(0, len(counts), (2000, len(counts)))].sum(axis=1)
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], [0.025, 0.975])
    names = np.array([name for name, *_ in rows])
    parts = {str(n): counts[names == n].sum(axis=0) for n in dict.fromkeys(names)}
    alarms, seams = counts.sum(axis=0)
    return Alarms(
        alarms=int(alarms),
        seams=int(seams),
        rate=float(alarms / seams),
        low=float(low),
        high=float(high),
        by_recording={n: float(a / s) for n, (a, s) in parts.items()},
        ties=float(np.mean([ties for *_, ties in rows])),
    )


def _pretend(source: Recording, rate: int, overlap: int, rng: np.random.Generator) -> SeamMeasures:
    pretended = np.sort(places("anywhere", source, 10, rng))
    seed = int(rng.integers(1 << 31))
    return measure_seams(source.audio, pretended, sample_rate=rate, overlap_samples=overlap, seed=seed)


def coverage(*, repeats: int, seed: int) -> dict[str, float]:
    """Return how often the 95 % interval of the excess holds the true median, by simulated population."""
    rng = np.random.default_rng(seed)

    def draw(shape: str, size: tuple[int, ...]) -> Floats:
        kinds = {
            "normal": rng.normal,
            "skewed": lambda _m, _s, z: rng.lognormal(0, 1, z),
            "heavy tails": lambda _m, _s, z: rng.standard_t(3, z),
        }
        return np.abs(kinds[shape](0, 1, size))

    out = {}
    for shape in ("normal", "skewed", "heavy tails"):
        population = draw(shape, (50_000,)) * 2 - np.median(draw(shape, (50_000, 20)), axis=1)
        truth = float(np.median(population))
        for seams, utterances in ((10, 0), (20, 0), (60, 0), (60, 12)):
            held = 0
            for r in range(repeats):
                groups = np.repeat(np.arange(utterances), seams // utterances) if utterances else None
                found = excess_over_control(
                    2 * draw(shape, (seams,)),
                    draw(shape, (seams * 20,)),
                    np.repeat(np.arange(seams), 20),
                    groups=groups,
                    resamples=500,
                    seed=r,
                )
                held += found.low <= truth <= found.high
            label = f"{shape}, {seams} seams" + (f" of {utterances} utterances" if utterances else "")
            out[label] = held / repeats
    return out


def exact_counts(source: Recording, *, n: int, seed: int) -> float:
    """Return the share of lost or repeated stretches (1 to 2,000 samples at 8 seams) that `exactness` counts to the sample."""
    rng = np.random.default_rng(seed)
    whole = source.audio[: 8 * source.sample_rate]
    right = 0
    for _ in range(n):
        seams = np.sort(rng.choice(np.arange(1, 19), 8, replace=False)) * (len(whole) // 20)
        jumps = rng.integers(1, 2000, 8) * rng.choice([-1, 1], 8)
        pieces, at, marks, written = [], 0, [], 0
        for s, jump in zip(seams, jumps, strict=True):
            pieces.append(whole[at:s])
            written += s - at
            marks.append(written)
            at = s + jump
        streamed = np.concatenate([*pieces, whole[at:]])
        found = exactness(streamed, whole, np.array(marks), sample_rate=source.sample_rate)
        right += int(np.sum(found.jump_samples == jumps))
    return right / (8 * n)
