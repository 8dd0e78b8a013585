"""The run explorer on a real run and on all that a folder of runs may hold instead."""

from __future__ import annotations

import base64
import html
import json
import math
import re
import shutil
from dataclasses import replace

import pytest
from samples import NANO, SHORT

from xttsbench import plot, stats, store, table
from xttsbench.cli import main
from xttsbench.explore import RunExplorer
from xttsbench.explore.run_explorer import ALL
from xttsbench.record import SCHEMA, Record
from xttsbench.settings import Settings
from xttsbench.spec import Trial

SWEEP = ["sweep", "--model", "nano", "--device", "cpu", "--texts", "short", "--repeats", "2", "--no-stages"]
SWEEP += ["--engines", "stock", "whole", "--stream-chunk-size", "10", "20", "--overlap-wav-len", "1024"]


def said(widget) -> str:
    return html.unescape(re.sub("<[^>]+>", " ", widget.value))


@pytest.fixture(scope="module")
def results(tmp_path_factory, homes):
    """A folder with one real run; nothing may be written into it."""
    folder = tmp_path_factory.mktemp("results")
    assert main([*SWEEP, "--out", str(folder / "real")]) == 0
    return folder


@pytest.fixture
def explorer(results):
    explorer = RunExplorer(results)
    assert "can't" not in said(explorer.message)
    return explorer


def copied(results, tmp_path, name, change):
    """A copy of the run whose records went through `change`."""
    folder = tmp_path / name
    shutil.copytree(results / "real", folder)
    records = [change(r) for r in store.read(folder)]
    (folder / store.TRIALS).write_text("".join(r.to_json() + "\n" for r in records))
    return folder


def test_a_run_opens_with_what_it_has(explorer, results):
    meta, trials = table.load_run(results / "real")
    assert explorer.run.options == (("real", 0),) and meta["command"] in said(explorer.message)
    assert (explorer.metric.value, explorer.x.value, explorer.hue.value) == ("ttfc_s", "stream_chunk_size", "engine")
    assert list(explorer.filters) == ["phase", *stats.varying(trials)] and explorer.filters["phase"].value == "timed"
    assert explorer.body.layout.display == "" and len(explorer.chosen) == 6
    assert 'alt="time to first chunk (ms) over stream_chunk_size' in explorer.figure.value


def test_the_figure_and_the_table_follow_the_metric(explorer, results):
    figure, rows = explorer.figure.value, explorer.table.value
    explorer.metric.value = "rtf"
    assert explorer.figure.value != figure and explorer.table.value != rows
    assert f"{plot.label('rtf')}: median" in said(explorer.table)
    medians = stats.summary(table.load_run(results / "real")[1])["rtf"]
    for median in medians:
        assert f"{median:.3f} [" in said(explorer.table), "what is shown is what stats says"


@pytest.mark.parametrize("pick", [("x", "engine"), ("x", "audio_s"), ("hue", ""), ("hue", "stream_chunk_size")])
def test_the_figure_follows_axes_and_hue(explorer, pick):
    before = explorer.figure.value
    getattr(explorer, pick[0]).value = pick[1]
    assert explorer.figure.value != before and explorer.figure.value.startswith("<img")


def test_two_axes_make_a_map(explorer):
    explorer.x.value, explorer.y.value = "stream_chunk_size", "engine"
    assert "over stream_chunk_size (tokens) and engine" in explorer.figure.value


def test_a_filter_leaves_its_value_only_and_says_what_is_pooled(explorer):
    assert "pools" not in said(explorer.figure)
    explorer.x.value = "engine"
    assert "A median pools what differs in stream_chunk_size" in said(explorer.figure)
    explorer.filters["stream_chunk_size"].value = "10"
    assert set(explorer.chosen["stream_chunk_size"]) == {10} and len(explorer.trial.options) == 2
    assert "pools" not in said(explorer.figure)
    explorer.filters["stream_chunk_size"].value = "none"
    assert set(explorer.chosen["engine"]) == {"whole"}
    explorer.filters["engine"].value = "stock"
    assert len(explorer.chosen) == 0 and "no trial is left" in said(explorer.figure)
    assert explorer.trial.value is None and explorer.life.value == ""


def test_untimed_phases_are_shown_trial_by_trial(explorer):
    explorer.filters["phase"].value = "cold"
    assert len(explorer.chosen) == 1 and "medians are of timed trials only" in said(explorer.table)
    explorer.filters["phase"].value = ALL
    assert len(explorer.chosen) == len(explorer.trials)


def test_a_trial_shows_its_life_and_plays(explorer, results):
    first = explorer.life.value
    assert first.startswith("<img") and 'alt="arrival of' in first
    record = next(r for r in store.read(results / "real") if r.trial.id == explorer.trial.value)
    flac = base64.b64encode((results / "real" / record.audio).read_bytes()).decode()
    assert (
        explorer.audio.value.count("<audio controls") == 1
        and f'"data:audio/flac;base64,{flac}"' in explorer.audio.value
    )
    row = table.trials([record]).iloc[0]
    assert f"{row['rtf']:.3f}" in said(explorer.life)
    explorer.trial.index = 1
    assert explorer.life.value != first


def test_no_runs_is_a_friendly_word_with_the_command(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        explorer = RunExplorer(folder)
        assert "There is no run in" in said(explorer.message) and "python -m xttsbench sweep" in said(explorer.message)
        assert explorer.body.layout.display == "none" and explorer.run.value is None


def test_a_run_that_comes_later_is_found(tmp_path, results):
    explorer = RunExplorer(tmp_path)
    shutil.copytree(results / "real", tmp_path / "later")
    explorer.refresh_button.click()
    assert explorer.run.options == (("later", 0),) and explorer.body.layout.display == ""


def test_failed_trials_only_are_a_table_of_errors(tmp_path, results):
    why = "RuntimeError: <script>alert(1)</script> out of memory"
    copied(results, tmp_path, "failed", lambda r: replace(r, status="failed", error=why, chunks=(), audio=""))
    explorer = RunExplorer(tmp_path)
    assert "0 of" in said(explorer.message) and explorer.metric.options == ()
    assert "No trial of this run succeeded" in said(explorer.figure)
    assert "6 trials failed" in said(explorer.failed) and "out of memory" in said(explorer.failed)
    assert "This trial failed: RuntimeError" in said(explorer.life) and explorer.audio.value == ""
    for widget in (explorer.failed, explorer.life, explorer.message):
        assert "<script>" not in widget.value


def test_a_failed_trial_among_others_is_listed_beside_them(tmp_path, results):
    def one(r: Record) -> Record:
        broken = r.trial.engine == "whole" and r.trial.repeat == 1
        return replace(r, status="failed", error="it broke", chunks=(), audio="") if broken else r

    explorer = RunExplorer(tmp_path, run=copied(results, tmp_path, "some", one))
    assert "1 trials failed" in said(explorer.failed) and explorer.figure.value.startswith("<img")
    assert sum("failed" in title for title, _ in explorer.trial.options) == 1


def test_a_run_of_a_newer_schema_is_listed_and_says_what_it_needs(tmp_path, results):
    shutil.copytree(results / "real", tmp_path / "old")
    folder = tmp_path / "reference" / "new"
    shutil.copytree(results / "real", folder)
    meta = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**meta, "schema": SCHEMA + 1}))
    explorer = RunExplorer(tmp_path)
    assert [title for title, _ in explorer.run.options] == ["reference/new (can't be read)", "old"], "newest first"
    assert f"has schema {SCHEMA + 1}" in said(explorer.message) and "install a newer xttsbench" in said(
        explorer.message
    )
    assert explorer.body.layout.display == "none"
    explorer.run.value = 1
    assert explorer.body.layout.display == "" and "schema" not in said(explorer.message)


def test_a_trial_of_a_newer_schema_is_a_sentence_too(tmp_path, results):
    shutil.copytree(results / "real", tmp_path / "one")
    path = tmp_path / "one" / "trials.jsonl"
    path.write_text(path.read_text().replace(f'"schema": {SCHEMA}', f'"schema": {SCHEMA + 1}'))
    assert "install a newer xttsbench" in said(RunExplorer(tmp_path).message)


def test_no_audio_is_said(tmp_path, results):
    folder = copied(results, tmp_path, "mute", lambda r: replace(r, audio=""))
    explorer = RunExplorer(run=folder, results=tmp_path / "none")
    assert "This trial kept no audio" in said(explorer.audio) and "<audio" not in explorer.audio.value
    assert explorer.life.value.startswith("<img")


def test_lost_audio_is_said(tmp_path, results):
    folder = copied(results, tmp_path, "lost", lambda r: r)
    shutil.rmtree(folder / "audio")
    assert "can't be read (No such file" in said(RunExplorer(run=folder).audio)


def test_a_replay_has_no_life_to_draw(tmp_path, results):
    def replayed(r: Record) -> Record:
        chunks = tuple(replace(c, arrival_s=math.nan, yielded_s=math.nan) for c in r.chunks)
        return replace(r, trial=replace(r.trial, phase="replay"), chunks=chunks, end_s=math.nan)

    explorer = RunExplorer(run=copied(results, tmp_path, "replay", replayed))
    assert explorer.filters["phase"].value == "replay" and explorer.metric.value == "audio_s"
    assert "A replay has no times" in said(explorer.life) and "<audio" in explorer.audio.value


def test_what_was_timed_and_what_was_made_of_it_again_are_shown_together(compared_once):
    explorer = RunExplorer(run=compared_once)
    assert set(explorer.trials["phase"]) > {"timed", "replay"} == set(explorer.chosen["phase"])
    assert explorer.filters["phase"].value == "timed and replay" and explorer.figure.value.startswith("<img")


def test_a_run_just_begun_holds_no_trial_yet(tmp_path, results):
    copied(results, tmp_path, "begun", lambda r: r)
    (tmp_path / "begun" / "trials.jsonl").unlink()
    assert "holds no trial yet" in said(RunExplorer(tmp_path).message)


def test_a_run_where_nothing_varies_is_drawn(tmp_path, results):
    shutil.copytree(results / "real", tmp_path / "one")
    trial = Trial(engine="stock", config=NANO, settings=Settings(), text=SHORT)
    good = next(r for r in store.read(tmp_path / "one") if r.trial.engine == "stock")
    (tmp_path / "one" / "trials.jsonl").write_text(replace(good, trial=trial).to_json() + "\n")
    explorer = RunExplorer(tmp_path)
    assert explorer.x.value == "engine" and explorer.figure.value.startswith("<img")
    assert plot.label("ttfc_s") in said(explorer.table)
