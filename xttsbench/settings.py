"""What one call takes: every setting with its default, unit, range and meaning, written once.

The command line, the manual and the checks all read them from the metadata of `Settings`.
"""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any

STREAMING = ("stock", "seamless")
ENGINES = ("stock", "naive", "whole", "seamless")
DEVICES = ("auto", "cuda", "cpu")
PRECISIONS = ("fp32", "tf32", "bf16", "fp16")
COMPILE_MODES = ("none", "default", "reduce-overhead", "max-autotune")
JOINS = ("none", "pause", "trimmed")
TOKEN_S = 1024 / 22050
SAMPLES_PER_TOKEN = 24000 * TOKEN_S
FRAME_SAMPLES = 256
PAUSE_SAMPLES = 10_000
REPLAYED = ("stream_chunk_size", "overlap_wav_len")
JOINING = (*REPLAYED, "first_chunk_size", "chunk_growth", "join")  # what acts on tokens that are made already
ONE_CHUNK = 600  # as a chunk size: the longest, so that an utterance is one chunk
LANGUAGES = ("en", "es", "fr", "de", "it", "pt", "pl", "tr", "ru", "nl", "cs", "ar", "zh-cn", "hu", "ko", "ja", "hi")


def unknown(kind: str, given: str, known: tuple[str, ...] | list[str]) -> ValueError:
    """Return the error for an unknown name, with the known ones and the nearest of them."""
    near = difflib.get_close_matches(given, known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return ValueError(f"unknown {kind} {given!r}; known: {', '.join(known)}.{hint}")


def samples_of(tokens: int, *, speed: float = 1.0) -> int:
    """Return the samples at 24 kHz that the vocoder makes of `tokens` GPT audio tokens in one decode.

    Examples
    --------
    >>> samples_of(20), samples_of(100)
    (22272, 111360)
    """
    latents = int(tokens * (1 / max(speed, 0.05))) if speed != 1 else tokens
    return int(latents * 4 * (24000 / 22050)) * FRAME_SAMPLES


def _setting(
    default: Any,
    meaning: str,
    *,
    unit: str,
    engines: tuple[str, ...] = ENGINES,
    low: float = -math.inf,
    high: float = math.inf,
    above: float = -math.inf,
    choices: tuple[str, ...] = (),
    acts: str,
) -> Any:
    meta = dict(meaning=meaning, unit=unit, engines=engines, low=low, high=high, above=above, choices=choices)
    return field(default=default, metadata={**meta, "acts": acts})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Arguments of one synthesis call, under the library's own names.

    Defaults are those of `Xtts.inference_stream` and `Xtts.get_conditioning_latents` in coqui-tts
    0.28.0. The metadata of a field says what it means, its unit and range, and which engines take it.

    Raises
    ------
    ValueError
        If a value is of the wrong kind or out of range; the message says what is allowed.
    """

    language: str = _setting(
        "en", "language of the text", unit="code", choices=LANGUAGES, acts="text cleaning, first text token"
    )
    stream_chunk_size: int = _setting(
        20,
        "GPT audio tokens (46.44 ms each) to wait for before the vocoder runs; not text tokens",
        unit="tokens",
        low=1,
        high=ONE_CHUNK,
        engines=STREAMING,
        acts="when a chunk is yielded",
    )
    first_chunk_size: int = _setting(
        0,
        "GPT audio tokens before the vocoder runs for the first time; 0 means stream_chunk_size",
        unit="tokens",
        low=0,
        high=600,
        engines=("seamless",),
        acts="when the first chunk is yielded",
    )
    chunk_growth: float = _setting(
        1.0,
        "each chunk is this much longer than the one before, up to stream_chunk_size; 1 takes stream_chunk_size from the second on",
        unit="ratio",
        low=1,
        high=10,
        engines=("seamless",),
        acts="when a chunk is yielded",
    )
    overlap_wav_len: int = _setting(
        1024,
        "cross-fade between neighbouring chunks; longer than a chunk repeats audio",
        unit="samples",
        low=1,
        high=48000,
        engines=("stock",),
        acts="join of chunks, at 24 kHz",
    )
    temperature: float = _setting(
        0.75,
        "divides the logits: lower is steadier, higher livelier",
        unit="ratio",
        above=0,
        high=10,
        acts="sampling, unless do_sample is False",
    )
    length_penalty: float = _setting(
        1.0,
        "exponent on the length when beams are ranked; no effect without beams, so never in streaming",
        unit="exponent",
        low=-10,
        high=10,
        engines=("stock", "naive", "whole"),
        acts="beam search only",
    )
    repetition_penalty: float = _setting(
        10.0,
        "divides positive and multiplies negative logits of tokens used before",
        unit="ratio",
        above=0,
        acts="sampling",
    )
    top_k: int = _setting(
        50,
        "sample from the k likeliest tokens; 1 is greedy and deterministic",
        unit="tokens",
        low=1,
        high=1026,
        acts="sampling, unless do_sample is False",
    )
    top_p: float = _setting(
        0.85,
        "sample from the smallest set of tokens with this probability mass",
        unit="probability",
        above=0,
        high=1,
        acts="sampling, unless do_sample is False",
    )
    do_sample: bool = _setting(
        True,
        "False is greedy in `whole`, `naive` and `seamless`; `stock` still samples then, without temperature, top_k and top_p",
        unit="-",
        acts="sampling",
    )
    num_beams: int = _setting(
        1,
        "beams of the search; streaming has none",
        unit="beams",
        low=1,
        high=16,
        engines=("naive", "whole"),
        acts="search",
    )
    speed: float = _setting(
        1.0,
        "stretches the latents before the vocoder: 2 speaks twice as fast",
        unit="ratio",
        low=0.1,
        high=4,
        acts="vocoder input",
    )
    enable_text_splitting: bool = _setting(
        False,
        "cut the text at sentences, but only above the language's limit (250 characters for en); each piece is a generation of its own",
        unit="-",
        engines=("stock", "whole", "seamless"),
        acts="text",
    )
    join: str = _setting(
        "pause",
        "how naive puts sentences together: none, pause (10,000 zero samples after each, as TTS.tts does), or trimmed (silence at both edges cut)",
        unit="-",
        choices=JOINS,
        engines=("naive",),
        acts="join of sentences",
    )
    gpt_cond_len: int = _setting(
        6, "seconds of the reference heard by the GPT", unit="s", low=1, high=600, acts="voice, GPT conditioning"
    )
    gpt_cond_chunk_len: int = _setting(
        6,
        "seconds a piece of it, latents averaged over pieces; at most gpt_cond_len",
        unit="s",
        low=1,
        high=600,
        acts="voice, GPT conditioning",
    )
    max_ref_len: int = _setting(
        30, "seconds of each reference file used at all", unit="s", low=1, high=600, acts="voice, speaker embedding"
    )
    sound_norm_refs: bool = _setting(False, "scale each reference to a peak of 0.75", unit="-", acts="voice")

    def __post_init__(self) -> None:
        for name in SETTINGS:
            object.__setattr__(self, name, check_setting(name, getattr(self, name)))
        if self.gpt_cond_chunk_len > self.gpt_cond_len:
            raise ValueError(
                f"gpt_cond_chunk_len is {self.gpt_cond_chunk_len} s but gpt_cond_len only {self.gpt_cond_len} s; "
                "a piece can't be longer than the whole: lower gpt_cond_chunk_len or raise gpt_cond_len."
            )


SETTINGS = {f.name: f for f in fields(Settings)}


@cache
def settings_from(items: tuple[tuple[str, Any], ...]) -> Settings:
    """Return the settings of these (name, value) pairs; a run holds thousands of trials of a few, and each is checked once."""
    return Settings(**dict(items))


def check_setting(name: str, value: Any) -> Any:
    """Return `value` for setting `name` in its own type, or raise ValueError saying what is allowed."""
    if name not in SETTINGS:
        raise unknown("setting", name, tuple(SETTINGS))
    f = SETTINGS[name]
    meta = f.metadata
    kind = {"int": int, "float": float, "bool": bool, "str": str}[str(f.type)]
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"{name} is {value!r}; it takes {_article(kind.__name__)}.")
    if meta["choices"] and value not in meta["choices"]:
        raise unknown(name, str(value), meta["choices"])
    if kind in (int, float) and not (meta["low"] <= value <= meta["high"] and value > meta["above"]):
        raise ValueError(f"{name} is {value}; it takes {range_text(name)} ({meta['unit']}): {meta['meaning']}.")
    return value


def _article(kind: str) -> str:
    return {"int": "a whole number", "float": "a number", "bool": "True or False", "str": "a word"}[kind]


def range_text(name: str) -> str:
    """Return the allowed range of a setting in words, e.g. '1 to 600'."""
    meta = SETTINGS[name].metadata
    if meta["choices"]:
        return ", ".join(meta["choices"])
    if SETTINGS[name].type == "bool":
        return "True or False"
    low = f"above {meta['above']:g}" if math.isfinite(meta["above"]) else f"{meta['low']:g}"
    return f"{low} to {meta['high']:g}" if math.isfinite(meta["high"]) else low


VOICE_SETTINGS = ("gpt_cond_len", "gpt_cond_chunk_len", "max_ref_len", "sound_norm_refs")


@cache
def settings_of(engine: str) -> tuple[str, ...]:
    """Return the names of the settings that `engine` takes."""
    return tuple(name for name, f in SETTINGS.items() if engine in f.metadata["engines"])


def call_arguments(engine: str, settings: Settings) -> dict[str, Any]:
    """Return the keyword arguments of one call of `engine`: all its settings but language and the voice's."""
    return {name: getattr(settings, name) for name in settings_of(engine) if name not in (*VOICE_SETTINGS, "language")}
