"""The clock stands outside the generator: what it stamps, by construction."""

from __future__ import annotations

import numpy as np
import torch

from xttsbench import clock
from xttsbench.engines import Piece


class Hand:
    """A clock moved by hand."""

    def __init__(self):
        self.t = 0.0

    def __call__(self):
        return self.t


def test_time_starts_at_the_call_and_a_chunk_counts_when_its_samples_are_in_host_memory():
    hand = Hand()

    class Slow:
        """A tensor on a device that takes 3 s to arrive."""

        def detach(self):
            return self

        def float(self):
            return self

        def cpu(self):
            hand.t += 3
            return torch.ones(4)

    def request():
        hand.t += 5  # work done in the call, before the generator exists

        def pieces():
            hand.t += 1
            yield Piece(Slow(), sentence=2, tokens=7)

        return pieces()

    got = clock.listen(request, now=hand)
    (chunk,) = got.chunks
    assert (chunk.yielded_s, chunk.arrival_s, got.end_s) == (6, 9, 9)
    assert (chunk.samples, chunk.sentence, chunk.tokens) == (4, 2, 7)


def test_what_the_listener_does_is_not_in_the_stamp_of_its_chunk():
    hand = Hand()

    def heard(samples):
        hand.t += 100

    got = clock.listen(lambda: iter([Piece(np.zeros(3))]), heard=heard, now=hand)
    assert got.chunks[0].arrival_s == 0


def test_pieces_are_put_together_in_order_empty_ones_too():
    pieces = [np.array([1.0]), np.zeros(0), np.array([2.0, 3.0])]
    got = clock.listen(lambda: (Piece(torch.from_numpy(p)) for p in pieces))
    assert got.audio.tolist() == [1, 2, 3]
    assert [c.samples for c in got.chunks] == [1, 0, 2]
    assert got.audio.dtype == np.float32


def test_nothing_yielded_is_no_audio():
    got = clock.listen(lambda: iter(()))
    assert got.chunks == () and len(got.audio) == 0
