"""Each known bad combination is named, and a good one is not."""

import pytest

from xttsbench.combinations import examine

GOOD = {
    "python": "3.12.1",
    "coqui-tts": "0.28.0",
    "TTS": "none",
    "coqpit": "none",
    "torch": "2.11.0",
    "torchaudio": "2.11.0",
    "torchcodec": "0.11.1",
    "transformers": "5.23.0",
    "numpy": "2.4.6",
    "six": "1.17.0",
    "spacy": "3.8.18",
    "sounddevice": "0.5.6",
    "torch_cuda": "13.0",
    "driver_cuda": "13.0",
    "portaudio": "libportaudio.so.2",
}


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"python": "3.11.0"},
        {"python": "3.13.7"},
        {"torch": "2.8.0", "torchaudio": "2.8.0", "torchcodec": "none", "torch_cuda": "12.8", "driver_cuda": "12.4"},
        {"torch": "2.13.0", "torchaudio": "2.11.0"},  # torchaudio 2.11 is the last and fits later ones
        {"torch": "2.11.0+cpu", "torchaudio": "2.11.0", "torch_cuda": "none", "driver_cuda": "none"},
        {"torch": "2.11.0+cu126", "torchaudio": "2.11.0+cu126", "torch_cuda": "12.6", "driver_cuda": "13.1"},
        {"transformers": "5.0.0"},
    ],
)
def test_good_sets_have_no_findings(change):
    assert examine(GOOD | change) == ()


@pytest.mark.parametrize(
    ("change", "level", "words"),
    [
        ({"python": "3.10.13"}, "error", "Python is 3.10.13"),
        ({"python": "3.14.0"}, "error", "Python is 3.14.0"),
        ({"coqui-tts": "none"}, "error", "coqui-tts is not installed"),
        ({"coqui-tts": "0.27.3", "transformers": "5.3.0"}, "error", "feeds the whole sequence"),
        ({"coqui-tts": "0.27.3", "transformers": "5.2.0"}, "warning", "lost the end"),
        ({"coqui-tts": "0.29.0"}, "warning", "only 0.28 is tested"),
        ({"TTS": "0.22.0"}, "error", "old package TTS 0.22.0"),
        ({"coqpit": "0.0.17"}, "error", "old package coqpit 0.0.17"),
        ({"transformers": "none"}, "error", "transformers is not installed"),
        ({"transformers": "4.57.1"}, "warning", "only 5.x is tested"),
        ({"six": "none"}, "error", "six is not installed"),
        ({"torch": "none", "torch_cuda": "none"}, "error", "torch is not installed"),
        ({"torchaudio": "none"}, "error", "torchaudio is not installed"),
        ({"torch": "2.10.0", "torchaudio": "2.9.1"}, "error", "torchaudio 2.9.1 does not fit torch 2.10.0"),
        ({"torch": "2.10.0"}, "error", "torchaudio 2.11.0 does not fit torch 2.10.0"),
        ({"torch": "2.11.0+cpu", "torchaudio": "2.11.0+cu126", "torch_cuda": "12.6"}, "error", "different builds"),
        ({"torchcodec": "none"}, "error", "torchcodec is not installed"),
        ({"torch": "2.9.0", "torchaudio": "2.9.0", "torchcodec": "none"}, "error", "torchcodec is not installed"),
        ({"driver_cuda": "12.4"}, "warning", "built for CUDA 13.0, the NVIDIA driver supports up to 12.4"),
        ({"torch_cuda": "none"}, "warning", "for the CPU only"),
        ({"driver_cuda": "none"}, "note", "it runs on the CPU as it is"),
        ({"spacy": "none"}, "warning", "spacy is not installed"),
        ({"sounddevice": "none"}, "note", "only --play needs it"),
        ({"portaudio": "none"}, "note", "PortAudio is missing"),
    ],
)
def test_each_bad_combination_is_named_alone(change, level, words):
    found = [finding for finding in examine(GOOD | change) if finding.level != "note" or level == "note"]
    assert [finding.level for finding in found] == [level]
    assert words in found[0].sentence
    assert found[0].sentence.endswith(".")
    assert found[0].mend or level == "note"


def test_the_older_driver_is_told_of_older_torch():
    (finding,) = examine(GOOD | {"driver_cuda": "12.4"})
    assert "CUDA 12" in finding.mend


def test_several_faults_are_all_named():
    found = examine(GOOD | {"six": "none", "spacy": "none", "TTS": "0.22.0"})
    assert [finding.level for finding in found] == ["error", "error", "warning"]
