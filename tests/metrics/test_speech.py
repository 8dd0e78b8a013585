"""Listening models: a missing extra is told in one sentence, the hook takes any recogniser, and the shipped models answer."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from xttsbench.metrics import speech

RATE = 24000


def tone(seconds):
    return 0.3 * np.sin(2 * np.pi * 200 * np.arange(round(seconds * RATE)) / RATE)


@pytest.mark.parametrize(
    ("module", "call"),
    [
        ("speechmos.plcmos", lambda: speech.plcmos(tone(1), sample_rate=RATE)),
        ("speechmos.dnsmos", lambda: speech.dnsmos(tone(1), sample_rate=RATE)),
        ("resemblyzer", lambda: speech.voice_similarity(tone(2), np.array([RATE]), sample_rate=RATE)),
        ("pocketsphinx", lambda: speech.word_error_rate(tone(1), "one", sample_rate=RATE)),
        ("jiwer", lambda: speech.word_error_rate(tone(1), "one", sample_rate=RATE, recogniser=lambda _a, _r: "one")),
    ],
)
def test_a_missing_model_is_told(monkeypatch, module, call):
    extra = "similarity" if module == "resemblyzer" else "listen"
    speech._voice_encoder.cache_clear()
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"pip install 'xttsbench\[{extra}\]'"):
        call()


def test_too_short_is_nan_and_needs_no_model():
    assert np.isnan(speech.plcmos(tone(0.2), sample_rate=RATE))
    assert set(map(np.isnan, speech.dnsmos(tone(0.2), sample_rate=RATE).values())) == {True}


def test_words_are_compared_without_case_and_points():
    pytest.importorskip("jiwer")
    rate = speech.word_error_rate(
        tone(1), "Glue the sheet!", sample_rate=RATE, recogniser=lambda _a, _r: "glue THE sheep"
    )
    assert rate == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="at least one word"):
        speech.word_error_rate(tone(1), "...", sample_rate=RATE)


def test_the_shipped_models_answer_on_speech():
    pytest.importorskip("speechmos", reason="the extra `listen` is not installed")
    pytest.importorskip("pocketsphinx", reason="the extra `listen` is not installed")
    sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
    from seam_faults import shipped

    source = shipped()["held-out"][0]
    audio = source.audio[: 6 * source.sample_rate] / np.abs(source.audio).max()
    torn = audio.copy()
    for start in range(0, len(torn), 4000):
        torn[start : start + 1000] = 0
    whole = speech.plcmos(audio, sample_rate=source.sample_rate)
    assert 1 < speech.plcmos(torn, sample_rate=source.sample_rate) < whole - 0.5 < 5
    found = speech.dnsmos(audio, sample_rate=source.sample_rate)
    assert 2 < found["dnsmos_overall"] < 5
    assert speech.recognise(audio, source.sample_rate)
