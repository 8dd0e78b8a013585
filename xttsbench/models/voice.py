"""Whose voice it is: reference audio to conditioning latents, computed once and kept on disk by content.

References are read with soundfile, so that no FFmpeg is needed; the rest is what
`Xtts.get_conditioning_latents` does, through the same two methods.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf
import torch
import torchaudio
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from xttsbench.models.released import own_folder
from xttsbench.settings import unknown
from xttsbench.spec import VoiceSpec

LOAD_HZ = 22050
SHORTEST_S = 0.33
SILENT_DB = -60.0


@dataclass(frozen=True)
class Voice:
    """Conditioning of one voice: `gpt_cond_latent` (1, T, width), `speaker_embedding` (1, 512, 1), and its cost."""

    gpt_cond_latent: torch.Tensor
    speaker_embedding: torch.Tensor
    label: str
    voice_s: float
    cached: bool = False


def read_reference(path: str | Path, *, max_ref_len: int, sound_norm_refs: bool) -> torch.Tensor:
    """Read a reference as mono (1, n) at 22,050 Hz, at most `max_ref_len` seconds of it.

    Raises
    ------
    ValueError
        If the file is missing, no audio, too short, silent or not finite; the message names it.
    """
    try:
        audio, rate = sf.read(str(path), dtype="float32", always_2d=True)
    except (sf.LibsndfileError, OSError) as error:
        raise ValueError(
            f"voice file {str(path)!r} can't be read as audio ({error}); give a wav, flac, mp3 or ogg file."
        ) from error
    seconds = len(audio) / rate
    if seconds < SHORTEST_S:
        raise ValueError(
            f"voice file {str(path)!r} lasts {seconds:.2f} s; XTTS needs {SHORTEST_S} s and sounds right from about 6 s."
        )
    if not np.isfinite(audio).all():
        raise ValueError(f"voice file {str(path)!r} holds NaN or infinite samples; export it again as PCM.")
    mono = audio.mean(axis=1)
    rms_db = 10 * np.log10(np.mean(np.square(mono, dtype=np.float64)) + 1e-20)
    if rms_db < SILENT_DB:
        raise ValueError(f"voice file {str(path)!r} is silent ({rms_db:.0f} dB RMS); give a recording of speech.")
    wav = torch.from_numpy(mono)[None]
    if rate != LOAD_HZ:
        wav = torchaudio.functional.resample(wav, rate, LOAD_HZ)
    wav = wav.clamp(-1, 1)[:, : LOAD_HZ * max_ref_len]
    return wav / wav.abs().max() * 0.75 if sound_norm_refs else wav


def condition(xtts: Any, spec: VoiceSpec, settings: Mapping[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute (gpt_cond_latent, speaker_embedding) from the files of `spec`, as `get_conditioning_latents` does."""
    refs = [
        read_reference(f, max_ref_len=settings["max_ref_len"], sound_norm_refs=settings["sound_norm_refs"]).to(
            xtts.device
        )
        for f in spec.files or (default_reference(),)
    ]
    embeddings = torch.stack([xtts.get_speaker_embedding(ref, LOAD_HZ) for ref in refs])
    latent = xtts.get_gpt_cond_latents(
        torch.cat(refs, dim=-1), LOAD_HZ, length=settings["gpt_cond_len"], chunk_length=settings["gpt_cond_chunk_len"]
    )
    return latent, embeddings.mean(dim=0)


def default_reference() -> str:
    """Return the path of the reference that ships: six seconds of the nano voice."""
    return str(files("xttsbench.models").joinpath("nano_data", "ref.flac"))


def speaker(xtts: Any, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a studio voice of the checkpoint; ValueError lists the ones it has."""
    manager: Any = getattr(xtts, "speaker_manager", None)
    names = list(manager.speakers) if manager is not None else []
    if not names:
        raise ValueError(f"speaker {name!r} was asked for, but this model has no studio voices; use --voice FILE.")
    if name not in names:
        raise unknown("speaker", name, names)
    latent, embedding = manager.speakers[name].values()
    return latent, embedding


def get(
    xtts: Any, spec: VoiceSpec, settings: Mapping[str, Any], *, weights_sha256: str, cache: Path | None = None
) -> Voice:
    """Return the voice of `spec`, from the cache on disk where it is there.

    `settings` gives gpt_cond_len, gpt_cond_chunk_len, max_ref_len (seconds) and sound_norm_refs. The
    cache's key is the content of the audio, the weights, and these settings; its cost is `voice_s`,
    which a cached voice remembers from when it was computed.
    """
    if spec.speaker:
        start = time.perf_counter()
        latent, embedding = speaker(xtts, spec.speaker)
        return Voice(latent, embedding, spec.label, time.perf_counter() - start)
    folder = cache or own_folder() / "voices"
    content = spec.sha256 or VoiceSpec.from_files([default_reference()]).sha256
    key = json.dumps([content, weights_sha256, *(settings[k] for k in sorted(settings))])
    path = folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.safetensors"
    if path.is_file():
        try:
            held = load_file(path)
            return Voice(
                held["gpt_cond_latent"], held["speaker_embedding"], spec.label, float(held["voice_s"]), cached=True
            )
        except Exception:  # a torn file in a cache is only a miss
            path.unlink(missing_ok=True)
    start = time.perf_counter()
    latent, embedding = condition(xtts, spec, settings)
    latent, embedding = latent.float().cpu().contiguous(), embedding.float().cpu().contiguous()
    voice_s = time.perf_counter() - start
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        seconds = torch.tensor(voice_s, dtype=torch.float64)
        save_file({"gpt_cond_latent": latent, "speaker_embedding": embedding, "voice_s": seconds}, part)
        part.replace(path)
    except (OSError, SafetensorError):  # a cache that can't be written costs time, not the run
        pass
    return Voice(latent, embedding, spec.label, voice_s)
