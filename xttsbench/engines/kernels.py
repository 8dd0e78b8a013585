"""The token step in five kernels a layer, in Triton: what a GPU waits for in so small a step is its kernels' starts.

A step for one caller reads every weight once and computes next to nothing with it. Each program takes a few columns of a
weight, all of its loads under way at once, and norms, biases, the activation, the residual and the sum over parts are done
by whoever reads next. All sums are taken in one fixed order: the same input gives the same bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl
from triton.language.extra import cuda as nvidia

from xttsbench.engines.gpt import Affine, Norm, Weights

if TYPE_CHECKING:
    from xttsbench.engines.decode import State

SPANS = 8  # parts of the cache that attention reads side by side
POSITIONS = 32  # of the cache, in one tile: SPANS of them are the block by which attention's span grows
MASKED = tl.constexpr(-1e30)  # a score that no share is left of
ROW_BYTES = 128  # of a row of a weight that a program reads
WARPS = 8  # of such a program
OUT_PARTS = 4  # programs that share the rows of the weight behind attention; of `narrow`, 8 in fp32 and 4 otherwise
MINE = 8  # logits of a program
RANKED = 16  # tokens of a program that ranks
TILE = 256  # tokens that it holds them against at a time


@triton.jit
def _normed(v, gain, shift, row, eps, WIDTH: tl.constexpr):
    """Return the layer norm of v."""
    away = v - tl.sum(v, axis=0) / WIDTH
    v = away * tl.rsqrt(tl.sum(away * away, axis=0) / WIDTH + eps)
    return v * tl.load(gain + row).to(tl.float32) + tl.load(shift + row).to(tl.float32)


@triton.jit
def _matvec(
    weight,
    bias,
    x,
    parts,
    parts_bias,
    gain,
    shift,
    top,
    mass,
    out,
    x_out,
    columns,
    eps,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
    PARTS: tl.constexpr,
    NORM: tl.constexpr,
    SPREAD: tl.constexpr,
    DEPTH: tl.constexpr,
    GELU: tl.constexpr,
    WHOLE: tl.constexpr,
    EARLY: tl.constexpr,
):
    """Write input @ weight (+ bias) for BLOCK columns and ROWS rows: out[part, columns].

    The input is, with NORM, the layer norm of x + parts_bias + the sum of PARTS parts, which the first program also writes
    to x_out; with SPREAD, what attention gives over that many spans of the cache; otherwise x.
    """
    part = tl.program_id(1)
    column = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    row = part * ROWS + tl.arange(0, ROWS)
    w = tl.load(weight + row[:, None] * columns + column[None, :], eviction_policy="evict_first")
    if EARLY:
        nvidia.gdc_launch_dependents()
        nvidia.gdc_wait()
    if NORM:
        v = tl.load(x + row)
        if PARTS > 0:
            v += tl.load(parts_bias + row).to(tl.float32)
            for i in tl.static_range(PARTS):
                v += tl.load(parts + i * ROWS + row)
            if tl.program_id(0) == 0:
                tl.store(x_out + row, v)
        v = _normed(v, gain, shift, row, eps, ROWS)
    elif SPREAD > 0:
        width = ROWS * tl.num_programs(1)
        heads = width // DEPTH
        head = row // DEPTH
        highest = tl.load(top + head)
        for i in tl.static_range(1, SPREAD):
            highest = tl.maximum(highest, tl.load(top + i * heads + head))
        v = tl.zeros_like(highest)
        total = tl.zeros_like(highest)
        for i in tl.static_range(SPREAD):
            share = tl.exp(tl.load(top + i * heads + head) - highest)
            v += share * tl.load(x + i * width + row)
            total += share * tl.load(mass + i * heads + head)
        v = v / total
    else:
        v = tl.load(x + row)
    y = tl.sum(w.to(tl.float32) * v[:, None], axis=0)
    if WHOLE:
        y += tl.load(bias + column).to(tl.float32)
    if GELU:
        inner = 0.7978845608028654 * (y + 0.044715 * y * y * y)
        y = y / (1.0 + tl.exp(-2.0 * inner))
    tl.store(out + part * columns + column, y)


@triton.jit
def _attend(
    qkv,
    cache,
    length,
    out,
    top,
    mass,
    capacity,
    scale,
    HEADS: tl.constexpr,
    DEPTH: tl.constexpr,
    POSITIONS: tl.constexpr,
    TILES: tl.constexpr,
    EARLY: tl.constexpr,
):
    """Write what one head sees in its share of the cache, not yet divided by the mass: out[span, head, DEPTH].

    `cache` is one layer's (2, HEADS, capacity, DEPTH); the new key and value, of position `length`, come from qkv and are put there.
    """
    head = tl.program_id(0)
    span = tl.program_id(1)
    depth = tl.arange(0, DEPTH)
    here = cache + head * capacity * DEPTH
    values = HEADS * capacity * DEPTH
    # nothing of this step: the kernels of the step before have ended
    last = tl.load(length)
    position = span * POSITIONS + tl.arange(0, POSITIONS)
    where = position[:, None] * DEPTH + depth[None, :]
    k = tl.load(here + where, mask=(position < last)[:, None], other=0.0).to(tl.float32)
    v = tl.load(here + values + where, mask=(position < last)[:, None], other=0.0).to(tl.float32)
    if EARLY:
        nvidia.gdc_launch_dependents()
        nvidia.gdc_wait()
    q = tl.load(qkv + head * DEPTH + depth)
    new_k = tl.load(qkv + (HEADS + head) * DEPTH + depth)
    new_v = tl.load(qkv + (2 * HEADS + head) * DEPTH + depth)
    highest = tl.full((), MASKED, tl.float32)
    total = tl.zeros((), tl.float32)
    seen = tl.zeros((DEPTH,), tl.float32)
    for tile in tl.static_range(TILES):
        if tile > 0:
            position += tl.num_programs(1) * POSITIONS
            where = position[:, None] * DEPTH + depth[None, :]
            k = tl.load(here + where, mask=(position < last)[:, None], other=0.0).to(tl.float32)
            v = tl.load(here + values + where, mask=(position < last)[:, None], other=0.0).to(tl.float32)
        new = (position == last)[:, None]
        k = tl.where(new, new_k[None, :], k)
        v = tl.where(new, new_v[None, :], v)
        score = tl.sum(k * q[None, :], axis=1) * scale
        score = tl.where(position <= last, score, MASKED)
        above = tl.maximum(highest, tl.max(score, axis=0))
        weight = tl.exp(score - above)
        shrink = tl.exp(highest - above)
        total = total * shrink + tl.sum(weight, axis=0)
        seen = seen * shrink + tl.sum(v * weight[:, None], axis=0)
        highest = above
    tl.store(out + (span * HEADS + head) * DEPTH + depth, seen)
    tl.store(top + span * HEADS + head, highest)
    tl.store(mass + span * HEADS + head, total)
    if span == 0:
        tl.store(here + last * DEPTH + depth, new_k.to(cache.dtype.element_ty))
        tl.store(here + values + last * DEPTH + depth, new_v.to(cache.dtype.element_ty))


@triton.jit
def _embed(tokens, positions, token, index, x, WIDTH: tl.constexpr):
    """Write the embedding of a token and its position."""
    row = tl.arange(0, WIDTH)
    word = tl.load(tokens + tl.load(token) * WIDTH + row).to(tl.float32)
    place = tl.load(positions + tl.load(index) * WIDTH + row).to(tl.float32)
    tl.store(x + row, word + place)


@triton.jit
def _score(
    weight,
    bias,
    x,
    parts,
    parts_bias,
    gain,
    shift,
    eps,
    final_gain,
    final_shift,
    final_eps,
    index,
    latents,
    logits,
    vocabulary,
    WIDTH: tl.constexpr,
    PARTS: tl.constexpr,
    MINE: tl.constexpr,
    EARLY: tl.constexpr,
):
    """Write the logits of MINE tokens; the first program writes the latent to latents[index].

    The latent is GPT-2's last norm, then XTTS's, of x + parts_bias + the sum of the parts. `weight` is (vocabulary, WIDTH).
    """
    token = tl.program_id(0) * MINE + tl.arange(0, MINE)
    row = tl.arange(0, WIDTH)
    w = tl.load(weight + token[:, None] * WIDTH + row[None, :], mask=(token < vocabulary)[:, None], other=0.0)
    if EARLY:
        nvidia.gdc_launch_dependents()
        nvidia.gdc_wait()
    v = tl.load(x + row) + tl.load(parts_bias + row).to(tl.float32)
    for i in tl.static_range(PARTS):
        v += tl.load(parts + i * WIDTH + row)
    v = _normed(v, gain, shift, row, eps, WIDTH)
    v = _normed(v, final_gain, final_shift, row, final_eps, WIDTH)
    if tl.program_id(0) == 0:
        tl.store(latents + tl.load(index) * WIDTH + row, v)
    y = tl.sum(w.to(tl.float32) * v[None, :], axis=1)
    y += tl.load(bias + token, mask=token < vocabulary, other=0.0).to(tl.float32)
    tl.store(logits + token, y, mask=token < vocabulary)


@triton.jit
def _penalised(logits, seen, penalty, token, vocabulary):
    logit = tl.load(logits + token, mask=token < vocabulary, other=float("-inf"))
    known = tl.load(seen + token, mask=token < vocabulary, other=0) != 0
    by = tl.load(penalty)
    return tl.where(known, tl.where(logit < 0, logit * by, logit / by), logit)


@triton.jit
def _rank(
    logits,
    seen,
    penalty,
    temperature,
    above,
    mass,
    vocabulary,
    SIZE: tl.constexpr,
    TILE: tl.constexpr,
    MINE: tl.constexpr,
):
    """Write, for MINE tokens, how many score higher, and the mass of all that come after it in ascending order.

    Mass is exp(score - the highest); of equal scores the one with the higher id comes after.
    """
    mine = tl.program_id(0) * MINE + tl.arange(0, MINE)
    warmth = tl.load(temperature)
    every = tl.arange(0, SIZE)
    highest = tl.max(_penalised(logits, seen, penalty, every, vocabulary) / warmth, axis=0)
    score = _penalised(logits, seen, penalty, mine, vocabulary) / warmth
    count = tl.zeros((MINE,), tl.int32)
    weight = tl.zeros((MINE,), tl.float32)
    for tile in tl.static_range(SIZE // TILE):
        other = tile * TILE + tl.arange(0, TILE)
        theirs = _penalised(logits, seen, penalty, other, vocabulary) / warmth
        higher = theirs[None, :] > score[:, None]
        after = higher | ((theirs[None, :] == score[:, None]) & (other[None, :] > mine[:, None]))
        count += tl.sum(higher.to(tl.int32), axis=1)
        weight += tl.sum(tl.where(after, tl.exp(theirs - highest)[None, :], 0.0), axis=1)
    tl.store(above + mine, count)
    tl.store(mass + mine, weight)


@triton.jit
def _choose(
    logits,
    seen,
    penalty,
    temperature,
    weakest,
    tail,
    above,
    mass,
    noise,
    index,
    token,
    tokens,
    vocabulary,
    SIZE: tl.constexpr,
    GREEDY: tl.constexpr,
):
    """Take the likeliest token, or the winner of the race after top-k and top-p, and write it where it is looked for."""
    every = tl.arange(0, SIZE)
    score = _penalised(logits, seen, penalty, every, vocabulary)
    if not GREEDY:
        score = score / tl.load(temperature)
        share = tl.exp(score - tl.max(score, axis=0))
        known = every < vocabulary
        kept = known & (tl.load(above + every) < vocabulary - tl.load(weakest))
        total = tl.sum(tl.where(kept, share, 0.0), axis=0)
        after = tl.load(mass + every)
        kept = kept & ((after == 0.0) | (after < (1.0 - tl.load(tail)) * total))
        score = tl.where(kept, share / tl.load(noise + every, mask=known, other=1.0), -1.0)
    best = tl.minimum(tl.argmax(score, axis=0), vocabulary - 1)  # of scores that are no numbers, any place may come out
    tl.store(token, best.to(tl.int64))
    tl.store(tokens + tl.load(index), best.to(tl.int64))
    tl.store(seen + best, 1)


def fits(weights: Weights) -> bool:
    """Return whether the kernels know this shape: widths that are powers of two, rows of weights one after the other."""
    depth = weights.width // weights.heads
    affine = [part.weight for b in weights.blocks for part in (b.qkv, b.out, b.widen, b.narrow)]
    return (
        all(n == triton.next_power_of_2(n) and n >= 16 for n in (weights.width, depth))
        and weights.width >= 128
        and all(b.widen.weight.shape[1] == 4 * weights.width for b in weights.blocks)
        and all(w.is_contiguous() for w in (*affine, weights.head.weight.T))
    )


class FusedStep:
    """A whole token step in kernels of our own: what `gpt.static_step` and `sample.choose` do, up to rounding.

    The residual and all sums are fp32, whatever type the weights are in. Buffers belong to the object, so only one step
    of it may be under way at a time: on CUDA, all on one stream.

    Parameters
    ----------
    weights
        Of a shape that `fits`.
    early
        Whether a kernel may start, and read its weights, while the one before it still runs (compute capability 9 and up).
    """

    def __init__(self, weights: Weights, *, early: bool = False) -> None:
        like, width = weights.tokens, weights.width
        self._weights = weights
        self._block = ROW_BYTES // like.element_size()
        self._early = {"EARLY": early} | ({"launch_pdl": True} if early else {})
        self._vocabulary = like.shape[0]
        self._size = triton.next_power_of_2(self._vocabulary)

        def buffer(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
            return torch.zeros(shape, device=like.device, dtype=dtype)

        self._x = buffer(width), buffer(width)
        self._qkv, self._wide = buffer(3 * width), buffer(4 * width)
        self._seen = buffer(SPANS, width)
        self._top, self._mass = buffer(SPANS, weights.heads), buffer(SPANS, weights.heads)
        self._out = buffer(OUT_PARTS, width)
        self._narrow = buffer(8 if like.element_size() == 4 else 4, width)
        self._logits, self._noise = buffer(self._vocabulary), buffer(self._vocabulary)
        self._above, self._after = buffer(self._size, dtype=torch.int32), buffer(self._size)

    def __call__(self, state: State, span: int, *, greedy: bool) -> None:
        """Feed the last token of `state`, and put the next token and its latent there; attention runs over `span` positions."""
        state.index.add_(1)
        self._score(self._layers(state, span), state)
        self._draw(state, greedy=greedy)
        state.length.add_(1)

    def _layers(self, state: State, span: int) -> torch.Tensor:
        weights = self._weights
        width, heads = weights.width, weights.heads
        now, then = self._x
        _embed[(1,)](weights.tokens, weights.positions, state.token, state.index, now, WIDTH=width)
        before: torch.Tensor | None = None
        for block, store in zip(weights.blocks, state.cache, strict=True):
            self._matvec(block.qkv, now, self._qkv, norm=block.before_attention, add=(self._narrow, before), x_out=then)
            if before is not None:
                now, then = then, now
            _attend[heads, SPANS](
                self._qkv,
                store,
                state.length,
                self._seen,
                self._top,
                self._mass,
                store.shape[2],
                (width // heads) ** -0.5,
                HEADS=heads,
                DEPTH=width // heads,
                POSITIONS=POSITIONS,
                TILES=-(-span // (SPANS * POSITIONS)),
                **self._early,
            )
            self._matvec(block.out, self._seen, self._out, depth=width // heads)
            add = self._out, block.out.bias
            self._matvec(block.widen, now, self._wide, norm=block.before_mlp, add=add, x_out=then, gelu=True)
            now, then = then, now
            self._matvec(block.narrow, self._wide, self._narrow)
            before = block.narrow.bias
        return now

    def _matvec(
        self,
        affine: Affine,
        x: torch.Tensor,
        out: torch.Tensor,
        *,
        norm: Norm | None = None,
        add: tuple[torch.Tensor, torch.Tensor | None] = (torch.Tensor(), None),
        x_out: torch.Tensor | None = None,
        depth: int = 0,
        gelu: bool = False,
    ) -> None:
        rows, columns = affine.weight.shape
        split = out.shape[0] if out.dim() == 2 else 1
        parts, parts_bias = add
        unread = x
        _matvec[columns // self._block, split](
            affine.weight,
            affine.bias,
            x,
            unread if parts_bias is None else parts,
            unread if parts_bias is None else parts_bias,
            unread if norm is None else norm.weight,
            unread if norm is None else norm.bias,
            self._top,
            self._mass,
            out,
            unread if x_out is None else x_out,
            columns,
            0.0 if norm is None else norm.eps,
            ROWS=rows // split,
            BLOCK=self._block,
            PARTS=0 if parts_bias is None else parts.shape[0],
            NORM=norm is not None,
            SPREAD=SPANS if depth else 0,
            DEPTH=max(1, depth),
            GELU=gelu,
            WHOLE=split == 1,
            num_warps=WARPS,
            **self._early,
        )

    def _score(self, x: torch.Tensor, state: State) -> None:
        weights = self._weights
        _score[(triton.cdiv(self._vocabulary, MINE),)](
            weights.head.weight.T,
            weights.head.bias,
            x,
            self._narrow,
            weights.blocks[-1].narrow.bias,
            *weights.last,
            *weights.final,
            state.index,
            state.latents,
            self._logits,
            self._vocabulary,
            WIDTH=weights.width,
            PARTS=self._narrow.shape[0],
            MINE=MINE,
            **self._early,
        )

    def _draw(self, state: State, *, greedy: bool) -> None:
        knobs, seen = state.knobs, state.seen.view(torch.uint8)
        if not greedy:
            self._noise.exponential_()
            _rank[(self._size // RANKED,)](
                self._logits,
                seen,
                knobs.penalty,
                knobs.temperature,
                self._above,
                self._after,
                self._vocabulary,
                SIZE=self._size,
                TILE=min(TILE, self._size),
                MINE=RANKED,
            )
        _choose[(1,)](
            self._logits,
            seen,
            knobs.penalty,
            knobs.temperature,
            knobs.weakest,
            knobs.tail,
            self._above,
            self._after,
            self._noise,
            state.index,
            state.token,
            state.tokens,
            self._vocabulary,
            SIZE=self._size,
            GREEDY=greedy,
            num_warps=8,
        )
