"""What to run: engine configurations, texts, voices and trials, as frozen values. Nothing here imports torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from xttsbench.settings import (
    COMPILE_MODES,
    DEVICES,
    ENGINES,
    JOINING,
    LANGUAGES,
    PRECISIONS,
    SETTINGS,
    Settings,
    settings_from,
    settings_of,
    unknown,
)

Phase = Literal["cold", "warmup", "timed", "stages", "replay"]


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """What a loaded model is; a change means loading again.

    `model` is 'nano', 'random', 'xtts_v2' or a checkpoint folder, which counts by the hash of its weights and not by where it lies;
    `threads` 0 leaves torch's own count.
    """

    model: str
    device: str = "cpu"
    precision: str = "fp32"
    deepspeed: bool = False
    compile: str = "none"
    threads: int = 0
    weights_sha256: str = ""

    def __post_init__(self) -> None:
        for name, known in (("device", DEVICES[1:]), ("precision", PRECISIONS), ("compile", COMPILE_MODES)):
            value = getattr(self, name)
            if value not in known:
                raise unknown(name, value, known)
        for name, asked in (("precision tf32", self.precision == "tf32"), ("deepspeed", self.deepspeed)):
            if asked and self.device != "cuda":
                raise ValueError(
                    f"{name} was asked for on {self.device!r}, but only a CUDA device has it; leave it out."
                )
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
            settings=settings_from(tuple(data["settings"].items())),
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
        """Hash of what decides the tokens: the id without the settings that only cut and join them, repeat and phase."""
        settings = self.to_json()["settings"]
        kept = {name: value for name, value in settings.items() if name not in JOINING}
        return self._hash(settings=kept, repeat=0, phase="replay")

    def _hash(self, **changed: Any) -> str:
        data = {**self.to_json(), **changed}
        if self.voice.sha256:
            data["voice"]["files"] = []
        # a checkpoint counts by its weights, wherever it lies; a model with a name has no such hash
        del data["config"]["model" if self.config.weights_sha256 else "weights_sha256"]
        text = json.dumps(data, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]
