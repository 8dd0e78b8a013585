"""The vocoder decodes only what is new, with the context that it can see, and so equals one decode of the whole."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional as F

from xttsbench.engines.reach import Reach, Span, reach_of
from xttsbench.engines.stretch import Stretch

SLOPE = 0.1  # LRELU_SLOPE of TTS.vocoder.models.hifigan_generator


@dataclass(frozen=True)
class Conv:
    """A convolution with its weight norm folded in."""

    weight: torch.Tensor
    bias: torch.Tensor | None
    padding: int
    dilation: int
    stride: int

    @classmethod
    def of(cls, module: Any, dtype: torch.dtype) -> Conv:
        bias = None if module.bias is None else module.bias.detach().to(dtype)
        # of a parametrised module, reading `weight` computes a new tensor: the model itself is left as it is
        weight = module.weight.detach().to(dtype)
        return cls(weight, bias, module.padding[0], module.dilation[0], module.stride[0])

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return F.conv1d(x, self.weight, self.bias, padding=self.padding, dilation=self.dilation)

    def up(self, x: torch.Tensor) -> torch.Tensor:
        return F.conv_transpose1d(x, self.weight, self.bias, stride=self.stride, padding=self.padding)


class Vocoder:
    """A `HifiDecoder` that can decode any range of frames of a longer whole.

    Parameters
    ----------
    decoder
        `Xtts.hifigan_decoder`; it's read, never changed. Weights under weight norm are kept folded in a copy
        (71 MB for XTTSv2 in fp32), the others are shared.
    dtype
        What the convolutions run in. Interpolation is always fp32.

    Raises
    ------
    ValueError
        If the decoder has a layer whose window can't be cut exactly.
    """

    def __init__(self, decoder: Any, dtype: torch.dtype = torch.float32) -> None:
        net = decoder.waveform_decoder
        if hasattr(net, "lin_pre"):
            raise ValueError("this decoder has a linear layer in front (pre_linear), which XTTS decoders have not.")
        self.dtype = dtype
        self.device = net.conv_pre.weight.device
        self.reach: Reach = reach_of(net)
        scales = [decoder.ar_mel_length_compression / decoder.output_hop_length]
        if decoder.output_sample_rate != decoder.input_sample_rate:
            scales.append(decoder.output_sample_rate / decoder.input_sample_rate)
        self.stretches = [Stretch(scale, self.device) for scale in scales]
        with torch.no_grad():
            self._pre = Conv.of(net.conv_pre, dtype)
            self._post = Conv.of(net.conv_post, dtype)
            self._ups = [Conv.of(up, dtype) for up in net.ups]
            blocks = [_pairs(block, dtype) for block in net.resblocks]
            width = len(blocks) // len(self._ups)
            self._blocks = [blocks[i : i + width] for i in range(0, len(blocks), width)]
            self._condition = Conv.of(net.cond_layer, dtype) if hasattr(net, "cond_layer") else None
            self._conditions = [Conv.of(c, dtype) for c in net.conds] if net.cond_in_each_up_layer else []

    def conditioning(self, speaker_embedding: torch.Tensor) -> list[torch.Tensor | None]:
        """Return what the speaker embedding (1, d, 1) adds at the input and at each level, (1, channels, 1) each."""
        g = speaker_embedding.to(self.device, self.dtype)
        out: list[torch.Tensor | None] = [self._condition(g) if self._condition is not None else None]
        out.extend([c(g) for c in self._conditions] or [None] * len(self._ups))
        return out

    def decode(self, frames: torch.Tensor, spans: list[Span], added: list[torch.Tensor | None]) -> torch.Tensor:
        """Return the samples of spans[-1], (n,) float32.

        Parameters
        ----------
        frames
            Interpolated latents of exactly spans[0], (n, width).
        spans
            From `Reach.spans`; between two layers the signal is cut to what is still needed.
        added
            From `conditioning`.
        """
        x = self._pre(frames.T[None].to(self.dtype))
        x = _cut(x, spans[0], spans[1])
        if added[0] is not None:
            x = x + added[0]
        for i, up in enumerate(self._ups):
            low, high = spans[2 * i + 1]
            x = _cut(up.up(F.leaky_relu(x, SLOPE)), (low * up.stride, high * up.stride), spans[2 * i + 2])
            extra = added[i + 1]
            if extra is not None:
                x = x + extra
            total = _block(x, self._blocks[i][0])
            for block in self._blocks[i][1:]:
                total += _block(x, block)
            x = _cut(total, spans[2 * i + 2], spans[2 * i + 3]) / len(self._blocks[i])
        x = self._post(F.leaky_relu(x))
        return _cut(torch.tanh(x), spans[-2], spans[-1])[0, 0].float()


def _pairs(block: Any, dtype: torch.dtype) -> list[tuple[Conv, ...]]:
    if hasattr(block, "convs"):
        return [(Conv.of(c, dtype),) for c in block.convs]
    return [(Conv.of(a, dtype), Conv.of(b, dtype)) for a, b in zip(block.convs1, block.convs2, strict=True)]


def _block(x: torch.Tensor, steps: list[tuple[Conv, ...]]) -> torch.Tensor:
    for step in steps:
        y = x
        for conv in step:
            y = conv(F.leaky_relu(y, SLOPE))
        x = y + x
    return x


def _cut(x: torch.Tensor, have: Span, want: Span) -> torch.Tensor:
    return x[..., want[0] - have[0] : want[1] - have[0]]


class Window:
    """Latents in, samples out, for one generation: put together they equal one decode of all latents.

    Samples whose right context (13 frames for XTTSv2) isn't there yet are held back until it is, or until the end.
    One case isn't decidable while streaming: a slow-down so slight and a generation so short that together they add no
    latent (speed 0.95 and under 19 tokens). `interpolate` then copies the whole; here it's stretched all the same if
    sound was already given out. The number of samples is equal either way.

    Parameters
    ----------
    vocoder
        Of the loaded model.
    speaker_embedding
        (1, d, 1).
    speed
        As in `Xtts.inference_stream`: latents are stretched by 1 / speed first.
    """

    def __init__(self, vocoder: Vocoder, speaker_embedding: torch.Tensor, *, speed: float = 1.0) -> None:
        pace = Stretch(1.0 / max(speed, 0.05), vocoder.device)
        self.vocoder = vocoder
        self._stretches = [*([] if pace.idle else [pace]), *vocoder.stretches]
        self._added = vocoder.conditioning(speaker_embedding)
        self._rows: list[torch.Tensor] = []
        self._start = 0
        self._tokens = 0
        self._done = 0

    def push(self, latents: torch.Tensor, *, final: bool) -> torch.Tensor:
        """Take the next latents (n, width) and return the samples (m,) that are now certain; m may be 0."""
        self._rows.append(latents)
        self._tokens += latents.shape[0]
        counts = [self._tokens]
        for stretch in self._stretches:
            counts.append(stretch.total(counts[-1]) if final else stretch.ready(counts[-1]))
        if final and self._done == 0:
            self._skip_copies(counts)
        left, right = self.vocoder.reach.frames
        end = counts[-1] if final else counts[-1] - right
        if end <= self._done or (not final and self._undecided(counts)):
            return latents.new_zeros(0, dtype=torch.float32)
        spans = self.vocoder.reach.spans(self._done, end, counts[-1] if final else None)
        rows = torch.cat(self._rows).float()
        sources = self._sources(spans[0], counts)
        frames = rows[sources[0][0] - self._start : sources[0][1] - self._start]
        for stretch, have, want in zip(self._stretches, sources, sources[1:], strict=False):
            frames = stretch.apply(frames, have[0], *want)
        oldest = max(0, end - left)
        keep = self._tokens if final else self._sources((oldest, oldest + 1), counts)[0][0]
        self._rows = [rows[keep - self._start :]]
        self._start, self._done = keep, end
        return self.vocoder.decode(frames, spans, self._added)

    def edge(self) -> torch.Tensor:
        """Return what would still come if the latents so far were all; the window goes on as if not asked."""
        twin = copy(self)
        twin._rows = [*self._rows]
        return twin.push(self._rows[-1][:0], final=True)

    def _undecided(self, counts: list[int]) -> bool:
        """Return whether the whole may end so soon that an interpolation to 24 kHz would copy instead."""
        first = len(self._stretches) - len(self.vocoder.stretches)
        return any(s.copies(n) for s, n in zip(self._stretches[first:], counts[first:], strict=False))

    def _skip_copies(self, counts: list[int]) -> None:
        """Leave out the interpolations that copy, now that the length of the whole is known."""
        for i in reversed(range(len(self._stretches))):
            if counts[i] == counts[i + 1]:
                self._stretches = self._stretches[:i] + self._stretches[i + 1 :]
                del counts[i]

    def _sources(self, frames: Span, counts: list[int]) -> list[Span]:
        """Return the ranges that `frames` are made of: latents, after each interpolation, frames."""
        out = [frames]
        for stretch, count in zip(reversed(self._stretches), reversed(counts[:-1]), strict=True):
            low, high = stretch.source(*out[-1])
            out.append((low, min(high, count)))
        return out[::-1]
