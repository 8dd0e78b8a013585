"""One utterance at many settings: the library's token loop runs once, then only the vocoder and the library's own join.

Tokens and latents depend on neither `stream_chunk_size` nor `overlap_wav_len`. At each chunk `inference_stream` decodes
all latents so far, whole; here the same prefix is put together from one windowed pass and what the decoder makes of
the prefix's own cut edge.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from xttsbench.engines import Piece
from xttsbench.engines.seamless import DTYPES
from xttsbench.engines.taps import Taps
from xttsbench.engines.window import Vocoder, Window
from xttsbench.models.voice import Voice
from xttsbench.settings import Settings, call_arguments
from xttsbench.spec import Trial


@dataclass(frozen=True)
class Captured:
    """One generation: the latents (n, width) that the library's token loop made, one a token, before `speed` acts."""

    latents: torch.Tensor

    @property
    def tokens(self) -> int:
        return int(self.latents.shape[0])


@torch.inference_mode()
def capture(xtts: Any, text: str, settings: Settings, voice: Voice) -> list[Captured]:
    """Run the token loop of `inference_stream`, and no vocoder; return one `Captured` a sentence.

    Random numbers come from torch's generator: seed it before the call.
    """
    # at 0 the library yields once a sentence, at its end
    arguments = {**call_arguments("stock", settings), "stream_chunk_size": 0}
    with Taps(xtts, capture=True) as taps, _muted(xtts.hifigan_decoder):
        for _ in xtts.inference_stream(
            text, settings.language, voice.gpt_cond_latent, voice.speaker_embedding, **arguments
        ):
            pass
    return [Captured(torch.cat(latents)) for _, latents in taps.captured]


@contextmanager
def _muted(decoder: Any) -> Iterator[None]:
    def silence(latents: torch.Tensor, g: torch.Tensor | None = None) -> torch.Tensor:
        return latents.new_zeros(1, 1, 2)

    decoder.forward = silence
    try:
        yield
    finally:
        del decoder.forward


class Prefixes:
    """What the decoder makes of the first n latents of one generation, for the chunk ends of any chunk size.

    Each prefix is decoded when first asked for and shared by every chunk size that ends a chunk there.

    Parameters
    ----------
    vocoder
        Of the loaded model.
    captured
        The generation.
    speaker_embedding
        (1, d, 1).
    speed
        As in `Xtts.inference_stream`.
    """

    def __init__(
        self, vocoder: Vocoder, captured: Captured, speaker_embedding: torch.Tensor, *, speed: float = 1.0
    ) -> None:
        self.tokens = captured.tokens
        self._latents = captured.latents
        self._made_of = (vocoder, speaker_embedding, speed)
        self._sure = torch.zeros(0)
        self._edges: dict[int, tuple[int, torch.Tensor]] = {}

    def prepare(self, size: int) -> None:
        """Decode what chunks of `size` tokens need and nobody needed before."""
        ends = [*range(size, self.tokens, size), self.tokens]
        if self._edges.keys() >= set(ends):
            return
        window, sure, done, start = self._window(), [], 0, 0
        for end in ends:
            new = window.push(self._latents[start:end], final=False)
            sure.append(new)
            done, start = done + len(new), end
            if end not in self._edges:
                self._edges[end] = (0, self._alone(end)) if self._copied(end) else (done, window.edge())
        if not len(self._sure):
            self._sure = torch.cat(sure)

    def audio(self, tokens: int) -> torch.Tensor:
        """Return the samples (m,) of the first `tokens` latents as a new tensor; the chunk size must be prepared."""
        done, edge = self._edges[tokens]
        if not done + len(edge):
            raise ValueError(
                f"{tokens} tokens at speed {self._made_of[2]} leave the vocoder no latent, and inference_stream fails on them too; "
                "raise stream_chunk_size or lower speed."
            )
        return torch.cat([self._sure[:done], edge]) if done else edge.clone()

    def _window(self) -> Window:
        vocoder, speaker_embedding, speed = self._made_of
        return Window(vocoder, speaker_embedding, speed=speed)

    def _copied(self, tokens: int) -> bool:
        """Return whether a prefix is so short that `speed` adds no latent: the library leaves it unstretched."""
        scale = 1.0 / max(self._made_of[2], 0.05)
        return scale != 1.0 and int(tokens * scale) == tokens

    def _alone(self, tokens: int) -> torch.Tensor:
        return self._window().push(self._latents[:tokens], final=True)


def chunk_ends(tokens: int, size: int) -> Iterator[tuple[int, bool]]:
    """Yield how many tokens `inference_stream` decodes at each of its chunks, and whether it's the last.

    >>> list(chunk_ends(9, 5)), list(chunk_ends(10, 5))
    ([(5, False), (9, True)], [(5, False), (10, False), (10, True)])
    """
    for end in range(size, tokens + 1, size):
        yield end, False
    yield tokens, True


@torch.inference_mode()
def replay(xtts: Any, sentences: Sequence[Prefixes], settings: Settings) -> Iterator[Piece]:
    """Yield the chunks that `inference_stream` yields of these generations at these settings, joined by the library."""
    before = 0
    for number, prefixes in enumerate(sentences):
        prefixes.prepare(settings.stream_chunk_size)
        previous = overlap = None
        for end, final in chunk_ends(prefixes.tokens, settings.stream_chunk_size):
            wav, previous, overlap = xtts.handle_chunks(
                prefixes.audio(end), previous, overlap, settings.overlap_wav_len, is_final=final
            )
            yield Piece(wav, number, before + end)
        before += prefixes.tokens


class Replayer:
    """Replays trials over a loaded `Xtts`, capturing anew only where a trial's utterance is another than the last one's.

    Parameters
    ----------
    xtts
        A loaded `TTS.tts.models.xtts.Xtts`.
    precision
        Of `spec.PRECISIONS`. In bf16 and fp16 the vocoder's rounding is near to autocast's, not equal to it.
    """

    def __init__(self, xtts: Any, *, precision: str = "fp32") -> None:
        self.xtts = xtts
        self._vocoder = Vocoder(xtts.hifigan_decoder, DTYPES[precision])
        self._utterance = ""
        self._sentences: list[Prefixes] | Exception = []

    def stream(self, trial: Trial, voice: Voice) -> Iterator[Piece]:
        """Yield the trial's chunks; a capture that failed fails every trial of its utterance, without being tried again."""
        if trial.engine != "stock":
            raise ValueError(f"engine {trial.engine!r} can't be replayed; only 'stock' joins chunks of one generation.")
        if trial.utterance != self._utterance:
            self._sentences, self._utterance = [], trial.utterance
            torch.manual_seed(trial.seed)
            try:
                self.hold(trial, voice, capture(self.xtts, trial.text.text, trial.settings, voice))
            except Exception as error:
                # without its frames, which hold tensors
                self._sentences = error.with_traceback(None)
        if isinstance(self._sentences, Exception):
            raise self._sentences.with_traceback(None)
        yield from replay(self.xtts, self._sentences, trial.settings)

    def hold(self, trial: Trial, voice: Voice, captured: Sequence[Captured]) -> None:
        """Replay from now on what was captured, a `Captured` a sentence, of the trial's utterance."""
        speed = trial.settings.speed
        self._utterance = trial.utterance
        self._sentences = [Prefixes(self._vocoder, one, voice.speaker_embedding, speed=speed) for one in captured]
