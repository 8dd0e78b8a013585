"""The token loop's path for CUDA on a CPU: `torch.cuda` is replaced by stand-ins, and a graph runs its work again.

It shows that graphs, streams, lock and look-ahead are put together rightly, not that a GPU does with them what it should:
that is for the tests marked `cuda`. Run by test_kernels.py in a process of its own, since it replaces parts of torch.
"""

from __future__ import annotations

import os

os.environ["TRITON_INTERPRET"] = "1"

import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from itertools import repeat
from types import SimpleNamespace

import torch
from test_decode import gpt, loop_of, request

from xttsbench.engines.decode import TokenLoop
from xttsbench.engines.gpt import prefix_of, weights_of
from xttsbench.settings import Settings

EMPTY = torch.empty


class OnCuda(torch.Tensor):
    """A tensor that says it is on a GPU; what is made from it says so too."""

    is_cuda = True


class Graph:
    def replay(self):
        self.work()


@contextmanager
def captured(graph, pool=None, capture_error_mode=""):
    graph.work = sys._getframe(2).f_locals["work"]
    yield


def stand_in():
    stream = SimpleNamespace(device=torch.device("cpu"), wait_stream=lambda other: None)
    event = SimpleNamespace(record=lambda: None, synchronize=lambda: None)
    torch.empty = lambda *shape, pin_memory=False, **more: EMPTY(*shape, **more).as_subclass(OnCuda)
    for name, what in {
        "Stream": lambda device: stream,
        "Event": lambda: event,
        "CUDAGraph": Graph,
        "graph": captured,
        "graph_pool_handle": lambda: None,
        "current_stream": lambda device=None: stream,
        "stream": lambda lane: nullcontext(),
        "synchronize": lambda device=None: None,
        "get_rng_state": lambda device=None: torch.get_rng_state(),
        "set_rng_state": lambda state, device=None: torch.set_rng_state(state),
        "get_device_capability": lambda device=None: (8, 0),
    }.items():
        setattr(torch.cuda, name, what)


def spoken(loop, prefix, settings, *, limit, overlap=False):
    """Return tokens, latents and how many came at a time."""
    torch.manual_seed(3)
    codes = []
    chunks = loop.run(prefix, settings, limit=limit, sizes=repeat(5), overlap=overlap, codes=codes)
    rows = [latents.clone() for latents, _ in chunks]
    return codes[0][0].tolist(), torch.cat(rows), [len(r) for r in rows]


def main(*, fused):
    model = gpt(width=128, layers=1) if fused else gpt()
    plain, kind, prefix = loop_of(model), weights_of(model), prefix_of(model, *request(model))
    prefixes = [torch.cat([prefix] * n) for n in (1, 2, 3)]
    cases = (
        [(Settings(), True)] if fused else [(Settings(do_sample=d), o) for d in (True, False) for o in (True, False)]
    )
    limit = 8 if fused else 24
    expected = [spoken(plain, prefix, settings, limit=limit) for settings, _ in cases]
    greedy = [spoken(plain, p, Settings(do_sample=False), limit=limit) for p in prefixes]
    stand_in()
    loop = TokenLoop(
        replace(kind, tokens=kind.tokens.as_subclass(OnCuda)),
        start=model.start_audio_token,
        stop=model.stop_audio_token,
        graph=True,
        fused=True,
    )
    assert loop.fused == fused
    for (settings, overlap), (tokens, latents, sizes) in zip(cases, expected, strict=True):
        got = spoken(loop, prefix, settings, limit=limit, overlap=overlap)
        assert got[0] == tokens and got[2] == sizes
        assert (got[1] - latents).abs().max() < 1e-4
    if fused:  # interpreted steps are slow
        return
    abandoned = loop.run(torch.cat([prefix] * 8), Settings(do_sample=False), limit=limit, sizes=repeat(5), overlap=True)
    next(abandoned)
    abandoned.close()
    with ThreadPoolExecutor(len(prefixes)) as pool:
        heard = pool.map(lambda p: spoken(loop, p, Settings(do_sample=False), limit=limit, overlap=True), prefixes)
        for got, (tokens, latents, _) in zip(heard, greedy, strict=True):
            assert got[0] == tokens
            assert (got[1] - latents).abs().max() < 1e-4


def first_draws_are_the_seeds():
    """Building the kernels and capturing the graphs leaves the random generator where it was."""
    stand_in()
    model = gpt(width=128, layers=1)
    kind = weights_of(model)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    TokenLoop(replace(kind, tokens=kind.tokens.as_subclass(OnCuda)), start=0, stop=1, graph=True, fused=True)
    assert torch.equal(torch.get_rng_state(), before)


if __name__ == "__main__":
    {"torch": lambda: main(fused=False), "kernels": lambda: main(fused=True), "seed": first_draws_are_the_seeds}[
        sys.argv[1]
    ]()
