"""The window equals one decode of the whole: any shape, length, speed and schedule, at 100 dB or better, sample for sample."""

from __future__ import annotations

import functools

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from TTS.tts.layers.xtts.hifigan_decoder import HifiDecoder

from xttsbench.engines.reach import Level, Reach, reach_of
from xttsbench.engines.stretch import Stretch
from xttsbench.engines.window import Vocoder, Window

WIDTH = 6
SHAPES = {
    "xtts": {},
    "nano": dict(
        resblock_type_decoder="2",
        resblock_kernel_sizes_decoder=[3, 7],
        resblock_dilation_sizes_decoder=[[1, 3], [3, 12]],
    ),
    "odd": dict(
        resblock_kernel_sizes_decoder=[5],
        resblock_dilation_sizes_decoder=[[1, 2, 7]],
        upsample_rates_decoder=[4, 3, 2],
        upsample_kernel_sizes_decoder=[8, 3, 6],
        output_hop_length=512,
    ),
    "no resampling": dict(
        input_sample_rate=24000, resblock_kernel_sizes_decoder=[3], resblock_dilation_sizes_decoder=[[1, 1, 1]]
    ),
    "no speaker in levels": dict(cond_d_vector_in_each_upsampling_layer=False),
}


@functools.cache
def decoder(name):
    torch.manual_seed(0)
    made = HifiDecoder(decoder_input_dim=WIDTH, upsample_initial_channel_decoder=16, d_vector_dim=4, **SHAPES[name])
    return made.eval().requires_grad_(False)


@functools.cache
def vocoder(name, dtype=torch.float32):
    return Vocoder(decoder(name), dtype)


SPEAKER = torch.randn(1, 4, 1, generator=torch.Generator().manual_seed(1))


def latents(n):
    return torch.randn(n, WIDTH, generator=torch.Generator().manual_seed(n))


def whole(name, z, speed=1.0):
    """What `inference_stream` does with all latents at its last chunk."""
    scale, z = 1.0 / max(speed, 0.05), z[None]
    if scale != 1.0:
        z = F.interpolate(z.transpose(1, 2), scale_factor=scale, mode="linear").transpose(1, 2)
    return decoder(name)(z, g=SPEAKER).squeeze()


def streamed(name, z, sizes, speed=1.0):
    window, out, at = Window(vocoder(name), SPEAKER, speed=speed), [], 0
    while at < len(z):
        size = next(sizes)
        out.append(window.push(z[at : at + size], final=at + size >= len(z)))
        at += size
    return out


def fixed(size):
    while True:
        yield size


def snr_db(got, true):
    assert got.shape == true.shape
    error = (got.double() - true.double()).pow(2).sum()
    return float(10 * torch.log10(true.double().pow(2).sum() / error)) if error else float("inf")


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 21, 64])
def test_equals_the_whole_at_every_shape_and_schedule(name, n):
    z = latents(n)
    true = whole(name, z)
    for size in (1, 7, 20, n):
        assert snr_db(torch.cat(streamed(name, z, fixed(size))), true) > 100


@pytest.mark.parametrize("n", [599, 600])
def test_equals_the_whole_at_the_longest(n):
    z = latents(n)
    assert snr_db(torch.cat(streamed("xtts", z, fixed(50))), whole("xtts", z)) > 100


@pytest.mark.parametrize("speed", [0.1, 0.5, 0.8, 1.25, 2.0, 4.0])
def test_equals_the_whole_at_every_speed(speed):
    z = latents(41)
    true = whole("xtts", z, speed)
    for size in (5, 20):
        assert snr_db(torch.cat(streamed("xtts", z, fixed(size), speed)), true) > 100


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(list(SHAPES)),
    n=st.integers(1, 60),
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=8),
    speed=st.one_of(st.just(1.0), st.floats(0.25, 4.0)),
)
def test_equals_the_whole_whatever_the_schedule(name, n, sizes, speed):
    scale = 1.0 / speed
    assume(int(n * scale) > 0)
    # undecidable while streaming: see Window
    assume(scale <= 1 or int(n * scale) > n or sizes[0] >= n)
    z = latents(n)
    schedule = (sizes[k % len(sizes)] for k in range(n))
    assert snr_db(torch.cat(streamed(name, z, schedule, speed)), whole(name, z, speed)) > 100


def test_each_seam_is_exact_by_itself():
    z = latents(60)
    pieces = streamed("xtts", z, fixed(9))
    true, at = whole("xtts", z), 0
    got = torch.cat(pieces)
    for piece in pieces[:-1]:
        at += len(piece)
        around = slice(at - 512, at + 512)
        assert snr_db(got[around], true[around]) > 100


def test_a_slow_down_that_adds_no_latent_is_a_copy_if_known_in_time_and_as_long_in_any_case():
    z = latents(12)
    true = whole("xtts", z, 0.95)
    assert torch.equal(true, whole("xtts", z)), "interpolate copies where lengths are equal"
    assert snr_db(torch.cat(streamed("xtts", z, fixed(12), 0.95)), true) > 100
    assert torch.cat(streamed("xtts", z, fixed(6), 0.95)).shape == true.shape


def test_holds_back_only_the_context_that_it_lacks():
    window, made = Window(vocoder("xtts"), SPEAKER), 0
    for n in range(1, 30):
        made += len(window.push(latents(30)[n - 1 : n], final=False))
        settled = Stretch(24000 / 22050, torch.device("cpu")).ready(4 * n - 2)
        assert made == max(0, settled - 13) * 256


def test_keeps_no_more_than_the_context():
    window = Window(vocoder("xtts"), SPEAKER)
    for _ in range(20):
        window.push(latents(20), final=False)
    assert sum(len(rows) for rows in window._rows) < 20


@pytest.mark.parametrize("name", SHAPES)
def test_reach_is_what_the_network_sees_and_no_more(name):
    net = decoder(name).waveform_decoder
    reach = reach_of(net)
    left, right = reach.frames
    at = 40
    x = torch.randn(1, WIDTH, 80, dtype=torch.float64)
    other = x.clone()
    other[..., at] += 1e3
    net.double()
    try:
        changed = (net(x, g=SPEAKER.double()) != net(other, g=SPEAKER.double()))[0, 0].nonzero()[:, 0] // reach.hop
    finally:
        net.float()
    assert (int(changed.min()), int(changed.max())) == (at - right, at + left)


def test_reach_of_xtts_is_13_frames():
    assert reach_of(decoder("xtts").waveform_decoder) == Reach(
        3, (Level(8, 16, 60), Level(8, 16, 60), Level(2, 4, 60), Level(2, 4, 60)), 3
    )
    assert vocoder("xtts").reach.frames == (13, 13)
    assert vocoder("xtts").reach.hop == 256


@pytest.mark.parametrize("scale", [4.0, 24000 / 22050, 0.25, 0.7, 1.0003, 10.0])
def test_a_stretched_window_has_the_wholes_own_weights(scale):
    x = torch.randn(4000, 3)
    true = F.interpolate(x.T[None], scale_factor=[scale], mode="linear")[0].T
    stretch = Stretch(scale, torch.device("cpu"))
    assert stretch.total(len(x)) == len(true)
    for low in (0, 1, 700, len(true) - 40):
        first, last = stretch.source(low, low + 40)
        got = stretch.apply(x[first:last], first, low, low + 40)
        assert torch.allclose(got, true[low : low + 40], rtol=0, atol=1e-6)


@pytest.mark.parametrize("scale", [4.0, 24000 / 22050, 0.25, 0.7, 1.3])
def test_ready_outputs_never_change_again(scale):
    stretch = Stretch(scale, torch.device("cpu"))
    for n in range(1, 60):
        ready = stretch.ready(n)
        assert 0 <= ready <= stretch.total(n) <= ready + 2 * scale + 1
        assert ready == 0 or stretch.source(0, ready)[1] <= n


def test_half_precision_is_close_and_says_how_close():
    z = latents(40)
    for dtype, floor in ((torch.bfloat16, 15), (torch.float16, 35)):
        got = Window(vocoder("xtts", dtype), SPEAKER).push(z, final=True)
        assert got.dtype == torch.float32
        assert snr_db(got, whole("xtts", z)) > floor


def test_the_decoder_is_left_as_it_was():
    net = HifiDecoder(decoder_input_dim=WIDTH, upsample_initial_channel_decoder=16, d_vector_dim=4).eval()
    before = {name: (value.data_ptr(), value.clone()) for name, value in net.state_dict().items()}
    Window(Vocoder(net), SPEAKER).push(latents(30), final=True)
    after = net.state_dict()
    assert list(after) == list(before)
    for name, value in after.items():
        assert value.data_ptr() == before[name][0] and torch.equal(value, before[name][1])


@pytest.mark.parametrize(
    ("kernels", "message"), [(dict(upsample_kernel_sizes_decoder=[16, 16, 4, 5]), "upsampling 3"), ({}, "convolution")]
)
def test_a_decoder_that_cant_be_cut_is_refused(kernels, message):
    net = HifiDecoder(decoder_input_dim=WIDTH, upsample_initial_channel_decoder=16, d_vector_dim=4, **kernels)
    if not kernels:
        net.waveform_decoder.conv_post.padding = (2,)
    with pytest.raises(ValueError, match=message):
        Vocoder(net)
