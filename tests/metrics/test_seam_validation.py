"""A small part of docs/validation.md on every run: real speech, faults of known size, no figure drawn and nothing tuned here."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from seam_faults import FAULTS, places, shipped, spot
from seam_trials import CASES, coverage, detect, exact_counts, false_alarms


@pytest.fixture(scope="module")
def held_out():
    """The wheel `moonshine-voice` is a development dependency: without it these tests fail, they do not skip."""
    return shipped()["held-out"]


def cell(fault, where, size, sources, *, metric=None, n=40):
    case = next(c for c in CASES if (c.fault, c.where) == (fault, where) and metric in (None, c.metric))
    found = detect(type(case)(case.fault, case.where, case.metric, (size,), case.unit), sources, n=n, seed=1)
    return found.cells[0]


@pytest.mark.parametrize(
    ("fault", "where", "size", "least"),
    [
        ("click", "anywhere", -10, 0.9),
        ("step", "anywhere", -10, 0.9),
        ("level", "steady", 6, 0.95),
        ("level", "sounding", 12, 0.9),
        ("pitch", "steady", 200, 0.95),
        ("pause", "phrase", 150, 0.95),
        ("lost", "phrase", 5, 0.9),
    ],
)
def test_a_fault_that_is_heard_is_found_in_held_out_speech(held_out, fault, where, size, least):
    assert cell(fault, where, float(size), held_out).auc >= least


def test_bigger_faults_give_bigger_values(held_out):
    case = next(c for c in CASES if c.fault == "click")
    sizes = (-50.0, -30.0, -10.0)
    found = detect(type(case)(case.fault, case.where, case.metric, sizes, case.unit), held_out[:1], n=30, seed=2)
    assert found.rises == 1


def test_clean_speech_rarely_counts_as_audible(held_out):
    found = false_alarms(held_out[1:2], repeats=2, seed=3)
    alarms, seams = sum(f.alarms for f in found.values()), sum(f.seams for f in found.values())
    assert seams > 200
    assert alarms / seams < 0.04


def test_intervals_cover_what_they_promise():
    found = coverage(repeats=30, seed=4)
    assert 0.92 <= np.mean(list(found.values())) <= 0.98
    assert min(found.values()) > 0.8


def test_lost_and_repeated_samples_are_counted_in_real_speech(held_out):
    assert exact_counts(held_out[0], n=3, seed=5) == 1


# "rate" stretches by librosa, whose first call compiles for many seconds; the full validation runs it.
@pytest.mark.parametrize("fault", [f for f in FAULTS if f != "rate"])
def test_a_fault_changes_nothing_before_it(held_out, fault):
    source = held_out[0]
    at = int(places("phrase", source, 1, np.random.default_rng(0))[0])
    size = {"pitch": 100.0, "level": 6.0, "click": -20.0, "step": -20.0}.get(fault, 20.0)
    made = spot(source, at, fault, size, np.random.default_rng(1))
    reach = made.seam - round(0.03 * source.sample_rate)
    clean = spot(source, at, fault, size, np.random.default_rng(1), clean=True)
    np.testing.assert_array_equal(made.audio[:reach], clean.audio[:reach])
    n = min(len(made.audio), len(clean.audio))
    assert not np.array_equal(made.audio[:n], clean.audio[:n])
