"""XTTS's GPT as two plain functions over its loaded weights: one for the whole prefix, one for a single token."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch.nn import functional as F


class Norm(NamedTuple):
    """A layer norm's weight, bias and epsilon."""

    weight: torch.Tensor
    bias: torch.Tensor
    eps: float

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)


class Affine(NamedTuple):
    """x @ weight + bias; weight is (in, out), as in transformers' Conv1D."""

    weight: torch.Tensor
    bias: torch.Tensor

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return torch.addmm(self.bias, x, self.weight)


class Block(NamedTuple):
    """One transformer layer."""

    before_attention: Norm
    qkv: Affine
    out: Affine
    before_mlp: Norm
    widen: Affine
    narrow: Affine


@dataclass(frozen=True)
class Weights:
    """What a token step reads. In fp32 these are the loaded model's own tensors, not copies.

    Attributes
    ----------
    blocks, last, final
        The layers, GPT-2's last norm, XTTS's final norm: what it gives is the latent.
    head
        Latent to logits.
    tokens, positions
        Embeddings of audio tokens and of their positions.
    heads
        Attention heads.
    """

    blocks: tuple[Block, ...]
    last: Norm
    final: Norm
    head: Affine
    tokens: torch.Tensor
    positions: torch.Tensor
    heads: int

    @property
    def width(self) -> int:
        return self.tokens.shape[1]

    @property
    def bytes_per_token(self) -> int:
        """Bytes of weights that one token step has to read."""
        read = [t for b in self.blocks for part in b for t in part if isinstance(t, torch.Tensor)]
        read += [*self.last[:2], *self.final[:2], *self.head]
        return sum(t.numel() * t.element_size() for t in read)


def weights_of(gpt: Any, dtype: torch.dtype = torch.float32) -> Weights:
    """Return the weights of `Xtts.gpt` in `dtype`; ValueError if it isn't the GPT-2 that is written out here."""
    config = gpt.gpt.config
    if hasattr(gpt, "ds_engine"):
        raise ValueError(
            "this model was loaded with DeepSpeed, which replaces its layers; load it without (use_deepspeed=False)."
        )
    if config.activation_function != "gelu_new" or config.add_cross_attention or config.scale_attn_by_inverse_layer_idx:
        raise ValueError(
            f"this GPT has activation {config.activation_function!r}; the token loop knows 'gelu_new' with plain "
            "self-attention: use engine 'stock' for this one."
        )

    def cast(t: torch.Tensor) -> torch.Tensor:
        return t.detach().to(dtype)

    def norm(m: Any) -> Norm:
        return Norm(cast(m.weight), cast(m.bias), m.eps)

    def affine(m: Any) -> Affine:
        return Affine(cast(m.weight), cast(m.bias))

    blocks = tuple(
        Block(
            norm(h.ln_1),
            affine(h.attn.c_attn),
            affine(h.attn.c_proj),
            norm(h.ln_2),
            affine(h.mlp.c_fc),
            affine(h.mlp.c_proj),
        )
        for h in gpt.gpt.h
    )
    head = Affine(cast(gpt.mel_head.weight).T, cast(gpt.mel_head.bias))
    return Weights(
        blocks,
        norm(gpt.gpt.ln_f),
        norm(gpt.final_norm),
        head,
        cast(gpt.mel_embedding.weight),
        cast(gpt.mel_pos_embedding.emb.weight),
        config.n_head,
    )


def prefix_of(gpt: Any, cond_latents: torch.Tensor, text_tokens: torch.Tensor) -> torch.Tensor:
    """Return the embedded prefix (p, width): voice, text between its start and stop, and the audio start token.

    It is what `GPT.compute_embeddings` and the first step of `GPT2InferenceModel` build together.
    """
    text = F.pad(F.pad(text_tokens, (0, 1), value=gpt.stop_text_token), (1, 0), value=gpt.start_text_token)
    embedded = gpt.text_embedding(text) + gpt.text_pos_embedding(text)
    start = gpt.mel_embedding.weight[gpt.start_audio_token] + gpt.mel_pos_embedding.emb.weight[0]
    return torch.cat([cond_latents.to(embedded.dtype), embedded, start[None, None]], dim=1)[0]


def prefill(
    weights: Weights, x: torch.Tensor, cache: torch.Tensor, *, last: torch.Tensor | None = None
) -> torch.Tensor:
    """Run the prefix (p, width) through all layers, fill the cache, return the latent of its last position, (1, width).

    `cache` is (layers, 2, heads, capacity, width / heads): keys, then values. With `last`, a tensor (1,), the rows after that
    one are padding, as a captured graph needs it; what they leave in the cache must be overwritten or masked.
    """
    length = x.shape[0]
    for block, store in zip(weights.blocks, cache, strict=True):
        q, k, v = block.qkv(block.before_attention(x)).view(length, 3, weights.heads, -1).permute(1, 2, 0, 3)
        store[0, :, :length] = k
        store[1, :, :length] = v
        seen = F.scaled_dot_product_attention(q[None], k[None], v[None], is_causal=True)[0]
        x = _rest(block, x, seen.transpose(0, 1).reshape(length, -1), fused=last is not None)
    return weights.final(weights.last(x[-1:] if last is None else x.index_select(0, last)))


def step(weights: Weights, token: torch.Tensor, index: int, length: int, cache: torch.Tensor) -> torch.Tensor:
    """Feed one token (1,) as the `index`-th after the start token, at position `length`; return its latent (1, width).

    On a CPU in fp32 every operation is the library's own, so the latent equals `inference_stream`'s to the last bit.
    """
    x = weights.tokens[token] + weights.positions[index]
    for block, store in zip(weights.blocks, cache, strict=True):
        qkv = block.qkv(block.before_attention(x)).view(3, weights.heads, 1, -1)
        store[:, :, length : length + 1] = qkv[1:]
        q, past = qkv[0], store[:, :, : length + 1]
        seen = F.scaled_dot_product_attention(q[None], past[0][None], past[1][None])[0]
        x = _rest(block, x, seen.view(1, -1))
    return weights.final(weights.last(x))


def static_step(
    weights: Weights, token: torch.Tensor, index: torch.Tensor, length: torch.Tensor, cache: torch.Tensor, span: int
) -> torch.Tensor:
    """`step` with `index` and `length` as tensors (1,) and shapes that never change, as a captured graph needs.

    Attention runs over the first `span` positions of the cache, those beyond `length` masked.
    """
    x = weights.tokens[token] + weights.positions[index]
    hidden = torch.arange(span, device=x.device) > length
    mask = torch.zeros(1, 1, span, device=x.device, dtype=x.dtype).masked_fill(hidden, -torch.inf)
    scale = (weights.width // weights.heads) ** -0.5
    for block, store in zip(weights.blocks, cache, strict=True):
        qkv = block.qkv(block.before_attention(x)).view(3, weights.heads, 1, -1)
        store.index_copy_(2, length, qkv[1:])
        scores = torch.baddbmm(mask, qkv[0], store[0, :, :span].transpose(1, 2), alpha=scale)
        seen = torch.bmm(scores.softmax(dim=-1, dtype=torch.float32).to(x.dtype), store[1, :, :span])
        x = _rest(block, x, seen.view(1, -1), fused=True)
    return weights.final(weights.last(x))


def _rest(block: Block, x: torch.Tensor, seen: torch.Tensor, *, fused: bool = False) -> torch.Tensor:
    x = block.out(seen) + x
    wide = block.widen(block.before_mlp(x))
    return x + block.narrow(F.gelu(wide, approximate="tanh") if fused else gelu_new(wide))


def gelu_new(x: torch.Tensor) -> torch.Tensor:
    """Return the activation by the steps of transformers' NewGELUActivation: the last bit is the same, too."""
    y = x.pow(3.0).mul_(0.044715).add_(x).mul_(math.sqrt(2.0 / math.pi)).tanh_().add_(1.0)
    return (0.5 * x).mul_(y)
