"""Grids worth running, as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from xttsbench.settings import ENGINES


@dataclass(frozen=True, kw_only=True)
class Preset:
    """What a preset varies, and why one would run it."""

    about: str
    engines: tuple[str, ...]
    grid: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    texts: tuple[str, ...] = ("short", "medium")
    repeats: int = 5
    one_at_a_time: bool = False
    replay: bool = False


PRESETS = {
    "quick": Preset(
        about="first look: three engines and a small grid, under 2 minutes on two CPU cores",
        engines=("stock", "naive", "whole"),
        grid={"stream_chunk_size": (10, 20), "overlap_wav_len": (256, 1024), "enable_text_splitting": (True,)},
    ),
    "latency": Preset(
        about="how soon and how fast: chunk size over text length",
        engines=ENGINES,
        grid={"stream_chunk_size": (5, 10, 20, 40, 80)},
        texts=("short", "medium", "long"),
        repeats=10,
    ),
    "seams": Preset(
        about="which chunk size and overlap can be heard: one utterance in every cell, replayed, so times are not measured",
        engines=("stock",),
        grid={"stream_chunk_size": (5, 10, 20, 40, 60, 80), "overlap_wav_len": (64, 256, 1024, 2048, 4096)},
        texts=("medium",),
        repeats=5,
        replay=True,
    ),
    "sampling": Preset(
        about="sampling parameters, one at a time around the defaults, those without effect in streaming included",
        engines=("stock",),
        grid={
            "temperature": (0.75, 0.2, 0.5, 1.0),
            "top_k": (50, 1, 10, 200),
            "top_p": (0.85, 0.5, 1.0),
            "repetition_penalty": (10.0, 1.0, 2.0, 5.0),
            "length_penalty": (1.0, 2.0),
            "do_sample": (True, False),
            "speed": (1.0, 0.8, 1.25),
        },
        texts=("short", "medium"),
        repeats=10,
        one_at_a_time=True,
    ),
    "full": Preset(
        about="everything a reference run wants: chunk size, overlap and text length over all engines",
        engines=ENGINES,
        grid={"stream_chunk_size": (5, 10, 20, 40, 80), "overlap_wav_len": (256, 1024, 4096)},
        texts=("short", "medium", "long"),
        repeats=10,
    ),
}
