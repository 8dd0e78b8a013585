"""How a trained nano checkpoint becomes the file that ships: int8 rows with a scale each, in safetensors.

    python -m training.pack_nano CHECKPOINT_FOLDER [--out xttsbench/models/nano_data]

CHECKPOINT_FOLDER holds model.pth, config.json, vocab.json, speakers_xtts.pth and ref.wav. The same
folder gives the same bytes.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import soundfile
import torch
from safetensors.torch import save_file

from xttsbench.models.nano import DATA, SCALE_SUFFIX, SPEAKER_PREFIX

SMALLEST = 1024
# Tables that are computed, not trained: the mel filter bank and the window of the speaker encoder.
COMPUTED = ".torch_spec."


def quantise_rows(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return `matrix` as int8 and the scale of each row (first axis): row = int8 * scale.

    Examples
    --------
    >>> quantise_rows(torch.tensor([[0.0, 1.0, -2.0], [0.0, 0.0, 0.0]]))
    (tensor([[   0,   64, -127],
            [   0,    0,    0]], dtype=torch.int8), tensor([0.0157, 0.0000]))
    """
    rows = matrix.float().flatten(1)
    scale = rows.abs().amax(dim=1) / 127
    whole = torch.round(rows / torch.where(scale > 0, scale, 1.0)[:, None])
    return whole.clamp(-127, 127).to(torch.int8).reshape(matrix.shape), scale


def pack(state: dict[str, torch.Tensor], speakers: dict[str, dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Return the tensors to write: int8 rows for large matrices, fp16 for the small rest, fp32 for voices."""
    packed: dict[str, torch.Tensor] = {}
    for name, value in sorted(state.items()):
        if name.startswith("gpt.gpt_inference."):  # views of other tensors
            continue
        if not value.is_floating_point():
            packed[name] = value.contiguous()
        elif value.dim() >= 2 and value.numel() >= SMALLEST and COMPUTED not in name:
            packed[name], packed[name + SCALE_SUFFIX] = quantise_rows(value)
        else:
            packed[name] = value.half().contiguous()
    for voice, latents in sorted(speakers.items()):
        for latent, value in sorted(latents.items()):
            # The first checkpoint wrote the plural; the library's own file has the singular.
            key = "gpt_cond_latent" if latent == "gpt_cond_latents" else latent
            packed[f"{SPEAKER_PREFIX}{voice}:{key}"] = value.float().contiguous()
    return packed


def main(argv: list[str] | None = None) -> None:
    """Pack the folder that the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=DATA)
    args = parser.parse_args(argv)
    checkpoint = torch.load(args.folder / "model.pth", map_location="cpu", weights_only=True)
    speakers = torch.load(args.folder / "speakers_xtts.pth", map_location="cpu", weights_only=True)
    args.out.mkdir(parents=True, exist_ok=True)
    # One metadata entry only: safetensors does not keep the order of several.
    save_file(
        pack(checkpoint["model"], speakers),
        args.out / "model.safetensors",
        metadata={"format": "xttsbench nano 1: int8 rows, name:scale; fp16; speaker:voice:latent"},
    )
    for name in ("config.json", "vocab.json"):
        shutil.copyfile(args.folder / name, args.out / name)
    audio, sample_rate = soundfile.read(args.folder / "ref.wav", dtype="int16")
    soundfile.write(args.out / "ref.flac", audio, sample_rate, subtype="PCM_16")


if __name__ == "__main__":
    main()
