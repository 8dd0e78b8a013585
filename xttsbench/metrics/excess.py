"""How much worse are seams than places that are none? Excess over matched controls, its interval, a paired test, the audible share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from xttsbench.metrics.regions import Floats, Ints

LEAST_SEAMS = 6
RESAMPLES = 2000
MOST_ENUMERATED = 13


@dataclass(frozen=True)
class Excess:
    """What seams have over their controls in one metric, in the metric's own unit. All by magnitude, sign dropped.

    Attributes
    ----------
    seams, controls
        How many values were defined at seams that have controls, and at the controls.
    seam_median, control_median
        Medians of the magnitudes.
    excess, low, high
        Median over seams of the seam minus the median of its own controls, with its interval. The interval is NaN
        below six seams.
    p_value
        Wilcoxon's signed-rank test of the same differences; NaN below six seams.
    effect
        Cliff's delta, -1..1: chance that a seam exceeds one of its own controls, minus the chance of the reverse.
    threshold
        The controls' 99th percentile: a new control exceeds it in at most 1 % of cases; NaN below 99 controls.
    audible_share, share_low, share_high
        Share of seams beyond the threshold, with Wilson's interval.
    """

    seams: int
    controls: int
    seam_median: float
    control_median: float
    excess: float
    low: float
    high: float
    p_value: float
    effect: float
    threshold: float
    audible_share: float
    share_low: float
    share_high: float


def excess_over_control(
    values: ArrayLike,
    control_values: ArrayLike,
    control_seam: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    false_alarm: float = 0.01,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Excess:
    """Judge seams against their matched controls.

    Parameters
    ----------
    values
        A metric at the seams, shape (seams,); NaN where undefined.
    control_values
        The same metric at the controls, shape (controls,).
    control_seam
        Which seam each control stands for, shape (controls,).
    groups
        Which utterance each seam comes from, shape (seams,); with six utterances or more, seams of one are drawn together,
        with fewer one by one, as without groups.
    false_alarm
        Share of controls beyond the threshold of audibility.
    confidence
        Of both intervals.
    resamples
        Bootstrap samples.
    seed
        Of the bootstrap.

    Returns
    -------
    Excess
        Every figure NaN where nothing is defined.

    Raises
    ------
    ValueError
        If shapes do not fit, or a share is not within 0..1.

    Notes
    -----
    Interval: percentile bootstrap of the median, over utterances where `groups` are given, with tails widened for small
    samples (Hesterberg, "What teachers should know about the bootstrap", The American Statistician 69(4), 2015).
    Effect: Cliff, "Dominance statistics", Psychological Bulletin 114, 1993. Threshold: the order statistic that split
    conformal prediction takes (Vovk, Gammerman and Shafer 2005), so that a small number of controls does not raise false
    alarms. Wilson, JASA 22, 1927. docs/validation.md has the coverage found by simulation.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> control = rng.normal(0, 1, 400)
    >>> found = excess_over_control(rng.normal(5, 1, 20), control, np.repeat(np.arange(20), 20))
    >>> bool(found.low > 3), bool(found.audible_share > 0.9), round(found.effect, 1)
    (True, True, 1.0)
    """
    seam_value = np.abs(np.asarray(values, dtype=np.float64))
    control = np.abs(np.asarray(control_values, dtype=np.float64))
    owner = np.asarray(control_seam)
    cluster = np.arange(len(seam_value)) if groups is None else np.asarray(groups)
    _check(seam_value, control, owner, cluster, false_alarm, confidence)
    known = np.isfinite(control)
    control, owner = control[known], owner[known].astype(np.int64)
    sets = [control[owner == s] for s in range(len(seam_value))]
    own = np.array([np.median(c) if len(c) else np.nan for c in sets])
    paired = np.isfinite(seam_value) & np.isfinite(own)
    difference = (seam_value - own)[paired]
    used = [(v, c) for v, c, keep in zip(seam_value, sets, paired, strict=True) if keep]
    mine = np.concatenate([c for _, c in used]) if used else np.zeros(0)
    enough = len(difference) >= LEAST_SEAMS
    low, high = (
        grouped_interval(difference, cluster[paired], confidence=confidence, resamples=resamples, seed=seed)
        if enough
        else (np.nan, np.nan)
    )
    threshold = upper_quantile(mine, beyond=false_alarm)
    share, share_low, share_high = _share(seam_value[paired], threshold, confidence)
    return Excess(
        seams=len(difference),
        controls=len(mine),
        seam_median=_median(seam_value[paired]),
        control_median=_median(mine),
        excess=_median(difference),
        low=low,
        high=high,
        p_value=_signed_rank(difference) if enough else float("nan"),
        effect=float(np.mean([np.mean(np.sign(v - c)) for v, c in used])) if used else float("nan"),
        threshold=threshold,
        audible_share=share,
        share_low=share_low,
        share_high=share_high,
    )


def grouped_interval(
    values: ArrayLike, groups: ArrayLike, *, confidence: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """Return the bootstrap interval of a median, drawing the values of one group together; one by one below six groups.

    `values` are finite, shape (n,), two or more; `groups` says which utterance each comes from, shape (n,). See the notes of
    `excess_over_control`.

    Examples
    --------
    >>> grouped_interval([1.0, 1.0, 2.0, 2.0], [0, 0, 1, 1])
    (1.0, 2.0)
    """
    x, rng = np.asarray(values, dtype=np.float64), np.random.default_rng(seed)
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) == len(x) or len(names) < LEAST_SEAMS:
        names = np.arange(len(x))
        medians = np.median(x[rng.integers(0, len(x), (resamples, len(x)))], axis=1)
    else:
        draws = rng.integers(0, len(names), (resamples, len(names)))
        times = np.stack([np.bincount(draw, minlength=len(names)) for draw in draws])
        medians = _repeated_medians(x, times[:, member])
    tail = _expanded_tail((1 - confidence) / 2, len(names))
    low, high = np.quantile(medians, [tail, 1 - tail])
    return float(low), float(high)


def upper_quantile(values: ArrayLike, *, beyond: float) -> float:
    """Return the value that a further one of the same kind exceeds with a chance of at most `beyond`; NaN if too few.

    Examples
    --------
    >>> upper_quantile(np.arange(1.0, 100.0), beyond=0.01)
    99.0
    >>> upper_quantile(np.arange(98.0), beyond=0.01)
    nan
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    ordered = ordered[np.isfinite(ordered)]
    rank = int(np.ceil((1 - beyond) * (len(ordered) + 1) - 1e-9))
    return float(ordered[rank - 1]) if 1 <= rank <= len(ordered) else float("nan")


def _check(seam: Floats, control: Floats, owner: Ints, cluster: Ints, false_alarm: float, confidence: float) -> None:
    if seam.ndim != 1 or control.ndim != 1 or owner.shape != control.shape or cluster.shape != seam.shape:
        raise ValueError(
            f"values has shape {seam.shape}, control_values {control.shape}, control_seam {owner.shape}, groups {cluster.shape}; "
            "expected (seams,), (controls,), (controls,), (seams,)."
        )
    if len(owner) and (owner.min() < 0 or owner.max() >= len(seam)):
        raise ValueError(
            f"control_seam goes from {owner.min()} to {owner.max()}; there are {len(seam)} seams, counted from 0."
        )
    for name, share in (("false_alarm", false_alarm), ("confidence", confidence)):
        if not 0 < share < 1:
            raise ValueError(f"{name} is {share}; expected a share between 0 and 1 (is it a percentage?).")


def _repeated_medians(values: Floats, times: Ints) -> Floats:
    """Return the median of `values` each taken so many times, for each row of `times`, shape (rows, values)."""
    order = np.argsort(values)
    upto = np.cumsum(times[:, order], axis=1)
    total = upto[:, -1:]
    lower, upper = (values[order][np.argmax(upto > rank, axis=1)] for rank in ((total - 1) // 2, total // 2))
    return np.asarray((lower + upper) / 2)


def _median(values: Floats) -> float:
    return float(np.median(values)) if len(values) else float("nan")


def _expanded_tail(tail: float, n: int) -> float:
    from scipy.stats import norm, t

    return float(norm.cdf(-np.sqrt(n / (n - 1)) * t.ppf(1 - tail, n - 1)))


def _signed_rank(difference: Floats) -> float:
    from scipy.stats import rankdata, wilcoxon

    moved = difference[difference != 0]
    if len(difference) > MOST_ENUMERATED:
        return float(wilcoxon(difference).pvalue) if len(moved) else 1.0
    # Every choice of signs at once: scipy makes the same choice of test, but takes seconds over it where values tie.
    rank = rankdata(np.abs(moved))
    sums = (np.arange(2 ** len(moved))[:, None] >> np.arange(len(moved)) & 1) @ rank
    found = rank[moved > 0].sum()
    return float(min(1.0, 2 * min(np.mean(sums <= found + 1e-9), np.mean(sums >= found - 1e-9))))


def _share(values: Floats, threshold: float, confidence: float) -> tuple[float, float, float]:
    if not len(values) or np.isnan(threshold):
        return float("nan"), float("nan"), float("nan")
    from scipy.stats import binomtest

    beyond = int(np.sum(values > threshold))
    interval = binomtest(beyond, len(values)).proportion_ci(confidence, method="wilson")
    return beyond / len(values), float(interval.low), float(interval.high)
