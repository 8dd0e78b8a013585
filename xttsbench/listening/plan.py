"""What does a listening test ask, in which order, and which clips are heard? From a run alone; random by seed, and balanced."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from xttsbench import store, table
from xttsbench.clips import Signal, anchor, cut, levelled
from xttsbench.comparison import is_reference, variants
from xttsbench.record import Record
from xttsbench.settings import unknown

Kind = Literal["abx", "mushra"]
KINDS: tuple[Kind, ...] = ("abx", "mushra")
REFERENCE, ANCHOR = "hidden reference", "anchor 3.5 kHz"
TRIALS = {"abx": 20, "mushra": 10}
SECONDS = {"abx": 4.0, "mushra": 8.0}
MOST_CONDITIONS = 10  # ITU-R BS.1534-3 has at most 12 signals a trial, reference and anchor among them
ALIGNED_S = 0.05


@dataclass(frozen=True)
class Piece:
    """One text, voice and seed: the record of each contender that spoke it, and a whole decode, if there is one."""

    text: str
    seed: int
    records: dict[str, Record]
    whole: Record | None


@dataclass(frozen=True)
class Question:
    """One screen of a test.

    Attributes
    ----------
    number
        Counted from 0.
    text, text_seed
        Which material.
    from_s, to_s
        Which part of it, seconds into each contender's audio.
    order
        The conditions behind A, B and X; in a MUSHRA test behind the numbered samples.
    ids
        The trials that are heard, by condition.
    """

    number: int
    text: str
    text_seed: int
    from_s: float
    to_s: float
    order: tuple[str, ...]
    ids: dict[str, str]


@dataclass(frozen=True)
class Test:
    """A planned test. Its `id` is that of what is asked, the same for every listener; the order is the listener's own."""

    __test__ = False  # pytest would collect it by its name

    id: str
    kind: Kind
    conditions: tuple[str, ...]
    seconds: float
    seed: int
    listener: str
    questions: tuple[Question, ...]
    notes: tuple[str, ...]


def pieces(records: Sequence[Record]) -> list[Piece]:
    """Return what each text, voice and seed was spoken by, contenders named as in `comparison`; the first repeat counts."""
    heard = [r for r in records if r.status == "ok" and r.trial.phase in ("timed", "replay") and r.audio and r.chunks]
    own = [r for r in heard if not is_reference(r)]
    by_piece: dict[tuple[object, ...], dict[str, Record]] = {}
    for name, r in zip(variants(own), own, strict=True):
        by_piece.setdefault(_key(r), {}).setdefault(name, r)
    out = []
    for key, there in by_piece.items():
        decodes = [r for r in heard if is_reference(r) and _key(r) == key]
        first = next(iter(there.values())).trial
        best = max(decodes, key=lambda w: sum(_same_tokens(w, r) for r in there.values()), default=None)
        out.append(Piece(first.text.name, first.seed, there, best))
    return out


def contenders(found: Sequence[Piece]) -> list[str]:
    """Return the names of all contenders, in the order of the run."""
    return list(dict.fromkeys(name for piece in found for name in piece.records))


def names(run: str | Path) -> list[str]:
    """Return the contenders of a run that can be heard; ValueError says why there are fewer than two."""
    return contenders(_audible(Path(run)))


def plan(
    run: str | Path,
    kind: Kind = "abx",
    *,
    conditions: Sequence[str] | None = None,
    trials: int | None = None,
    seconds: float | None = None,
    seed: int = 0,
    listener: str = "",
) -> Test:
    """Plan a test over a run: the same for the same arguments and the same run.

    Parameters
    ----------
    run
        Folder of the run.
    kind
        'abx' asks of two conditions which of them X is; 'mushra' has all of them rated from 0 to 100 against a reference,
        with the reference hidden among them and a low-pass anchor (ITU-R BS.1534-3).
    conditions
        Contenders as `contenders` names them: two for 'abx' (by default the first two), two to ten for 'mushra' (the first five).
    trials
        How many questions: by default 20 for 'abx', and for 'mushra' 10 or as many as there are texts and seeds.
    seconds
        Length of the clips, by default 4 and 8: around a seam where the contenders run in step, from the start where they do not.
    seed, listener
        Decide the order; every listener has one of their own.

    Raises
    ------
    ValueError
        If the run has nothing to compare, or an argument does not fit.
    """
    if kind not in KINDS:
        raise unknown("kind of listening test", kind, KINDS)
    found = _audible(Path(run))
    known = contenders(found)
    chosen = tuple(conditions) if conditions is not None else _together(found, known, 2 if kind == "abx" else 5)
    _check(kind, chosen, known, trials, seconds)
    common = [p for p in found if set(chosen) <= set(p.records)]
    if not common:
        raise ValueError(
            f"{' and '.join(map(repr, chosen))} share no text and seed in this run, so no clip of one can be held against the other; "
            "run them together with `compare`, or in one sweep."
        )
    length, most = seconds or SECONDS[kind], trials or TRIALS[kind]
    asked = [kind, sorted(chosen), length, most, seed, sorted(p.records[c].trial.id for p in common for c in chosen)]
    rng = np.random.default_rng(list(hashlib.sha256(json.dumps([asked, listener]).encode()).digest()))
    windows = [w for p in common for w in _windows(p, chosen, length)]
    if kind == "mushra":  # a rated text is not rated again
        windows = [mine[int(rng.integers(len(mine)))] for p in common if (mine := [w for w in windows if w[0] is p])]
        most = min(most, len(windows))
    orders = _balanced(chosen, most, rng) if kind == "abx" else [()] * most
    material = itertools.chain.from_iterable(rng.permutation(len(windows)) for _ in itertools.count())
    questions = []
    for number, order in enumerate(orders):
        piece, start, end = windows[int(next(material))]
        ids = {c: piece.records[c].trial.id for c in chosen}
        if kind == "mushra":
            all_ = [*chosen, *([REFERENCE] if piece.whole else []), ANCHOR]
            order = tuple(all_[i] for i in rng.permutation(len(all_)))
            ids |= {REFERENCE: piece.whole.trial.id} if piece.whole else {}
        questions.append(Question(number, piece.text, piece.seed, start, end, order, ids))
    test_id = hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:12]
    return Test(test_id, kind, chosen, length, seed, listener, tuple(questions), tuple(_notes(kind, common, chosen)))


def clips(run: str | Path, test: Test, question: Question) -> tuple[dict[str, Signal], int]:
    """Return what is heard in a question by condition, and its sample rate (Hz): cut at the same times, of one length and loudness.

    The anchor is made of the reference, or of the first condition where the run has no whole decode.
    """
    records = {r.trial.id: r for r in store.read(Path(run))}
    lost = [i for i in question.ids.values() if i not in records]
    if lost:
        raise ValueError(f"the run no longer holds trial {lost[0]!r} that this test was planned with; plan it anew.")
    rates = {records[i].sample_rate for i in question.ids.values()}
    if len(rates) > 1:
        raise ValueError(
            f"the clips have sample rates {', '.join(map(str, sorted(rates)))} Hz; they must be of one rate to be compared."
        )
    rate = rates.pop()
    out = {
        name: cut(store.read_audio(Path(run), records[i]), sample_rate=rate, from_s=question.from_s, to_s=question.to_s)
        for name, i in question.ids.items()
    }
    if test.kind == "mushra":
        out[ANCHOR] = anchor(out.get(REFERENCE, out[test.conditions[0]]), sample_rate=rate)
    return dict(zip(out, levelled(list(out.values()), sample_rate=rate), strict=True)), rate


def _audible(run: Path) -> list[Piece]:
    store.read_meta(run)
    records = list(store.read(run))
    found = pieces(records)
    names = contenders(found)
    if len(names) < 2:
        done = any(r.status == "ok" for r in records)
        if done and not any(r.audio for r in records):
            raise ValueError(
                "this run kept no audio, and nothing can be heard without it; run it again without --no-audio."
            )
        has = f"only {names[0]!r}" if names else "no trial that can be heard"
        raise ValueError(
            f"a listening test needs two contenders, and this run has {has}; make one with `compare`, or sweep over two settings."
        )
    return found


def _together(found: list[Piece], known: list[str], most: int) -> tuple[str, ...]:
    """Return the first contenders that share a piece, at most `most`."""
    richest = max(found, key=lambda p: len(p.records))
    return tuple([name for name in known if name in richest.records or len(richest.records) < 2][:most])


def _check(kind: Kind, chosen: tuple[str, ...], names: list[str], trials: int | None, seconds: float | None) -> None:
    for name in chosen:
        if name not in names:
            raise unknown("contender", name, names)
    low, high = (2, 2) if kind == "abx" else (2, MOST_CONDITIONS)
    if not low <= len(set(chosen)) == len(chosen) <= high:
        wanted = "two different contenders" if kind == "abx" else f"two to {MOST_CONDITIONS} different contenders"
        raise ValueError(f"{kind} was given {', '.join(chosen) or 'none'}; it compares {wanted}.")
    if trials is not None and not 1 <= trials <= 200:
        raise ValueError(f"trials is {trials}; expected 1 to 200 (20 is usual).")
    if seconds is not None and not 0.2 <= seconds <= 30:
        raise ValueError(f"seconds is {seconds}; expected 0.2 to 30 s of each clip (are these milliseconds?).")


def _key(record: Record) -> tuple[object, ...]:
    return record.trial.text, record.trial.voice, record.trial.seed


def _same_tokens(a: Record, b: Record) -> bool:
    return a.codes == b.codes if a.codes and b.codes else a.chunks[-1].tokens == b.chunks[-1].tokens >= 0


def _length_s(record: Record) -> float:
    return sum(c.samples for c in record.chunks) / record.sample_rate


def _in_step(piece: Piece, chosen: Sequence[str]) -> bool:
    """Return whether all say the same at the same time, so that one window holds the same words in each."""
    first, *others = (piece.records[c] for c in chosen)
    return all(_same_tokens(first, r) and abs(_length_s(first) - _length_s(r)) <= ALIGNED_S for r in others)


def _windows(piece: Piece, chosen: Sequence[str], seconds: float) -> list[tuple[Piece, float, float]]:
    mine = [piece.records[c] for c in chosen]
    length = min(_length_s(r) for r in mine)
    centres = []
    if length > seconds and _in_step(piece, chosen):
        where = table.seams(mine)["sample"].unique() / mine[0].sample_rate
        centres = sorted({float(s) for s in where if 0 < s < length})
    starts = [min(max(0.0, c - seconds / 2), length - seconds) for c in centres] or [0.0]
    return [(piece, start, start + seconds) for start in dict.fromkeys(starts)]


def _balanced(pair: Sequence[str], trials: int, rng: np.random.Generator) -> list[tuple[str, ...]]:
    """Return A, B and X of each question: every contender is A, and X, as often as the other, to within one."""
    a, b = (pair[i] for i in rng.permutation(2))
    blocks = [(a, b, a), (b, a, b), (a, b, b), (b, a, a)]
    every = list(itertools.islice(itertools.cycle(blocks), trials))
    return [every[i] for i in rng.permutation(trials)]


def _notes(kind: Kind, common: list[Piece], chosen: Sequence[str]) -> list[str]:
    out = []
    apart = [p for p in common if not _in_step(p, chosen)]
    if apart:
        out.append(
            f"in {len(apart)} of {len(common)} texts and seeds the contenders do not run in step (other tokens, or pauses between sentences): "
            "they differ in more than their seams, and their clips start at the beginning"
        )
    if kind == "mushra" and any(p.whole is None for p in common):
        out.append(
            "this run holds no whole decode of some texts: there is no reference, the anchor is made of the first contender, and listeners can't be checked"
        )
    return out
