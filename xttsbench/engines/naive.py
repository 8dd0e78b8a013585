"""Naive chunking: cut the text at sentences, synthesise each with `Xtts.inference`, put the pieces together.

This is what `TTS.api.TTS.tts(split_sentences=True)` does, with 10,000 zero samples after each sentence.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pysbd
import torch
from librosa.effects import trim
from pysbd.languages import LANGUAGE_CODES

from xttsbench.engines import Piece
from xttsbench.engines.taps import Taps
from xttsbench.models.voice import Voice
from xttsbench.settings import PAUSE_SAMPLES, Settings, call_arguments

TRIM_DB = 40


class Said(NamedTuple):
    """One sentence as `Xtts.inference` gave it: samples (n,) float32, the seconds it took, tokens since the request began."""

    wav: np.ndarray[Any, np.dtype[np.float32]]
    seconds: float
    tokens: int


def sentences(text: str, language: str) -> list[str]:
    """Cut `text` where `TTS.tts` cuts it: pysbd's rules for the language, English ones where it has none.

    Source: `TTS.utils.synthesizer.Synthesizer._set_segmenters`, coqui-tts 0.28.0.
    """
    code = language.split("-")[0]
    segmenter = pysbd.Segmenter(language=code if code in LANGUAGE_CODES else "en", clean=True)
    return list(segmenter.segment(text))


def stream(xtts: Any, text: str, settings: Settings, voice: Voice, *, taps: Taps) -> Iterator[Piece]:
    """Yield a piece (n,) a sentence, joined as `settings.join` says."""
    arguments = call_arguments("naive", settings)
    join = arguments.pop("join")
    for index, sentence in enumerate(sentences(text, settings.language)):
        begun = time.perf_counter()
        out = xtts.inference(sentence, settings.language, voice.gpt_cond_latent, voice.speaker_embedding, **arguments)
        if taps.capture:
            taps.said.append(Said(out["wav"], time.perf_counter() - begun, taps.tokens))
        yield _joined(out["wav"], index, taps.tokens, join)


def rejoin(said: Sequence[Said], settings: Settings, *, forward: Callable[[float], None]) -> Iterator[Piece]:
    """Yield what `stream` yields of sentences said before, under another join.

    Nothing is synthesised: `forward` is told the seconds that each sentence took, and a clock that is put forward by them
    shows what it would have shown. Joining is done, and takes its time.
    """
    for index, one in enumerate(said):
        forward(one.seconds)
        yield _joined(one.wav, index, one.tokens, settings.join)


def _joined(wav: Any, index: int, tokens: int, join: str) -> Piece:
    if join == "trimmed":
        wav = trim(wav, top_db=TRIM_DB)[0]
    elif join == "pause":
        wav = np.concatenate([wav, np.zeros(PAUSE_SAMPLES, dtype=wav.dtype)])
    return Piece(torch.from_numpy(wav), index, tokens)
