"""The next token is drawn as transformers does: repetition penalty, temperature, top-k, top-p, exponential race."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from xttsbench.settings import Settings


@dataclass(frozen=True)
class Knobs:
    """Sampling settings as tensors on the device, so that a captured graph reads those of the present call.

    Attributes
    ----------
    penalty, temperature
        Shape (), float32.
    weakest
        Shape (1,), int64: how many of the tokens in ascending order top-k drops.
    tail
        Shape (), float32: the probability mass that top-p drops.
    """

    penalty: torch.Tensor
    temperature: torch.Tensor
    weakest: torch.Tensor
    tail: torch.Tensor

    @classmethod
    def empty(cls, device: torch.device) -> Knobs:
        one = [torch.ones((), device=device) for _ in range(3)]
        return cls(one[0], one[1], torch.zeros(1, dtype=torch.long, device=device), one[2])

    def set(self, settings: Settings, vocabulary: int) -> None:
        """Fill in the values of `settings`."""
        self.penalty.fill_(settings.repetition_penalty)
        self.temperature.fill_(settings.temperature)
        self.weakest.fill_(vocabulary - min(settings.top_k, vocabulary))
        self.tail.fill_(1 - settings.top_p)


def filtered(logits: torch.Tensor, seen: torch.Tensor, knobs: Knobs) -> torch.Tensor:
    """Return the scores (1, vocabulary) that are sampled from; dropped tokens are -inf.

    Parameters
    ----------
    logits
        (1, vocabulary), float32.
    seen
        (1, vocabulary), bool: ids already in the sequence. transformers counts the placeholder ids of the prefix
        among them: 1 for every position of voice and text, and the start token.
    """
    scores = penalised(logits, seen, knobs) / knobs.temperature
    ascending, order = torch.sort(scores)
    floor = ascending.index_select(1, knobs.weakest)
    scores = scores.masked_fill(scores < floor, -torch.inf)
    ascending = ascending.masked_fill(ascending < floor, -torch.inf)
    drop = ascending.softmax(dim=-1).cumsum(dim=-1) <= knobs.tail
    drop[:, -1] = False
    return scores.masked_fill(drop.scatter(1, order, drop), -torch.inf)


def penalised(logits: torch.Tensor, seen: torch.Tensor, knobs: Knobs) -> torch.Tensor:
    """Return logits with those of seen tokens divided by the penalty where positive, multiplied where negative."""
    return torch.where(seen, torch.where(logits < 0, logits * knobs.penalty, logits / knobs.penalty), logits)


def choose(logits: torch.Tensor, seen: torch.Tensor, knobs: Knobs, *, greedy: bool) -> torch.Tensor:
    """Return the next token, (1,) int64.

    Greedy takes the likeliest after the penalty and draws nothing from the generator. Otherwise the draw is that of
    `torch.multinomial(p, 1)`, the largest p / e with e from the exponential distribution, without its look at the
    values on the host.
    """
    if greedy:
        return penalised(logits, seen, knobs).argmax(dim=-1)
    probabilities = filtered(logits, seen, knobs).softmax(dim=-1)
    return (probabilities / torch.empty_like(probabilities).exponential_()).argmax(dim=-1)
