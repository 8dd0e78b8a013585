"""The three questions, answered in sentences: how soon, does it keep up, can one hear the joins; as far as intervals carry.

Two settings are told apart only where both have five requests or more and their 95 % intervals do not overlap, and of what
was not measured nothing is said.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from xttsbench import comparison, stats
from xttsbench.readable import interval, plain
from xttsbench.settings import REPLAYED, SETTINGS

MOST_TEXTS = 3
LEVEL = 0.05
HOW_SOON, KEEPS_UP, JOINS = "How soon?", "Does it keep up?", "Can one hear the joins?"
CHANGES = "What do the sampling parameters change?"
NOTHING = "Nothing to judge."
TOO_FEW = "There are too few pairs of requests to tell; raise --repeats."
ALIKE = "No value could be told apart from what another seed does."


def of_sweep(trials: pd.DataFrame, summary: pd.DataFrame) -> dict[str, str]:
    """Return question -> answer for a sweep that was timed, text by text; `summary` is `stats.summary(trials)`."""
    there = summary[summary["n"] > 0] if len(summary) else summary
    if not len(there):
        return {NOTHING: _nothing(trials)}
    differs = [name for name in stats.varying(summary) if name not in ("engine", "text")]

    def named(row: pd.Series) -> str:
        there = {name: row[name] for name in differs if plain(row[name]) != "-"}
        said = [
            f"{n} {plain(v)}"
            for n, v in there.items()
            if n in REPLAYED or n not in SETTINGS or v != SETTINGS[n].default
        ]
        return ", ".join([row["engine"], *(said or (["defaults"] if there else []))])

    lengths = trials.drop_duplicates("text").set_index("text")["text_chars"]
    texts = [text for text in lengths.sort_values(kind="stable").index if (there["text"] == text).any()]
    more = f" ({len(texts) - MOST_TEXTS} more texts are in the table)" if len(texts) > MOST_TEXTS else ""
    said = {}
    for metric in ("ttfc_s", "safe_start_s"):
        each = [f"on text {t!r} with {least(there[there['text'] == t], metric, named)}" for t in texts[:MOST_TEXTS]]
        said[metric] = "; ".join(each) + more
    return {
        HOW_SOON: f"The first chunk came soonest {said['ttfc_s']}. "
        f"The safe start, from when on playback has no gap, was earliest {said['safe_start_s']}.",
        KEEPS_UP: f"{keeps_up(there)} {_stalled(trials)}",
        JOINS: "That was not judged in this run; a comparison or a replay of joins does it.",
    }


def of_comparison(trials: pd.DataFrame, rows: pd.DataFrame) -> dict[str, str]:
    """Return question -> answer for a comparison or a replay; `rows` are those of `comparison.compare`."""
    if not len(rows):
        return {NOTHING: _nothing(trials)}
    once = rows.drop_duplicates("variant")
    if not once["rtf"].notna().any():
        return {
            HOW_SOON: "This run was replayed: what is heard was judged, and no time was measured.",
            JOINS: _joins(rows),
        }
    return {
        HOW_SOON: f"The first chunk came soonest with {least(once, 'ttfc_s', _variant)}. "
        f"The earliest safe start was that of {least(once, 'safe_start_s', _variant)}.",
        KEEPS_UP: f"{keeps_up(once)} {_stalled(trials)}",
        JOINS: _joins(rows),
    }


def of_sampling(effects: pd.DataFrame) -> dict[str, str]:
    """Return question -> answer for what sampling parameters change; `effects` is `sampling.effects`, empty if there is none."""
    if not len(effects):
        return {}
    told = [
        f"{r.engine}, {r.parameter} {plain(r.value)}: {r.metric} {stats.short(r.effect, sign=True)} "
        f"[{stats.short(r.effect_lo)}, {stats.short(r.effect_hi)}]"
        for r in effects[effects["beyond"].astype(bool)].itertuples()
    ]
    same = effects[effects["unchanged"].astype(bool)].drop_duplicates(["engine", "parameter", "value"])
    inert = [f"{r.engine}, {r.parameter} {plain(r.value)}" for r in same.itertuples()]
    few = not (effects["p_least"] < LEVEL).any()
    beyond = (
        f"Against the default, and beyond what another seed does: {'; '.join(told)}."
        if told
        else TOO_FEW
        if few
        else ALIKE
    )
    return {CHANGES: beyond + (f" Not a single token changed with {'; '.join(inert)}." if inert else "")}


def least(rows: pd.DataFrame, metric: str, named: Callable[[pd.Series], str]) -> str:
    """Return which row has the least median of a metric in seconds, how much, and how many others are not told apart from it."""
    known = rows[np.isfinite(rows[metric].astype(float))]
    if not len(known):
        return "no setting: it was not measured"
    best = known.loc[known[metric].astype(float).idxmin()]
    others = known.drop(index=best.name)
    apart = others[f"{metric}_lo"].astype(float) > best[f"{metric}_hi"]
    apart &= (others["n"] >= stats.ENOUGH) & (best["n"] >= stats.ENOUGH)
    said = f"{named(best)}: {interval(best, metric, 1000, 0)} ms (n = {best['n']:g})"
    tied = len(others) - int(apart.sum())
    if not len(others):
        return f"{said}, the only one measured"
    if not tied:
        return f"{said}, apart from all {len(others)} others" if len(others) > 1 else f"{said}, apart from the other"
    if tied == len(others):
        return f"{said}, which is not told apart from any other ({tied})"
    return f"{said}, not told apart from {tied} of {len(others)} others"


def keeps_up(rows: pd.DataFrame) -> str:
    """Return whether synthesis is faster than real time, in how many rows of a summary that is certain."""
    rtf, low, high = (rows[name].astype(float) for name in ("rtf", "rtf_lo", "rtf_hi"))
    known = int(np.isfinite(rtf).sum())
    if not known:
        return "Whether it keeps up was not measured."
    spread = f"rtf from {rtf.min():.3f} to {rtf.max():.3f}" if known > 1 else f"rtf {rtf.min():.3f}"
    sure, slow = int((high < 1).sum()), int((low > 1).sum())
    said = [f"{sure} of {known} settings are faster than real time"] if sure else []
    said += [f"{slow} of {known} are slower"] if slow else []
    said += [f"for {known - sure - slow} the interval does not decide"] if known - sure - slow else []
    return f"Median {spread}: {', '.join(said)}."


def _stalled(trials: pd.DataFrame) -> str:
    ok = trials[(trials["phase"] == "timed") & (trials["status"] == "ok")]
    streamed = ok[ok["chunks"] > 1]
    if not len(streamed):
        return "No request came in more than one chunk, so none could stall."
    stalled = int((streamed["stalls"] > 0).sum())
    return f"A player that starts at the first chunk falls silent in {stalled} of the {len(streamed)} requests that came in several chunks."


def _joins(rows: pd.DataFrame) -> str:
    with_seams = rows[rows["kind"] != "-"]
    if not len(with_seams):
        return "There is no seam to judge."
    heard = sum(len(comparison.exceeding(row)) > 0 for _, row in with_seams.iterrows())
    judged = sum(comparison.judged(row) for _, row in with_seams.iterrows())
    counts = {
        "something is heard more at the seams than elsewhere in the same audio": heard,
        "no difference was found, which does not prove that there is none": judged - heard,
        "there are too few seams, or nothing like them to hold them against": len(with_seams) - judged,
    }
    said = "; ".join(f"in {n} {words}" for words, n in counts.items() if n)
    return f"Of {len(with_seams)} kinds of seam (a contender's, within or between sentences): {said}."


def _variant(row: pd.Series) -> str:
    return str(row["variant"])


def _nothing(trials: pd.DataFrame) -> str:
    asked = trials[trials["phase"].isin(["timed", "replay"])] if len(trials) else trials
    failed = int((asked["status"] != "ok").sum()) if len(asked) else 0
    if failed == len(asked) > 0:
        return f"No request succeeded: all {failed} failed, so nothing can be said of times or sound."
    if len(asked):
        return f"Nothing can be judged: {len(asked) - failed} requests succeeded, and none kept its audio."
    return "This run holds no timed request yet, so there is nothing to say."
