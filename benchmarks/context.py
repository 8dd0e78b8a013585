"""How many frames of context the decoder needs: SNR of a window decoded with n frames to each side, and the figure of it.

Run: python benchmarks/context.py --out docs/figures/context.svg. Windows of 87 frames (20 tokens) are decoded by the
library's own decoder from interpolated latents and compared with the same samples of one whole decode.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F
from TTS.tts.layers.xtts.hifigan_decoder import HifiDecoder

from xttsbench import runner
from xttsbench.engines.reach import reach_of
from xttsbench.engines.taps import Taps
from xttsbench.models.voice import Voice
from xttsbench.settings import Settings
from xttsbench.spec import EngineConfig, Text, Trial

FRAMES = 87
CONTEXTS = range(0, 19)


def frames_of(decoder: Any, latents: torch.Tensor) -> torch.Tensor:
    """Return latents (n, width) interpolated to frames (1, width, m) as `HifiDecoder.forward` does."""
    z = F.interpolate(latents.T[None], scale_factor=[4.0], mode="linear")
    return F.interpolate(z, scale_factor=[decoder.output_sample_rate / decoder.input_sample_rate], mode="linear")


def snr_by_context(decoder: Any, latents: torch.Tensor, speaker: torch.Tensor) -> list[float]:
    """Return SNR in dB, all windows together, for each number of context frames in CONTEXTS."""
    net, frames = decoder.waveform_decoder, frames_of(decoder, latents)
    hop, total = reach_of(net).hop, frames.shape[2]
    true = net(frames, g=speaker)[0, 0].double()
    out = []
    for context in CONTEXTS:
        signal = error = 0.0
        for low in range(FRAMES, total - 2 * FRAMES, FRAMES):
            window = frames[..., low - context : low + FRAMES + context]
            got = net(window, g=speaker)[0, 0, context * hop : (context + FRAMES) * hop].double()
            part = true[low * hop : (low + FRAMES) * hop]
            signal += float(part.pow(2).sum())
            error += float((part - got).pow(2).sum())
        out.append(10 * np.log10(signal / error) if error else np.inf)
    return out


def random_weights(tokens: int) -> tuple[Any, torch.Tensor, torch.Tensor]:
    """Return XTTSv2's decoder with random weights, latents and speaker embedding."""
    torch.manual_seed(0)
    return HifiDecoder().eval(), torch.randn(tokens, 1024), torch.randn(1, 512, 1)


def nano(tokens: int) -> tuple[Any, torch.Tensor, torch.Tensor]:
    """Return nano's trained decoder, and latents that stock streaming made of a text, several times in a row."""
    config = EngineConfig(model="nano")
    session = runner.open_session(config)
    text = Text("one", "en", "The birch canoe slid on the smooth planks.")
    trial = Trial(engine="stock", config=config, settings=Settings(), text=text)
    rows: list[torch.Tensor] = []
    for seed in range(20):
        taps = Taps(session.loaded.xtts, capture=True)
        session.seed(seed)
        for _ in session.stream(trial, taps=taps):
            pass
        rows += taps.captured[0][1]
        if len(rows) >= tokens:
            break
    voice: Voice = session.voice(trial)
    return session.loaded.xtts.hifigan_decoder, torch.cat(rows)[:tokens], voice.speaker_embedding


def main() -> None:
    """Print the curves and draw them."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--out", type=Path, default=Path("docs/figures/context.svg"))
    options.add_argument("--tokens", type=int, default=140)
    args = options.parse_args()
    curves, reaches = {}, {}
    for name, made in (("XTTSv2's shape, random weights", random_weights), ("nano, trained", nano)):
        with torch.inference_mode():
            decoder, latents, speaker = made(args.tokens)
            curves[name] = snr_by_context(decoder, latents, speaker)
        reaches[name] = max(reach_of(decoder.waveform_decoder).frames)
        print(f"{name}: derived reach {reaches[name]} frames")
        print("  " + "  ".join(f"{n}: {snr:.1f}" for n, snr in zip(CONTEXTS, curves[name], strict=True)))
    draw(curves, reaches, args.out)


def draw(curves: dict[str, list[float]], reaches: dict[str, int], out: Path) -> None:
    """Write the figure: a curve a decoder, a dot where the derived reach is."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
    for (name, values), marker in zip(curves.items(), "os", strict=True):
        (line,) = axes.plot(CONTEXTS, values, marker=marker, markersize=3, linewidth=1.2, label=name)
        at = reaches[name]
        axes.plot([at], [values[at]], marker="o", markersize=10, fillstyle="none", color=line.get_color())
    axes.axhline(100, color="0.6", linewidth=0.8, linestyle="--")
    axes.set(xlabel="context to each side (frames of 256 samples)", ylabel="SNR against the whole decode (dB)")
    axes.set_xticks(list(CONTEXTS)[::2])
    axes.legend(frameon=False, loc="lower right", title="ring: reach derived from the layers")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    out.parent.mkdir(parents=True, exist_ok=True)
    matplotlib.rcParams["svg.hashsalt"] = "xttsbench"
    figure.savefig(out, metadata={"Date": None})
    print(f"wrote {out}")


if __name__ == "__main__":
    main()
