"""Any model as a standard checkpoint folder that coqui-tts's own `load_checkpoint` reads back with identical outputs."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from xttsbench.models.weights import SIDECAR, Loaded, sidecar


def export_checkpoint(loaded: Loaded, folder: Path) -> list[Path]:
    """Write config.json, model.pth, vocab.json and, where there are studio voices, speakers_xtts.pth.

    What coqui's formats have no words for (nano's smaller decoder, a limit of its tokenizer, the length that random weights take
    from the text) stands in xttsbench.json beside them; `--model DIR` reads it.

    Raises
    ------
    ValueError
        If the folder holds something already, or is a file.
    """
    check_place(folder)
    folder.mkdir(parents=True, exist_ok=True)
    xtts = loaded.xtts
    weights = {
        k: v.detach().cpu().clone() for k, v in xtts.state_dict().items() if not k.startswith("gpt.gpt_inference.")
    }
    weights.pop("gpt.gpt.wte.weight", None)
    torch.save({"model": weights}, folder / "model.pth")
    xtts.config.save_json(str(folder / "config.json"))
    (folder / "vocab.json").write_text(xtts.tokenizer.tokenizer.to_str(), encoding="utf-8")
    manager = getattr(xtts, "speaker_manager", None)
    if manager is not None:
        torch.save(manager.speakers, folder / "speakers_xtts.pth")
    extra = {
        "class": type(xtts).__name__,
        "char_limits": {"en": xtts.tokenizer.char_limits["en"]},
        "note": loaded.note,
        "from": sidecar(Path(loaded.model)).get("from", loaded.model),
    }
    (folder / SIDECAR).write_text(json.dumps(extra, indent=2), encoding="utf-8")
    return sorted(folder.iterdir())


def check_place(folder: Path) -> None:
    """Raise ValueError unless a checkpoint may be written to this folder."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{str(folder)!r} is not an empty folder; nothing is overwritten: name a new one.")
