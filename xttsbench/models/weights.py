"""Where a model comes from: the shipped nano, the released XTTSv2, a checkpoint folder, or full-shape random weights."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xttsbench.spec import EngineConfig

XTTS_V2 = "tts_models/multilingual/multi-dataset/xtts_v2"
REPO = "tts-hub/XTTS-v2"
FILES = ("config.json", "model.pth", "vocab.json", "speakers_xtts.pth")
NEEDED = FILES[:3]
CPML = (
    "XTTSv2's weights are under the Coqui Public Model License, which allows non-commercial use only; nothing is fetched "
    "before you agree to it (https://tts-hub.github.io/cpml). If you agree, say so with --accept-cpml or COQUI_TOS_AGREED=1."
)
NOISE = "random weights: times hold, sound is noise"
NANO = "nano is a small stand-in: English, one voice, pieces of about 70 characters; its times are not XTTSv2's"


@dataclass(frozen=True)
class Loaded:
    """A model ready to speak, and what must be known of it.

    Attributes
    ----------
    xtts
        The `TTS.tts.models.xtts.Xtts` instance, in eval mode on its device.
    sha256
        Hash of the weights; for random weights, of the recipe.
    load_s
        Seconds from files to ready.
    note
        What every table and figure of this model must say; '' for the released weights.
    """

    xtts: Any
    model: str
    sha256: str
    load_s: float
    note: str = ""


def resolve(model: str, *, accept_cpml: bool = False) -> tuple[str, str]:
    """Turn 'auto' into a model, and say in a sentence which one it is and why.

    Raises
    ------
    ValueError
        If xtts_v2 is asked for without agreement to its licence, or a folder is not a checkpoint.
    """
    agreed = accept_cpml or licence_agreed()
    if model == "auto":
        if agreed and cached_folder() is not None:
            return "xtts_v2", "model: xtts_v2 (in the cache, licence agreed to)"
        why = "its licence is not agreed to" if cached_folder() is not None else "XTTSv2's weights are not in the cache"
        return "nano", f"model: nano (shipped), since {why}; {NANO}"
    if model == "nano":
        return model, f"model: nano (shipped); {NANO}"
    if model == "random":
        return model, f"model: XTTSv2's full shape with {NOISE}"
    if model == "xtts_v2":
        if not agreed:
            raise ValueError(CPML)
        if cached_folder() is None and half_downloaded():
            return model, f"model: xtts_v2 (half downloaded in {half_downloaded()}: will be completed)"
        return model, "model: xtts_v2 (released weights)" + ("" if cached_folder() else "; will be downloaded (1.9 GB)")
    check_folder(Path(model))
    return str(Path(model).resolve()), f"model: checkpoint {model}"


def licence_agreed() -> bool:
    """Return whether the CPML was agreed to before: COQUI_TOS_AGREED=1, or the file coqui writes."""
    return os.environ.get("COQUI_TOS_AGREED") == "1" or (coqui_folder() / "tos_agreed.txt").is_file()


def coqui_folder() -> Path:
    """Return the folder where coqui's own manager keeps XTTSv2 (and where older versions put its files)."""
    from trainer.io import get_user_data_dir

    return Path(get_user_data_dir("tts")) / XTTS_V2.replace("/", "--")


def cached_folder() -> Path | None:
    """Return the folder that holds the released weights whole, or None."""
    from huggingface_hub import try_to_load_from_cache

    paths = [try_to_load_from_cache(REPO, name) for name in NEEDED]
    if all(isinstance(p, str) for p in paths):
        return Path(str(paths[0])).parent
    folder = coqui_folder()
    return folder if all((folder / name).is_file() for name in NEEDED) else None


def half_downloaded() -> str:
    """Return the folder of a download that was cut off, or ''."""
    from huggingface_hub.constants import HF_HUB_CACHE

    hub = Path(HF_HUB_CACHE) / f"models--{REPO.replace('/', '--')}"
    if cached_folder() is None:
        if any(hub.glob("blobs/*")):
            return str(hub)
        if any((coqui_folder() / name).is_file() for name in FILES):
            return str(coqui_folder())
    return ""


def check_folder(folder: Path) -> None:
    """Raise ValueError naming every file of a checkpoint folder that is missing or corrupt."""
    if not folder.is_dir():
        known = "auto, nano, random, xtts_v2 or a checkpoint folder"
        raise ValueError(f"model {str(folder)!r} is neither a known name nor a folder; give {known}.")
    faults = [f"{name} is missing" for name in NEEDED if not (folder / name).is_file()]
    for name in ("config.json", "vocab.json"):
        if (folder / name).is_file():
            try:
                json.loads((folder / name).read_text(encoding="utf-8"))
            except (ValueError, UnicodeDecodeError) as error:
                faults.append(f"{name} is not JSON ({error})")
    for name in ("model.pth", "speakers_xtts.pth"):
        path = folder / name
        if path.is_file() and not zipfile.is_zipfile(path):
            faults.append(f"{name} is torn or not a torch file ({path.stat().st_size:,} bytes)")
    if faults:
        raise ValueError(f"checkpoint folder {str(folder)!r} can't be used: {'; '.join(faults)}. Copy or download it again.")


def load(config: EngineConfig, *, accept_cpml: bool = False) -> Loaded:
    """Load the model of `config` onto its device.

    Raises
    ------
    ValueError
        If it can't be had: no licence, no CUDA device, missing or refused files, DeepSpeed not installed.
    """
    import torch

    if config.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device cuda was asked for, but torch sees none; use --device cpu or run `python -m xttsbench doctor`.")
    if config.deepspeed:
        _need_deepspeed()
    start = time.perf_counter()
    _quieten()
    if config.model == "nano":
        from xttsbench.models.nano import DATA, load_nano

        xtts, sha, note = load_nano(), file_sha256(Path(str(DATA)) / "model.safetensors"), NANO
    elif config.model == "random":
        from xttsbench.models import full_shape

        xtts, sha, note = full_shape.build(seed=0), f"random-{torch.__version__}-seed0", NOISE
    else:
        folder = _fetched(accept_cpml=accept_cpml) if config.model == "xtts_v2" else Path(config.model)
        xtts, sha, note = load_folder(folder, deepspeed=config.deepspeed), file_sha256(folder / "model.pth"), ""
    if config.deepspeed and config.model in ("nano", "random"):
        xtts.gpt.init_gpt_for_inference(kv_cache=xtts.args.kv_cache, use_deepspeed=True)
    xtts.to(config.device)
    if config.compile != "none":
        decoder = xtts.hifigan_decoder.waveform_decoder
        decoder.forward = torch.compile(decoder.forward, mode=config.compile, dynamic=True)
    return Loaded(xtts, config.model, sha, time.perf_counter() - start, note)


def load_folder(folder: Path, *, deepspeed: bool = False) -> Any:
    """Load a checkpoint folder by coqui's own `load_checkpoint`, weights only; ValueError says what is wrong with it."""
    check_folder(folder)
    from TTS.config import load_config
    from TTS.tts.models.xtts import Xtts

    shape = folder / "xttsbench.json"
    cls: Any = Xtts
    if shape.is_file() and json.loads(shape.read_text(encoding="utf-8")).get("class") == "NanoXtts":
        from xttsbench.models.nano import NanoXtts

        cls = NanoXtts
    try:
        config = load_config(folder / "config.json")
    except (KeyError, TypeError, ValueError, AssertionError, ModuleNotFoundError) as error:
        raise ValueError(f"{folder / 'config.json'} is not an XTTS configuration ({error!r}).") from error
    if getattr(config, "model", "") != "xtts":
        raise ValueError(f"{folder / 'config.json'} describes model {config.model!r}; only 'xtts' streams here.")
    xtts = cls(config)
    try:
        xtts.load_checkpoint(config, checkpoint_dir=str(folder), eval=True, use_deepspeed=deepspeed)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"a .pth file in {str(folder)!r} holds more than weights (pickled code) and was not loaded; "
            "ask for a file saved as plain tensors."
        ) from error
    except (RuntimeError, KeyError, EOFError, OSError) as error:
        first = str(error).strip().splitlines()[0] if str(error) else repr(error)
        raise ValueError(f"the weights in {str(folder)!r} do not fit or are corrupt: {first}") from error
    except Exception as error:
        if type(error).__module__ == "builtins" and "vocab" in str(error).lower():
            raise ValueError(f"{folder / 'vocab.json'} is not a tokenizer file ({error}).") from error
        raise
    if (folder / "xttsbench.json").is_file():
        limits = json.loads(shape.read_text(encoding="utf-8")).get("char_limits", {})
        xtts.tokenizer.char_limits.update(limits)
    return xtts


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, read in pieces."""
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def _fetched(*, accept_cpml: bool) -> Path:
    folder = cached_folder()
    if not (accept_cpml or licence_agreed()):
        raise ValueError(CPML)
    if folder is not None:
        return folder
    from TTS.utils.manage import ModelManager

    coqui_folder().mkdir(parents=True, exist_ok=True)
    (coqui_folder() / "tos_agreed.txt").write_text("I have read, understood and agreed to the Terms and Conditions.")
    try:
        ModelManager().download_model(XTTS_V2)
    except Exception as error:
        where = half_downloaded()
        torn = f" A part of it lies in {where}; the next try goes on from there, or delete that folder to begin anew." if where else ""
        raise ValueError(
            f"XTTSv2's weights could not be fetched ({type(error).__name__}: {str(error).splitlines()[0]}).{torn} "
            "Without a network, copy the checkpoint here and give its folder as --model DIR."
        ) from error
    folder = cached_folder()
    if folder is None:
        raise ValueError(f"the download ended but {', '.join(NEEDED)} are not all in the cache; run it again.")
    return folder


def _need_deepspeed() -> None:
    import importlib.util

    if importlib.util.find_spec("deepspeed") is None:
        raise ValueError("deepspeed was asked for but is not installed; `pip install deepspeed` (CUDA only) or leave it out.")


def _quieten() -> None:
    """Drop the library's warnings that are about its own construction, not about this run."""
    from transformers.utils import logging

    logging.set_verbosity_error()
