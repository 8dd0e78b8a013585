"""What people hear: listening tests planned from a run, their answers stored with it, and what the answers amount to.

`plan` says what is asked, `clips` what is heard, `append` keeps an answer in RUN/listening.jsonl, and
`results(run)` is a table like any other: no widget is needed.
"""

from xttsbench.listening.answers import FILE, SCHEMA, Answer, append, left, read
from xttsbench.listening.plan import (
    ANCHOR,
    KINDS,
    REFERENCE,
    Piece,
    Question,
    Test,
    clips,
    contenders,
    names,
    pieces,
    plan,
)
from xttsbench.listening.results import listeners, results, said

__all__ = [
    "ANCHOR",
    "FILE",
    "KINDS",
    "REFERENCE",
    "SCHEMA",
    "Answer",
    "Piece",
    "Question",
    "Test",
    "append",
    "clips",
    "contenders",
    "left",
    "listeners",
    "names",
    "pieces",
    "plan",
    "read",
    "results",
    "said",
]
