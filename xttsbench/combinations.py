"""Which sets of versions are known to be bad, and what mends them? Pure: a dictionary of versions in, findings out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

Facts = Mapping[str, str]
NONE = "none"
INSTALL = "python -m pip install"


@dataclass(frozen=True)
class Finding:
    """One thing found: an 'error' keeps synthesis from working, a 'warning' part of it, a 'note' nothing."""

    level: Literal["error", "warning", "note"]
    sentence: str
    mend: str = ""

    def __str__(self) -> str:
        return f"{self.level}: {self.sentence}" + (f"\n  to mend it: {self.mend}" if self.mend else "")


def examine(here: Facts) -> tuple[Finding, ...]:
    """Return what is known to be bad in what `doctor.facts` found: a version, or 'none', for each name."""
    return (*_python(here), *_coqui(here), *_torch(here), *_driver(here), *_optional(here))


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text.split("+")[0])[:2])


def _python(here: Facts) -> Iterator[Finding]:
    if not (3, 11) <= _version(here["python"]) < (3, 14):
        yield Finding(
            "error", f"Python is {here['python']}; 3.11 to 3.13 are supported.", "make the venv with one of them"
        )


def _coqui(here: Facts) -> Iterator[Finding]:
    coqui, transformers = here["coqui-tts"], here["transformers"]
    if here["TTS"] != NONE:
        yield Finding(
            "error",
            f"the old package TTS {here['TTS']} is installed; it and coqui-tts overwrite each other's files.",
            "python -m pip uninstall -y TTS && python -m pip install --force-reinstall --no-deps 'coqui-tts>=0.28,<0.29'",
        )
    if here["coqpit"] != NONE:
        yield Finding(
            "error",
            f"the old package coqpit {here['coqpit']} is installed; coqui-tts refuses to start beside it.",
            "python -m pip uninstall -y coqpit && python -m pip install --force-reinstall --no-deps coqpit-config",
        )
    if coqui == NONE:
        yield Finding("error", "coqui-tts is not installed.", f"{INSTALL} 'coqui-tts>=0.28,<0.29'")
    elif _version(coqui) < (0, 28):
        late = transformers != NONE and _version(transformers) >= (5, 3)
        what = (
            f"coqui-tts {coqui} with transformers {transformers} feeds the whole sequence at each step: slow, and wrong sound."
            if late
            else f"coqui-tts is {coqui}; before 0.28 streaming lost the end of most utterances."
        )
        yield Finding("error" if late else "warning", what, f"{INSTALL} 'coqui-tts>=0.28,<0.29'")
    elif _version(coqui) >= (0, 29):
        yield Finding("warning", f"coqui-tts is {coqui}; only 0.28 is tested.", f"{INSTALL} 'coqui-tts>=0.28,<0.29'")
    if transformers == NONE:
        yield Finding("error", "transformers is not installed.", f"{INSTALL} 'transformers>=5,<6'")
    elif not (5, 0) <= _version(transformers) < (6, 0):
        yield Finding(
            "warning", f"transformers is {transformers}; only 5.x is tested.", f"{INSTALL} 'transformers>=5,<6'"
        )
    if here["six"] == NONE:
        yield Finding("error", "six is not installed; coqui-tts imports it without declaring it.", f"{INSTALL} six")


def _torch(here: Facts) -> Iterator[Finding]:
    torch, audio = here["torch"], here["torchaudio"]
    for name in ("torch", "torchaudio"):
        if here[name] == NONE:
            yield Finding(
                "error", f"{name} is not installed; coqui-tts leaves that to you.", f"{INSTALL} torch torchaudio"
            )
    if NONE in (torch, audio):
        return
    # From 2.11 on torchaudio works with any later torch; before, each needs the torch of its own version.
    pair = _version(torch), _version(audio)
    if pair[0] != pair[1] and (pair[1] < (2, 11) or pair[0] < pair[1]):
        wanted = ".".join(str(part) for part in pair[0])
        yield Finding("error", f"torchaudio {audio} does not fit torch {torch}.", f"{INSTALL} 'torchaudio=={wanted}.*'")
    builds = torch.partition("+")[2], audio.partition("+")[2]
    if all(builds) and builds[0] != builds[1]:
        yield Finding(
            "error",
            f"torch and torchaudio are of different builds: {builds[0]} and {builds[1]}.",
            "install both from the same place, in one command",
        )
    if pair[0] >= (2, 9) and here["torchcodec"] == NONE:
        yield Finding(
            "error", "torchcodec is not installed; coqui-tts insists on it from torch 2.9 on.", f"{INSTALL} torchcodec"
        )


def _driver(here: Facts) -> Iterator[Finding]:
    built, driver = here["torch_cuda"], here["driver_cuda"]
    if here["torch"] == NONE:
        return
    if driver == NONE and built != NONE:
        yield Finding(
            "note", f"torch is built for CUDA {built} and there is no NVIDIA driver: it runs on the CPU as it is."
        )
    elif driver != NONE and built == NONE:
        yield Finding(
            "warning",
            "there is an NVIDIA GPU, but torch is built for the CPU only.",
            f"{INSTALL} a CUDA build of torch",
        )
    # Within one major version CUDA builds run on older drivers too.
    elif driver != NONE and _version(driver)[0] < _version(built)[0]:
        yield Finding(
            "warning",
            f"torch is built for CUDA {built}, the NVIDIA driver supports up to {driver}: torch will not use the GPU.",
            f"update the driver, or install an older torch, built for CUDA {_version(driver)[0]} (docs/development.md)",
        )


def _optional(here: Facts) -> Iterator[Finding]:
    if here["spacy"] == NONE:
        yield Finding(
            "warning",
            "spacy is not installed; coqui-tts cuts text at sentences with it, so enable_text_splitting and the naive engine fail.",
            f"{INSTALL} 'spacy>=3.8,<4'",
        )
    if here["sounddevice"] == NONE:
        yield Finding("note", "sounddevice is not installed; only --play needs it.", f"{INSTALL} -e '.[play]'")
    elif here["portaudio"] == NONE:
        yield Finding(
            "note",
            "PortAudio is missing; only --play needs it.",
            "apt-get install libportaudio2, or your system's like",
        )
