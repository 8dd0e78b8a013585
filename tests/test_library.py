"""What coqui-tts 0.28.0 really does, where its names promise something else; and that the tool says so.

If one of these fails after an upgrade, the library has changed and `caveats` must follow.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from samples import NANO, SHORT, TWO

from xttsbench import clock
from xttsbench.caveats import caveats, gathered
from xttsbench.engines.defaults import library_defaults
from xttsbench.models.nano import DATA
from xttsbench.settings import SETTINGS, VOICE_SETTINGS, Settings, samples_of
from xttsbench.spec import Trial

LIMITS = {"en": 70}


def stock(**settings) -> Trial:
    return Trial(engine="stock", config=NANO, settings=Settings(**settings), text=SHORT, seed=5)


def speak(session, trial, seed=None):
    session.seed(trial.seed if seed is None else seed)
    return clock.listen(lambda: session.stream(trial))


def test_chunks_are_counted_in_audio_tokens(nano):
    got = speak(nano, stock(stream_chunk_size=10))
    assert [c.tokens for c in got.chunks[:-1]] == list(range(10, got.chunks[-1].tokens, 10))[: len(got.chunks) - 1]
    assert got.chunks[0].samples == samples_of(10) - 1024


def test_streaming_takes_no_value_from_config_json(nano):
    defaults = library_defaults(DATA / "config.json")
    assert defaults["temperature"] == (0.75, 0.85, 0.5)
    before = speak(nano, stock()).audio
    config = nano.loaded.xtts.config
    held = config.temperature, config.top_k
    config.temperature, config.top_k = 9.0, 1
    try:
        assert np.array_equal(speak(nano, stock()).audio, before)
    finally:
        config.temperature, config.top_k = held


def test_our_defaults_are_the_signatures_defaults():
    ours_alone = {"language", "join"}
    for name, (signature, _, _) in library_defaults().items():
        if name not in ours_alone and SETTINGS[name].metadata["engines"][0] != "seamless":
            assert signature == SETTINGS[name].default, name


def test_conditioning_defaults_differ_in_three_places():
    d = library_defaults()
    assert [d[n][:2] for n in ("gpt_cond_len", "gpt_cond_chunk_len", "max_ref_len")] == [(6, 12), (6, 4), (30, 10)]
    assert set(VOICE_SETTINGS) <= set(d)


def test_do_sample_false_still_samples_and_skips_temperature_top_k_top_p(nano):
    no = stock(do_sample=False)
    assert not np.array_equal(speak(nano, no, seed=1).audio, speak(nano, no, seed=2).audio)
    other = stock(do_sample=False, temperature=0.01, top_k=1, top_p=0.01)
    assert np.array_equal(speak(nano, no, seed=1).audio, speak(nano, other, seed=1).audio)
    assert "do_sample_still_samples" in caveats(no)
    assert "do_sample_still_samples" not in caveats(replace(no, engine="whole"))


def test_inference_hands_over_no_bf16(nano):
    """So naive and whole fail under it, and say so before the run."""
    bf16 = replace(stock(), config=replace(stock().config, precision="bf16"))
    with torch.autocast("cpu", dtype=torch.bfloat16), pytest.raises(TypeError, match="BFloat16"):
        speak(nano, replace(bf16, engine="whole"), seed=1)
    assert "bf16_inference_fails" in caveats(replace(bf16, engine="whole"))
    assert "bf16_inference_fails" in caveats(replace(bf16, engine="naive"))
    assert "bf16_inference_fails" not in caveats(bf16)


def test_greedy_is_top_k_1(nano):
    greedy = stock(top_k=1)
    assert np.array_equal(speak(nano, greedy, seed=1).audio, speak(nano, greedy, seed=2).audio)
    assert "greedy" in caveats(greedy)


def test_length_penalty_acts_only_with_beams(nano):
    assert np.array_equal(speak(nano, stock()).audio, speak(nano, stock(length_penalty=3.0)).audio)
    assert "length_penalty_inert" in caveats(stock(length_penalty=3.0))
    beams = Trial(engine="whole", config=NANO, settings=Settings(length_penalty=3.0, num_beams=2), text=SHORT)
    assert "length_penalty_inert" not in caveats(beams)


def test_the_librarys_seed_argument_is_ignored_and_torchs_is_not(nano):
    voice = nano.voice(stock())

    def first(torch_seed, seed):
        torch.manual_seed(torch_seed)
        stream = nano.loaded.xtts.inference_stream(
            SHORT.text, "en", voice.gpt_cond_latent, voice.speaker_embedding, seed=seed
        )
        return np.concatenate([c.numpy() for c in stream])

    assert np.array_equal(first(1, 11), first(1, 22))
    assert not np.array_equal(first(1, 11), first(2, 11))


def test_state_does_not_pass_from_sentence_to_sentence(nano):
    text = f"{SHORT.text} {SHORT.text}"
    split = stock(enable_text_splitting=True, top_k=1)
    got = speak(nano, replace(split, text=replace(SHORT, name="twice", text=text)))
    edge = sum(c.samples for c in got.chunks if c.sentence == 0)
    one = speak(nano, stock(top_k=1)).audio
    assert np.array_equal(got.audio[:edge], one)
    assert np.array_equal(got.audio[edge:], one)


def test_splitting_happens_only_above_the_limit(nano):
    plain, split = stock(), stock(enable_text_splitting=True)
    assert np.array_equal(speak(nano, plain).audio, speak(nano, split).audio)
    assert "splitting_inert" in caveats(split, char_limits=LIMITS)
    over = replace(plain, text=replace(TWO, text=TWO.text * 2))
    assert "text_over_limit" in caveats(over, char_limits=LIMITS)
    assert caveats(replace(over, engine="naive"), char_limits=LIMITS) == {}
    assert nano.describe()["char_limits"]["en"] == 70


def test_the_limit_of_english_is_250_in_the_library():
    from TTS.tts.layers.xtts.tokenizer import VoiceBpeTokenizer

    limits = VoiceBpeTokenizer().char_limits
    assert (limits["en"], limits["zh"], limits["ja"]) == (250, 82, 71)


def test_overlap_zero_fails_in_the_library_and_is_refused_here(nano):
    voice = nano.voice(stock())
    stream = nano.loaded.xtts.inference_stream(
        SHORT.text, "en", voice.gpt_cond_latent, voice.speaker_embedding, overlap_wav_len=0
    )
    with pytest.raises(RuntimeError):
        list(stream)
    with pytest.raises(ValueError, match="overlap_wav_len is 0"):
        stock(overlap_wav_len=0)


def test_an_overlap_longer_than_a_chunk_repeats_audio(nano):
    good, long = speak(nano, stock()), speak(nano, stock(stream_chunk_size=1, overlap_wav_len=2048))
    assert good.chunks[-1].tokens == long.chunks[-1].tokens
    assert len(good.audio) == samples_of(good.chunks[-1].tokens)
    assert len(long.audio) > 1.2 * len(good.audio)
    assert "overlap_repeats_audio" in caveats(stock(stream_chunk_size=1, overlap_wav_len=2048))
    assert "overlap_repeats_audio" not in caveats(stock())


def test_a_first_chunk_can_be_empty(nano):
    got = speak(nano, stock(stream_chunk_size=1, overlap_wav_len=samples_of(1)))
    assert got.chunks[0].samples == 0
    assert "first_chunk_empty" in caveats(stock(stream_chunk_size=1, overlap_wav_len=samples_of(1)))


def test_the_latent_of_the_stop_step_is_vocoded_too(nano):
    from xttsbench.engines.taps import Taps

    taps = Taps(nano.loaded.xtts, capture=True)
    nano.seed(5)
    got = clock.listen(lambda: nano.stream(stock(), taps=taps))
    codes, latents = taps.captured[0]
    assert int(codes[-1]) == nano.loaded.xtts.gpt.stop_audio_token
    assert len(got.audio) == samples_of(len(latents))


def test_more_than_400_text_tokens_fail_in_the_library(nano):
    far = replace(stock(), text=replace(SHORT, text="word " * 200))
    with pytest.raises(AssertionError, match="400 tokens"):
        speak(nano, far)


def test_a_sentence_is_said_once_over_many_trials():
    trials = [stock(do_sample=False), replace(stock(do_sample=False), seed=8)]
    assert [len(s) for s in gathered(trials).values()] == [1]


def test_naive_with_pause_is_the_high_level_api(nano, tmp_path):
    """`TTS.api.TTS.tts(split_sentences=True)` on an exported checkpoint, one seed, sample for sample."""
    import TTS.tts.models.xtts as library
    from TTS.api import TTS

    from xttsbench.models.export import export_checkpoint
    from xttsbench.models.full_shape import build
    from xttsbench.models.voice import default_reference, read_reference
    from xttsbench.models.weights import Loaded, load_folder

    shape = dict(
        gpt_layers=2,
        gpt_n_model_channels=64,
        gpt_n_heads=2,
        gpt_max_audio_tokens=20,
        gpt_max_text_tokens=402,
        gpt_max_prompt_tokens=70,
        gpt_number_text_tokens=6681,
        gpt_num_audio_tokens=1026,
        gpt_start_audio_token=1024,
        gpt_stop_audio_token=1025,
        gpt_use_perceiver_resampler=True,
        decoder_input_dim=64,
    )
    folder = tmp_path / "model"
    export_checkpoint(Loaded(build(seed=1, shape=shape), "random", "x", 0.0), folder)

    def with_soundfile(path, rate):  # torchaudio.load would want FFmpeg
        assert rate == 22050
        return read_reference(path, max_ref_len=30, sound_norm_refs=False)

    original = library.load_audio
    library.load_audio = with_soundfile
    try:
        api = TTS(model_path=str(folder), config_path=str(folder / "config.json"), progress_bar=False)
        torch.manual_seed(4)
        reference = default_reference()
        settings = dict(temperature=0.75, length_penalty=1.0, repetition_penalty=10.0, top_k=50, top_p=0.85)
        voice_settings = dict(gpt_cond_len=6, gpt_cond_chunk_len=6, max_ref_len=30, sound_norm_refs=False)
        api_wav = api.tts(
            TWO.text, speaker_wav=reference, language="en", split_sentences=True, **settings, **voice_settings
        )
    finally:
        library.load_audio = original

    from xttsbench.engines import naive
    from xttsbench.engines.taps import Taps
    from xttsbench.models.voice import Voice, condition
    from xttsbench.spec import VoiceSpec

    xtts = load_folder(folder)
    latent, embedding = condition(xtts, VoiceSpec(), voice_settings)
    voice = Voice(latent, embedding, "default", 0.0)
    torch.manual_seed(4)
    with Taps(xtts) as taps:
        pieces = list(naive.stream(xtts, TWO.text, Settings(join="pause"), voice, taps=taps))
    ours = np.concatenate([p.audio.numpy() for p in pieces])
    assert len(pieces) == 2
    assert np.array_equal(ours, np.asarray(api_wav, dtype=np.float32))
