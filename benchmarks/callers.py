"""Several callers served at one moment: copies of a model in processes of their own, and threads on one copy."""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
from seamless import SAMPLE_RATE, lasting

from xttsbench import clock, runner
from xttsbench.engines import Piece, stock
from xttsbench.engines.session import Session
from xttsbench.engines.taps import Taps
from xttsbench.metrics.latency import latency
from xttsbench.settings import Settings
from xttsbench.spec import EngineConfig, Text, Trial
from xttsbench.texts import HARVARD

PATIENCE_S = 900
# They stay from round to round: torch keeps cuDNN's plans for each thread, so a new one plans every convolution anew.
THREADS = ThreadPoolExecutor(256)
Figures = dict[str, float] | str  # of one caller, or why there are none


def begin(session: Session, trial: Trial) -> Iterator[Piece]:
    """Return a stream that, unlike `Session.stream`, does not keep others away from the same copy."""
    voice, xtts = session.voice(trial), session.loaded.xtts
    if trial.engine == "stock":
        return stock.stream(xtts, trial.text.text, trial.settings, voice, taps=Taps(xtts))
    return session.seamless().stream(
        trial.text.text,
        trial.settings,
        gpt_cond_latent=voice.gpt_cond_latent,
        speaker_embedding=voice.speaker_embedding,
    )


def in_turns_db(session: Session, engine: str, *, chunks: int = 3) -> float:
    """Return the SNR in dB of a greedy stream on whose copy another begins after its first chunk; inf: as if alone."""
    # the longer text first: its positions are then shifted upwards, and none leaves the table, which would end CUDA
    texts = sorted(HARVARD, key=lambda t: len(session.loaded.xtts.tokenizer.encode(t, lang="en")))
    first, second = (
        Trial(engine=engine, config=session.config, settings=Settings(top_k=1), text=Text("turns", "en", text))
        for text in (texts[-1], texts[0])
    )
    alone = [clock.to_host(piece.audio) for piece in islice(begin(session, first), chunks)]
    both = zip(begin(session, first), begin(session, second), strict=False)
    turns = [clock.to_host(piece.audio) for piece, _ in islice(both, chunks)]
    true, got = (np.concatenate(part).astype(float) for part in (alone, turns))
    noise = float(((got - true) ** 2).sum())
    return float(10 * np.log10((true**2).sum() / noise)) if noise else math.inf


def prepare(session: Session, asked: Sequence[Trial]) -> None:
    """Begin as many streams as there are callers, then end them: CUDA graphs must be captured while nobody speaks."""
    encode = session.loaded.xtts.tokenizer.encode
    longest = max(asked, key=lambda t: len(encode(t.text.text, lang="en")))
    streams: list[Any] = [begin(session, longest) for _ in asked]
    for pieces in streams:
        next(pieces)
    for pieces in streams:
        pieces.close()


def answer(session: Session, asked: Sequence[Trial]) -> list[Figures]:
    """Return the latency figures of requests made to this copy at one moment: a single one as the runner makes it."""
    session.seed(asked[0].seed)
    gate = threading.Barrier(len(asked))

    def one(trial: Trial) -> Figures:
        request = partial(session.stream, trial) if len(asked) == 1 else partial(begin, session, trial)
        gate.wait()
        try:
            got = clock.listen(request)
            return latency(got.chunks, end_s=got.end_s, sample_rate=SAMPLE_RATE)
        except Exception as error:  # one caller's failure is its own
            return f"{type(error).__name__}: {error}"

    return list(THREADS.map(one, asked))


def serve(pipe: Any, config: EngineConfig, tokens: int) -> None:
    """Load a copy and do what is ordered, (function, arguments), until the other end closes; for a process of its own."""
    session = runner.open_session(config)
    with lasting(session, tokens), contextlib.suppress(EOFError):
        pipe.send("ready")
        while True:
            work, *given = pipe.recv()
            pipe.send(work(session, *given))


class Copy:
    """A copy of the model in a process of its own; every generation lasts `tokens`. The first `take` waits until it is loaded.

    Raises
    ------
    RuntimeError
        At any answer, the first one included, if the process is gone or silent.
    """

    def __init__(self, config: EngineConfig, tokens: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, config, tokens), daemon=True)
        self.process.start()
        theirs.close()  # or the end of the process would not be seen

    def order(self, *order: Any) -> None:
        """Have a function called with the session and these arguments; `take` brings what it returns."""
        try:
            self.pipe.send(order)
        except OSError as error:
            raise RuntimeError("a process with a copy of the model is gone") from error

    def take(self) -> Any:
        """Wait for the answer to the oldest order."""
        try:
            if self.pipe.poll(PATIENCE_S):
                return self.pipe.recv()
        except (EOFError, OSError):
            pass
        raise RuntimeError("a process with a copy of the model ended or fell silent: out of memory, perhaps")

    def end(self) -> None:
        """Let the process go, by force if it does not."""
        self.pipe.close()
        self.process.join(timeout=5)
        if self.process.is_alive():
            self.process.terminate()
