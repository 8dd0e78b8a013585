"""What the time to first chunk is made of: a line over the tokens of the first chunk, and what a stages pass says of its parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from xttsbench.record import NAN
from xttsbench.stats import RESAMPLES

ALIKE = ("engine", "model", "machine", "device", "precision", "deepspeed", "compile", "threads")
NEEDED = ("ttfc_s", "first_tokens")
ROUNDS = 40
Values = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, kw_only=True)
class TtfcFit:
    """A fitted model of the time to first chunk of one engine.

    Attributes
    ----------
    engine
        Whose times these are.
    coefficients
        One row a coefficient, by name: value, lo, hi (95 % bootstrap interval), and `source`, what it is known from.
        Seconds, or for slope_s, step_s and vocoder_token_s seconds a token.
    residuals
        One row a trial: id, text, tokens, ttfc_s, fitted_s, residual_s.
    line
        The fit to draw, from no token to the most: tokens, fitted_s, lo, hi.
    spread_s
        The median absolute residual: how far from the line a trial typically lies.
    n, stages
        How many timed trials it was fitted to, and how many trials of a stages pass split it.
    """

    engine: str
    coefficients: pd.DataFrame
    residuals: pd.DataFrame
    line: pd.DataFrame
    spread_s: float
    n: int
    stages: int


def fit_ttfc(trials: pd.DataFrame, *, seed: int = 0) -> TtfcFit:
    """Return the model ttfc = prefill + tokens x step + vocoder, fitted to the timed trials of one engine.

    `tokens` are those that were there when the first chunk was handed over, as recorded: the chunk size asked for, or
    fewer where the first sentence was over sooner.

    Times to first chunk alone tell two numbers, by median regression (least absolute deviations, so that a stray slow
    trial does not bend the line): `intercept_s`, which no token adds to, and `slope_s`, what each token adds. How they
    split is known only where the run has a stages pass:

    * `prefill_s` is the median of its prefill over the sentences of a request, as only the first sentence is waited for;
    * `step_s` is the median of its token loop over all tokens of a request; later steps read more context, so the first
      ones may be a little cheaper than this;
    * `vocoder_token_s` = slope_s - step_s, what the vocoder and the join add with every token;
    * `rest_s` = intercept_s - prefill_s: text, the vocoder's own fixed cost, and whatever else is done once.

    So ttfc = prefill_s + tokens x step_s + (rest_s + tokens x vocoder_token_s). Without a stages pass those four are NaN.
    Texts differ in prefill and in how they are cut: the fit of one text is sharper than that of all.

    Parameters
    ----------
    trials
        Of `table.load_run`, of one engine on one machine in one precision; the stages pass included, if there is one.
    seed
        Of the bootstrap, which draws whole trials.

    Raises
    ------
    ValueError
        If trials of several engines or set-ups are given, or fewer than two sizes of the first chunk are among them.
    """
    lacking = [name for name in NEEDED if name not in trials]
    if lacking:
        raise ValueError(
            f"fit_ttfc takes a trials table of table.load_run; this one has no {' and no '.join(lacking)}."
        )
    usable = trials[(trials["status"] == "ok") & trials[list(NEEDED)].notna().all(axis=1)]
    timed = usable[usable["phase"] == "timed"]
    for name in (name for name in ALIKE if name in timed):
        values = timed[name].dropna().astype(str).unique()
        if len(values) > 1:
            raise ValueError(
                f"fit_ttfc takes trials of one {name}, these are of {', '.join(values)}; "
                f"pick one: trials[trials[{name!r}] == {values[0]!r}]."
            )
    x, y = timed["first_tokens"].to_numpy(dtype=float), timed["ttfc_s"].to_numpy(dtype=float)
    sizes = np.unique(x)
    if len(sizes) < 2:
        found = f"all of {sizes[0]:g} tokens" if len(sizes) else "no timed trial with ttfc_s"
        raise ValueError(f"a line needs first chunks of at least two sizes, found {found}; sweep stream_chunk_size.")
    engine = str(timed["engine"].iloc[0])
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(len(x), np.full(len(x), 1 / len(x)), size=RESAMPLES).astype(float)
    (intercept,), (slope,) = median_line(x, y, np.ones((1, len(x))))
    intercepts, slopes = median_line(x, y, counts)
    staged = usable[(usable["phase"] == "stages") & (usable["engine"] == engine)]
    prefill, prefills, step, steps = _stages(staged, rng)
    from_times, from_stages = "ttfc over tokens", "stages pass"
    rows = {
        "intercept_s": (intercept, intercepts, from_times),
        "slope_s": (slope, slopes, from_times),
        "prefill_s": (prefill, prefills, from_stages),
        "step_s": (step, steps, from_stages),
        "vocoder_token_s": (slope - step, slopes - steps, "slope_s - step_s"),
        "rest_s": (intercept - prefill, intercepts - prefills, "intercept_s - prefill_s"),
    }
    coefficients = pd.DataFrame.from_dict(
        {name: (value, *_interval(draws), source) for name, (value, draws, source) in rows.items()},
        orient="index",
        columns=["value", "lo", "hi", "source"],
    )
    fitted = intercept + slope * x
    residuals = pd.DataFrame(
        {
            "id": timed["id"].to_numpy(),
            "text": timed["text"].to_numpy(),
            "tokens": x,
            "ttfc_s": y,
            "fitted_s": fitted,
            "residual_s": y - fitted,
        }
    )
    grid = np.linspace(0, sizes[-1], 41)
    bounds = [_interval(intercepts + slopes * tokens) for tokens in grid]
    line = pd.DataFrame(bounds, columns=["lo", "hi"])
    line.insert(0, "fitted_s", intercept + slope * grid)
    line.insert(0, "tokens", grid)
    return TtfcFit(
        engine=engine,
        coefficients=coefficients,
        residuals=residuals,
        line=line,
        spread_s=float(np.median(np.abs(y - fitted))),
        n=len(timed),
        stages=len(staged) if np.isfinite(step) else 0,
    )


def median_line(x: Values, y: Values, weights: Values) -> tuple[Values, Values]:
    """Return intercepts and slopes of the lines of least absolute deviations, one for each row of weights.

    By iteratively reweighted least squares (Schlossmacher, J. American Statistical Association 68, 1973). A row whose
    weight lies all on one x has no line: NaN.

    Examples
    --------
    >>> a, b = median_line(np.array([0.0, 1, 2, 3, 4]), np.array([1.0, 3, 99, 7, 9]), np.ones((1, 5)))
    >>> round(float(a[0]), 3), round(float(b[0]), 3)
    (1.0, 2.0)
    """
    tiny = 1e-6 * max(float(np.ptp(y)), 1e-12)
    w = weights
    spans = np.array([np.ptp(x[row > 0]) for row in weights])
    a = b = np.full(len(weights), NAN)
    for _ in range(ROUNDS):
        total = w.sum(axis=1)
        mean_x, mean_y = w @ x / total, w @ y / total
        with np.errstate(invalid="ignore", divide="ignore"):
            b = (w @ (x * y) / total - mean_x * mean_y) / (w @ (x * x) / total - mean_x**2)
        b = np.where(spans > 0, b, NAN)
        a = mean_y - b * mean_x
        if not np.isfinite(b).any():
            break
        residuals = np.abs(y - np.nan_to_num(a)[:, None] - np.nan_to_num(b)[:, None] * x)
        w = weights / np.maximum(residuals, tiny)
    return a, b


def _stages(staged: pd.DataFrame, rng: np.random.Generator) -> tuple[float, Values, float, Values]:
    """Return the median prefill of a sentence and the median step, each with its bootstrap draws; NaN without a pass."""
    none = np.full(RESAMPLES, NAN)
    names = ["stage_prefill_s", "stage_token_loop_s", "sentences", "tokens"]
    known = staged.dropna(subset=names) if set(names) <= set(staged.columns) else staged.iloc[:0]
    if not len(known):
        return NAN, none, NAN, none
    prefill, loop, sentences, tokens = (known[name].to_numpy(dtype=float) for name in names)
    each, step = prefill / sentences, loop / tokens
    if len(known) == 1:
        return float(each[0]), none, float(step[0]), none
    drawn = rng.integers(len(known), size=(RESAMPLES, len(known)))
    return (
        float(np.median(each)),
        np.median(each[drawn], axis=1),
        float(np.median(step)),
        np.median(step[drawn], axis=1),
    )


def _interval(draws: Values) -> tuple[float, float]:
    known = draws[np.isfinite(draws)]
    return (float(np.percentile(known, 2.5)), float(np.percentile(known, 97.5))) if len(known) else (NAN, NAN)
