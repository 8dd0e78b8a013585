"""Excess over controls: known answers, few seams, few utterances, and no controls at all."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import wilcoxon

from xttsbench.metrics.excess import excess_over_control, upper_quantile


def study(shift, *, seams=20, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(10 + shift, 1, seams), rng.normal(10, 1, seams * 20), np.repeat(np.arange(seams), 20)


def test_a_difference_is_found_with_its_size():
    found = excess_over_control(*study(3))
    assert found.low < 3 < found.high
    assert found.p_value < 1e-3
    assert found.effect > 0.9
    assert found.audible_share > 0.5


def test_no_difference_is_no_finding():
    found = excess_over_control(*study(0, seams=60))
    assert found.low < 0 < found.high
    assert found.share_low < 0.01
    assert abs(found.effect) < 0.2


def test_sign_is_dropped():
    values, controls, owner = study(3)
    assert excess_over_control(-values, controls, owner) == excess_over_control(values, -controls, owner)


def test_few_seams_have_no_interval_and_few_controls_no_threshold():
    found = excess_over_control(*study(3, seams=4))
    assert np.isnan([found.low, found.high, found.p_value, found.threshold, found.audible_share]).all()
    assert found.excess > 1


@pytest.mark.parametrize("n", [6, 9, 13, 20])
@pytest.mark.parametrize("digits", [0, 1, 6])
def test_the_p_value_is_that_of_the_signed_rank_test_with_zeros_and_ties(n, digits):
    values = np.round(10 + np.random.default_rng(n).normal(0.6, 1.0, n), digits)
    found = excess_over_control(values, np.full(n, 10.0), np.arange(n))
    assert found.p_value == pytest.approx(wilcoxon(values - 10).pvalue, rel=1e-9)
    assert excess_over_control(np.full(n, 10.0), np.full(n, 10.0), np.arange(n)).p_value == 1


def test_seams_of_one_utterance_count_less_than_independent_ones():
    rng = np.random.default_rng(0)
    utterance = np.repeat(np.arange(12), 5)
    values = 10 + np.repeat(rng.normal(0, 2, 12), 5) + rng.normal(0, 0.1, 60)
    controls, owner = rng.normal(10, 0.1, 1200), np.repeat(np.arange(60), 20)
    alone = excess_over_control(values, controls, owner)
    together = excess_over_control(values, controls, owner, groups=utterance)
    assert together.high - together.low > 1.5 * (alone.high - alone.low)
    one = excess_over_control(values, controls, owner, groups=np.zeros(60, dtype=int))
    assert (one.low, one.high) == (alone.low, alone.high)


def test_undefined_values_and_seams_without_controls_are_left_out():
    values, controls, owner = study(3)
    values[0], controls[20:40] = np.nan, np.nan
    found = excess_over_control(values, controls, owner)
    assert (found.seams, found.controls) == (18, 360)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"control_seam": np.arange(3)}, "expected"),
        ({"false_alarm": 1}, "percentage"),
        ({"control_seam": np.full(400, 99)}, "20 seams"),
    ],
)
def test_bad_input_is_told(change, says):
    values, controls, owner = study(0)
    given = {"values": values, "control_values": controls, "control_seam": owner} | change
    with pytest.raises(ValueError, match=says):
        excess_over_control(**given)


def test_the_threshold_keeps_its_promise_in_small_samples():
    rng = np.random.default_rng(0)
    beyond = [rng.normal() > upper_quantile(rng.normal(size=120), beyond=0.01) for _ in range(4000)]
    assert 0.004 < np.mean(beyond) < 0.014
