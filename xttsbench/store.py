"""A run on disk: results/<run>/ with run.json, trials.jsonl and audio/, appended by one writer at a time.

A line is a trial, flushed and fsynced before the next begins, so an interruption costs at most the trial
under way. A torn last line is cut off when the run is opened again.
"""

from __future__ import annotations

import io
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import soundfile as sf
from filelock import FileLock, Timeout

from xttsbench.record import SCHEMA, Record, nulled

RUN, TRIALS, AUDIO = "run.json", "trials.jsonl", "audio"
Signal = np.ndarray[Any, np.dtype[np.float32]]


def must_be_free(folder: Path) -> None:
    """Raise ValueError if a new run can't be written to `folder`."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(
            f"{str(folder)!r} holds something already; name a new folder, or go on with: sweep --resume {folder}."
        )
    parent = next(p for p in (folder, *folder.parents) if p.exists())
    if not os.access(parent, os.W_OK):
        raise ValueError(f"can't write to {str(parent)!r}; choose another place with --out.")


class Run:
    """An open run, for writing. Use `create` or `resume`, as a context manager.

    Raises
    ------
    ValueError
        If the folder can't be written, holds another run, or another process is writing it.
    """

    def __init__(self, folder: Path, meta: Mapping[str, Any]) -> None:
        self.folder = folder
        self.meta = meta
        self._lock = FileLock(str(folder / ".lock"))

    @classmethod
    def create(cls, folder: Path, meta: Mapping[str, Any]) -> Run:
        """Begin a run in a folder that is new or empty; nothing is overwritten."""
        must_be_free(folder)
        try:
            (folder / AUDIO).mkdir(parents=True)
        except OSError as error:
            raise ValueError(
                f"can't write to {str(folder)!r} ({error.strerror}); choose another place with --out."
            ) from error
        replace_text(folder / RUN, json.dumps(nulled({"schema": SCHEMA, **meta}), indent=1, ensure_ascii=False) + "\n")
        return cls(folder, read_meta(folder))

    @classmethod
    def resume(cls, folder: Path) -> Run:
        """Open a run that is there, to go on with it."""
        return cls(folder, read_meta(folder))

    def __enter__(self) -> Run:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise ValueError(
                f"another process is writing {str(self.folder)!r}; wait for it, or start a new run."
            ) from None
        except OSError as error:
            raise ValueError(
                f"can't write to {str(self.folder)!r} ({error.strerror}); choose another place."
            ) from error
        mend(self.folder / TRIALS)
        self._file = open(self.folder / TRIALS, "ab", buffering=0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._lock.release()

    def ids(self) -> set[str]:
        """Return the ids of the trials that are there."""
        return {r.trial.id for r in read(self.folder)}

    def keep_audio(self, trial_id: str, audio: Signal, *, sample_rate: int) -> str:
        """Write audio (n,) as 24-bit FLAC and return its file name within the run; the file is whole or not there."""
        name = f"{trial_id}.flac"
        path = self.folder / AUDIO / name
        part = path.with_suffix(".part")
        try:
            with open(part, "wb") as f:
                sf.write(f, np.clip(audio, -1.0, 1.0), sample_rate, format="FLAC", subtype="PCM_24")
                f.flush()
                os.fsync(f.fileno())
            part.replace(path)
        except (OSError, sf.LibsndfileError):
            part.unlink(missing_ok=True)
            raise
        return f"{AUDIO}/{name}"

    def append(self, record: Record) -> None:
        """Write a record as one line and wait until the disk has it; a line that can't be written whole is taken back."""
        append_line(self._file, record.to_json())


def append_line(file: io.FileIO, text: str) -> None:
    """Append a line to a file opened "ab" without a buffer and wait until the disk has it, whole or not at all."""
    line = (text + "\n").encode()
    before = os.fstat(file.fileno()).st_size
    try:
        written = file.write(line)
        if written != len(line):
            raise OSError(28, f"only {written} of {len(line)} bytes fit on the disk")
        os.fsync(file.fileno())
    except OSError:
        os.ftruncate(file.fileno(), before)
        raise


def mend(path: Path) -> int:
    """Cut a torn last line off a file of lines; return how many bytes went."""
    if not path.exists():
        return 0
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        with open(path, "r+b") as f:
            f.truncate(whole)
            os.fsync(f.fileno())
    return len(data) - whole


def read_meta(folder: Path) -> dict[str, Any]:
    """Return run.json; ValueError if it is missing, broken or of a newer schema."""
    try:
        meta = json.loads((folder / RUN).read_text(encoding="utf-8"))
        schema = meta["schema"]
    except FileNotFoundError:
        raise ValueError(
            f"{str(folder)!r} is not a run: it has no {RUN}; give a folder made by `sweep` or `compare`."
        ) from None
    except (OSError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{folder / RUN} can't be read ({error!r}).") from error
    if schema > SCHEMA:
        raise ValueError(
            f"{str(folder)!r} has schema {schema}, this xttsbench reads up to {SCHEMA}; install a newer xttsbench."
        )
    return dict(meta)


def read(folder: Path) -> Iterator[Record]:
    """Yield the records of a run in the order they were written; a torn last line is passed over."""
    path = folder / TRIALS
    if not path.exists():
        return
    with open(path, "rb") as f:
        for number, line in enumerate(f, 1):
            if line.endswith(b"\n"):
                try:
                    yield Record.from_json(line.decode("utf-8"))
                except ValueError as error:
                    raise ValueError(f"{path}, line {number}: {error}") from error


def read_audio(folder: Path, record: Record) -> Signal:
    """Return the audio (n,) float32 of a record; ValueError if none was kept, or if it can't be read."""
    if not record.audio:
        raise ValueError(f"trial {record.trial.id} kept no audio.")
    try:
        audio, _ = sf.read(str(folder / record.audio), dtype="float32")
    except (OSError, sf.LibsndfileError) as error:
        raise ValueError(
            f"{folder / record.audio} can't be read ({error}); was the run copied without its {AUDIO}/?"
        ) from error
    return np.asarray(audio, dtype=np.float32)


def audio_is_there(folder: Path, record: Record) -> bool:
    """Return whether a record's audio was kept and can be opened."""
    try:
        return bool(record.audio) and sf.info(str(folder / record.audio)).frames > 0
    except (OSError, sf.LibsndfileError):
        return False


def replace_text(path: Path, text: str) -> None:
    """Write a file at once or not at all, over one that is there."""
    handle, part = tempfile.mkstemp(dir=path.parent, suffix=".part")
    with open(handle, "w", encoding="utf-8") as f:
        f.write(text)
        f.flush()
        os.fsync(f.fileno())
    os.chmod(part, 0o644)
    os.replace(part, path)


def write_derived(path: Path, text: str) -> None:
    """Replace a derived file of a run (summary.csv, say) at once or not at all; a run that can't be written is still read."""
    try:
        replace_text(path, text)
    except OSError as error:
        print(f"careful: {path} was not written ({error.strerror})")
