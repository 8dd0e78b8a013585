"""Stock streaming: `Xtts.inference_stream` as the library ships it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from xttsbench.engines import Piece
from xttsbench.engines.taps import Taps
from xttsbench.models.voice import Voice
from xttsbench.settings import Settings, call_arguments


def stream(xtts: Any, text: str, settings: Settings, voice: Voice, *, taps: Taps) -> Iterator[Piece]:
    """Yield the library's chunks, each (n,) on the model's device, some perhaps empty."""
    chunks = xtts.inference_stream(
        text,
        settings.language,
        voice.gpt_cond_latent,
        voice.speaker_embedding,
        **call_arguments("stock", settings),
    )
    for wav in chunks:
        yield Piece(wav, taps.sentence, taps.tokens)
