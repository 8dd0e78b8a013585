"""Voices: any file, computed once, equal to the library's own conditioning; bad references say what is wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import soundfile as sf
import torch

from xttsbench.models import voice as voices
from xttsbench.models.voice import condition, default_reference, read_reference
from xttsbench.settings import Settings
from xttsbench.spec import VoiceSpec

SETTINGS = dict(gpt_cond_len=6, gpt_cond_chunk_len=6, max_ref_len=30, sound_norm_refs=False)


def speech(seconds=3.0, rate=24000):
    audio, sr = sf.read(default_reference(), dtype="float32")
    assert sr == 24000
    import torchaudio

    wav = torch.from_numpy(audio[: int(seconds * sr)])
    return torchaudio.functional.resample(wav, sr, rate).numpy()


@pytest.mark.parametrize("kind", ["wav", "flac", "mp3", "ogg"])
@pytest.mark.parametrize(("rate", "channels"), [(16000, 1), (44100, 2), (24000, 2)])
def test_any_file_is_read_as_mono_22050(tmp_path, kind, rate, channels):
    audio = np.repeat(speech(rate=rate)[:, None], channels, axis=1)
    path = tmp_path / f"ref.{kind}"
    sf.write(str(path), audio, rate)
    wav = read_reference(path, max_ref_len=30, sound_norm_refs=False)
    assert wav.shape[0] == 1 and wav.shape[1] == pytest.approx(3 * 22050, rel=0.02)
    assert wav.abs().max() <= 1


def test_length_and_norm_are_the_settings(tmp_path):
    sf.write(str(tmp_path / "a.wav"), speech(), 24000)
    wav = read_reference(tmp_path / "a.wav", max_ref_len=1, sound_norm_refs=True)
    assert wav.shape == (1, 22050) and float(wav.abs().max()) == pytest.approx(0.75)


def test_conditioning_is_the_librarys_own(nano, tmp_path, monkeypatch):
    """The same two latents as `get_conditioning_latents` computes, given the same samples."""
    import TTS.tts.models.xtts as library

    files = []
    for i, seconds in enumerate((2.0, 3.5)):
        files.append(str(tmp_path / f"{i}.wav"))
        sf.write(files[-1], speech(seconds), 24000)
    monkeypatch.setattr(
        library, "load_audio", lambda path, rate: read_reference(path, max_ref_len=30, sound_norm_refs=False)
    )
    for norm in (False, True):
        expected = nano.loaded.xtts.get_conditioning_latents(
            files, max_ref_length=2, gpt_cond_len=4, gpt_cond_chunk_len=2, sound_norm_refs=norm
        )
        settings = dict(gpt_cond_len=4, gpt_cond_chunk_len=2, max_ref_len=2, sound_norm_refs=norm)
        got = condition(nano.loaded.xtts, VoiceSpec.from_files(files), settings)
        assert all(torch.equal(a, b) for a, b in zip(got, expected, strict=True))


def test_a_voice_is_computed_once_and_remembers_its_cost(nano, tmp_path, monkeypatch):
    sf.write(str(tmp_path / "a.wav"), speech(), 24000)
    spec = VoiceSpec.from_files([str(tmp_path / "a.wav")])
    get = lambda s, **changed: voices.get(  # noqa: E731
        nano.loaded.xtts, s, {**SETTINGS, **changed}, weights_sha256="w", cache=tmp_path / "cache"
    )
    first = get(spec)
    assert not first.cached and first.voice_s > 0
    monkeypatch.setattr(voices, "condition", lambda *a: pytest.fail("computed again"))
    again = get(spec)
    assert again.cached and again.voice_s == first.voice_s
    assert torch.equal(again.gpt_cond_latent, first.gpt_cond_latent)
    (tmp_path / "a.wav").rename(tmp_path / "b.wav")
    assert get(VoiceSpec.from_files([str(tmp_path / "b.wav")])).cached, "by content, not by name"


@pytest.mark.parametrize("change", ["audio", "weights", "settings"])
def test_another_audio_model_or_setting_is_another_voice(nano, tmp_path, change):
    sf.write(str(tmp_path / "a.wav"), speech(), 24000)
    cache = tmp_path / "cache"
    voices.get(
        nano.loaded.xtts, VoiceSpec.from_files([str(tmp_path / "a.wav")]), SETTINGS, weights_sha256="w", cache=cache
    )
    settings, sha = dict(SETTINGS), "w"
    if change == "audio":
        sf.write(str(tmp_path / "a.wav"), speech() * 0.9, 24000)
    elif change == "weights":
        sha = "v"
    else:
        settings["gpt_cond_len"] = 7
    spec = VoiceSpec.from_files([str(tmp_path / "a.wav")])
    assert not voices.get(nano.loaded.xtts, spec, settings, weights_sha256=sha, cache=cache).cached


def test_a_torn_cache_is_a_miss(nano, tmp_path):
    get = lambda: voices.get(nano.loaded.xtts, VoiceSpec(), SETTINGS, weights_sha256="w", cache=tmp_path)  # noqa: E731
    get()
    (file,) = tmp_path.glob("*.safetensors")
    file.write_bytes(b"torn")
    assert not get().cached
    assert get().cached


def test_studio_voices_by_name(nano, trial):
    got = nano.voice(replace(trial, voice=VoiceSpec(speaker="nano")))
    assert got.label == "nano" and got.speaker_embedding.shape == (1, 512, 1)
    with pytest.raises(ValueError, match=r"unknown speaker 'Nano'; known: nano\. Did you mean 'nano'"):
        nano.voice(replace(trial, voice=VoiceSpec(speaker="Nano")))


@pytest.mark.parametrize(
    ("audio", "says"),
    [
        (np.zeros(48000), "silent"),
        (np.full(48000, np.nan), "NaN"),
        (np.sin(np.arange(2400) / 5), "lasts 0.10 s"),
        (None, "can't be read as audio"),
    ],
)
def test_bad_references_say_what_is_wrong(tmp_path, audio, says):
    path = tmp_path / "ref.wav"
    if audio is None:
        path.write_text("not audio")
    else:
        sf.write(str(path), audio, 24000, subtype="FLOAT")
    with pytest.raises(ValueError, match=says) as caught:
        read_reference(path, max_ref_len=30, sound_norm_refs=False)
    assert "ref.wav" in str(caught.value)


def test_a_missing_reference_is_said_before_any_model_is_loaded():
    with pytest.raises(ValueError, match="is not there"):
        VoiceSpec.from_files(["no/such.wav"])


def test_voice_settings_are_part_of_the_request(nano, trial):
    a = nano.voice(trial)
    b = nano.voice(replace(trial, settings=Settings(gpt_cond_len=1, gpt_cond_chunk_len=1)))
    assert not torch.equal(a.gpt_cond_latent, b.gpt_cond_latent)
