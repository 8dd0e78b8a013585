"""The token loop draws the library's own tokens and latents, sliced or with static buffers, on a CPU and on CUDA."""

from __future__ import annotations

import functools
import weakref
from itertools import islice, repeat

import pytest
import torch
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from transformers import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)
from TTS.tts.layers.xtts.gpt import GPT
from TTS.tts.layers.xtts.stream_generator import init_stream_support

from xttsbench.engines.decode import BLOCK, TokenLoop
from xttsbench.engines.gpt import prefill, prefix_of, weights_of
from xttsbench.engines.sample import Knobs, choose, filtered
from xttsbench.settings import Settings

init_stream_support()
VOCABULARY = 64
SAMPLING = [
    Settings(),
    Settings(temperature=1.0, top_p=1.0, top_k=50, repetition_penalty=1.0),
    Settings(temperature=0.3, top_k=5, repetition_penalty=2.0),
    Settings(temperature=2.5, top_p=0.3, top_k=64),
    Settings(top_k=1, repetition_penalty=3.0),
]


@functools.cache
def gpt(*, layers=3, width=32, heads=2, device="cpu", stops=False):
    torch.manual_seed(1)
    made = GPT(
        layers=layers,
        model_dim=width,
        heads=heads,
        start_text_token=2,
        max_text_tokens=40,
        max_mel_tokens=500,
        max_prompt_tokens=8,
        number_text_tokens=30,
        num_audio_tokens=VOCABULARY,
        start_audio_token=VOCABULARY - 2,
        stop_audio_token=VOCABULARY - 1,
        use_perceiver_resampler=True,
    )
    with torch.no_grad():
        # at their small initial weights all logits are alike
        made.mel_head.weight.mul_(20)
        if not stops:
            made.mel_head.bias[made.stop_audio_token] = -1e4
    made.init_gpt_for_inference()
    return made.eval().requires_grad_(False).to(device)


def request(model):
    device = model.mel_head.weight.device
    voice = torch.randn(1, 8, model.model_dim, generator=torch.Generator().manual_seed(2)).to(device)
    return voice, torch.randint(0, 30, (1, 12), generator=torch.Generator().manual_seed(3)).to(device)


@torch.inference_mode()
def stock(model, settings, seed, limit):
    """Tokens and latents as `Xtts.inference_stream` gets them."""
    held, model.max_gen_mel_tokens = model.max_gen_mel_tokens, limit
    try:
        torch.manual_seed(seed)
        steps = model.get_generator(
            fake_inputs=model.compute_embeddings(*request(model)),
            top_k=settings.top_k,
            top_p=settings.top_p,
            temperature=settings.temperature,
            do_sample=True,
            num_beams=1,
            num_return_sequences=1,
            length_penalty=1.0,
            repetition_penalty=settings.repetition_penalty,
            output_attentions=False,
            output_hidden_states=True,
            return_dict_in_generate=True,
        )
        tokens, latents = zip(*steps, strict=True)
    finally:
        model.max_gen_mel_tokens = held
    return torch.cat(tokens).tolist(), torch.cat(latents)


def loop_of(model, **kwargs):
    kind = weights_of(model, kwargs.pop("dtype", torch.float32))
    return TokenLoop(kind, start=model.start_audio_token, stop=model.stop_audio_token, **kwargs)


@torch.inference_mode()
def ours(model, settings, seed, limit, *, size=20, loop=None, overlap=False, **kwargs):
    loop = loop or loop_of(model, **kwargs)
    states = []
    take = loop._take
    loop._take = lambda *size: states.append(take(*size)) or states[-1]
    torch.manual_seed(seed)
    chunks = loop.run(prefix_of(model, *request(model)), settings, limit=limit, sizes=repeat(size), overlap=overlap)
    latents = [(rows.clone(), final) for rows, final in chunks]
    assert [final for _, final in latents] == [False] * (len(latents) - 1) + [True]
    made = torch.cat([rows for rows, _ in latents])
    del loop._take
    return states[0].tokens[: len(made)].tolist(), made


@pytest.mark.parametrize("settings", SAMPLING)
@pytest.mark.parametrize("seed", [0, 1])
def test_same_tokens_and_latents_as_the_library_for_hundreds_of_steps(settings, seed):
    model = gpt()
    tokens, latents = stock(model, settings, seed, 300)
    got, made = ours(model, settings, seed, 300)
    assert len(tokens) == 300
    assert got == tokens
    assert (made - latents).abs().max() <= 1e-5


@pytest.mark.parametrize("static", [False, True])
def test_ends_with_the_stop_token_and_hands_over_its_latent(static):
    model = gpt(stops=True)
    lengths = set()
    for seed in range(6):
        tokens, latents = stock(model, Settings(temperature=5.0, top_k=64, top_p=1.0), seed, 400)
        for size in (1, 7, len(tokens)):
            got, made = ours(model, Settings(temperature=5.0, top_k=64, top_p=1.0), seed, 400, size=size, static=static)
            assert got == tokens and got[-1] == model.stop_audio_token
            assert (made - latents).abs().max() <= 1e-5
        lengths.add(len(tokens))
    assert len(lengths) > 2


@pytest.mark.parametrize("limit", [1, 2, 20, 21])
def test_ends_at_the_limit(limit):
    model = gpt()
    tokens, _ = stock(model, Settings(), 0, limit)
    got, _ = ours(model, Settings(), 0, limit)
    assert got == tokens and len(got) == limit


def test_static_buffers_across_blocks_of_the_cache_give_the_same_tokens():
    model = gpt()
    limit = BLOCK + 30
    tokens, latents = stock(model, Settings(top_k=1), 0, limit)
    got, made = ours(model, Settings(do_sample=False), 0, limit, static=True)
    assert got == tokens
    assert (made - latents).abs().max() <= 1e-5


def test_greedy_is_the_likeliest_and_leaves_the_generator_alone():
    model = gpt()
    tokens, _ = stock(model, Settings(top_k=1), 0, 60)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    got, _ = ours(model, Settings(do_sample=False, temperature=7.0), 5, 60)
    assert got == tokens
    assert torch.equal(torch.get_rng_state(), before)


@torch.inference_mode()
def test_two_runs_interleaved_do_not_meet():
    model = gpt()
    _, latents = ours(model, Settings(do_sample=False), 0, 50)
    loop, prefix = loop_of(model, static=True), prefix_of(model, *request(model))
    runs = [loop.run(prefix, Settings(do_sample=False), limit=50, sizes=repeat(k)) for k in (7, 11)]
    out = [[], []]
    while runs[0].gi_frame or runs[1].gi_frame:
        for rows, run in zip(out, runs, strict=True):
            rows += [latent.clone() for latent, _ in islice(run, 1)]
    for rows in out:
        assert torch.allclose(torch.cat(rows), latents, atol=1e-5)


def test_closing_frees_the_cache_at_once():
    model = gpt()
    with torch.inference_mode():
        loop, held = loop_of(model), []
        take = loop._take
        loop._take = lambda *size: held.append(take(*size)) or held[-1]
        run = loop.run(prefix_of(model, *request(model)), Settings(), limit=100, sizes=repeat(5))
        next(run)
        state = weakref.ref(held.pop())
        assert state() is not None
        run.close()
        assert state() is None


def test_weights_are_the_models_own_in_fp32_and_a_copy_in_half():
    model = gpt()
    weights = weights_of(model)
    assert weights.blocks[0].qkv.weight.data_ptr() == model.gpt.h[0].attn.c_attn.weight.data_ptr()
    assert weights.head.weight.data_ptr() == model.mel_head.weight.data_ptr()
    assert weights_of(model, torch.bfloat16).bytes_per_token * 2 == weights.bytes_per_token
    head = sum(p.numel() for m in (model.mel_head, model.final_norm) for p in m.parameters())
    assert weights.bytes_per_token == 4 * (
        head + sum(p.numel() for m in (model.gpt.h, model.gpt.ln_f) for p in m.parameters())
    )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("static", [False, True])
def test_half_precision_runs_and_stays_near(dtype, static):
    model = gpt()
    _, latents = ours(model, Settings(do_sample=False), 0, 10)
    _, made = ours(model, Settings(do_sample=False), 0, 10, dtype=dtype, static=static)
    assert made.dtype == torch.float32
    assert torch.allclose(made[0], latents[0], atol=0.1)


def test_an_unknown_gpt_is_refused():
    model = gpt(layers=1)
    held, model.gpt.config.activation_function = model.gpt.config.activation_function, "relu"
    try:
        with pytest.raises(ValueError, match="'relu'"):
            weights_of(model)
    finally:
        model.gpt.config.activation_function = held


@examples(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    temperature=st.floats(0.05, 5),
    penalty=st.floats(0.5, 20),
    top_k=st.integers(1, 80),
    top_p=st.floats(0.01, 1.0),
    spread=st.sampled_from([0.01, 1.0, 30.0]),
)
def test_filtering_is_transformers_own(seed, temperature, penalty, top_k, top_p, spread):
    generator = torch.Generator().manual_seed(seed)
    logits = spread * torch.randn(1, VOCABULARY, generator=generator)
    ids = torch.randint(0, VOCABULARY, (1, 30), generator=generator)
    processors = LogitsProcessorList([RepetitionPenaltyLogitsProcessor(penalty), TemperatureLogitsWarper(temperature)])
    processors += [TopKLogitsWarper(top_k), *([TopPLogitsWarper(top_p)] if top_p < 1 else [])]
    expected = processors(ids, logits.clone())
    knobs = Knobs.empty(torch.device("cpu"))
    knobs.set(Settings(temperature=temperature, repetition_penalty=penalty, top_k=top_k, top_p=top_p), VOCABULARY)
    seen = torch.zeros(1, VOCABULARY, dtype=torch.bool).scatter(1, ids, True)
    got = filtered(logits, seen, knobs)
    assert torch.equal(got.softmax(-1), expected.softmax(-1))
    torch.manual_seed(seed)
    drawn = torch.multinomial(expected.softmax(-1), 1)[0]
    torch.manual_seed(seed)
    assert torch.equal(choose(logits, seen, knobs, greedy=False), drawn)


cuda = pytest.mark.cuda


@torch.inference_mode()
def test_a_padded_prefix_gives_the_latent_and_the_cache_of_the_plain_one():
    kind = weights_of(gpt(width=256, heads=4))
    prefix = torch.randn(20, 256)
    caches = [torch.zeros(len(kind.blocks), 2, 4, 64, 64) for _ in range(2)]
    plain = prefill(kind, prefix, caches[0])
    padded = prefill(kind, torch.cat([prefix, torch.randn(12, 256)]), caches[1], last=torch.tensor([19]))
    assert (plain - padded).abs().max() < 1e-5
    assert (caches[0] - caches[1])[..., :20, :].abs().max() < 1e-5


@cuda
@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("fused", [False, True])
def test_cuda_greedy_tokens_are_the_libraries(graph, fused):
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    model = gpt(layers=6, width=256, heads=4, device="cuda")
    tokens, latents = stock(model, Settings(top_k=1), 0, 300)
    loop = loop_of(model, static=True, graph=graph, fused=fused)
    assert loop.fused == fused
    for overlap in (False, True):
        got, made = ours(model, Settings(do_sample=False), 0, 300, loop=loop, overlap=overlap)
        assert got == tokens
        assert (made - latents).abs().max() <= 1e-3


@cuda
def test_cuda_a_longer_prefix_than_the_first_one_is_prefilled_by_a_graph_of_its_own():
    model = gpt(width=128, device="cuda")
    loop = loop_of(model, graph=True, fused=True)
    for length in (20, 64, 65, 300):
        prefix = torch.randn(length, 128, device="cuda")
        alone = loop_of(model)
        latents = [
            torch.cat(
                [rows.clone() for rows, _ in one.run(prefix, Settings(do_sample=False), limit=8, sizes=repeat(3))]
            )
            for one in (loop, alone)
        ]
        assert (latents[0] - latents[1]).abs().max() <= 1e-3


@cuda
@pytest.mark.parametrize("width", [32, 128])  # the narrow one is none for the kernels
def test_cuda_same_seed_same_tokens_and_a_replay_like_the_first_call(width):
    model = gpt(width=width, device="cuda")
    loop = loop_of(model, graph=True, fused=True)
    assert loop.fused == (width == 128)
    first, again, other = (ours(model, Settings(), seed, 200, loop=loop)[0] for seed in (7, 7, 8))
    assert first == again != other
    assert loop.warmup_s > 0


@cuda
@pytest.mark.parametrize("width", [32, 128])
def test_cuda_settings_reach_a_captured_graph(width):
    model = gpt(width=width, device="cuda")
    loop = loop_of(model, graph=True, fused=True)
    ours(model, Settings(temperature=2.0), 0, 40, loop=loop)
    greedy = ours(model, Settings(do_sample=False), 0, 40)[0]
    assert ours(model, Settings(top_k=1), 0, 40, loop=loop)[0] == greedy


@cuda
@pytest.mark.parametrize("width", [32, 128])
def test_cuda_token_distribution_is_the_libraries(width):
    model = gpt(width=width, device="cuda")
    settings = Settings(temperature=1.5, top_k=10, top_p=0.9)
    loop = loop_of(model, graph=True, fused=True)
    counts = torch.zeros(2, VOCABULARY)
    for seed in range(400):
        # the second token: the first is drawn before the graph
        counts[0, stock(model, settings, seed, 2)[0][1]] += 1
        counts[1, ours(model, settings, 10_000 + seed, 2, loop=loop)[0][1]] += 1
    used = counts.sum(0) >= 10
    a, b = counts[:, used]
    chi2, dof = float(((a - b) ** 2 / (a + b)).sum()), int(used.sum()) - 1
    # five standard deviations of chi-squared with these degrees of freedom
    assert chi2 < dof + 5 * (2 * max(dof, 1)) ** 0.5


@cuda
@pytest.mark.parametrize("overlap", [False, True])
def test_cuda_stop_is_seen_though_the_host_looks_later(overlap):
    model = gpt(width=128, stops=True, device="cuda")
    settings = Settings(temperature=5.0, top_k=64, top_p=1.0)
    loop = loop_of(model, graph=True, fused=True)
    for seed in range(5):
        got, made = ours(model, settings, seed, 400, loop=loop, overlap=overlap)
        assert got[-1] == model.stop_audio_token and model.stop_audio_token not in got[:-1]
        assert len(made) == len(got)
