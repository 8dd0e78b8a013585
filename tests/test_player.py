"""Playback: from a queue, in order, never blocking; against ALSA's null device for real."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile as sf

from xttsbench import player

NULL = "pcm.!default { type null }\nctl.!default { type null }\n"
SCRIPT = """
import time
import numpy as np
from xttsbench.player import open_player
live = open_player(sample_rate=24000)
start = time.monotonic()
for _ in range(10):
    live.put(np.zeros(2400, dtype=np.float32))
put = time.monotonic() - start
live.close()
print("played", live.underruns, put < time.monotonic() - start)
"""


class Device:
    """A sound library whose callback is turned by hand."""

    class CallbackStop(Exception):
        pass

    def __init__(self):
        self.played = []

    def OutputStream(self, *, samplerate, channels, dtype, callback, finished_callback):
        assert (samplerate, channels, dtype) == (24000, 1, "float32")
        self.callback, self.finished = callback, finished_callback
        return SimpleNamespace(start=lambda: None, close=lambda: None)

    def turn(self, frames):
        out = np.full((frames, 1), np.nan, dtype=np.float32)
        try:
            self.callback(out, frames, None, None)
        except self.CallbackStop:
            self.finished()
        self.played.append(out[:, 0])
        return out[:, 0]


def test_samples_come_out_in_order_whatever_the_blocks():
    device = Device()
    live = player.Player(device, sample_rate=24000)
    assert not device.turn(3).any(), "silence before anything is put"
    live.put(np.arange(1, 6, dtype=np.float32))
    live.put(np.zeros(0, dtype=np.float32))
    live.put(np.arange(6, 9, dtype=np.float32))
    assert device.turn(4).tolist() == [1, 2, 3, 4]
    assert device.turn(6).tolist() == [5, 6, 7, 8, 0, 0]
    assert live.underruns == 1, "dry in the middle of a block, once"
    device.turn(2)
    assert live.underruns == 1, "one gap is one underrun"
    live.put(np.ones(1, dtype=np.float32))
    closer = threading.Thread(target=live.close)
    closer.start()
    while closer.is_alive():
        device.turn(2)
    assert [1.0, 0.0] in [block.tolist() for block in device.played]


def test_a_missing_library_and_a_missing_device_are_sentences(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(ValueError, match="playing needs sounddevice and PortAudio"):
        player.open_player(sample_rate=24000)

    class Error(Exception):
        pass

    def refuse(**kwargs):
        raise Error("no default output device")

    fake = SimpleNamespace(PortAudioError=Error, OutputStream=refuse, CallbackStop=Error)
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    with pytest.raises(ValueError, match="no sound device can be opened"):
        player.open_player(sample_rate=24000)


@pytest.fixture
def alsa_null(tmp_path):
    """Environment of a process whose only sound device is ALSA's null."""
    import os

    config = tmp_path / "asound.conf"
    config.write_text(NULL)
    return {**os.environ, "ALSA_CONFIG_PATH": str(config), "PYTHONPATH": str(Path(__file__).parent.parent)}


@pytest.mark.skipif(sys.platform != "linux", reason="ALSA is Linux's")
def test_playing_for_real_against_alsas_null_device(alsa_null):
    pytest.importorskip("sounddevice", reason="PortAudio is not installed", exc_type=OSError)
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=alsa_null, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] == "played" and done.stdout.split()[2] == "True"


@pytest.mark.skipif(sys.platform != "linux", reason="ALSA is Linux's")
def test_say_plays_live(alsa_null, tmp_path):
    pytest.importorskip("sounddevice", reason="PortAudio is not installed", exc_type=OSError)
    argv = [sys.executable, "-m", "xttsbench", "say", "Hello there.", "--play", "--model", "nano", "--out", "f.wav"]
    done = subprocess.run(argv, env=alsa_null, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "ttfc" in done.stdout and "underruns" in done.stdout
    assert sf.info(str(tmp_path / "f.wav")).frames > 10_000


def test_write_is_a_24_bit_wav(tmp_path):
    audio = np.linspace(-1.2, 1.2, 100, dtype=np.float32)
    player.write(tmp_path / "f.wav", audio, sample_rate=24000)
    back, rate = sf.read(str(tmp_path / "f.wav"))
    assert rate == 24000 and sf.info(str(tmp_path / "f.wav")).subtype == "PCM_24"
    assert np.abs(back - np.clip(audio, -1, 1)).max() < 1e-6
