"""Which part of each layer's signal an output needs: worked out backwards from kernels, dilations and strides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Span = tuple[int, int]


@dataclass(frozen=True)
class Level:
    """One upsampling of a HiFi-GAN generator and the residual blocks behind it.

    Attributes
    ----------
    stride, kernel
        Of the transposed convolution; its padding is (kernel - stride) / 2.
    blocks
        Samples at the upsampled rate that the widest residual block sees to each side.
    """

    stride: int
    kernel: int
    blocks: int


@dataclass(frozen=True)
class Reach:
    """How far a generator sees.

    Attributes
    ----------
    pre, post
        Samples to each side seen by the first and last convolution.
    levels
        The upsamplings between them.
    """

    pre: int
    levels: tuple[Level, ...]
    post: int

    @property
    def hop(self) -> int:
        """Samples for each frame."""
        hop = 1
        for level in self.levels:
            hop *= level.stride
        return hop

    @property
    def frames(self) -> tuple[int, int]:
        """Frames of context that the samples of a frame need to its left and to its right."""
        here = 1 << 20
        low, high = self.spans(here, here + 1, None)[0]
        return here - low, high - here - 1

    def spans(self, low: int, high: int, frames: int | None) -> list[Span]:
        """Return what the samples of frames low..high need of each layer's signal, from the input to the output.

        Parameters
        ----------
        low, high
            Half-open range of frames to be decoded.
        frames
            Length of the whole, if known: nothing lies beyond it.

        Returns
        -------
        list of half-open ranges, in samples of each signal's own rate: input frames; after the first
        convolution; then for each level after its upsampling and after its blocks; samples.
        """
        rate = self.hop
        span = (low * rate, high * rate)
        out = [span]
        span = _clip((span[0] - self.post, span[1] + self.post), frames, rate)
        for level in reversed(self.levels):
            out.append(span)
            span = _clip((span[0] - level.blocks, span[1] + level.blocks), frames, rate)
            out.append(span)
            padding = (level.kernel - level.stride) // 2
            first = -((level.kernel - 1 - padding - span[0]) // level.stride)
            last = (span[1] - 1 + padding) // level.stride
            rate //= level.stride
            span = _clip((first, last + 1), frames, rate)
        out.append(span)
        out.append(_clip((span[0] - self.pre, span[1] + self.pre), frames, rate))
        return out[::-1]


def _clip(span: Span, frames: int | None, rate: int) -> Span:
    return max(span[0], 0), span[1] if frames is None else min(span[1], frames * rate)


def reach_of(generator: Any) -> Reach:
    """Return the reach of a `HifiganGenerator`, read off its modules; ValueError for a layer that isn't centred."""
    width = len(generator.resblocks) // len(generator.ups)
    levels = []
    for i, up in enumerate(generator.ups):
        kernel, stride, padding = up.kernel_size[0], up.stride[0], up.padding[0]
        if 2 * padding != kernel - stride or up.output_padding[0] or up.dilation[0] != 1:
            raise ValueError(
                f"upsampling {i} has kernel {kernel}, stride {stride} and padding {padding}; a window needs "
                "a kernel minus stride of twice the padding: use engine 'stock' for this decoder."
            )
        blocks = [sum(_side(c) for c in _convolutions(b)) for b in generator.resblocks[i * width : (i + 1) * width]]
        levels.append(Level(stride, kernel, max(blocks)))
    return Reach(_side(generator.conv_pre), tuple(levels), _side(generator.conv_post))


def _convolutions(block: Any) -> list[Any]:
    return [*block.convs] if hasattr(block, "convs") else [*block.convs1, *block.convs2]


def _side(conv: Any) -> int:
    seen = (conv.kernel_size[0] - 1) * conv.dilation[0]
    if conv.stride[0] != 1 or 2 * conv.padding[0] != seen:
        raise ValueError(
            f"a convolution has kernel {conv.kernel_size[0]}, dilation {conv.dilation[0]} and padding {conv.padding[0]}; "
            "a window needs odd, centred kernels: use engine 'stock' for it."
        )
    return int(seen // 2)
