"""Where a model comes from: the shipped nano, the released XTTSv2, a checkpoint folder, or full-shape random weights."""

from __future__ import annotations

import hashlib
import json
import pickle
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xttsbench.models.released import FILES, coqui_folder, released
from xttsbench.spec import EngineConfig

XTTS_V2 = "tts_models/multilingual/multi-dataset/xtts_v2"
NEEDED = FILES[:3]
SIDECAR = "xttsbench.json"
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
    here = released()
    agreed = accept_cpml or here.agreed
    if model == "auto":
        if agreed and here.whole:
            return "xtts_v2", "model: xtts_v2 (in the cache, licence agreed to)"
        why = "its licence is not agreed to" if here.whole else "XTTSv2's weights are not in the cache"
        return "nano", f"model: nano (shipped), since {why}; {NANO}"
    if model == "nano":
        return model, f"model: nano (shipped); {NANO}"
    if model == "random":
        return model, f"model: XTTSv2's full shape with {NOISE}"
    if model == "xtts_v2":
        if not agreed:
            raise ValueError(CPML)
        if here.whole:
            return model, f"model: xtts_v2 (released weights in {here.folder})"
        if here.folder is not None:
            return model, f"model: xtts_v2 (half downloaded in {here.folder}: the download goes on)"
        return model, "model: xtts_v2 (released weights; 1.9 GB will be downloaded)"
    check_folder(Path(model))
    return str(Path(model).resolve()), f"model: checkpoint {model}"


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
        raise ValueError(
            f"checkpoint folder {str(folder)!r} can't be used: {'; '.join(faults)}. Copy or download it again."
        )


def load(config: EngineConfig, *, accept_cpml: bool = False) -> Loaded:
    """Load the model of `config` onto its device.

    Raises
    ------
    ValueError
        If it can't be had: no licence, no CUDA device, missing or refused files, DeepSpeed not installed.
    """
    import torch

    if config.device == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            "device cuda was asked for, but torch sees none; use --device cpu or run `python -m xttsbench doctor`."
        )
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
        xtts, sha = load_folder(folder, deepspeed=config.deepspeed), file_sha256(folder / "model.pth")
        note = sidecar(folder).get("note", "")
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
    from tokenizers import Tokenizer
    from TTS.config import load_config
    from TTS.tts.models.xtts import Xtts

    extra = sidecar(folder)
    cls: Any = Xtts
    if extra.get("class") == "NanoXtts":
        from xttsbench.models.nano import NanoXtts

        cls = NanoXtts
    try:
        config = load_config(folder / "config.json")
    except (KeyError, TypeError, ValueError, AssertionError, ModuleNotFoundError) as error:
        raise ValueError(f"{folder / 'config.json'} is not an XTTS configuration ({error!r}).") from error
    if getattr(config, "model", "") != "xtts":
        raise ValueError(f"{folder / 'config.json'} describes model {config.model!r}; only 'xtts' streams here.")
    try:
        Tokenizer.from_file(str(folder / "vocab.json"))
    except Exception as error:  # the binding raises nothing narrower
        raise ValueError(f"{folder / 'vocab.json'} is not a tokenizer file ({error}).") from error
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
    if extra.get("from") == "random":
        from xttsbench.models.full_shape import HumanRateTokenizer

        xtts.tokenizer = HumanRateTokenizer(xtts.gpt, xtts.tokenizer.tokenizer.to_str())
    xtts.tokenizer.char_limits.update(extra.get("char_limits", {}))
    return xtts


def sidecar(folder: Path) -> dict[str, Any]:
    """Return what `export_checkpoint` wrote beside the standard files, which coqui's formats have no words for."""
    path = folder / SIDECAR
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, read in pieces."""
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def _fetched(*, accept_cpml: bool) -> Path:
    here = released()
    if not (accept_cpml or here.agreed):
        raise ValueError(CPML)
    if here.folder is not None and here.whole:
        return here.folder
    from TTS.utils.manage import ModelManager

    coqui_folder().mkdir(parents=True, exist_ok=True)
    (coqui_folder() / "tos_agreed.txt").write_text("I have read, understood and agreed to the Terms and Conditions.")
    try:
        ModelManager().download_model(XTTS_V2)
    except Exception as error:
        torn = released().folder
        rest = (
            f" A part of it lies in {torn}; the next try goes on from there, or delete that folder to begin anew."
            if torn
            else ""
        )
        raise ValueError(
            f"XTTSv2's weights could not be fetched ({type(error).__name__}: {str(error).splitlines()[0]}).{rest} "
            "Without a network, copy the checkpoint here and give its folder as --model DIR."
        ) from error
    here = released()
    if here.folder is None or not here.whole:
        raise ValueError(f"the download ended but {', '.join(here.missing)} did not come; run it again.")
    return here.folder


def _need_deepspeed() -> None:
    import importlib.util

    if importlib.util.find_spec("deepspeed") is None:
        raise ValueError(
            "deepspeed was asked for but is not installed; `pip install deepspeed` (CUDA only) or leave it out."
        )


def _quieten() -> None:
    """Drop the library's warnings that are about its own construction, not about this run."""
    from transformers.utils import logging

    logging.set_verbosity_error()
