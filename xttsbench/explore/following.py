"""A sweep in a process of its own, and what it has written so far. The two meet only in the folder of the run.

So the kernel stays free, the measurement is not disturbed by it, and the command is the one a terminal would take.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from xttsbench import store
from xttsbench.record import Record

WINDOWS = sys.platform == "win32"
NEW_GROUP = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)  # Windows has it
BAR = re.compile(r"\d+/\d+ \[")  # what tqdm writes
RUNNING: weakref.WeakSet[Job] = weakref.WeakSet()


class Job:
    """`python -m xttsbench ARGV`, begun at once. It ends with this kernel, or when nobody holds it any more."""

    def __init__(self, argv: Sequence[str], folder: Path) -> None:
        self.argv = tuple(argv)
        self.folder = folder.absolute()
        self.stopped = False
        self._errors: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process writes to it
        # A group of its own: interrupting a cell must not interrupt the sweep.
        own: dict[str, Any] = {"creationflags": NEW_GROUP} if WINDOWS else {"start_new_session": True}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "xttsbench", *argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
            env={**os.environ, "PYTHONUTF8": "1"},
            **own,
        )
        self._end = weakref.finalize(self, _end, self._process, self._errors)
        RUNNING.add(self)

    @property
    def command(self) -> str:
        """The command as a terminal takes it."""
        return command_line(self.argv)

    @property
    def code(self) -> int | None:
        """The exit code, negative for the signal that killed it; None while it runs."""
        return self._process.poll()

    @property
    def ending(self) -> str:
        """How it ended, in words."""
        return f"signal {-self.code}" if self.code is not None and self.code < 0 else f"code {self.code}"

    def wait(self, seconds: float) -> bool:
        """Wait at most `seconds`; return whether it has ended."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        RUNNING.discard(self)
        return True

    def stop(self) -> None:
        """Ask it to end as by Ctrl-C; asked again, kill it. What is on disk is whole either way.

        Not by SIGINT: a kernel ignores that between cells, and its children with it.
        """
        if self.code is not None:
            return
        if self.stopped:
            self._process.kill()
        elif WINDOWS:
            self._process.send_signal(signal.CTRL_BREAK_EVENT)  # type: ignore[attr-defined,unused-ignore]
        else:
            self._process.terminate()
        self.stopped = True

    def last_words(self) -> str:
        """Return the last line it wrote to stderr, once it has ended; its progress bar is passed over."""
        self._errors.seek(0)
        lines = re.split(r"[\r\n]+", self._errors.read().decode("utf-8", "replace"))
        said = [line.strip() for line in lines if line.strip() and not BAR.search(line)]
        return said[-1].removeprefix("xttsbench: ") if said else ""


class Tail:
    """The records of a run, each returned once as they come."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / store.TRIALS
        self._at = 0

    def new(self) -> list[Record]:
        """Return the records that were written since the last call; a line under way waits for the next."""
        if not self.path.exists():
            return []
        with open(self.path, "rb") as f:
            f.seek(self._at)
            data = f.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._at += len(whole)
        return [Record.from_json(line.decode("utf-8")) for line in whole.split(b"\n") if line]


def command_line(argv: Sequence[str]) -> str:
    """Return `argv` as a terminal takes it: in the shell's quotes, or those of Windows."""
    words = ["python", "-m", "xttsbench", *argv]
    return subprocess.list2cmdline(words) if WINDOWS else shlex.join(words)


def _end(process: subprocess.Popen[bytes], errors: BinaryIO) -> None:
    errors.close()
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
