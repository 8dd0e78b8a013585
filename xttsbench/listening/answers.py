"""What did listeners say? One line of JSON an answer, in listening.jsonl of the run, whole on the disk or not there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from xttsbench import store
from xttsbench.listening.plan import Question, Test

FILE = "listening.jsonl"
SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One answer, with all that it needs to be judged later; nothing derived.

    Attributes
    ----------
    test, kind, conditions, seconds, seed
        Of the test; `planned` is its number of questions.
    listener
        As they named themselves; '' if they did not.
    question, text, text_seed, from_s, to_s, ids
        Which question it was, and what was heard in it.
    order
        The conditions behind A, B and X, or behind the numbered samples.
    choice
        'A' or 'B' in ABX, else ''.
    ratings
        0 to 100 in the order of `order` in MUSHRA, else empty.
    at
        UTC, ISO 8601.
    """

    test: str
    kind: str
    conditions: tuple[str, ...]
    seconds: float
    seed: int
    planned: int
    listener: str
    question: int
    text: str
    text_seed: int
    from_s: float
    to_s: float
    ids: dict[str, str]
    order: tuple[str, ...]
    choice: str
    ratings: tuple[int, ...]
    at: str

    def to_json(self) -> str:
        """Return the answer as one line of JSON, without the newline."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}, ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, line: str) -> Answer:
        """Read a line of any schema up to this one; ValueError for a newer one or a broken line."""
        try:
            data: dict[str, Any] = json.loads(line)
            schema = data.pop("schema")
            if schema <= SCHEMA:
                tuples = {name: tuple(data[name]) for name in ("conditions", "order", "ratings")}
                return cls(**{**data, **tuples})
        except (json.JSONDecodeError, AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"not an answer of a listening test: {line[:60]!r}.") from error
        raise ValueError(f"{FILE} has schema {schema}, this xttsbench reads up to {SCHEMA}; install a newer xttsbench.")


def append(run: str | Path, test: Test, question: Question, *, choice: str = "", ratings: Sequence[int] = ()) -> Answer:
    """Store an answer with the run and return it.

    Raises
    ------
    ValueError
        If it is no answer to this kind of test, or the run can't be written.
    """
    if test.kind == "abx" and (choice not in ("A", "B") or ratings):
        raise ValueError(f"choice is {choice!r}; an ABX question is answered with 'A' or 'B'.")
    if test.kind == "mushra" and (
        choice or len(ratings) != len(question.order) or not all(0 <= r <= 100 for r in ratings)
    ):
        raise ValueError(f"ratings are {list(ratings)}; expected {len(question.order)} of 0 to 100, one a sample.")
    answer = Answer(
        test=test.id,
        kind=test.kind,
        conditions=test.conditions,
        seconds=test.seconds,
        seed=test.seed,
        planned=len(test.questions),
        listener=test.listener,
        question=question.number,
        text=question.text,
        text_seed=question.text_seed,
        from_s=question.from_s,
        to_s=question.to_s,
        ids=question.ids,
        order=question.order,
        choice=choice,
        ratings=tuple(int(r) for r in ratings),
        at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    path = Path(run) / FILE
    try:
        with FileLock(str(path.with_name(".listening.lock")), timeout=10):
            store.mend(path)
            with open(path, "ab", buffering=0) as file:
                store.append_line(file, answer.to_json())
    except Timeout:
        raise ValueError(f"another process is writing {str(path)!r}; the answer was not kept, give it again.") from None
    except OSError as error:
        raise ValueError(
            f"can't write {str(path)!r} ({error.strerror}); the answer was not kept. Copy the run to a place of your own."
        ) from error
    return answer


def read(run: str | Path) -> list[Answer]:
    """Return the answers in the order they were given; a torn last line is passed over, and so is a question answered twice."""
    path = Path(run) / FILE
    if not path.exists():
        return []
    lines = [line for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
    found: dict[tuple[str, str, int], Answer] = {}
    for answer in (Answer.from_json(line.decode("utf-8", errors="replace")) for line in lines):
        found.setdefault((answer.test, answer.listener, answer.question), answer)
    return list(found.values())


def left(run: str | Path, test: Test) -> list[Question]:
    """Return the questions that this listener has not answered yet: a half-done test goes on with the first of them."""
    done = {a.question for a in read(run) if (a.test, a.listener) == (test.id, test.listener)}
    return [q for q in test.questions if q.number not in done]
