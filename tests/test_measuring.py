"""`measure`: measured once, taken as it is afterwards, gone on with where it was broken off; what can't be shown is a sentence."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from xttsbench import runner, store
from xttsbench.measuring import NothingToShow, measure, read_runs

SCHEMA_2 = Path(__file__).parent / "data" / "schema_2"
ASKED = {"model": "nano", "device": "cpu", "engines": ["whole"], "texts": ["short"], "repeats": 2, "no_stages": True}


@pytest.fixture(scope="module")
def measured(tmp_path_factory, homes):
    """A run that `measure` made: the cold request, a warm-up and two timed ones."""
    return measure(tmp_path_factory.mktemp("results") / "run", **ASKED)


@pytest.fixture
def run(measured, tmp_path) -> Path:
    """A copy of it to spoil."""
    return Path(shutil.copytree(measured, tmp_path / "run"))


def spoil(run: Path, **changed) -> None:
    lines = [{**json.loads(line), **changed} for line in (run / store.TRIALS).read_text().splitlines()]
    (run / store.TRIALS).write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_a_run_remembers_the_words_that_made_it(measured):
    command = store.read_meta(measured)["command"]
    said = "python -m xttsbench sweep --model nano --device cpu --engines whole --texts short --repeats 2 --no-stages"
    assert command == f"{said} --out {measured}"


def test_a_run_that_is_there_is_taken_without_a_model(run, monkeypatch, capsys):
    monkeypatch.setattr(runner, "open_session", None)
    assert measure(run, **ASKED) == run
    assert capsys.readouterr().out == f"{run}: 4 of 4 trials succeeded\n"


def test_other_words_are_said_to_be_others(run, monkeypatch, capsys):
    monkeypatch.setattr(runner, "open_session", None)
    measure(run, **{**ASKED, "repeats": 3})
    assert f"{run} is there already and is shown as it is; it was made by: python -m" in capsys.readouterr().out


def test_a_run_broken_off_is_gone_on_with(run, capsys):
    lines = (run / store.TRIALS).read_text().splitlines(keepends=True)
    (run / store.TRIALS).write_text("".join(lines[:3]))
    assert measure(run, **ASKED) == run
    assert "1 trials to go: going on" in capsys.readouterr().out
    assert len(list(store.read(run))) == 4


def test_somebody_elses_run_broken_off_is_shown_and_not_gone_on_with(run, monkeypatch, capsys):
    lines = (run / store.TRIALS).read_text().splitlines(keepends=True)
    (run / store.TRIALS).write_text("".join(lines[:3]))
    monkeypatch.setattr(runner, "open_session", None)
    measure(run, model="nano")
    assert f"1 of its trials are still to be run: python -m xttsbench sweep --resume {run}" in capsys.readouterr().out


def test_a_run_made_elsewhere_is_shown_even_if_it_cannot_be_gone_on_with(run, capsys):
    meta = json.loads((run / store.RUN).read_text())
    (run / store.RUN).write_text(json.dumps({**meta, "machine": {**meta["machine"], "cpu": "another"}}))
    lines = (run / store.TRIALS).read_text().splitlines(keepends=True)
    (run / store.TRIALS).write_text("".join(lines[:3]))
    measure(run, **ASKED)
    out = capsys.readouterr().out
    assert "cpu 'another' then" in out and "What is there is shown." in out and "3 of 3 trials succeeded" in out


SPOILT = {
    "failed trials only": "4 of 4 failed; most often: RuntimeError: out of memory",
    "no trial yet": "holds no trial yet; go on with",
    "a newer schema": "has schema 999, this xttsbench reads up to 2; install a newer xttsbench",
}


@pytest.mark.parametrize("case", SPOILT)
def test_what_cannot_be_shown_is_a_sentence(run, case, monkeypatch):
    monkeypatch.setattr(runner, "open_session", None)
    if case == "failed trials only":
        spoil(run, status="failed", error="RuntimeError: out of memory")
    elif case == "no trial yet":
        (run / store.TRIALS).unlink()
    else:
        (run / store.RUN).write_text('{"schema": 999}')
    with pytest.raises(NothingToShow) as error:
        measure(run, model="nano")
    assert SPOILT[case] in str(error.value)
    assert error.value._render_traceback_() == [f"xttsbench: {error.value}"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"stream_chunk_size": [0]}, "stream_chunk_size is 0; it takes 1 to 600"),
        ({"stream_chunk": [20]}, "`sweep` does not take these options"),
        ({"device": "tpu"}, "tpu"),
    ],
)
def test_what_cannot_be_measured_is_a_sentence_and_writes_nothing(in_tmp, options, says):
    with pytest.raises(NothingToShow, match=says):
        measure("results/new", **{**ASKED, **options})
    assert not list(in_tmp.iterdir())


def test_a_folder_without_runs_says_how_to_make_one(in_tmp, capsys):
    assert read_runs("results/reference") == {}
    assert "results/reference holds no run yet. Copy the folder of a run there, or make one" in capsys.readouterr().out


def test_runs_are_read_and_those_of_a_newer_schema_named(in_tmp, capsys):
    shutil.copytree(SCHEMA_2, in_tmp / "results" / "one")
    Path("results/two").mkdir()
    Path("results/two/run.json").write_text('{"schema": 999}')
    (meta, trials) = read_runs("results")["one"]
    assert meta["schema"] == 2 and len(trials)
    assert "left out:" in capsys.readouterr().out
