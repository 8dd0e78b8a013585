"""Live playback from a queue, so that playing never blocks synthesis; and writing a WAV file."""

from __future__ import annotations

import queue
import threading
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf

Signal = np.ndarray[Any, np.dtype[np.float32]]


class Player:
    """Plays what is put, in order, on a thread of the sound library. Close waits until all was played.

    Attributes
    ----------
    underruns
        How often the queue was empty while more was to come: gaps that a listener heard.
    """

    def __init__(self, sounddevice: Any, *, sample_rate: int) -> None:
        self.underruns = 0
        self._queue: queue.SimpleQueue[Signal | None] = queue.SimpleQueue()
        self._rest = np.zeros(0, dtype=np.float32)
        self._begun = self._ended = self._dry = False
        self._done = threading.Event()
        self._stop = sounddevice.CallbackStop
        self._stream = sounddevice.OutputStream(
            samplerate=sample_rate, channels=1, dtype="float32", callback=self._fill, finished_callback=self._done.set
        )
        self._stream.start()

    def put(self, samples: Signal) -> None:
        """Queue samples (n,) and return at once."""
        if len(samples):
            self._queue.put(samples)

    def close(self) -> None:
        """Wait until everything queued was played, then let go of the device."""
        self._queue.put(None)
        self._done.wait()
        self._stream.close()

    def _fill(self, out: Any, frames: int, _time: Any, _status: Any) -> None:
        filled = 0
        while filled < frames:
            if not len(self._rest):
                try:
                    item = self._queue.get_nowait() if not self._ended else None
                except queue.Empty:
                    self.underruns += int(self._begun and not self._dry)
                    self._dry = True
                    break
                if item is None:
                    self._ended = True
                    break
                self._rest, self._begun, self._dry = item, True, False
            take = min(frames - filled, len(self._rest))
            out[filled : filled + take, 0] = self._rest[:take]
            self._rest = self._rest[take:]
            filled += take
        out[filled:, 0] = 0
        if self._ended and not len(self._rest):
            raise self._stop


def open_player(*, sample_rate: int) -> Player:
    """Open the default output device; ValueError if there is no sound library or no device."""
    try:
        import sounddevice
    except (ImportError, OSError) as error:
        raise ValueError(
            f"playing needs sounddevice and PortAudio ({error}); `pip install xttsbench[play]`, and on Debian `apt install libportaudio2`."
        ) from error
    try:
        return Player(sounddevice, sample_rate=sample_rate)
    except sounddevice.PortAudioError as error:
        raise ValueError(f"no sound device can be opened ({error}); write a file with --out instead.") from error


def write(path: Path, audio: Signal, *, sample_rate: int) -> None:
    """Write audio (n,) in -1..1 as a 24-bit WAV file."""
    sf.write(str(path), np.clip(audio, -1, 1), sample_rate, subtype="PCM_24")


def check_place(path: Path) -> None:
    """Raise ValueError unless a WAV file may be written at `path`."""
    folder = path.resolve().parent
    if path.suffix.lower() != ".wav":
        raise ValueError(f"{str(path)!r} does not end in .wav, which is what is written.")
    try:
        path.touch(exist_ok=False)
        path.unlink()
    except OSError as error:
        raise ValueError(
            f"{str(path)!r} can't be written in {str(folder)!r} ({error.strerror}); choose another place."
        ) from error
