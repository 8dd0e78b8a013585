"""One whole call: `Xtts.inference`, the sound all at once at the end.

It is cut at the sentences that the library generated apart, which all come at the same time, so that their seams are known.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from xttsbench.engines import Piece
from xttsbench.engines.taps import Taps
from xttsbench.models.voice import Voice
from xttsbench.settings import Settings, call_arguments, samples_of


def stream(xtts: Any, text: str, settings: Settings, voice: Voice, *, taps: Taps) -> Iterator[Piece]:
    """Yield what the library has already brought to the CPU: a piece (n,) for each sentence it generated, all at the end."""
    out = xtts.inference(
        text,
        settings.language,
        voice.gpt_cond_latent,
        voice.speaker_embedding,
        **call_arguments("whole", settings),
    )
    wav = torch.from_numpy(out["wav"])
    lengths = [samples_of(n, speed=settings.speed) for n in taps.sentence_tokens]
    if sum(lengths) != len(wav):
        lengths = [len(wav)]
    made = 0
    for index, piece in enumerate(torch.split(wav, lengths)):
        made = made + taps.sentence_tokens[index] if len(lengths) > 1 else taps.tokens
        yield Piece(piece, index, made)
