"""Does the voice get stuck? How much of a token sequence was said before."""

from __future__ import annotations

from collections.abc import Sequence

from xttsbench.record import NAN

GRAM = 4


def repetition(codes: Sequence[Sequence[int]], *, gram: int = GRAM) -> float:
    """Return the share of n-grams that occurred earlier in the same sentence.

    A listener notices stuttering, or a vowel or silence that will not end. Ordinary speech has a little:
    tokens of a held sound or a pause repeat.

    Parameters
    ----------
    codes
        GPT audio token ids, a sequence a sentence.
    gram
        Tokens an n-gram.

    Returns
    -------
    float
        0 (nothing twice) to below 1; NaN where no sentence has `gram` tokens.

    Raises
    ------
    ValueError
        If `gram` is below 1.

    Notes
    -----
    seq-rep-n of Welleck et al., "Neural text generation with unlikelihood training", ICLR 2020, over all sentences together.

    Examples
    --------
    >>> repetition([[1, 2, 3, 4, 5]]), repetition([[7, 7, 7, 7, 7, 7]]), repetition([[1, 2]])
    (0.0, 0.6666666666666666, nan)
    """
    if gram < 1:
        raise ValueError(f"gram is {gram}; expected 1 token or more (4 is usual).")
    total = distinct = 0
    for sentence in codes:
        grams = [tuple(sentence[i : i + gram]) for i in range(len(sentence) - gram + 1)]
        total += len(grams)
        distinct += len(set(grams))
    return (total - distinct) / total if total else NAN
