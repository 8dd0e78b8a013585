"""What to run: engine configurations, call settings, texts, trials and sweeps, as frozen values.

Nothing here imports torch. A default, a range and a meaning are written once, in the metadata of
`Settings`; the command line, the manual and the checks all read them from there.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

Phase = Literal["cold", "warmup", "timed", "stages", "replay"]
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
ONE_CHUNK = 600  # as a chunk size: the longest, so that an utterance is one chunk
LANGUAGES = ("en", "es", "fr", "de", "it", "pt", "pl", "tr", "ru", "nl", "cs", "ar", "zh-cn", "hu", "ko", "ja", "hi")


def unknown(kind: str, given: str, known: tuple[str, ...] | list[str]) -> ValueError:
    """Return the error for an unknown name, with the known ones and the nearest of them."""
    import difflib

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
def _settings_from(items: tuple[tuple[str, Any], ...]) -> Settings:
    """A run holds thousands of trials of a few settings: each is checked once."""
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


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """What a loaded model is; a change means loading again.

    `model` is 'nano', 'random', 'xtts_v2' or a checkpoint folder; `threads` 0 leaves torch's own count.
    """

    model: str
    device: str = "cpu"
    precision: str = "fp32"
    deepspeed: bool = False
    compile: str = "none"
    threads: int = 0

    def __post_init__(self) -> None:
        for name, known in (("device", DEVICES[1:]), ("precision", PRECISIONS), ("compile", COMPILE_MODES)):
            value = getattr(self, name)
            if value not in known:
                raise unknown(name, value, known)
        if self.threads < 0:
            raise ValueError(f"threads is {self.threads}; it takes 0 (torch's own count) or more.")


MAX_TEXT_CHARS = 5000


@dataclass(frozen=True)
class Text:
    """A text to speak: a short name for tables, its language, the words themselves."""

    name: str
    language: str
    text: str

    def __post_init__(self) -> None:
        if self.language not in LANGUAGES:
            raise unknown("language", self.language, LANGUAGES)
        if not self.text.strip():
            raise ValueError(f"text {self.name!r} is empty; give it at least one word.")
        if len(self.text) > MAX_TEXT_CHARS:
            raise ValueError(
                f"text {self.name!r} has {len(self.text):,} characters; at most {MAX_TEXT_CHARS:,} are taken: cut it into several texts."
            )


@dataclass(frozen=True)
class VoiceSpec:
    """Whose voice: reference files (with the hash of their bytes), a studio speaker's name, or the shipped default."""

    files: tuple[str, ...] = ()
    speaker: str = ""
    sha256: str = ""

    @classmethod
    def from_files(cls, files: list[str]) -> VoiceSpec:
        """Hash the files' bytes; ValueError if one is missing."""
        digest = hashlib.sha256()
        for name in files:
            if not Path(name).is_file():
                raise ValueError(f"voice file {name!r} is not there; give a wav, flac, mp3 or ogg file of 3 s or more.")
            digest.update(hashlib.sha256(Path(name).read_bytes()).digest())
        return cls(files=tuple(files), sha256=digest.hexdigest())

    @property
    def label(self) -> str:
        return self.speaker or (Path(self.files[0]).stem if self.files else "default")


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One request to one engine. Its id is a hash of its own settings: the same trial has the same id everywhere.

    Settings that the engine does not take are set to their defaults and left out of the JSON form, so
    that a grid over them gives one trial, not many. Voice files enter the id by content, not by name.
    """

    engine: str
    config: EngineConfig
    settings: Settings
    text: Text
    voice: VoiceSpec = VoiceSpec()
    seed: int = 0
    repeat: int = 0
    phase: Phase = "timed"

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise unknown("engine", self.engine, ENGINES)
        given = vars(self.settings)
        taken = settings_of(self.engine)
        canonical = {name: f.default for name, f in SETTINGS.items() if name not in taken}
        canonical["language"] = self.text.language
        if any(given[name] != value for name, value in canonical.items()):
            object.__setattr__(self, "settings", Settings(**{**given, **canonical}))

    def to_json(self) -> dict[str, Any]:
        taken = settings_of(self.engine)
        return {
            "engine": self.engine,
            "config": dict(vars(self.config)),
            "settings": {name: getattr(self.settings, name) for name in taken},
            "text": dict(vars(self.text)),
            "voice": {**vars(self.voice), "files": list(self.voice.files)},
            "seed": self.seed,
            "repeat": self.repeat,
            "phase": self.phase,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Trial:
        voice = dict(data["voice"])
        return cls(
            engine=data["engine"],
            config=EngineConfig(**data["config"]),
            settings=_settings_from(tuple(data["settings"].items())),
            text=Text(**data["text"]),
            voice=VoiceSpec(**{**voice, "files": tuple(voice["files"])}),
            seed=data["seed"],
            repeat=data["repeat"],
            phase=data["phase"],
        )

    @cached_property
    def id(self) -> str:
        """Hash of everything about the trial, 16 hex digits."""
        return self._hash()

    @cached_property
    def cell(self) -> str:
        """The id without seed, repeat and phase: trials of one cell are repeats of each other."""
        return self._hash(seed=0, repeat=0, phase="timed")

    @cached_property
    def utterance(self) -> str:
        """Hash of what decides the tokens: the id without the settings that a replay may vary, repeat and phase."""
        settings = self.to_json()["settings"]
        kept = {name: value for name, value in settings.items() if name not in REPLAYED}
        return self._hash(settings=kept, repeat=0, phase="replay")

    def _hash(self, **changed: Any) -> str:
        data = {**self.to_json(), **changed}
        if self.voice.sha256:
            data["voice"]["files"] = []
        text = json.dumps(data, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A grid of trials: every engine at every value of every setting it takes, on every text, `repeats` times.

    With `one_at_a_time` the grid is not crossed: each setting goes through its values while the others stay at
    their first. Repeat r of every cell runs under seed `seed + r`, so cells are paired by repeat. With `replay` the
    tokens of an utterance are generated once for all chunk sizes and overlaps, and no time is measured.
    """

    configs: tuple[EngineConfig, ...]
    engines: tuple[str, ...] = ENGINES
    grid: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    texts: tuple[Text, ...] = ()
    voice: VoiceSpec = VoiceSpec()
    repeats: int = 3
    seed: int = 0
    stages: bool = True
    one_at_a_time: bool = False
    replay: bool = False
    preset: str = ""

    def __post_init__(self) -> None:
        for engine in self.engines:
            if engine not in ENGINES:
                raise unknown("engine", engine, ENGINES)
        for name, what in (("engines", "engine"), ("texts", "text"), ("configs", "configuration")):
            if not getattr(self, name):
                raise ValueError(f"a sweep needs at least one {what}.")
        others = [engine for engine in self.engines if engine != "stock"]
        if self.replay and others:
            raise ValueError(
                f"a replay was asked of {', '.join(others)}, but only 'stock' can be replayed: its chunks are joined from one "
                "generation; leave the other engines out, or run them in a sweep that doesn't replay."
            )
        if self.repeats < 1:
            raise ValueError(f"repeats is {self.repeats}; a sweep needs 1 or more.")
        for name, values in self.grid.items():
            if not values:
                raise ValueError(f"{name} was given no value; it takes {range_text(name)}.")
            for value in values:
                check_setting(name, value)

    def cells(self, config: EngineConfig) -> list[Trial]:
        """Return one trial (repeat 0) a cell for `config`, in a plain order, each cell once."""
        names = [n for n in self.grid if n != "language"]
        found: dict[str, Trial] = {}
        for engine, text in itertools.product(self.engines, self.texts):
            for values in self._combinations(names):
                settings = Settings(**dict(zip(names, values, strict=True)))
                trial = Trial(
                    engine=engine, config=config, settings=settings, text=text, voice=self.voice, seed=self.seed
                )
                found.setdefault(trial.cell, trial)
        return list(found.values())

    def _combinations(self, names: list[str]) -> Iterator[tuple[Any, ...]]:
        if not self.one_at_a_time:
            yield from itertools.product(*(self.grid[n] for n in names))
            return
        base = [self.grid[n][0] for n in names]
        yield tuple(base)
        for k, name in enumerate(names):
            for value in self.grid[name][1:]:
                yield (*base[:k], value, *base[k + 1 :])

    def trials(self) -> list[Trial]:
        """Return all trials in the order to run them.

        For each configuration: the cold first request, a warm-up a shape (engine, chunk size, text), the
        timed repeats in whole blocks, each shuffled by seed, then a pass that times stages. Where there are several
        texts, no trial speaks the text of the one before. A replay has one trial a cell and repeat, in groups of one
        utterance, and in each group one trial more: the whole in one chunk, which the others are compared with.
        """
        if self.replay:
            return [trial for config in self.configs for trial in self._replays(config)]
        out: list[Trial] = []
        for config in self.configs:
            cells = self.cells(config)
            out.append(replace(cells[0], phase="cold"))
            shapes: dict[tuple[str, int, str], Trial] = {}
            for t in cells:
                shapes.setdefault((t.engine, t.settings.stream_chunk_size, t.text.name), t)
            blocks = [[replace(t, phase="warmup") for t in shapes.values()]]
            for r in range(self.repeats):
                blocks.append([replace(t, seed=self.seed + r, repeat=r) for t in cells])
            if self.stages:
                blocks.append([replace(t, phase="stages") for t in cells])
            for number, block in enumerate(blocks):
                out += _shuffled(block, seed=f"{self.seed}/{number}", after=out[-1].text.name)
        return out

    def _replays(self, config: EngineConfig) -> Iterator[Trial]:
        groups: dict[str, list[Trial]] = {}
        for r in range(self.repeats):
            for cell in self.cells(config):
                trial = replace(cell, seed=self.seed + r, repeat=r, phase="replay")
                groups.setdefault(trial.utterance, []).append(trial)
        for group in groups.values():
            settings = replace(group[0].settings, stream_chunk_size=ONE_CHUNK, overlap_wav_len=Settings.overlap_wav_len)
            group.append(replace(group[0], settings=settings))
            # short chunks first: longer ones often end where they end, and then need no decoding of their own
            group.sort(key=lambda t: tuple(getattr(t.settings, name) for name in REPLAYED))
            yield from {t.id: t for t in group}.values()

    def to_json(self) -> dict[str, Any]:
        data = {f.name: getattr(self, f.name) for f in fields(self)}
        data["configs"] = [dict(vars(c)) for c in self.configs]
        data["texts"] = [dict(vars(t)) for t in self.texts]
        data["voice"] = {**vars(self.voice), "files": list(self.voice.files)}
        data["engines"] = list(self.engines)
        data["grid"] = {name: list(values) for name, values in self.grid.items()}
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Sweep:
        voice = dict(data["voice"])
        return cls(
            **{
                **data,
                "configs": tuple(EngineConfig(**c) for c in data["configs"]),
                "texts": tuple(Text(**t) for t in data["texts"]),
                "voice": VoiceSpec(**{**voice, "files": tuple(voice["files"])}),
                "engines": tuple(data["engines"]),
                "grid": {name: tuple(values) for name, values in data["grid"].items()},
            }
        )


def _shuffled(block: list[Trial], *, seed: str, after: str) -> list[Trial]:
    """Shuffle a block so that neighbours speak different texts wherever the counts allow it."""
    rng = random.Random(seed)
    queues: dict[str, list[Trial]] = {}
    for trial in rng.sample(block, len(block)):
        queues.setdefault(trial.text.name, []).append(trial)
    out: list[Trial] = []
    while queues:
        most = max(len(q) for q in queues.values())
        names = [n for n in queues if n != after and len(queues[n]) == most] or [n for n in queues if n != after]
        after = rng.choice(names or list(queues))
        out.append(queues[after].pop())
        if not queues[after]:
            del queues[after]
    return out
