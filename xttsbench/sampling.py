"""What does a sampling parameter change? Each value of a one-at-a-time sweep against the default, beside what another seed alone does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from xttsbench import store
from xttsbench.metrics.speech import Recogniser, word_error_rate
from xttsbench.record import NAN, Record
from xttsbench.settings import SETTINGS, settings_of
from xttsbench.stats import RESAMPLES, Values, holm, median_interval
from xttsbench.table import IDENTITY

METRICS = ("audio_s", "repetition", "rtf", "chars_per_s", "word_error_rate")
LEAST_PAIRS = 6
PAIR = ("engine", "parameter", "value", "default", "metric", "text", "language", "seed", "difference", "same")
EFFECT = (
    *("engine", "parameter", "value", "default", "metric", "n", "effect", "effect_lo", "effect_hi"),
    *("null_lo", "null_hi", "seeds_differ", "seeds_differ_p95", "p", "p_least", "beyond", "same_share", "unchanged"),
)
Series = dict[tuple[str, str], Values]


def effects(trials: pd.DataFrame, *, metrics: Sequence[str] = METRICS, seed: int = 0) -> pd.DataFrame:
    """Return a row a (engine, parameter, value, metric): what that value changes, and whether another seed would have done as much.

    Columns: n pairs; `effect`, their median difference from the default cell, in the metric's own unit, with its 95 % bootstrap
    interval; `null_lo` to `null_hi`, where 95 % of such medians lie if the value does no more than draw another seed;
    `seeds_differ` and `seeds_differ_p95`, how far apart two seeds of the default cell are (median and 95th percentile); `p` of
    Wilcoxon's signed-rank test, corrected by Holm over the rows of an engine and metric, NaN below six pairs; `p_least`, the
    least that so many pairs can give: from 0.05 on they are too few for a verdict; `beyond`: p is under 0.05 and the effect
    outside the null range; `same_share` of pairs with the same tokens and length, NaN where tokens are not known; `unchanged`:
    that is all of them, so the value did nothing at all.

    See `pairs` for what is compared and what is refused.
    """
    rows = []
    compared = pairs(trials, metrics=metrics)
    for engine, of_engine in compared.groupby("engine", sort=False):
        defaults = {m: _by_text(_default_rows(trials, str(engine)), m) for m in of_engine["metric"].unique()}
        for metric, of_metric in of_engine.groupby("metric", sort=False):
            mine = [
                _row(group, defaults[metric], seed=seed)
                for _, group in of_metric.groupby(["parameter", "value"], sort=False)
            ]
            corrected = holm({str(k): row["p"] for k, row in enumerate(mine)})
            tests = sum(np.isfinite(row["p"]) for row in mine)
            for k, row in enumerate(mine):
                row["p"] = corrected[str(k)]
                row["p_least"] = min(1.0, tests * 2.0 ** (1 - row["n"])) if row["n"] >= LEAST_PAIRS else NAN
                outside = not row["null_lo"] <= row["effect"] <= row["null_hi"]
                row["beyond"] = bool(row["p"] < 0.05 and outside)
            rows += mine
    return pd.DataFrame(rows, columns=list(EFFECT))


def pairs(trials: pd.DataFrame, *, metrics: Sequence[str] = METRICS) -> pd.DataFrame:
    """Return a row a (engine, parameter, value, metric, text, seed): its difference from the default cell under the same text and seed.

    `trials` is a table of `table.load_run`; its timed trials that succeeded are taken. The default cell is the one that most
    others differ from in a single setting, and only those others are compared. `same` says whether tokens and length of the
    audio are those of the default, None where tokens are not known. Metrics that are no column of `trials` are left out.

    Raises
    ------
    ValueError
        If no metric is a column, or trials differ in model, machine, precision or the like as well.
    """
    if not len(trials):
        return pd.DataFrame(columns=list(PAIR))
    there = [m for m in metrics if m in trials]
    if not there:
        raise ValueError(f"none of {', '.join(metrics)} is a column of these trials; is this a table of load_run?")
    _must_be_alike(trials)
    parts = []
    for engine in trials["engine"].unique():
        ok, names = _timed(trials, engine), _varied(trials, engine)
        default = _default(ok, names)
        base = ok[_is(ok, default)].set_index(["text", "language", "seed"]).add_suffix("_default")
        for name in names:
            others = {k: v for k, v in default.items() if k != name}
            near = ok[_is(ok, others) & (ok[name] != default[name])].sort_values([name, "text", "seed"], kind="stable")
            found = near.join(base, on=["text", "language", "seed"], how="inner")
            known = (found["codes_hash"] != "") & (found["codes_hash_default"] != "")
            equal = (found["codes_hash"] == found["codes_hash_default"]) & (
                found["audio_s"] == found["audio_s_default"]
            )
            for metric in there:
                part = found[["engine", "text", "language", "seed"]].assign(
                    parameter=name,
                    value=pd.Series([_plain(name, v) for v in found[name]], index=found.index, dtype=object),
                    default=pd.Series([default[name]] * len(found), index=found.index, dtype=object),
                    metric=metric,
                    difference=found[metric].astype(float) - found[f"{metric}_default"].astype(float),
                    same=equal.astype(object).where(known, None),
                )
                parts.append(part[list(PAIR)])
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(PAIR))


def word_errors(folder: str | Path, records: Iterable[Record], *, recogniser: Recogniser | None = None) -> pd.Series:
    """Return the word error rate of each record by trial id, for a column `word_error_rate` of its trials.

    NaN where no audio was kept, and where the text is not English: the recogniser of the extra `listen` knows nothing else.
    Give another as in `metrics.speech.word_error_rate`, and it hears every language.
    """
    rates = {}
    for r in records:
        audible = r.status == "ok" and r.audio and (recogniser is not None or r.trial.text.language == "en")
        rates[r.trial.id] = (
            word_error_rate(
                store.read_audio(Path(folder), r), r.trial.text.text, sample_rate=r.sample_rate, recogniser=recogniser
            )
            if audible
            else NAN
        )
    return pd.Series(rates, name="word_error_rate", dtype=float)


def _must_be_alike(trials: pd.DataFrame) -> None:
    for name in ("machine", *IDENTITY):
        if name in trials and name not in ("engine", "text"):
            found = [str(v) for v in trials[name].dropna().unique()]
            if len(found) > 1:
                raise ValueError(
                    f"these trials differ in {name} ({', '.join(found)}), and an effect is of one; "
                    f"choose first, e.g. trials[trials[{name!r}] == {found[0]!r}]."
                )


def _timed(trials: pd.DataFrame, engine: str) -> pd.DataFrame:
    return trials[(trials["engine"] == engine) & (trials["phase"] == "timed") & (trials["status"] == "ok")]


def _varied(trials: pd.DataFrame, engine: str) -> list[str]:
    mine = _timed(trials, engine)
    return [n for n in settings_of(engine) if n != "language" and n in mine and mine[n].nunique() > 1]


def _default(ok: pd.DataFrame, names: list[str]) -> dict[str, Any]:
    """Return the settings that most cells differ from in one alone; among equals, those nearest to the library's own."""
    cells = ok[names].drop_duplicates().sort_values(names, kind="stable") if names else ok[names]
    if not len(cells) or not names:
        return {}
    values = cells.to_numpy(dtype=object)
    neighbours = ((values[:, None] != values[None]).sum(axis=2) == 1).sum(axis=1)
    own = (values == np.array([SETTINGS[n].default for n in names], dtype=object)).sum(axis=1)
    best = max(range(len(values)), key=lambda k: (neighbours[k], own[k]))
    return {name: _plain(name, value) for name, value in zip(names, values[best], strict=True)}


def _default_rows(trials: pd.DataFrame, engine: str) -> pd.DataFrame:
    ok = _timed(trials, engine)
    return ok[_is(ok, _default(ok, _varied(trials, engine)))]


def _is(rows: pd.DataFrame, settings: dict[str, Any]) -> pd.Series:
    hit = pd.Series(True, index=rows.index)
    for name, value in settings.items():
        hit &= rows[name] == value
    return hit


def _plain(name: str, value: Any) -> Any:
    """Return a setting in its own type: a column with gaps has made floats of whole numbers."""
    return {"int": int, "float": float, "bool": bool, "str": str}[str(SETTINGS[name].type)](value)


def _by_text(rows: pd.DataFrame, metric: str) -> Series:
    finite = rows[np.isfinite(rows[metric].astype(float))]
    return {key: group[metric].to_numpy(dtype=float) for key, group in finite.groupby(["text", "language"])}


def _row(group: pd.DataFrame, default: Series, *, seed: int) -> dict[str, Any]:
    defined = group[np.isfinite(group["difference"])]
    difference = defined["difference"].to_numpy(dtype=float)
    effect, low, high = median_interval(difference, seed=seed)
    null_low, null_high = _null(defined.groupby(["text", "language"]).size().to_dict(), default, seed=seed)
    apart = [abs(x[i] - x[j]) for x in default.values() for i in range(len(x)) for j in range(i)]
    known = group["same"].dropna()
    return {
        **group.iloc[0][["engine", "parameter", "value", "default", "metric"]].to_dict(),
        "n": len(difference),
        "effect": effect,
        "effect_lo": low,
        "effect_hi": high,
        "null_lo": null_low,
        "null_hi": null_high,
        "seeds_differ": float(np.median(apart)) if apart else NAN,
        "seeds_differ_p95": float(np.quantile(apart, 0.95)) if apart else NAN,
        "p": _signed_rank(difference),
        "same_share": float(known.astype(float).mean()) if len(known) else NAN,
        "unchanged": bool(len(known) == len(group) and known.all()),
    }


def _null(counts: dict[tuple[str, str], int], default: Series, *, seed: int) -> tuple[float, float]:
    """Return the 95 % range of the median difference if each pair were two seeds of the default cell, text by text."""
    if not counts or any(len(default.get(text, ())) < 2 for text in counts):
        return NAN, NAN
    rng, drawn = np.random.default_rng(seed), []
    for text, n in counts.items():
        x = default[text]
        one = rng.integers(0, len(x), (RESAMPLES, n))
        other = (one + rng.integers(1, len(x), (RESAMPLES, n))) % len(x)
        drawn.append(x[other] - x[one])
    low, high = np.quantile(np.median(np.concatenate(drawn, axis=1), axis=1), [0.025, 0.975])
    return float(low), float(high)


def _signed_rank(difference: Values) -> float:
    from scipy.stats import wilcoxon

    if len(difference) < LEAST_PAIRS:
        return NAN
    return float(wilcoxon(difference).pvalue) if np.any(difference) else 1.0
