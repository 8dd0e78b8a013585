"""The kernels of the token step in Triton's interpreter, held against torch's operations; run by test_kernels.py.

A process of its own, since the interpreter has to be chosen before Triton is imported.
"""

from __future__ import annotations

import os

os.environ["TRITON_INTERPRET"] = "1"

import itertools
import sys

import torch

from xttsbench.engines import kernels
from xttsbench.engines.decode import State
from xttsbench.engines.gpt import Affine, Block, Norm, Weights, static_step
from xttsbench.engines.sample import choose
from xttsbench.settings import Settings

WIDTH, HEADS, LAYERS, VOCABULARY = 128, 2, 2, 70


def weights(dtype: torch.dtype) -> Weights:
    torch.manual_seed(0)

    def norm() -> Norm:
        return Norm(1 + 0.1 * torch.randn(WIDTH).to(dtype), 0.1 * torch.randn(WIDTH).to(dtype), 1e-5)

    def affine(rows: int, columns: int) -> Affine:
        return Affine((torch.randn(rows, columns) / rows**0.5).to(dtype), 0.1 * torch.randn(columns).to(dtype))

    blocks = tuple(
        Block(
            norm(),
            affine(WIDTH, 3 * WIDTH),
            affine(WIDTH, WIDTH),
            norm(),
            affine(WIDTH, 4 * WIDTH),
            affine(4 * WIDTH, WIDTH),
        )
        for _ in range(LAYERS)
    )
    head = Affine(torch.randn(VOCABULARY, WIDTH).to(dtype).T, torch.randn(VOCABULARY).to(dtype))
    tokens, positions = torch.randn(VOCABULARY, WIDTH).to(dtype), torch.randn(40, WIDTH).to(dtype)
    return Weights(blocks, norm(), norm(), head, tokens, positions, HEADS)


def states(of: Weights, length: int, settings: Settings) -> tuple[State, State]:
    """Return two equal states in the middle of a generation."""
    made = []
    for _ in range(2):
        torch.manual_seed(length)
        state = State(of, 512, 30)
        state.cache[:, :, :, :length].normal_()
        state.index.fill_(length % 20)
        state.length.fill_(length)
        state.token.fill_(length % VOCABULARY)
        state.seen.bernoulli_(0.3)
        state.knobs.set(settings, VOCABULARY)
        made.append(state)
    return made[0], made[1]


def steps(dtype: torch.dtype, within: float) -> None:
    """Latents, cache and counters after a step, at the edges of tiles, spans and blocks."""
    of = weights(dtype)
    assert kernels.fits(of)
    fused = kernels.FusedStep(of)
    for length in (1, 32, 255, 300):
        ours, theirs = states(of, length, Settings())
        span = 256 if length < 256 else 512
        fused(ours, span, greedy=True)
        theirs.index.add_(1)
        latent = static_step(of, theirs.token, theirs.index, theirs.length, theirs.cache, span)
        token = choose(of.head(latent).float(), theirs.seen, theirs.knobs, greedy=True)
        at = int(theirs.index)
        assert (ours.latents[at] - latent[0].float()).abs().max() < within, length
        assert (ours.cache.float() - theirs.cache.float()).abs().max() < within
        assert int(ours.index) == at and int(ours.length) == length + 1
        if dtype is torch.float32:
            assert int(ours.token) == int(ours.tokens[at]) == int(token)
        assert ours.seen[0, ours.token] and ours.seen.sum() <= theirs.seen.sum() + 1


def draws() -> None:
    """The same token as `choose` from the same random numbers, over the settings, with equal scores among them."""
    of = weights(torch.float32)
    fused = kernels.FusedStep(of)
    drawn = set()
    for number, (temperature, top_k, top_p) in enumerate(
        itertools.product((0.75, 3.0), (1, 5, 50, 500), (0.05, 0.85, 1.0))
    ):
        penalty, level = (1.0, 10.0)[number % 2], number % 5 < 2
        settings = Settings(temperature=temperature, top_k=top_k, top_p=top_p, repetition_penalty=penalty)
        ours, theirs = states(of, 40, settings)
        torch.manual_seed(number)
        logits = 4 * torch.randn(1, VOCABULARY)
        if level:  # some are equal, never at the edge of what is kept
            logits[0, :3] = logits.min() - 1
        fused._logits.copy_(logits[0])
        for greedy in (False, True):
            torch.manual_seed(number)
            fused._draw(ours, greedy=greedy)
            torch.manual_seed(number)
            token = int(choose(logits, theirs.seen, theirs.knobs, greedy=greedy))
            assert int(ours.token) == token, (settings, greedy)
            ours.seen.copy_(theirs.seen)
            drawn.add(token)
    assert len(drawn) > 10


if __name__ == "__main__":
    with torch.inference_mode():
        {"fp32": lambda: steps(torch.float32, 2e-5), "bf16": lambda: steps(torch.bfloat16, 0.1), "draws": draws}[
            sys.argv[1]
        ]()
