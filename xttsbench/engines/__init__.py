"""Engines: the ways to turn text into audio, each a generator of pieces over one loaded model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Piece:
    """What an engine hands over: audio (n,) float on the model's device, at 24 kHz.

    `sentence` counts independent generations from 0; `tokens` is the number of GPT audio tokens generated
    since the request began, -1 if not known.
    """

    audio: torch.Tensor
    sentence: int = 0
    tokens: int = -1
