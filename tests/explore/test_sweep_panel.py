"""The sweep panel, driven as a person would: fields set, buttons pressed, a real nano sweep started, stopped and gone on with."""

from __future__ import annotations

import base64
import gc
import html
import re
import subprocess
import sys
import time
import weakref
from pathlib import Path

import pytest

from xttsbench import store
from xttsbench.explore import SweepPanel
from xttsbench.explore.asking import asked
from xttsbench.explore.following import RUNNING, Job
from xttsbench.grid import Sweep
from xttsbench.presets import PRESETS
from xttsbench.settings import ENGINES

TINY = dict(model="nano", device="cpu", engines=["stock"], texts=["short"], repeats=2)
VALUES = {"stream_chunk_size": (10, 20), "overlap_wav_len": (1024,)}


def said(widget) -> str:
    return html.unescape(re.sub("<[^>]+>", "", widget.value))


def until(panel, reached, *, seconds=180.0):
    """Wait on the panel's own process until `reached`, with a bound."""
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end, f"{panel.state}: {said(panel.said)}"
        panel.wait(0.1)


@pytest.fixture
def panel(in_tmp):
    panel = SweepPanel(**TINY, values=VALUES)
    yield panel
    panel.close()


def test_a_sweep_is_started_stopped_after_its_first_records_and_gone_on_with(panel):
    assert (panel.start_button.disabled, panel.stop_button.disabled, panel.resume_button.disabled) == (0, 1, 1)
    plan, _ = asked(panel._argv)
    assert said(panel.check).startswith(f"{plan.count()} trials: 2 settings with 2 repeats")

    panel.start_button.click()
    assert panel.state == "running" and panel.form.fields["repeats"].disabled
    assert (panel.start_button.disabled, panel.stop_button.disabled, panel.resume_button.disabled) == (1, 0, 1)
    until(panel, lambda: panel.live.done >= 1 or panel.state != "running")
    until(panel, lambda: "1 of 9" in said(panel.said) or panel.live.done > 1)
    other = SweepPanel()
    assert other.state == "running" and not other.stop_button.disabled, "a cell that runs again finds what it began"

    panel.stop_button.click()
    assert panel.state == "stopping" and panel.stop_button.description == "Kill"
    assert panel.wait(120) == "stopped" and other.wait(120) == "stopped"
    assert panel.folder.parent.name == "results" and "Resume goes on" in said(panel.said)
    before = [r.trial.id for r in store.read(panel.folder)]
    assert 1 <= len(before) < 9
    assert (panel.folder / "summary.csv").exists(), "it ended as by Ctrl-C: shown, not killed"

    assert panel.unfinished.value == panel.folder
    assert (panel.start_button.disabled, panel.stop_button.disabled, panel.resume_button.disabled) == (0, 1, 0)
    later = SweepPanel()
    assert later.unfinished.value == panel.folder and not later.resume_button.disabled, "a later kernel finds it too"
    later.close()
    panel.resume_button.click()
    assert panel.wait(180) == "finished", said(panel.said)
    records = list(store.read(panel.folder))
    unbroken = [t.id for t in Sweep.from_json(store.read_meta(panel.folder)["sweep"]).trials()]
    assert [r.trial.id for r in records] == unbroken and unbroken[: len(before)] == before
    assert unbroken == [t.id for t in plan.trials()], "what was counted is what ran"
    assert panel.live.progress.value == panel.live.progress.max == 9 and panel.live.progress.bar_style == "success"
    assert panel.unfinished.label == "none" and panel.resume_button.disabled

    first = panel.live.figure.value
    assert base64.b64decode(first.split("base64,")[1].split('"')[0]).startswith(b"\x89PNG")
    assert 'alt="time to first chunk (ms) over stream_chunk_size' in first
    panel.live.metric.value = "rtf"
    assert panel.live.figure.value != first
    other.close()


def test_the_command_shown_is_the_one_that_runs(panel):
    import shlex

    words = shlex.split(said(panel.command))
    assert words[:4] == ["python", "-m", "xttsbench", "sweep"]
    panel.start_button.click()
    (job,) = RUNNING
    assert shlex.split(job.command)[3:] == list(job.argv) and job.command == said(panel.command)
    panel.stop()
    panel.stop()
    assert panel.wait(60) == "stopped"
    assert said(panel.said) == "stopped: nothing was written yet"


def test_a_preset_fills_the_fields_in_and_an_empty_field_leaves_its_values_to_the_preset(panel):
    panel.form.fields["preset"].value = "latency"
    preset = PRESETS["latency"]
    assert panel.form.fields["stream_chunk_size"].value.split() == [str(v) for v in preset.grid["stream_chunk_size"]]
    assert [name for name, box in panel.form.engines.items() if box.value] == list(ENGINES)
    there = said(panel.check)
    panel.form.fields["stream_chunk_size"].value = ""
    assert said(panel.check) == there and "5 10 20" in panel.form.fields["stream_chunk_size"].placeholder


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_can_be_asked_for(preset, in_tmp):
    panel = SweepPanel(preset=preset, model="nano")
    plan, _ = asked(panel._argv)
    assert plan.count() == len(plan.trials())
    assert said(panel.check).startswith(f"{plan.count():,} trials") and not panel.start_button.disabled


def test_own_texts_and_other_options_reach_the_sweep(panel):
    panel.form.fields["text"].value = "How soon does it come?\n\nI'd like to hear it."
    panel.form.fields["other"].value = "--no-stages --threads 1"
    plan, _ = asked(panel._argv)
    assert [(t.name, t.text) for t in plan.texts] == [
        ("own-01", "How soon does it come?"),
        ("own-02", "I'd like to hear it."),
    ]
    assert plan.stages is False and plan.configs[0].threads == 1


BAD = {
    "out of range": ("stream_chunk_size", "0", "stream_chunk_size is 0; it takes 1 to 600"),
    "not a number": ("temperature", "0.5 warm", "argument --temperature: invalid float value: 'warm'"),
    "unknown word": ("join", "glue", "unknown join 'glue'; known: none, pause, trimmed"),
    "no repeats": ("repeats", 0, "repeats is 0; a sweep needs 1 or more"),
    "seed": ("seed", -1, "seed is -1"),
    "language": ("languages", "xx", "unknown language 'xx'"),
    "unknown option": ("other", "--stream-chunk-sise 2", "did you mean --stream-chunk-size?"),
    "open quote": ("other", "--voice 'a", "No closing quotation"),
    "help": ("other", "--help", "--help is for a terminal"),
    "dry run": ("other", "--dry-run", "are for a terminal"),
    "voice": ("other", "--voice gone.wav", "voice file 'gone.wav' is not there"),
    "taken": ("out", "here", "holds something already"),
    "too many": ("seed", 2**63, "seed is 9223372036854775808"),
}


@pytest.mark.parametrize(("field", "value", "says"), BAD.values(), ids=BAD)
def test_bad_input_says_its_sentence_and_starts_nothing(panel, in_tmp, field, value, says):
    (in_tmp / "here").mkdir()
    (in_tmp / "here" / "mine.txt").write_text("x")
    good = panel.form.fields[field].value
    panel.form.fields[field].value = value
    assert says in said(panel.check) and 'role="alert"' in panel.check.value
    assert panel.start_button.disabled and panel.command.value == ""
    panel.start()
    assert panel.state == "idle" and not RUNNING
    panel.form.fields[field].value = good
    assert not panel.start_button.disabled


def test_no_engine_and_too_many_combinations_and_no_checkpoint(panel):
    panel.form.engines["stock"].value = False
    assert "--engines" in said(panel.check) and panel.start_button.disabled
    panel.form.engines["stock"].value = True
    for name, values in (("top_k", range(1, 101)), ("temperature", range(1, 10)), ("seed", [0])):
        panel.form.fields[name].value = " ".join(map(str, values)) if name != "seed" else 0
    panel.form.fields["top_p"].value = "0.1 0.2 0.3 0.4"
    assert "7,200 combinations of values are too many to count here" in said(panel.check)
    panel.form.fields["top_k"].value = ""
    panel.form.fields["model"].value = "checkpoint folder"
    panel.form.fields["checkpoint"].value = "<b>nowhere</b>"
    assert "is neither a known name nor a folder" in said(panel.check) and "<b>" not in panel.check.value


def test_a_process_that_dies_says_its_last_line(panel):
    panel.form.fields["other"].value = "--max-seconds 0"
    panel.start_button.click()
    assert panel.wait(60) == "failed"
    assert "code 2: --max-seconds is 0.0; it takes a number of seconds above 0." in said(panel.said)
    assert not panel.start_button.disabled and panel.stop_button.disabled


def test_a_process_that_is_killed_says_so(panel):
    panel.start_button.click()
    panel._job._process.kill()
    assert panel.wait(60) == "failed"
    assert re.search("ended with (signal 9|code 1)", said(panel.said))


def test_a_run_that_can_not_be_read_any_more_is_said(panel):
    panel.folder = panel.results / "odd"
    panel.folder.mkdir(parents=True)
    (panel.folder / "trials.jsonl").write_text("nonsense\n")
    panel._follow(Job(["sweep", "--max-seconds", "0", "--out", "x"], panel.folder))
    assert panel.wait(60) == "failed" and "can't be followed" in said(panel.said)


def test_closing_ends_what_runs_and_leaves_nothing(in_tmp):
    panel = SweepPanel(**TINY, values=VALUES)
    panel.start()
    job, gone = panel._job, weakref.ref(panel)
    panel.close()
    assert job.code is not None and not RUNNING
    del panel
    gc.collect()
    assert gone() is None


def test_a_sweep_nobody_holds_is_ended():
    job = Job(["sweep", "--model", "nano", "--dry-run"], Path("x"))
    process = job._process
    del job
    gc.collect()
    assert process.poll() is not None


def test_choosing_needs_no_torch(in_tmp):
    code = "import sys; from xttsbench.explore import SweepPanel; p = SweepPanel(); print('torch' in sys.modules, len(p._argv) > 9)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
