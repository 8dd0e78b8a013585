"""The shipped nano is the real Xtts class, loads without a pickle and is what coqui's own loader would make of it."""

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file
from TTS.tts.configs.xtts_config import XttsConfig
from TTS.tts.models.xtts import Xtts

from training.pack_nano import main, pack, quantise_rows
from xttsbench.models.nano import DATA, REFERENCE, NanoXtts, load_nano, unpack

TEXT = "The first chunk is here."


@pytest.fixture(scope="module")
def nano() -> NanoXtts:
    return load_nano()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, nano):
    """A checkpoint folder as the trainer leaves it, made from the shipped weights."""
    path = tmp_path_factory.mktemp("checkpoint")
    state, speakers = unpack(load_file(DATA / "model.safetensors"))
    torch.save({"model": state}, path / "model.pth")
    torch.save(speakers, path / "speakers_xtts.pth")
    for name in ("config.json", "vocab.json"):
        (path / name).write_bytes((DATA / name).read_bytes())
    audio, sample_rate = soundfile.read(REFERENCE, dtype="int16")
    soundfile.write(path / "ref.wav", audio, sample_rate)
    return path


def speak(model: Xtts, **settings) -> np.ndarray:
    voice = model.speaker_manager.speakers["nano"]
    torch.manual_seed(7)
    stream = model.inference_stream(TEXT, "en", voice["gpt_cond_latent"], voice["speaker_embedding"], **settings)
    return torch.cat(list(stream)).numpy()


def test_it_is_the_library_class_with_one_method_of_its_own():
    assert isinstance(load_nano(), Xtts)
    own = {name for name, value in vars(NanoXtts).items() if callable(value)}
    assert own == {"init_models"}


def test_it_speaks_at_a_human_rate(nano):
    audio = speak(nano)
    assert audio.dtype == np.float32
    assert 0.5 < len(audio) / 24000 < 4.0
    assert 0.05 < np.abs(audio).max() <= 1.0


def test_same_seed_same_audio(nano):
    np.testing.assert_array_equal(speak(nano), speak(nano))


def test_coqui_own_loader_gives_the_same_model(nano, folder):
    config = XttsConfig()
    config.load_json(str(folder / "config.json"))
    theirs = NanoXtts(config)
    theirs.load_checkpoint(config, checkpoint_dir=folder, eval=True)
    ours_state, their_state = nano.state_dict(), theirs.state_dict()
    assert ours_state.keys() == their_state.keys()
    assert all(torch.equal(ours_state[name], their_state[name]) for name in ours_state)
    assert theirs.tokenizer.char_limits == nano.tokenizer.char_limits
    # Training mode changes sound through dropout: it must agree module by module.
    assert {n: m.training for n, m in nano.named_modules()} == {n: m.training for n, m in theirs.named_modules()}
    np.testing.assert_array_equal(speak(nano), speak(theirs))


def test_text_is_cut_at_70_characters(nano):
    assert nano.tokenizer.char_limits["en"] == 70
    assert nano.tokenizer.char_limits["de"] == 253


def test_the_reference_clip_gives_latents_of_the_studio_voice_shape(nano):
    audio, sample_rate = soundfile.read(REFERENCE, dtype="float32")
    assert sample_rate == 24000 and 5 < len(audio) / sample_rate < 7
    wave = torch.from_numpy(audio)[None]
    voice = nano.speaker_manager.speakers["nano"]
    assert nano.get_gpt_cond_latents(wave, sample_rate).shape == voice["gpt_cond_latent"].shape
    assert nano.get_speaker_embedding(wave, sample_rate).shape == voice["speaker_embedding"].shape


def test_the_package_ships_no_pickle_and_stays_under_nine_megabytes():
    names = {path.name for path in DATA.iterdir()}
    assert names == {"model.safetensors", "config.json", "vocab.json", "ref.flac", "LICENSE.md"}
    assert sum(path.stat().st_size for path in DATA.iterdir()) < 9_000_000


def test_rows_are_within_half_a_step():
    matrix = torch.tensor([[1.0, -2.0, 0.3], [1e-4, 0.0, -3e-5], [0.0, 0.0, 0.0]])
    whole, scale = quantise_rows(matrix)
    assert whole.dtype == torch.int8
    torch.testing.assert_close(scale, torch.tensor([2.0, 1e-4, 0.0]) / 127)
    assert ((whole.float() * scale[:, None] - matrix).abs() <= scale[:, None] / 2 + 1e-12).all()


def test_packing_what_was_unpacked_changes_nothing():
    state = {
        "w": torch.linspace(-1, 1, 4096).reshape(32, 64, 2),
        "b": torch.linspace(0, 1, 32),
        "n": torch.tensor(3),
        "gpt.gpt_inference.w": torch.ones(64, 64),
        "e.torch_spec.1.fb": torch.rand(64, 64),
    }
    speakers = {"a": {"gpt_cond_latents": torch.rand(1, 2, 3), "speaker_embedding": torch.rand(1, 4, 1)}}
    once = pack(state, speakers)
    assert once["w"].dtype == torch.int8 and once["b"].dtype == torch.float16
    assert once["e.torch_spec.1.fb"].dtype == torch.float16
    assert not any("gpt_inference" in name for name in once)
    unpacked_state, unpacked_speakers = unpack(once)
    assert set(unpacked_speakers["a"]) == {"gpt_cond_latent", "speaker_embedding"}
    assert unpacked_state["n"].dtype == torch.int64
    twice = pack(unpacked_state, unpacked_speakers)
    assert once.keys() == twice.keys()
    for name in once:
        torch.testing.assert_close(once[name], twice[name], rtol=1e-6, atol=0)


def test_the_script_writes_the_same_bytes_twice(folder, tmp_path):
    for out in ("a", "b"):
        main([str(folder), "--out", str(tmp_path / out)])
    for name in ("model.safetensors", "config.json", "vocab.json", "ref.flac"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert (tmp_path / "a" / "ref.flac").read_bytes() == REFERENCE.read_bytes()
