"""Tables to estimates: medians with bootstrap intervals, corrected p-values, and doubts in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import bootstrap

from xttsbench.record import NAN
from xttsbench.settings import ONE_CHUNK, SETTINGS
from xttsbench.table import IDENTITY, METRICS

RESAMPLES = 2000
WIDE = 0.25
ENOUGH = 5  # requests a setting, for an interval that is more than a hint
CAUSES = {  # of doubt, as `machine.flags` and the runner name them
    "cpu_shared": "other programs kept part of the processor busy",
    "cpu_stolen": "the hypervisor gave processor time to others",
    "gpu_shared": "another process computed on the GPU",
    "gpu_throttled": "the GPU slowed itself down",
    "generated_anew": "sentences were synthesised again for another join, so times are not those of the first join",
    "unfused": "seamless ran its token step without its kernels (no Triton, no C compiler or another shape), at over twice the time",
}
Values = np.ndarray[Any, np.dtype[np.float64]]


def short(value: float, *, sign: bool = False) -> str:
    """Return a number to three digits, large ones without powers of ten.

    Examples
    --------
    >>> short(1234.5), short(0.0567), short(-96.24, sign=True), short(1234.5, sign=True)
    ('1,230', '0.0567', '-96.2', '+1,230')
    """
    return format(float(f"{value:.3g}"), "+,.15g" if sign else ",.15g")


def median_interval(values: Values, *, seed: int = 0, level: float = 0.95) -> tuple[float, float, float]:
    """Return (median, low, high): the median of the finite values and its percentile bootstrap interval.

    Fewer than one value gives NaN; fewer than two a median without an interval.

    Examples
    --------
    >>> median, low, high = median_interval(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    >>> median, low >= 1, high <= 5
    (3.0, True, True)
    """
    x = np.asarray(values, dtype=float)
    x = x[np.isfinite(x)]
    if not len(x):
        return NAN, NAN, NAN
    median = float(np.median(x))
    if len(x) < 2:
        return median, NAN, NAN
    if np.ptp(x) == 0:
        return median, median, median
    result = bootstrap(
        (x,),
        np.median,
        n_resamples=RESAMPLES,
        confidence_level=level,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return median, float(result.confidence_interval.low), float(result.confidence_interval.high)


def holm(p_values: dict[str, float]) -> dict[str, float]:
    """Return p-values corrected for their number by Holm's step-down (Scand. J. Statistics 6, 1979); NaN stays NaN.

    Examples
    --------
    >>> {k: round(v, 3) for k, v in holm({"a": 0.01, "b": 0.04, "c": 0.03}).items()}
    {'a': 0.03, 'c': 0.06, 'b': 0.06}
    """
    known = sorted((p, name) for name, p in p_values.items() if math.isfinite(p))
    out: dict[str, float] = {}
    highest = 0.0
    for rank, (p, name) in enumerate(known):
        highest = max(highest, min(1.0, p * (len(known) - rank)))
        out[name] = highest
    return out | {name: NAN for name, p in p_values.items() if not math.isfinite(p)}


def summary(trials: pd.DataFrame, metrics: Sequence[str] = METRICS) -> pd.DataFrame:
    """Return a row a setting: identity, every setting, n, failed, then each metric's median, `_lo` and `_hi`.

    Only timed and replayed trials count; `n` is how many of them succeeded.
    """
    keys = [*IDENTITY, *(["machine"] if "machine" in trials else []), *SETTINGS]
    rows = []
    timed = trials[trials["phase"].isin(["timed", "replay"])] if len(trials) else trials
    if not len(timed):
        columns = [column for metric in metrics for column in (metric, f"{metric}_lo", f"{metric}_hi")]
        return pd.DataFrame(columns=[*keys, "n", "failed", "note", *columns])
    for _, group in timed.groupby("cell", sort=False):
        row = {k: group[k].iloc[0] for k in keys}
        ok = group[group["status"] == "ok"]
        row |= {"n": len(ok), "failed": len(group) - len(ok), "note": group["note"].iloc[0]}
        for metric in metrics:
            row[metric], row[f"{metric}_lo"], row[f"{metric}_hi"] = median_interval(ok[metric].to_numpy(dtype=float))
        rows.append(row)
    return pd.DataFrame(rows).sort_values(keys, kind="stable", ignore_index=True)


def pareto(rows: pd.DataFrame, x: str, y: str) -> pd.Series[bool]:
    """Return which rows lie on the Pareto front of columns `x` and `y`, smaller being better in both.

    A row is on it if no other is as good in both and better in one; equal rows are on it together. A row with a NaN
    in either is never on it, and beats no other.

    Examples
    --------
    >>> pareto(pd.DataFrame({"x": [1, 2, 2, 3], "y": [5, 4, 6, 4]}), "x", "y").tolist()
    [True, True, False, False]
    """
    a, b = (rows[name].to_numpy(dtype=float) for name in (x, y))
    with np.errstate(invalid="ignore"):
        no_worse = (a[:, None] <= a) & (b[:, None] <= b)
        better = (a[:, None] < a) | (b[:, None] < b)
    front = np.isfinite(a) & np.isfinite(b) & ~(no_worse & better).any(axis=0)
    return pd.Series(front, index=rows.index, name="pareto", dtype=bool)


def varying(table: pd.DataFrame) -> list[str]:
    """Return the identity and setting columns that take more than one value: what tells the rows apart."""
    keys = [k for k in (*IDENTITY, *SETTINGS) if k in table]
    return [k for k in keys if table[k].dropna().astype(str).nunique() > 1]


def whole_decodes(trials: pd.DataFrame) -> pd.Series[bool]:
    """Return which trials were decoded in one chunk only for others to be held against, and have no figures of their own."""
    return (trials["phase"] == "replay") & (trials["stream_chunk_size"] == ONE_CHUNK)


def doubts(trials: pd.DataFrame, summary_table: pd.DataFrame) -> list[str]:
    """Return in words why a reader should be careful: wide intervals, few repeats, failures, a busy machine."""
    out = []
    timed = trials[trials["phase"].isin(["timed", "replay"])]
    failed = timed[timed["status"] != "ok"]
    for error, group in failed.groupby("error"):
        out.append(f"{len(group)} of {len(timed)} trials failed: {error}")
    asked = timed[~whole_decodes(timed)]
    repeats = (asked["status"] == "ok").groupby(asked["cell"]).sum()
    few = int(repeats.between(1, ENOUGH - 1).sum())
    if few:
        out.append(
            f"{few} of {len(repeats)} settings have under {ENOUGH} repeats: their intervals are only a hint; raise --repeats."
        )
    for metric in ("ttfc_s", "rtf"):
        half = (summary_table[f"{metric}_hi"] - summary_table[f"{metric}_lo"]) / 2 / summary_table[metric]
        wide = half > WIDE
        if wide.any():
            worst = half.idxmax()
            out.append(
                f"{metric.removesuffix('_s')} is uncertain by more than {WIDE:.0%} in {int(wide.sum())} of {int(half.notna().sum())} settings "
                f"(worst {half[worst]:.0%}): the machine is noisy or repeats are few."
            )
    heard = timed[timed["rtf"].notna()]
    causes = heard["flags"].str.split().explode().dropna()
    causes = causes[causes != ""]
    for cause, count in causes.value_counts().items():
        meaning = CAUSES.get(cause.partition(":")[0])
        out.append(f"{count} of {len(heard)} trials are flagged {cause}" + (f": {meaning}." if meaning else "."))
    return out
