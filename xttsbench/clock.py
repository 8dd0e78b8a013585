"""What "now" means: time starts when the request is made, and a chunk is stamped when its samples are in host memory.

The copy to the host is what waits for the GPU, so no other synchronisation is needed. The moment the
generator handed the chunk over is kept beside it: the difference is what a stopwatch around the generator misses.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from xttsbench.record import Chunk

if TYPE_CHECKING:
    from xttsbench.engines import Piece

Audio = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True)
class Heard:
    """What reached the caller: chunks with their stamps, the put-together audio (n,) float32, and the end."""

    chunks: tuple[Chunk, ...]
    audio: Audio
    end_s: float


class Forward:
    """A clock that can be put forward: by what something took when it was done, where it is remembered and not done again.

    Examples
    --------
    >>> clock = Forward()
    >>> before = clock()
    >>> clock.put(3600.0)
    >>> 3600 <= clock() - before < 7200
    True
    """

    def __init__(self) -> None:
        self._ahead = 0.0

    def put(self, seconds: float) -> None:
        self._ahead += seconds

    def __call__(self) -> float:
        return time.perf_counter() + self._ahead


def to_host(audio: Any) -> Audio:
    """Return samples (n,) float32 in host memory; for a tensor on a GPU this waits until they are there."""
    if hasattr(audio, "detach"):
        audio = audio.detach().float().cpu().numpy()
    return np.atleast_1d(np.asarray(audio, dtype=np.float32).squeeze())


def listen(
    request: Callable[[], Iterator[Piece]],
    *,
    heard: Callable[[Audio], None] | None = None,
    now: Callable[[], float] = time.perf_counter,
) -> Heard:
    """Make a request, take all its pieces, and stamp each.

    Parameters
    ----------
    request
        Called once; the clock starts just before.
    heard
        Called with each piece's samples right after its stamp (a player, say).
    now
        The clock, in seconds.

    Returns
    -------
    Heard
        Times in seconds since the request.

    Examples
    --------
    >>> from xttsbench.engines import Piece
    >>> tick = iter(range(100))
    >>> got = listen(lambda: iter([Piece(np.zeros(4)), Piece(np.zeros(2))]), now=lambda: float(next(tick)))
    >>> [(c.yielded_s, c.arrival_s, c.samples) for c in got.chunks], got.end_s
    ([(1.0, 2.0, 4), (3.0, 4.0, 2)], 5.0)
    """
    chunks: list[Chunk] = []
    pieces: list[Audio] = []
    start = now()
    for piece in request():
        yielded = now()
        samples = to_host(piece.audio)
        arrival = now()
        chunks.append(Chunk(arrival - start, yielded - start, len(samples), piece.sentence, piece.tokens))
        pieces.append(samples)
        if heard is not None:
            heard(samples)
    end = now()
    audio = np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.float32)
    return Heard(tuple(chunks), audio, end - start)
