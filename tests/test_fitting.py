"""The model of ttfc by construction: coefficients that were put in come out, and what can't be known is NaN."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from xttsbench.fitting import fit_ttfc, median_line

PREFILL, STEP, REST, VOCODER_TOKEN = 0.030, 0.008, 0.020, 0.003
SIZES = (5, 10, 20, 40, 80)


def made(*, noise: float = 0.0, repeats: int = 8, stages: bool = True, seed: int = 0) -> pd.DataFrame:
    """Trials whose first chunk has 5 to 55 tokens (a sentence is over then), of two sentences each."""
    rng = np.random.default_rng(seed)
    phases = ["timed"] * repeats + ["stages"] * (2 if stages else 0)
    rows = []
    for size in SIZES:
        for k, phase in enumerate(phases):
            tokens = min(size, 55)
            ttfc = PREFILL + REST + tokens * (STEP + VOCODER_TOKEN) + abs(noise * rng.normal())
            row = dict(id=f"{size}-{k}", engine="stock", text="two", phase=phase, status="ok", ttfc_s=ttfc)
            row |= dict(first_tokens=tokens, tokens=110.0, sentences=2.0)
            if phase == "stages":
                row |= dict(stage_prefill_s=2 * PREFILL, stage_token_loop_s=110 * STEP, stage_vocoder_s=0.5)
            rows.append(row)
    return pd.DataFrame(rows)


def test_known_coefficients_come_out():
    fit = fit_ttfc(made())
    values = fit.coefficients["value"]
    expected = dict(intercept_s=PREFILL + REST, slope_s=STEP + VOCODER_TOKEN, prefill_s=PREFILL, step_s=STEP)
    expected |= dict(vocoder_token_s=VOCODER_TOKEN, rest_s=REST)
    assert values.to_dict() == pytest.approx(expected, abs=1e-9)
    assert (fit.engine, fit.n, fit.stages) == ("stock", 40, 10)
    assert fit.spread_s == pytest.approx(0, abs=1e-9)
    assert fit.residuals["residual_s"].abs().max() < 1e-9
    assert fit.residuals.columns.tolist() == ["id", "text", "tokens", "ttfc_s", "fitted_s", "residual_s"]


def test_without_a_stages_pass_the_parts_are_unknown_and_the_line_is_the_same():
    alone, both = fit_ttfc(made(stages=False)).coefficients, fit_ttfc(made()).coefficients
    assert alone.loc[["prefill_s", "step_s", "vocoder_token_s", "rest_s"], ["value", "lo", "hi"]].isna().all(axis=None)
    pd.testing.assert_frame_equal(alone.loc[["intercept_s", "slope_s"]], both.loc[["intercept_s", "slope_s"]])


def test_a_single_stages_trial_splits_without_an_interval():
    trials = made()
    first = trials.index[trials["phase"] == "stages"][:1]
    got = fit_ttfc(trials[(trials["phase"] == "timed") | trials.index.isin(first)]).coefficients
    assert got.loc["step_s", "value"] == pytest.approx(STEP) and got.loc["step_s", ["lo", "hi"]].isna().all()
    assert got.loc["rest_s", "value"] == pytest.approx(REST) and got.loc["rest_s", ["lo", "hi"]].isna().all()


def test_a_few_very_slow_trials_do_not_bend_the_line():
    trials = made(noise=0.001)
    slow = trials.index[(trials["phase"] == "timed") & (trials["first_tokens"] == 55)][:3]
    trials.loc[slow, "ttfc_s"] += 5.0
    fit = fit_ttfc(trials)
    assert fit.coefficients.loc["slope_s", "value"] == pytest.approx(STEP + VOCODER_TOKEN, abs=2e-4)
    assert fit.residuals["residual_s"].max() == pytest.approx(5.0, abs=0.05), "the residuals still tell them"


def test_the_interval_holds_the_slope_in_about_95_of_100_cases():
    true, held = STEP + VOCODER_TOKEN, 0
    for seed in range(40):
        row = fit_ttfc(made(noise=0.01, stages=False, seed=seed), seed=seed).coefficients.loc["slope_s"]
        held += row["lo"] <= true <= row["hi"]
    assert 34 <= held <= 40


def test_the_line_reaches_from_no_token_to_the_most_within_its_interval():
    line = fit_ttfc(made(noise=0.01)).line
    assert line["tokens"].iloc[[0, -1]].tolist() == [0, 55]
    assert (line["lo"] <= line["fitted_s"]).all() and (line["fitted_s"] <= line["hi"]).all()


def test_only_timed_trials_that_succeeded_count():
    trials = made()
    odd = trials.iloc[[0, 0, 0]].assign(ttfc_s=9.0, phase=["cold", "warmup", "timed"], status=["ok", "ok", "failed"])
    assert fit_ttfc(pd.concat([trials, odd])).n == 40


def test_bad_input_is_said_in_a_sentence():
    trials = made()
    mixed = pd.concat([trials, trials.assign(engine="naive")])
    with pytest.raises(ValueError, match="trials of one engine, these are of stock, naive; pick one"):
        fit_ttfc(mixed)
    with pytest.raises(ValueError, match="trials of one precision"):
        fit_ttfc(trials.assign(precision=["fp32", "fp16"] * 25))
    with pytest.raises(ValueError, match=r"at least two sizes, found all of 20 tokens; sweep stream_chunk_size"):
        fit_ttfc(trials[trials["first_tokens"] == 20])
    with pytest.raises(ValueError, match="no timed trial with ttfc_s"):
        fit_ttfc(trials[trials["phase"] == "stages"])
    with pytest.raises(ValueError, match="this one has no ttfc_s and no first_tokens"):
        fit_ttfc(pd.DataFrame())


def test_the_line_is_that_of_least_absolute_deviations():
    """Against brute force: the best line passes through two of the points."""
    rng = np.random.default_rng(3)
    x, y = rng.integers(0, 9, 15).astype(float), rng.normal(size=15)
    (a,), (b,) = median_line(x, y, np.ones((1, 15)))
    best = min(
        np.abs(y - y[i] - (y[j] - y[i]) / (x[j] - x[i]) * (x - x[i])).sum()
        for i in range(15)
        for j in range(i)
        if x[i] != x[j]
    )
    assert np.abs(y - a - b * x).sum() == pytest.approx(best, rel=1e-3)


def test_draws_of_a_single_size_have_no_line():
    a, b = median_line(np.array([1.0, 1, 2]), np.array([1.0, 2, 3]), np.array([[1.0, 2, 0], [1, 1, 1]]))
    assert np.isnan([a[0], b[0]]).all() and np.isfinite([a[1], b[1]]).all()
