"""Many places are measured at once: each value is what a plain reading of its definition gives there, and what it always was."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import solve_toeplitz
from scipy.signal import lfilter
from scipy.stats import norm, t

from xttsbench.metrics.clicks import linear_prediction
from xttsbench.metrics.excess import grouped_interval
from xttsbench.metrics.regions import period_peaks, periodicities, periodicity
from xttsbench.metrics.seams import METRICS, measure_seams

RATE = 16000


def speech(seconds: float = 6.0) -> np.ndarray:
    """Return a gliding buzz in syllables with breath, a pause and a click: sides of every kind."""
    rng = np.random.default_rng(7)
    n = round(seconds * RATE)
    time = np.arange(n) / RATE
    hum = np.diff(np.floor(np.cumsum(120 + 40 * np.sin(2 * np.pi * 0.4 * time)) / RATE), prepend=0.0)
    for hz in (700, 1200, 2600):
        hum = lfilter([1.0], [1, -2 * 0.97 * np.cos(2 * np.pi * hz / RATE), 0.97**2], hum)
    audio = 0.1 * hum / hum.std() * (1.2 + np.cos(2 * np.pi * 3 * time)) + 0.002 * rng.normal(size=n)
    audio[n // 2 : n // 2 + RATE // 4] *= 1e-3
    audio[3 * n // 4] += 0.3
    return audio


AUDIO = speech()
SEAMS = np.sort(np.random.default_rng(3).choice(np.arange(200, len(AUDIO) - 200), 40, replace=False))


# The unit of pause_ratio is the pauses that touch none of the seams, so each place alone has another.
@pytest.mark.parametrize("name", [m for m in METRICS if m != "pause_ratio"])
def test_many_places_are_as_one_by_one(name):
    overlaps = np.where(np.arange(len(SEAMS)) % 3, 512, 0)
    together = METRICS[name](AUDIO, SEAMS, sample_rate=RATE, overlap_samples=overlaps)
    each = zip(SEAMS, overlaps, strict=True)
    alone = [METRICS[name](AUDIO, [s], sample_rate=RATE, overlap_samples=o)[0] for s, o in each]
    np.testing.assert_allclose(together, alone, rtol=1e-9, atol=1e-12)


def test_periods_are_those_of_a_plain_autocorrelation():
    def plain(window):
        x = window - window.mean()
        low, high = RATE // 500, RATE // 60 + 1
        value = np.array(
            [x[:-k] @ x[k:] / max(np.sqrt((x[:-k] @ x[:-k]) * (x[k:] @ x[k:])), 1e-12) for k in range(low, high)]
        )
        peaks = [i for i in range(1, len(value) - 1) if value[i - 1] < value[i] >= value[i + 1]]
        at = [
            low + i + 0.5 * (value[i - 1] - value[i + 1]) / (value[i - 1] - 2 * value[i] + value[i + 1]) for i in peaks
        ]
        return value[peaks], np.array(at)

    windows = np.stack([AUDIO[s : s + 560] for s in SEAMS if s + 560 <= len(AUDIO)] + [np.zeros(560)])
    strength, lag = period_peaks(windows, sample_rate=RATE)
    for row, window in enumerate(windows):
        known = np.isfinite(strength[row])
        np.testing.assert_allclose((strength[row][known], lag[row][known]), plain(window), rtol=1e-9)
    each = [periodicity(w, sample_rate=RATE) for w in windows]
    np.testing.assert_allclose(np.transpose(periodicities(windows, sample_rate=RATE)), each, rtol=1e-12)
    assert each[-1][0] == 0 and np.isnan(each[-1][1])


def test_the_whitening_filter_solves_the_normal_equations():
    windows = np.stack([AUDIO[s : s + 800] for s in SEAMS[5:15]])
    for window, found in zip(windows, linear_prediction(windows, order=40), strict=True):
        shaped = window * np.hanning(len(window))
        correlation = np.correlate(shaped, shaped, "full")[len(shaped) - 1 :][:41]
        correlation[0] = correlation[0] * (1 + 1e-7) + 1e-18
        np.testing.assert_allclose(found[1:], -solve_toeplitz(correlation[:-1], correlation[1:]), rtol=1e-6, atol=1e-6)


def test_an_interval_over_groups_is_that_of_medians_of_the_groups_drawn():
    rng = np.random.default_rng(1)
    values, groups = np.round(rng.normal(size=50), 1), rng.integers(0, 9, 50)
    draws = np.random.default_rng(0).integers(0, 9, (2000, 9))
    medians = [np.median(np.concatenate([values[groups == g] for g in draw])) for draw in draws]
    tail = norm.cdf(-np.sqrt(9 / 8) * t.ppf(0.975, 8))
    assert grouped_interval(values, groups) == tuple(np.quantile(medians, [tail, 1 - tail]))


def test_values_are_what_they_were(num_regression):
    """Written anew by --force-regen, which a commit has to give a reason for."""
    found = measure_seams(AUDIO, SEAMS[5:20], sample_rate=RATE, overlap_samples=512, per_seam=4, seed=2)
    values = {name: np.concatenate([found.at_seams[name], found.at_controls[name]]) for name in METRICS}
    where = {"sample": np.concatenate([SEAMS[5:20], found.controls.positions]).astype(float)}
    # Linear prediction of a nearly empty band magnifies the last digit of a float.
    num_regression.check(
        where | values, default_tolerance={"rtol": 1e-9, "atol": 1e-12}, tolerances={"click": {"rtol": 1e-6}}
    )
