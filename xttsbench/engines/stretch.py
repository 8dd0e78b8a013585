"""A window is interpolated exactly as the whole is, because positions and weights are those of the whole.

`torch.nn.functional.interpolate(mode="linear", scale_factor=s)` samples output o at (o + 0.5) / s - 0.5.
The position depends on the absolute index, not on the length, so any part can be made alone.
"""

from __future__ import annotations

from bisect import bisect_right

import torch
from torch.nn import functional as F

TAPS = 3
LONGEST = 10_000  # latents; XTTSv2 makes 602 at most


class Stretch:
    """One linear interpolation along time, by absolute index.

    The kernel computes positions in single precision, with or without fused multiply-add, and at index 2000 the
    last bit is worth 80 dB. So the weights are not computed here but read off the kernel: it interpolates three
    channels that are 1 at every third sample and 0 elsewhere.

    Parameters
    ----------
    scale
        Outputs for each input, as given to `interpolate` as `scale_factor`.
    device
        Where the interpolation runs.
    """

    def __init__(self, scale: float, device: torch.device) -> None:
        self.scale = scale
        self.device = device
        self._first: list[int] = []

    def _probe(self, outputs: int) -> None:
        inputs = int(outputs / self.scale) + 2 * TAPS
        while self.copies(inputs):
            inputs *= 2
        combs = torch.eye(TAPS, device=self.device).repeat(inputs // TAPS + 1, 1)[:inputs].T
        weights = F.interpolate(combs[None], scale_factor=[self.scale], mode="linear")[0]
        outputs = min(outputs, weights.shape[1])
        weights = weights[:, :outputs]
        centre = ((torch.arange(outputs, dtype=torch.float64) + 0.5) / self.scale - 0.5).clamp(min=0).round().long()
        centre = centre.to(self.device)
        before = weights.gather(0, ((centre - 1) % TAPS)[None])[0]
        first = torch.where(before != 0, centre - 1, centre)
        self._index = first
        self._weights = torch.stack([weights.gather(0, ((first + k) % TAPS)[None])[0] for k in (0, 1)])
        self._first = first.tolist()

    def _cover(self, outputs: int) -> None:
        if outputs > len(self._first):
            self._probe(2 * outputs)

    def total(self, inputs: int) -> int:
        """Return how many outputs the whole of `inputs` has."""
        return int(inputs * self.scale)

    def copies(self, inputs: int) -> bool:
        """Return whether the whole of `inputs` isn't interpolated at all: the kernel copies where lengths are equal."""
        return self.total(inputs) == inputs

    def ready(self, inputs: int) -> int:
        """Return how many outputs are settled by the first `inputs`, whatever comes after them."""
        self._cover(self.total(inputs) + 1)
        return min(bisect_right(self._first, inputs - 2), self.total(inputs))

    def source(self, low: int, high: int) -> tuple[int, int]:
        """Return the half-open range of inputs that outputs low..high are made of; the last may be one too many."""
        self._cover(high)
        return self._first[low], self._first[high - 1] + 2

    @property
    def idle(self) -> bool:
        """Whether the scale is so near to 1 that no generation is long enough to be stretched."""
        return self.copies(LONGEST)

    def apply(self, rows: torch.Tensor, start: int, low: int, high: int) -> torch.Tensor:
        """Return outputs low..high, (high - low, width).

        `rows` (n, width) are the inputs from index `start` on. They must hold `source(low, high)`, or end with the
        last input of all, which is then repeated as the kernel does.
        """
        self._cover(high)
        index = self._index[low:high] - start
        left, right = self._weights[:, low:high, None]
        after = (index + 1).clamp(max=rows.shape[0] - 1)
        out: torch.Tensor = rows.index_select(0, index) * left + rows.index_select(0, after) * right
        return out
