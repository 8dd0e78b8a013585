"""What do the answers of listeners amount to? Binomial for ABX, median ratings for MUSHRA, and who can be relied on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from xttsbench.listening.answers import Answer, read
from xttsbench.listening.plan import REFERENCE
from xttsbench.record import NAN
from xttsbench.stats import median_interval

LEAST_RATING, MOST_LOW = 90, 0.15  # ITU-R BS.1534-3, post-screening of assessors
COLUMNS = (
    *("test", "kind", "condition", "listeners", "n", "planned", "correct"),
    *("share", "share_lo", "share_hi", "p", "rating", "rating_lo", "rating_hi"),
)
LISTENER = ("test", "listener", "n", "low_share", "reliable")


def results(run: str | Path | Sequence[Answer]) -> pd.DataFrame:
    """Return a row an ABX test, and a row a condition of a MUSHRA test, over all listeners. Undefined is NaN.

    Columns: test (its id), kind, condition (for ABX 'one / other'), listeners, n (answers), planned (of them, over these listeners);
    ABX: correct, share (of them) with Clopper and Pearson's 95 % interval, p (exact binomial, one-sided: the chance of so many by
    guessing); MUSHRA: rating, the median with its 95 % bootstrap interval over answers.

    A p-value holds for a test that was carried to its planned end, and for one pair: of many pairs some will differ by chance.

    Raises
    ------
    ValueError
        If the answers are of a newer schema, or broken.
    """
    answers = read(run) if isinstance(run, str | Path) else run
    rows = []
    for test in dict.fromkeys(a.test for a in answers):
        mine = [a for a in answers if a.test == test]
        people = {a.listener for a in mine}
        base = {"test": test, "kind": mine[0].kind, "listeners": len(people), "planned": mine[0].planned * len(people)}
        if mine[0].kind == "abx":
            rows.append({**base, "condition": " / ".join(mine[0].conditions), **_abx(mine)})
        else:
            for condition in dict.fromkeys(c for a in mine for c in (*a.conditions, *sorted(a.order))):
                rows.append({**base, "condition": condition, **_rated(mine, condition)})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def listeners(run: str | Path | Sequence[Answer]) -> pd.DataFrame:
    """Return a row a listener of a MUSHRA test: test, listener, n, low_share, reliable.

    `low_share` is the share of answers in which they rated the hidden reference under 90; above 15 % they are not `reliable` after
    ITU-R BS.1534-3. NaN, and not reliable, where nothing they heard had a reference.
    """
    answers = read(run) if isinstance(run, str | Path) else run
    rows = []
    for test, person in dict.fromkeys((a.test, a.listener) for a in answers if a.kind == "mushra"):
        mine = [a for a in answers if (a.test, a.listener) == (test, person)]
        rated = _ratings(mine, REFERENCE)
        low = float(np.mean(rated < LEAST_RATING)) if len(rated) else NAN
        rows.append((test, person, len(mine), low, bool(low <= MOST_LOW)))
    return pd.DataFrame(rows, columns=list(LISTENER))


def said(run: str | Path | Sequence[Answer]) -> list[str]:
    """Return what the answers amount to in sentences, one an ABX test, one a condition of MUSHRA, one a doubtful listener."""
    answers = read(run) if isinstance(run, str | Path) else run
    out = []
    for _, row in results(answers).iterrows():
        if row["kind"] == "abx":
            judged = "told apart" if row["p"] < 0.05 else "not told apart more often than guessing would"
            early = f"; {row['planned'] - row['n']} answers are still to come, until then p is only a hint"
            out.append(
                f"{row['condition']}: {judged}, {row['correct']:.0f} of {row['n']} right "
                f"({row['share']:.0%} [{row['share_lo']:.0%}, {row['share_hi']:.0%}], 50 % is guessing, p = {row['p']:.2g})"
                + (early if row["n"] < row["planned"] else "")
            )
        else:
            interval = (
                f" [{row['rating_lo']:.0f}, {row['rating_hi']:.0f}]" if row["rating_lo"] == row["rating_lo"] else ""
            )
            out.append(f"{row['condition']}: median rating {row['rating']:.0f}{interval} of 100, {row['n']} answers")
    for _, row in listeners(answers).iterrows():
        if row["low_share"] > MOST_LOW:
            out.append(
                f"careful: {row['listener'] or 'a listener without a name'} rated the hidden reference under {LEAST_RATING} in "
                f"{row['low_share']:.0%} of {row['n']} answers; ITU-R BS.1534 leaves such a listener out above {MOST_LOW:.0%}"
            )
    return out


def _abx(answers: Sequence[Answer]) -> dict[str, float]:
    from scipy.stats import binomtest

    right = sum(a.order["AB".index(a.choice)] == a.order[2] for a in answers)
    interval = binomtest(right, len(answers)).proportion_ci(confidence_level=0.95, method="exact")
    return {
        "n": len(answers),
        "correct": right,
        "share": right / len(answers),
        "share_lo": float(interval.low),
        "share_hi": float(interval.high),
        "p": float(binomtest(right, len(answers), 0.5, alternative="greater").pvalue),
    }


def _rated(answers: Sequence[Answer], condition: str) -> dict[str, float]:
    rated = _ratings(answers, condition)
    rating, low, high = median_interval(rated)
    return {"n": len(rated), "rating": rating, "rating_lo": low, "rating_hi": high}


def _ratings(answers: Sequence[Answer], condition: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([float(a.ratings[a.order.index(condition)]) for a in answers if condition in a.order])
