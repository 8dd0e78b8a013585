"""One whole call: `Xtts.inference`, the sound all at once at the end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from xttsbench.engines import Piece
from xttsbench.engines.taps import Taps
from xttsbench.models.voice import Voice
from xttsbench.spec import Settings, call_arguments


def stream(xtts: Any, text: str, settings: Settings, voice: Voice, *, taps: Taps) -> Iterator[Piece]:
    """Yield one piece (n,), which the library has already brought to the CPU."""
    out = xtts.inference(
        text,
        settings.language,
        voice.gpt_cond_latent,
        voice.speaker_embedding,
        **call_arguments("whole", settings),
    )
    yield Piece(torch.from_numpy(out["wav"]), 0, taps.tokens)
