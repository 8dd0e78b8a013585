"""Where models come from: the licence, the cache, folders with faults, exports that read back."""

from __future__ import annotations

import json
import pickle
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from samples import NANO, SHORT

from xttsbench.models import full_shape, weights
from xttsbench.models.export import export_checkpoint
from xttsbench.models.released import FILES, coqui_folder
from xttsbench.models.weights import Loaded, check_folder, load, load_folder, resolve
from xttsbench.settings import Settings, samples_of
from xttsbench.spec import EngineConfig, Trial, VoiceSpec

TINY = dict(
    full_shape.SHAPE,
    gpt_layers=1,
    gpt_n_model_channels=64,
    gpt_n_heads=2,
    gpt_max_audio_tokens=60,
    decoder_input_dim=64,
)


@pytest.fixture
def empty_caches(monkeypatch, tmp_path):
    """No weights, no agreement; the hub's cache is read from a folder of ours."""
    monkeypatch.setenv("TTS_HOME", str(tmp_path / "tts"))
    monkeypatch.delenv("COQUI_TOS_AGREED", raising=False)
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub" / "models--tts-hub--XTTS-v2"


@pytest.fixture(scope="module")
def tiny():
    """XTTSv2's architecture at a size for tests, weights drawn at random."""
    return Loaded(full_shape.build(seed=2, shape=TINY), "random", "tiny", 0.0, weights.NOISE)


@pytest.fixture
def folder(tiny, tmp_path):
    export_checkpoint(tiny, tmp_path / "model")
    return tmp_path / "model"


def put(hub, names):
    (hub / "snapshots" / "abc").mkdir(parents=True)
    (hub / "refs").mkdir()
    (hub / "refs" / "main").write_text("abc")
    for name in names:
        (hub / "snapshots" / "abc" / name).write_text("{}")


def test_auto_is_nano_where_nothing_is_cached(empty_caches):
    model, said = resolve("auto")
    assert model == "nano" and "not in the cache" in said and "70 characters" in said


def test_auto_is_nano_where_the_licence_is_not_agreed_to(empty_caches):
    put(empty_caches, FILES)
    model, said = resolve("auto")
    assert model == "nano" and "licence is not agreed to" in said


@pytest.mark.parametrize("how", ["flag", "environment", "file"])
def test_auto_is_xtts_v2_where_it_is_cached_and_agreed_to(empty_caches, monkeypatch, how):
    put(empty_caches, FILES)
    if how == "environment":
        monkeypatch.setenv("COQUI_TOS_AGREED", "1")
    if how == "file":
        coqui_folder().mkdir(parents=True)
        (coqui_folder() / "tos_agreed.txt").write_text("x")
    model, said = resolve("auto", accept_cpml=how == "flag")
    assert model == "xtts_v2" and "agreed" in said


def test_without_agreement_nothing_is_fetched_and_nothing_asked(empty_caches, monkeypatch):
    from TTS.utils.manage import ModelManager

    def never(*a, **k):
        raise AssertionError("the network or a prompt was reached for")

    monkeypatch.setattr(ModelManager, "download_model", never)
    monkeypatch.setattr("builtins.input", never)
    for call in (lambda: resolve("xtts_v2"), lambda: load(EngineConfig(model="xtts_v2"))):
        with pytest.raises(ValueError, match="non-commercial") as caught:
            call()
        assert "--accept-cpml" in str(caught.value) and "COQUI_TOS_AGREED=1" in str(caught.value)
        assert str(caught.value).count(". ") <= 2
    assert not coqui_folder().exists()


def test_with_agreement_coquis_own_manager_is_asked_and_its_failure_is_a_sentence(empty_caches, monkeypatch):
    from TTS.utils.manage import ModelManager

    asked = []

    def fetch(self, name):
        assert self.tos_agreed({"tos_required": True}, coqui_folder()), "or it would prompt"
        asked.append(name)
        raise ConnectionError("no route to host")

    monkeypatch.setattr(ModelManager, "download_model", fetch)
    with pytest.raises(ValueError, match=r"could not be fetched.*no route to host.*--model DIR"):
        load(EngineConfig(model="xtts_v2"), accept_cpml=True)
    assert asked == ["tts_models/multilingual/multi-dataset/xtts_v2"]


def test_a_half_download_is_named_with_the_mend(empty_caches, monkeypatch):
    from TTS.utils.manage import ModelManager

    put(empty_caches, ["config.json"])
    (empty_caches / "blobs").mkdir()
    (empty_caches / "blobs" / "123.incomplete").write_bytes(b"x" * 10)
    assert "half downloaded" in resolve("xtts_v2", accept_cpml=True)[1]

    def fetch(self, name):
        raise ConnectionError("cut off")

    monkeypatch.setattr(ModelManager, "download_model", fetch)
    with pytest.raises(ValueError, match=r"lies in .*XTTS-v2.*delete that folder"):
        load(EngineConfig(model="xtts_v2"), accept_cpml=True)


def test_the_cached_model_loads_without_the_manager(empty_caches, folder, monkeypatch):
    put(empty_caches, [])
    shutil.copytree(folder, empty_caches / "snapshots" / "abc", dirs_exist_ok=True)
    torch.save({}, empty_caches / "snapshots" / "abc" / "speakers_xtts.pth")
    loaded = load(EngineConfig(model="xtts_v2"), accept_cpml=True)
    assert loaded.model == "xtts_v2" and loaded.sha256 == weights.file_sha256(folder / "model.pth")


def speak(xtts, seed=0, text="Hello there."):
    voice = xtts.get_gpt_cond_latents(torch.sin(torch.arange(30000) / 9)[None], 22050), torch.ones(1, 512, 1)
    torch.manual_seed(seed)
    return np.concatenate([c.numpy() for c in xtts.inference_stream(text, "en", *voice)])


def test_an_exported_checkpoint_is_read_back_by_coquis_own_loader_with_identical_outputs(tiny, folder):
    from TTS.tts.configs.xtts_config import XttsConfig
    from TTS.tts.models.xtts import Xtts

    config = XttsConfig()
    config.load_json(str(folder / "config.json"))
    xtts = Xtts(config)
    xtts.load_checkpoint(config, checkpoint_dir=str(folder), eval=True)
    ours = speak(tiny.xtts)
    xtts.gpt.max_gen_mel_tokens = tiny.xtts.gpt.max_gen_mel_tokens  # only our own reader knows random's length by text
    assert np.array_equal(speak(xtts), ours)
    loaded = load(EngineConfig(model=str(folder)))
    assert np.array_equal(speak(loaded.xtts), ours)
    assert loaded.note == weights.NOISE


def test_an_exported_nano_is_read_back_with_identical_outputs(nano, tmp_path):
    export_checkpoint(nano.loaded, tmp_path / "nano")
    session_like = load_folder(tmp_path / "nano")
    assert session_like.tokenizer.char_limits["en"] == 70
    assert list(session_like.speaker_manager.speakers) == ["nano"]
    assert np.array_equal(speak(session_like), speak(nano.loaded.xtts))


def test_an_export_of_an_export_still_knows_where_it_came_from(folder, tmp_path):
    first = load(EngineConfig(model=str(folder)))
    export_checkpoint(first, tmp_path / "second")
    assert np.array_equal(speak(load_folder(tmp_path / "second")), speak(first.xtts))


def test_export_overwrites_nothing(tiny, folder):
    with pytest.raises(ValueError, match="nothing is overwritten"):
        export_checkpoint(tiny, folder)


def test_a_checkpoint_folder_is_a_model(folder):
    from xttsbench.engines.session import Session

    model, said = resolve(str(folder))
    assert "checkpoint" in said
    session = Session(EngineConfig(model=model))
    t = Trial(engine="stock", config=session.config, settings=Settings(), text=SHORT)
    session.seed(0)
    assert sum(len(p.audio) for p in session.stream(t)) > 0


@pytest.mark.parametrize("name", ["config.json", "model.pth", "vocab.json"])
def test_every_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(ValueError, match=f"{name} is missing"):
        check_folder(folder)


def test_all_faults_are_named_at_once(folder):
    (folder / "config.json").write_text("{")
    (folder / "vocab.json").unlink()
    (folder / "model.pth").write_bytes((folder / "model.pth").read_bytes()[:1000])
    with pytest.raises(ValueError) as caught:
        load_folder(folder)
    for part in ("config.json is not JSON", "vocab.json is missing", "model.pth is torn"):
        assert part in str(caught.value)


class Evil:
    def __reduce__(self):
        return (print, ("code in a pickle ran",))


@pytest.mark.parametrize("name", ["model.pth", "speakers_xtts.pth"])
def test_a_pickle_with_code_in_it_is_refused(folder, capsys, name):
    torch.save({"model": Evil()}, folder / name)
    with pytest.raises(ValueError, match="pickled code"):
        load_folder(folder)
    assert "ran" not in capsys.readouterr().out
    assert pickle.dumps(Evil())


def test_weights_of_another_shape_are_refused_in_a_sentence(folder):
    config = json.loads((folder / "config.json").read_text())
    config["model_args"]["gpt_layers"] = 3
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="do not fit"):
        load_folder(folder)


@pytest.mark.parametrize(
    ("name", "content", "says"), [("config.json", '{"model": "vits"}', "vits"), ("vocab.json", "{}", "vocab.json")]
)
def test_other_models_and_other_tokenizers_are_refused(folder, name, content, says):
    (folder / name).write_text(content)
    with pytest.raises(ValueError, match=says):
        load_folder(folder)


def test_what_is_no_model_lists_what_is():
    with pytest.raises(ValueError, match="auto, nano, random, xtts_v2 or a checkpoint folder"):
        resolve("xtts_v3")


def test_cuda_asked_for_and_absent_is_a_sentence(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="device cuda was asked for"):
        load(replace(NANO, device="cuda"))


def test_deepspeed_asked_for_and_absent_is_a_sentence(monkeypatch):
    with pytest.raises(ValueError, match="only a CUDA device has it"):
        replace(NANO, deepspeed=True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(ValueError, match="deepspeed was asked for but is not installed"):
        load(replace(NANO, device="cuda", deepspeed=True))


def test_the_random_model_has_exactly_xttsv2s_shape_and_streams():
    from TTS.tts.configs.xtts_config import XttsArgs

    xtts = full_shape.build()
    own = {id(p): p.numel() for p in xtts.parameters()}
    assert sum(own.values()) / 1e6 == pytest.approx(466.9, abs=0.05)
    gpt = xtts.gpt
    assert (gpt.layers, gpt.model_dim, gpt.heads) == (30, 1024, 16)
    assert (gpt.start_audio_token, gpt.stop_audio_token, gpt.number_text_tokens) == (1024, 1025, 6681)
    assert full_shape.vocabulary_size(full_shape.tokenizer_json()) == 6681
    plain = XttsArgs()
    assert all(
        getattr(plain, n) == full_shape.SHAPE[n] for n in full_shape.SHAPE if "gpt_max" in n or n == "gpt_layers"
    )
    assert len(speak(xtts, text="Hi.")) == samples_of(5)


def test_random_weights_speak_at_a_human_rate_and_never_stop_early(tiny):
    text = "Rice is often served in round bowls."
    voice = tiny.xtts.get_gpt_cond_latents(torch.sin(torch.arange(30000) / 9)[None], 22050), torch.ones(1, 512, 1)
    for seed in range(3):
        torch.manual_seed(seed)
        audio = torch.cat(list(tiny.xtts.inference_stream(text, "en", *voice)))
        assert len(text) / (len(audio) / 24000) == pytest.approx(14, rel=0.03)
        whole = tiny.xtts.inference(text, "en", *voice)["wav"]
        assert len(whole) == len(audio)


def test_random_weights_are_the_same_under_one_seed():
    a, b, c = (full_shape.build(seed=s, shape=TINY).state_dict()["gpt.mel_head.weight"] for s in (0, 0, 1))
    assert torch.equal(a, b) and not torch.equal(a, c)
    state = torch.get_rng_state()
    full_shape.build(seed=0, shape=TINY)
    assert torch.equal(torch.get_rng_state(), state), "building draws nothing from the caller's generator"


def test_the_note_of_each_model_is_said():
    assert weights.NOISE == "random weights: times hold, sound is noise"
    assert VoiceSpec().label == "default"
