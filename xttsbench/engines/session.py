"""A loaded model ready to serve any engine: the one door through which the rest of the package reaches torch."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, NamedTuple

import torch

from xttsbench.clock import Forward
from xttsbench.engines import Piece, naive, stock, whole
from xttsbench.engines.replay import Captured, Replayer
from xttsbench.engines.seamless import Seamless
from xttsbench.engines.taps import StageClock, Taps
from xttsbench.models import voice as voices
from xttsbench.models import weights
from xttsbench.models.voice import Voice
from xttsbench.settings import VOICE_SETTINGS
from xttsbench.spec import EngineConfig, Trial

STREAMS = {"stock": stock.stream, "naive": naive.stream, "whole": whole.stream}
OWN_THREADS = torch.get_num_threads()
UNFUSED = "unfused"
AUTOCAST = {"fp16": torch.float16, "bf16": torch.bfloat16}


def resolve_device(device: str) -> str:
    """Turn 'auto' into 'cuda' where torch sees a device, else 'cpu'."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return device


class Kept(NamedTuple):
    """What a request generated of its utterance: latents a sentence, or what naive chunking said before joining."""

    utterance: str = ""
    latents: Sequence[list[torch.Tensor]] = ()
    said: Sequence[naive.Said] = ()


class Session:
    """One loaded model. Not safe for two requests at once.

    Parameters
    ----------
    config
        What to load. Precision: 'fp32' is strict (no TF32 anywhere; torch's own default lets convolutions use it),
        'tf32' allows it everywhere, 'fp16' and 'bf16' run the call under autocast.
    accept_cpml
        Agreement to the licence of XTTSv2's weights.

    Attributes
    ----------
    keep
        Whether each request leaves behind what it generated, for the replays that follow it.
    clock
        What a replay that has times is timed with: it is put forward by what the generation took.
    """

    def __init__(self, config: EngineConfig, *, accept_cpml: bool = False) -> None:
        torch.set_num_threads(config.threads or OWN_THREADS)
        torch.backends.cuda.matmul.allow_tf32 = config.precision == "tf32"
        torch.backends.cudnn.allow_tf32 = config.precision == "tf32"
        self.config = config
        self.loaded = weights.load(config, accept_cpml=accept_cpml)
        self._voices: dict[Any, Voice] = {}
        self._seamless: Seamless | None = None
        self._replayer: Replayer | None = None
        self._codes: list[list[torch.Tensor]] = []
        self.keep = False
        self.clock = Forward()
        self._kept = Kept()

    @property
    def device(self) -> torch.device:
        return torch.device(self.config.device)

    def languages(self) -> list[str]:
        """Return the languages that the model was made for."""
        return list(self.loaded.xtts.config.languages)

    def voice(self, trial: Trial) -> Voice:
        """Return the trial's voice, computed at most once."""
        settings = {name: getattr(trial.settings, name) for name in VOICE_SETTINGS}
        key = (trial.voice, tuple(settings.values()))
        if key not in self._voices:
            self._voices[key] = voices.get(self.loaded.xtts, trial.voice, settings, weights_sha256=self.loaded.sha256)
        return self._voices[key]

    def stream(self, trial: Trial, *, taps: Taps | None = None) -> Iterator[Piece]:
        """Make the request and return its pieces; nothing is computed before the first is asked for."""
        held = self.voice(trial)
        self._codes = []
        if trial.phase == "replay":
            yield from self._again(trial, held)
            return
        latents: list[list[torch.Tensor]] = []
        self._kept = Kept()
        with taps or Taps(self.loaded.xtts, capture=self.keep) as active:
            self._codes = active.codes
            if trial.engine == "seamless":
                yield from self.seamless().stream(
                    trial.text.text,
                    trial.settings,
                    gpt_cond_latent=held.gpt_cond_latent,
                    speaker_embedding=held.speaker_embedding,
                    stage=active.to if active.clock else None,
                    codes=active.codes,
                    latents=latents if active.capture else None,
                )
            else:
                pieces = STREAMS[trial.engine](self.loaded.xtts, trial.text.text, trial.settings, held, taps=active)
                yield from self._stepwise(pieces)
        if active.capture:
            self._kept = Kept(trial.utterance, latents or [made for _, made in active.captured], active.said)

    def _again(self, trial: Trial, held: Voice) -> Iterator[Piece]:
        """Replay a trial from what the last request left, or from a generation of its own."""
        if trial.engine == "whole":
            raise ValueError("engine 'whole' can't be replayed: it has nothing to cut or to join.")
        kept = self._kept
        if trial.engine == "stock":
            if kept.utterance == trial.utterance:
                self.replayer().hold(trial, held, [Captured(torch.cat(made)) for made in kept.latents])
                self._kept = Kept()
            yield from self._stepwise(self.replayer().stream(trial, held))
            return
        if kept.utterance != trial.utterance:
            self.seed(trial.seed)
            begun = time.perf_counter()
            before, self.keep = self.keep, True
            try:
                for _ in self.stream(replace(trial, phase="timed")):
                    pass
            finally:
                self.keep = before
            self.clock.put(begun - time.perf_counter())
            kept, self._codes = self._kept, []
        if trial.engine == "naive":
            yield from naive.rejoin(kept.said, trial.settings, forward=self.clock.put)
            return
        yield from self.seamless().decode(
            [torch.cat(made) for made in kept.latents], trial.settings, speaker_embedding=held.speaker_embedding
        )

    def codes(self) -> tuple[tuple[int, ...], ...]:
        """Return the token ids of the last request, a tuple a sentence; empty for a replay. Call it when the clock has stopped."""
        return tuple(
            tuple(int(i) for i in torch.cat([t.reshape(-1) for t in sentence]).tolist())
            for sentence in self._codes
            if sentence
        )

    def seamless(self) -> Seamless:
        """Return the engine of our own over the same weights, built at most once; it keeps its precision by itself."""
        if self._seamless is None:
            self._seamless = Seamless(self.loaded.xtts, precision=self.config.precision, compile=self.config.compile)
        return self._seamless

    def flags(self, trial: Trial) -> tuple[str, ...]:
        """Return what about the engine makes the times of this request doubtful."""
        if trial.engine != "seamless" or self.config.device != "cuda" or self.config.compile != "none":
            return ()
        return () if self.seamless().fused else (UNFUSED,)

    def replayer(self) -> Replayer:
        """Return what replays trials over the same weights, built at most once; it holds one utterance."""
        if self._replayer is None:
            self._replayer = Replayer(self.loaded.xtts, precision=self.config.precision)
        return self._replayer

    def staged(self, trial: Trial) -> tuple[Iterator[Piece], StageClock]:
        """Return the pieces and a stage clock, whose totals are whole once the pieces are taken."""
        clock = StageClock(self.device)
        return self.stream(trial, taps=Taps(self.loaded.xtts, clock=clock)), clock

    def _stepwise(self, pieces: Iterator[Piece]) -> Iterator[Piece]:
        dtype = AUTOCAST.get(self.config.precision)
        if dtype is None:
            yield from pieces
            return
        while True:
            with torch.autocast(self.config.device, dtype=dtype):
                piece = next(pieces, None)
            if piece is None:
                return
            yield piece

    def seed(self, seed: int) -> None:
        """Seed torch everywhere; the library takes a `seed` argument and ignores it."""
        torch.manual_seed(seed)

    def reset_memory(self) -> None:
        """Begin a new window for the peak of device memory."""
        if self.config.device == "cuda":
            torch.cuda.reset_peak_memory_stats()

    def memory(self) -> dict[str, float]:
        """Return bytes at the peak on the device since the last reset; nothing on a CPU."""
        if self.config.device != "cuda":
            return {}
        return {
            "device_peak_allocated": float(torch.cuda.max_memory_allocated()),
            "device_peak_reserved": float(torch.cuda.max_memory_reserved()),
        }

    def recover(self) -> None:
        """Give back what a failed request left cached on the device."""
        if self.config.device == "cuda":
            with contextlib.suppress(RuntimeError):
                torch.cuda.empty_cache()

    def describe(self) -> Mapping[str, Any]:
        """Return what a run must remember of the model."""
        return {
            "config": asdict(self.config),
            "weights_sha256": self.loaded.sha256,
            "load_s": self.loaded.load_s,
            "note": self.loaded.note,
            "languages": self.languages(),
            "char_limits": dict(self.loaded.xtts.tokenizer.char_limits),
            "torch_threads": torch.get_num_threads(),
        }

    def close(self) -> None:
        """Let go of the model and what it held on the device."""
        self._voices.clear()
        self._kept = Kept()
        self._seamless = self._replayer = None
        del self.loaded
        self.recover()
