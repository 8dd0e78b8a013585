"""What happens inside a call: taps on the library's own objects that count, time or capture and change nothing.

A tap wraps a bound method of one loaded model for the length of one request and is taken off after it.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch

STAGES = ("text", "prefill", "token_loop", "latents", "vocoder", "join", "other")


class StageClock:
    """Seconds by stage; exactly one stage runs at any moment.

    On CUDA the borders are events in the stream, so a stage is what the GPU timeline spent in it, read
    after one synchronisation at the end. Elsewhere they are host times.
    """

    def __init__(self, device: torch.device) -> None:
        self.cuda = device.type == "cuda"
        self.stage = "other"
        self.marks: list[tuple[str, Any]] = [("other", self._now())]

    def _now(self) -> Any:
        if not self.cuda:
            return time.perf_counter()
        event: Any = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event

    def to(self, stage: str) -> None:
        """End the stage under way and begin `stage`."""
        self.stage = stage
        self.marks.append((stage, self._now()))

    def totals(self) -> dict[str, float]:
        """Close the clock and return seconds by stage; stages that never ran are left out."""
        self.to("other")
        if self.cuda:
            torch.cuda.synchronize()
        sums: dict[str, float] = {}
        for (stage, start), (_, stop) in zip(self.marks, self.marks[1:], strict=False):
            seconds = start.elapsed_time(stop) / 1000 if self.cuda else stop - start
            sums[stage] = sums.get(stage, 0.0) + seconds
        return sums


class Taps(AbstractContextManager["Taps"]):
    """Taps on one `Xtts` for one request.

    Attributes
    ----------
    sentence
        Index of the generation under way, from 0; -1 before the first.
    tokens
        GPT audio tokens generated so far.
    sentence_tokens
        The same by sentence, where `inference` made them.
    codes
        Token ids as they were generated, a list of tensors a sentence; kept by reference, so nothing waits for a GPU.
    captured
        With `capture`, one (codes, latents) list a sentence: token ids and latents (width,) as the stream made them.
    said
        With `capture`, what naive chunking said before it was joined, an `engines.naive.Said` a sentence.
    """

    def __init__(self, xtts: Any, *, clock: StageClock | None = None, capture: bool = False) -> None:
        self.xtts = xtts
        self.clock = clock
        self.capture = capture
        self.sentence = -1
        self.tokens = 0
        self.sentence_tokens: list[int] = []
        self.codes: list[list[torch.Tensor]] = []
        self.captured: list[tuple[list[torch.Tensor], list[torch.Tensor]]] = []
        self.said: list[Any] = []
        self._undo: list[tuple[Any, str]] = []

    def __enter__(self) -> Taps:
        gpt = self.xtts.gpt
        self._wrap(self.xtts.tokenizer, "encode", self._encode)
        self._wrap(gpt, "get_generator", self._get_generator)
        self._wrap(gpt, "generate", self._generate)
        if self.clock is not None:
            self._wrap(gpt.gpt_inference, "forward", self._step)
            self._wrap(gpt, "compute_embeddings", self._timed("prefill", leave=False))
            self._wrap(gpt, "forward", self._timed("latents"))
            self._wrap(self.xtts.hifigan_decoder, "forward", self._timed("vocoder"))
            self._wrap(self.xtts, "handle_chunks", self._timed("join"))
        return self

    def __exit__(self, *exc: object) -> None:
        while self._undo:
            owner, name = self._undo.pop()
            delattr(owner, name)

    def _wrap(self, owner: Any, name: str, around: Callable[..., Any]) -> None:
        original = getattr(owner, name)
        if name in vars(owner):
            raise RuntimeError(f"{type(owner).__name__}.{name} is tapped already; one request at a time.")

        @functools.wraps(original)
        def tapped(*args: Any, **kwargs: Any) -> Any:
            return around(original, *args, **kwargs)

        setattr(owner, name, tapped)
        self._undo.append((owner, name))

    def to(self, stage: str) -> None:
        """Tell the clock, if there is one, that `stage` begins."""
        if self.clock is not None:
            self.clock.to(stage)

    def _timed(self, stage: str, *, leave: bool = True) -> Callable[..., Any]:
        def around(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            self.to(stage)
            result = original(*args, **kwargs)
            if leave:
                self.to("other")
            return result

        return around

    def _encode(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self.sentence += 1
        self._steps = 0
        self.to("text")
        ids = original(*args, **kwargs)
        self.to("other")
        return ids

    def _get_generator(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Iterator[Any]:
        generator = original(*args, **kwargs)
        self.codes.append([])
        if self.capture:
            self.captured.append(([], []))

        def counted() -> Iterator[Any]:
            stage = "prefill"
            while True:
                self.to(stage)
                try:
                    token, latent = next(generator)
                except StopIteration:
                    return
                finally:
                    self.to("other")
                stage = "token_loop"
                self.tokens += 1
                self.codes[-1].append(token)
                if self.capture:
                    codes, latents = self.captured[-1]
                    codes.append(token)
                    latents.append(latent)
                yield token, latent

        return counted()

    def _generate(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self.to("prefill")
        codes = original(*args, **kwargs)
        self.to("other")
        self.codes.append([codes])
        self.tokens += int(codes.shape[-1])
        self.sentence_tokens.append(int(codes.shape[-1]))
        return codes

    def _step(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self._steps += 1
        if self._steps == 2 and self.clock is not None and self.clock.stage == "prefill":
            self.to("token_loop")
        return original(*args, **kwargs)
