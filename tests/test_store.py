"""Nothing is lost, overwritten or half written: kill, full disk, torn line, two writers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace

import numpy as np
import pytest

from xttsbench import store
from xttsbench.record import SCHEMA, Chunk, Record
from xttsbench.store import Run

META = {"sweep": {}, "machine": {"ram_bytes": float("nan")}}


def record(trial, repeat=0) -> Record:
    return Record(trial=replace(trial, repeat=repeat), end_s=1.0, chunks=(Chunk(0.1, 0.1, 240),))


def test_what_was_appended_is_read_back_in_order(trial, tmp_path):
    with Run.create(tmp_path / "run", META) as run:
        for i in range(3):
            run.append(record(trial, i))
        assert run.ids() == {record(trial, i).trial.id for i in range(3)}
    assert [r.trial.repeat for r in store.read(tmp_path / "run")] == [0, 1, 2]
    assert store.read_meta(tmp_path / "run")["machine"]["ram_bytes"] is None


def test_audio_survives_as_24_bit_flac(trial, tmp_path):
    audio = np.sin(np.arange(2400) / 7).astype(np.float32)
    with Run.create(tmp_path / "run", META) as run:
        name = run.keep_audio("abc", audio, sample_rate=24000)
    back = store.read_audio(tmp_path / "run", replace(record(trial), audio=name))
    assert np.abs(back - audio).max() <= 2**-22
    import soundfile as sf

    assert sf.info(str(tmp_path / "run" / name)).subtype == "PCM_24"
    with pytest.raises(ValueError, match="kept no audio"):
        store.read_audio(tmp_path / "run", record(trial))
    kept = replace(record(trial), audio=name)
    assert store.audio_is_there(tmp_path / "run", kept) and not store.audio_is_there(tmp_path / "run", record(trial))
    for spoil in (lambda path: path.write_bytes(b"no sound"), lambda path: path.unlink()):
        spoil(tmp_path / "run" / name)
        assert not store.audio_is_there(tmp_path / "run", kept)
        with pytest.raises(ValueError, match="copied without its audio/"):
            store.read_audio(tmp_path / "run", kept)


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(ValueError, match="holds something already"):
        Run.create(tmp_path / "mine", META)
    assert os.listdir(tmp_path / "mine") == ["thesis.txt"]


@pytest.mark.parametrize("torn", [b'{"schema": 1, "id"', b"\x00\xff", b"{", '{"text": "\u4f60'.encode()[:-1]])
def test_a_torn_last_line_is_mended_when_the_run_is_opened(trial, tmp_path, torn):
    folder = tmp_path / "run"
    with Run.create(folder, META) as run:
        run.append(record(trial))
    whole = (folder / store.TRIALS).read_bytes()
    (folder / store.TRIALS).write_bytes(whole + torn)
    assert len(list(store.read(folder))) == 1, "reading passes over it"
    with Run.resume(folder) as run:
        run.append(record(trial, 1))
    assert (folder / store.TRIALS).read_bytes().startswith(whole)
    assert [r.trial.repeat for r in store.read(folder)] == [0, 1]


def test_a_broken_line_is_named_by_file_and_number(trial, tmp_path):
    with Run.create(tmp_path / "run", META) as run:
        run.append(record(trial))
    with open(tmp_path / "run" / store.TRIALS, "ab") as f:
        f.write(b'{"schema": 2}\n')
    with pytest.raises(ValueError, match=r"trials\.jsonl, line 2: not a whole trial record"):
        list(store.read(tmp_path / "run"))


def test_two_writers_are_refused(tmp_path):
    with Run.create(tmp_path / "run", META), pytest.raises(ValueError, match="another process is writing"):
        Run.resume(tmp_path / "run").__enter__()
    with Run.resume(tmp_path / "run"):
        pass


def test_two_processes_are_refused(tmp_path):
    with Run.create(tmp_path / "run", META):
        code = f"from pathlib import Path; from xttsbench.store import Run; Run.resume(Path({str(tmp_path / 'run')!r})).__enter__()"
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert other.returncode and "another process is writing" in other.stderr


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from samples import NANO, SHORT
from xttsbench.record import Chunk, Record
from xttsbench.spec import Settings, Trial
from xttsbench.store import Run
{limit}
with Run.{how} as run:
    for i in range({n}):
        trial = Trial(engine="stock", config=NANO, settings=Settings(), text=SHORT, repeat=i)
        run.append(Record(trial=trial, end_s=1.0, chunks=tuple(Chunk(0.1, 0.1, 240) for _ in range(50))))
        print(i, flush=True)
"""


def writer(folder, *, n, limit="", how=None):
    how = how or f"create(Path({str(folder)!r}), {{}})"
    code = WRITER.format(tests=os.path.dirname(__file__), limit=textwrap.dedent(limit), how=how, n=n)
    return [sys.executable, "-c", code]


def test_kill_9_loses_at_most_the_trial_under_way(tmp_path):
    folder = tmp_path / "run"
    with subprocess.Popen(writer(folder, n=100_000), stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if int(line) >= 20:
                break
        process.send_signal(signal.SIGKILL)
        said = [int(line) for line in process.stdout.read().split() if line]
    there = [r.trial.repeat for r in store.read(folder)]
    assert there == list(range(len(there)))
    assert len(there) >= max([20, *said]) + 1
    with Run.resume(folder) as run:
        assert len(run.ids()) == len(there), "the lock went with the process"


def test_a_full_disk_keeps_every_trial_before_it(tmp_path):
    folder = tmp_path / "run"
    limit = """
    import resource, signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    """
    done = subprocess.run(writer(folder, n=1000, limit=limit), capture_output=True, text=True)
    assert done.returncode and "OSError" in done.stderr
    said = len(done.stdout.split())
    content = (folder / store.TRIALS).read_bytes()
    assert 1 <= said == content.count(b"\n") and content.endswith(b"\n"), "no torn line is left"
    assert len(list(store.read(folder))) == said


def test_a_newer_schema_is_refused_with_its_version(tmp_path):
    (tmp_path / store.RUN).write_text(json.dumps({"schema": SCHEMA + 7}))
    with pytest.raises(ValueError, match=f"schema {SCHEMA + 7}.*newer"):
        store.read_meta(tmp_path)


@pytest.mark.parametrize("content", [None, "{", "[]", "{}"])
def test_what_is_not_a_run_is_said(tmp_path, content):
    if content is not None:
        (tmp_path / store.RUN).write_text(content)
    with pytest.raises(ValueError, match=r"not a run|can't be read"):
        store.read_meta(tmp_path)
