"""The token loop: prefill, then one small step a token, on CUDA a graph that the host replays without waiting."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch

from xttsbench.engines.gpt import Weights, prefill, static_step, step
from xttsbench.engines.sample import Knobs, choose
from xttsbench.settings import Settings

AHEAD = 8  # steps queued on the GPU before the host looks whether one of them was the stop token
BLOCK = 256  # cache positions by which attention's span grows
SLOWER = "the kernels of the token step can't be built here (Triton, and a C compiler); steps take over twice the time"
PROMPT = 64  # positions by which the prefix is filled up with padding, where a graph runs it


class State:
    """All that one generation changes: cache, counters, tokens and latents so far. The seam for batching is here."""

    def __init__(self, weights: Weights, capacity: int, limit: int) -> None:
        like = weights.tokens
        shape = (len(weights.blocks), 2, weights.heads, capacity, weights.width // weights.heads)
        # zeros, since a masked position still enters a product, and 0 x NaN is NaN
        self.cache = like.new_zeros(shape)
        self.capacity, self.limit = capacity, limit
        # one more than needed: a step run before capture writes at index 1
        self.latents = like.new_empty((limit + 1, weights.width), dtype=torch.float32)
        self.tokens = torch.empty(limit + 1, dtype=torch.long, device=like.device)
        self.token = torch.zeros(1, dtype=torch.long, device=like.device)
        self.index = torch.zeros_like(self.token)
        self.length = torch.zeros_like(self.token)
        self.seen = torch.zeros(1, weights.tokens.shape[0], dtype=torch.bool, device=like.device)
        self.knobs = Knobs.empty(like.device)
        # by span of a step, or by length of a prefix, negative; and whether it is greedy
        self.graphs: dict[tuple[int, bool], Any] = {}
        self.prompt = like.new_zeros((capacity if like.is_cuda else 0, weights.width))
        self.host = torch.empty(limit, dtype=torch.long, pin_memory=True) if like.is_cuda else self.tokens


class TokenLoop:
    """Generates audio tokens and their latents over the loaded weights.

    Parameters
    ----------
    weights
        From `gpt.weights_of`.
    start, stop
        Ids of the audio start and stop tokens.
    static
        Steps of fixed shape over fixed buffers, as a graph needs; runs anywhere. False slices the cache instead,
        which is faster on a CPU.
    graph
        Capture the static step as a CUDA graph.
    compile
        A mode of `spec.COMPILE_MODES`: what the static step is compiled with.
    fused
        On CUDA, run the step in kernels of our own, if `kernels.fits` and nothing is to be compiled. Where Triton can't
        build them, a warning says so and torch's operations do the same.

    Attributes
    ----------
    fused
        Whether the step runs in kernels of our own.
    """

    def __init__(
        self,
        weights: Weights,
        *,
        start: int,
        stop: int,
        static: bool = False,
        graph: bool = False,
        compile: str = "none",
        fused: bool = False,
    ) -> None:
        self.weights = weights
        self.start, self.stop = start, stop
        self.static = static or graph
        self.graph = graph
        self._compiled = compile != "none"
        self._ready: set[int] = set()
        self.warmup_s = 0.0
        self._static_step: Callable[..., torch.Tensor] = compiled(static_step, compile)
        self._idle: list[State] = []
        self._taking = threading.Lock()
        # one step at a time is launched or captured: steps share buffers and the random generator
        self._launching = threading.RLock()
        self._pool = torch.cuda.graph_pool_handle() if graph else None
        # a stream of its own: the vocoder need not wait for tokens that are not its own
        self._stream = torch.cuda.Stream(weights.tokens.device) if weights.tokens.is_cuda else None  # type: ignore[no-untyped-call]
        self._kernels: Any = None
        if self._stream is not None and fused and compile == "none":
            begun = time.perf_counter()
            self._stream.wait_stream(torch.cuda.current_stream(self._stream.device))
            with self._lane():
                self._kernels = _kernels(weights)
            self.warmup_s += time.perf_counter() - begun

    @property
    def fused(self) -> bool:
        return self._kernels is not None

    @torch.inference_mode()
    def run(
        self,
        prefix: torch.Tensor,
        settings: Settings,
        *,
        limit: int,
        sizes: Iterator[int],
        stage: Callable[[str], None] = lambda name: None,
        codes: list[list[torch.Tensor]] | None = None,
        wanted: Callable[[], bool] = lambda: True,
        overlap: bool = False,
    ) -> Generator[tuple[torch.Tensor, bool]]:
        """Yield latents (n, width) float32, as many at a time as `sizes` says, and whether they are the last.

        The tokens of a generation that ran to its end are appended to `codes`. It ends at the next token once `wanted` says no.

        It ends with the stop token, whose latent is among them as in `inference_stream`, or after `limit` tokens.
        With `graph` the latents are views of a buffer that the next generation overwrites. With `overlap` on CUDA, the next
        steps are under way while the caller has the latents; not before the first sound, which would wait for them.
        """
        if self._stream is not None:
            self._stream.wait_stream(torch.cuda.current_stream(self._stream.device))
        with self._lane():
            state = self._take(prefix.shape[0] + limit, limit)
        try:
            with self._lane():
                self._begin(state, prefix, settings)
            if self._stream is not None and not overlap:  # a stage clock reads the caller's stream
                torch.cuda.current_stream(self._stream.device).wait_stream(self._stream)
            stage("token_loop")
            made = 0
            spare = AHEAD if overlap and self._stream is not None else 0
            chunks = self._chunks(state, prefix.shape[0], settings, limit, sizes, wanted, spare)
            while True:
                with self._lane():
                    latents, final = next(chunks, (None, True))
                if latents is None:
                    return
                made += latents.shape[0]
                if final and codes is not None:
                    codes.append([state.host[:made].clone()])
                yield latents, final
                stage("token_loop")
        finally:
            if self.graph and self._stream is not None:
                # whoever takes the state next must not overwrite latents that are still being read
                self._stream.wait_stream(torch.cuda.current_stream(self._stream.device))
                self._idle.append(state)

    def _lane(self) -> AbstractContextManager[Any]:
        return nullcontext() if self._stream is None else torch.cuda.stream(self._stream)

    def _take(self, positions: int, limit: int) -> State:
        with self._taking:  # callers may have a thread each
            for state in self._idle:
                if state.capacity >= positions and state.limit >= limit:
                    self._idle.remove(state)
                    return state
            self._idle.clear()
        if self.graph:  # graphs are worth keeping: room for whatever this model can say
            longest = max(limit, self.weights.positions.shape[0])
            positions, limit = positions - limit + longest, longest
        capacity = -(-positions // BLOCK) * BLOCK if self.static else positions
        return State(self.weights, capacity, limit)

    def _begin(self, state: State, prefix: torch.Tensor, settings: Settings) -> None:
        greedy = not settings.do_sample
        state.knobs.set(settings, state.seen.shape[1])
        for span in range(BLOCK, state.capacity + 1, BLOCK) if self.static else ():
            if span > prefix.shape[0]:
                self._prepare(state, span, greedy)
        padded = -(-prefix.shape[0] // PROMPT) * PROMPT
        longest = max(padded, state.capacity - state.limit + PROMPT - 1)
        for length in range(PROMPT, longest + 1, PROMPT) if self.graph else ():
            self._prepare(state, -length, greedy)
        state.index.zero_()
        state.length.fill_(prefix.shape[0])
        state.seen.zero_()
        # the placeholder ids that transformers sees in place of the prefix
        state.seen[:, min(1, state.seen.shape[1] - 1)] = True
        state.seen[:, self.start] = True
        if self.graph:
            state.prompt[: prefix.shape[0]].copy_(prefix)
            with self._launching:
                state.graphs[-padded, greedy].replay()
        else:
            latent = prefill(self.weights, prefix.to(self.weights.tokens.dtype), state.cache)
            self._sample(state, latent, greedy)

    def _prefill(self, state: State, length: int, greedy: bool) -> None:
        latent = prefill(self.weights, state.prompt[:length], state.cache, last=state.length - 1)
        self._sample(state, latent, greedy)

    def _sample(self, state: State, latent: torch.Tensor, greedy: bool) -> None:
        token = choose(self.weights.head(latent).float(), state.seen, state.knobs, greedy=greedy)
        state.latents.index_copy_(0, state.index, latent.float())
        state.tokens.index_copy_(0, state.index, token)
        state.token.copy_(token)
        state.seen.scatter_(1, token[None], True)

    def _advance(self, state: State, span: int, greedy: bool) -> None:
        if self._kernels is not None:
            with self._launching:
                self._kernels(state, span, greedy=greedy)
            return
        state.index.add_(1)
        latent = self._static_step(self.weights, state.token, state.index, state.length, state.cache, span)
        state.length.add_(1)
        self._sample(state, latent, greedy)

    def _prepare(self, state: State, span: int, greedy: bool) -> None:
        begun = time.perf_counter()
        if self.graph and (span, greedy) not in state.graphs:
            work = partial(self._advance, state, span) if span > 0 else partial(self._prefill, state, -span)
            state.graphs[span, greedy] = self._captured(state, partial(work, greedy))
        elif self._compiled and not self.graph and span not in self._ready:
            self._static_step(self.weights, state.token, state.index, state.length, state.cache, span)
        else:
            return
        self._ready.add(span)
        self.warmup_s += time.perf_counter() - begun

    def _captured(self, state: State, work: Callable[[], None]) -> Any:
        def back() -> None:
            state.index.zero_()
            state.length.fill_(1)

        with self._launching:
            random = torch.cuda.get_rng_state(state.cache.device)
            for _ in range(3):
                back()
                work()
            back()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                work()
            torch.cuda.synchronize(state.cache.device)
            torch.cuda.set_rng_state(random, state.cache.device)
        return graph

    def _launch(self, state: State, index: int, position: int, greedy: bool) -> None:
        if not self.static:
            latent = step(self.weights, state.token, index, position, state.cache)
            state.token = choose(self.weights.head(latent).float(), state.seen, state.knobs, greedy=greedy)
            state.latents[index], state.tokens[index] = latent[0], state.token[0]
            state.seen.scatter_(1, state.token[None], True)
            return
        span = -(-(position + 1) // BLOCK) * BLOCK
        if self.graph:
            with self._launching:
                state.graphs[span, greedy].replay()
        else:
            self._advance(state, span, greedy)

    def _chunks(
        self,
        state: State,
        prefix: int,
        settings: Settings,
        limit: int,
        sizes: Iterator[int],
        wanted: Callable[[], bool],
        spare: int,
    ) -> Iterator[tuple[torch.Tensor, bool]]:
        look = Lookout(state, self.stop)
        launched, given = 1, 0
        look.watch(0)
        while True:
            goal = min(given + next(sizes), limit)
            reach = min(goal + spare, limit) if given else goal
            while not look.ended and look.checked < goal:
                if not wanted():
                    return
                if launched < reach:
                    self._launch(state, launched, prefix + launched - 1, not settings.do_sample)
                    look.watch(launched)
                    launched += 1
                look.check(goal if launched == reach else launched - AHEAD)
            final = look.ended or look.checked >= limit
            yield state.latents[given : look.checked], final
            if final:
                return
            given = look.checked


class Lookout:
    """Sees on the host which token was the stop token, some steps after the GPU made it."""

    def __init__(self, state: State, stop: int) -> None:
        self.state, self.stop = state, stop
        self.checked, self.ended = 0, False
        self._events: list[torch.cuda.Event] = []
        self._watched = 0

    def watch(self, index: int) -> None:
        """Send token `index` to the host; on CUDA without waiting for it."""
        if self.state.tokens.is_cuda:
            self.state.host[index : index + 1].copy_(self.state.tokens[index : index + 1], non_blocking=True)
            event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            event.record()
            self._events.append(event)
        self._watched = index + 1

    def check(self, goal: int) -> None:
        """Look at the watched tokens before `goal`, waiting for them, up to the stop token; where none is waited for, at all."""
        until = min(goal, self._watched) if self._events else self._watched
        while not self.ended and self.checked < until:
            if self._events:
                self._events[self.checked].synchronize()
            self.ended = int(self.state.host[self.checked]) == self.stop
            self.checked += 1


def _kernels(weights: Weights) -> Any:
    """Return the token step in kernels of our own, or None where they don't know the shape or can't be built."""
    try:
        from xttsbench.engines import kernels
    except ImportError as error:
        warnings.warn(f"{SLOWER}: {error}", stacklevel=2)
        return None
    if not kernels.fits(weights):
        return None
    major, _ = torch.cuda.get_device_capability(weights.tokens.device)
    step = kernels.FusedStep(weights, early=major >= 9)
    try:
        with torch.inference_mode(), torch.random.fork_rng(devices=[weights.tokens.device]):
            for greedy in (True, False):
                step(State(weights, BLOCK, 1), BLOCK, greedy=greedy)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        warnings.warn(f"{SLOWER}: {type(error).__name__}: {error}", stacklevel=2)
        return None
    return step


def compiled(function: Callable[..., torch.Tensor], mode: str) -> Callable[..., torch.Tensor]:
    """Return `function` compiled with inductor; CUDA graphs are left to the token loop, which captures its own."""
    if mode == "none":
        return function
    plain = "max-autotune-no-cudagraphs" if mode == "max-autotune" else None
    out: Callable[..., torch.Tensor] = torch.compile(function, mode=plain, dynamic=False)
    return out
