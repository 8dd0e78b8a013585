"""Can this machine synthesise, and if not, what mends it? Versions, device, caches, known bad combinations, a real try."""

from __future__ import annotations

import ctypes.util
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TextIO

from xttsbench import __version__, gpu, machine
from xttsbench.combinations import INSTALL, NONE, Finding, examine
from xttsbench.models.released import own_folder, released

PACKAGES = (
    *("coqui-tts", "TTS", "coqpit", "torch", "torchaudio", "torchcodec", "transformers"),
    *("numpy", "six", "spacy", "sounddevice"),
)
PROBE = "from xttsbench.doctor import speak; speak()"
PROBE_LIMIT_S = 300


def facts() -> dict[str, str]:
    """Return what is installed here: versions by package, 'none' if absent, Python, CUDA of torch and of the driver."""
    bundled = sys.platform in ("win32", "darwin")  # sounddevice's wheels bring PortAudio there
    return machine.versions(PACKAGES) | {
        "python": platform.python_version(),
        "torch_cuda": machine.torch_cuda(),
        "driver_cuda": gpu.driver_cuda(),
        "portaudio": "bundled" if bundled else ctypes.util.find_library("portaudio") or NONE,
    }


def writable(folder: Path) -> bool:
    """Return whether files can be made in `folder`, which need not exist yet; nothing is left behind."""
    while not folder.exists():
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def speak() -> None:
    """Load nano, say a few words with it and print what came of it as JSON: the real end of the examination."""
    import time

    start = time.perf_counter()
    from xttsbench.models.nano import load_nano

    imported = time.perf_counter()
    model = load_nano()
    loaded = time.perf_counter()
    voice = model.speaker_manager.speakers["nano"]
    chunks = model.inference_stream("all is well.", "en", voice["gpt_cond_latent"], voice["speaker_embedding"])
    samples = sum(len(chunk) for chunk in chunks)
    times = {"import_s": imported - start, "load_s": loaded - imported, "speak_s": time.perf_counter() - loaded}
    print(json.dumps(times | {"audio_s": samples / 24000}))


def attempt(code: str = PROBE) -> tuple[str, Finding | None]:
    """Return a line on a real synthesis in a process of its own, and what kept it from working, if anything.

    A process of its own, because an import can fail in ways that end it.
    """
    # On the CPU: the try must not depend on how busy or how old a GPU is.
    there = os.environ | {"CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=PROBE_LIMIT_S, env=there, check=False
        )
    except subprocess.TimeoutExpired:
        return "", Finding("error", f"a few words of nano were not spoken within {PROBE_LIMIT_S} s.")
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        said = (done.stderr.strip().splitlines() or [f"the process ended with code {done.returncode}"])[-1]
        return "", Finding(
            "error", f"synthesis with nano failed: {said}", f"{INSTALL} --require-hashes -r requirements.lock"
        )
    took = json.loads(lines[-1])
    if not took["audio_s"] > 0:
        return "", Finding("error", "nano was asked for a few words and gave no audio.")
    return (
        f"nano on the CPU: import {took['import_s']:.1f} s, load {took['load_s']:.1f} s, "
        f"{took['audio_s']:.1f} s of speech in {took['speak_s']:.1f} s"
    ), None


def doctor(out: TextIO, *, quick: bool = False, results: Path = Path("results")) -> int:
    """Print what is found to `out` and return 1 if synthesis cannot work, else 0; `quick` skips the real try."""
    here = facts()
    print(f"xttsbench {__version__} on Python {here['python']}, {platform.platform()}", file=out)
    print(", ".join(f"{name} {here[name]}" for name in PACKAGES if here[name] != NONE), file=out)
    device = gpu.identity(gpu.find_gpu())
    print(f"GPU: {device['gpu']}, driver {device['driver']}, CUDA up to {device['driver_cuda']}", file=out)
    print(f"xtts_v2: {released()}", file=out)
    found = list(examine(here))
    cache = own_folder()
    for kind, folder, mend in (
        ("results", results.resolve(), "go to a folder of your own, or give one with --out"),
        ("cache", cache, "set XTTSBENCH_CACHE to a folder of your own"),
    ):
        print(f"{kind}: {folder}", file=out)
        if not writable(folder):
            found.append(Finding("warning", f"the {kind} folder {folder} cannot be written.", mend))
    if not quick:
        line, failure = attempt()
        found += [failure] if failure else []
        if line:
            print(line, file=out)
    for finding in found:
        print(finding, file=out)
    broken = any(finding.level == "error" for finding in found)
    print("synthesis cannot work yet" if broken else "ready" if not quick else "nothing known to be wrong", file=out)
    return int(broken)
