"""The doctor on this machine, which the other tests show to be able to synthesise, and on broken ones."""

import io

import pytest

from xttsbench import doctor
from xttsbench.combinations import examine


@pytest.fixture
def run(monkeypatch, tmp_path):
    def call(*, quick=True, **versions):
        here = doctor.facts() | versions
        monkeypatch.setattr(doctor, "facts", lambda: here)
        out = io.StringIO()
        code = doctor.doctor(out, quick=quick, results=tmp_path / "results")
        return code, out.getvalue()

    return call


def test_facts_are_what_examine_asks_for():
    here = doctor.facts()
    assert all(isinstance(value, str) and value for value in here.values())
    assert not [finding for finding in examine(here) if finding.level == "error"]


def test_quick(run, tmp_path):
    code, said = run()
    assert code == 0
    assert "coqui-tts 0.28" in said and "torch 2." in said and "GPU: " in said
    assert "xtts_v2: " in said and "CPML" in said
    assert f"results: {tmp_path / 'results'}" in said
    assert "nano" not in said
    assert said.splitlines()[-1] == "nothing known to be wrong"


def test_an_error_exits_with_1_and_says_the_mend(run):
    code, said = run(six="none")
    assert code == 1
    assert "error: six is not installed; coqui-tts imports it without declaring it.\n  to mend it: " in said
    assert said.splitlines()[-1] == "synthesis cannot work yet"


def test_a_warning_exits_with_0(run):
    code, said = run(spacy="none")
    assert code == 0 and "warning: spacy is not installed" in said


def test_it_really_speaks(run):
    code, said = run(quick=False)
    assert code == 0, said
    assert "nano on the CPU: import " in said
    assert said.splitlines()[-1] == "ready"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("raise ImportError('coqui-tts switched to a forked version of Coqpit')", "forked version of Coqpit"),
        ("import os; os._exit(7)", "ended with code 7"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "ended with code -11"),
        ("""print('{"audio_s": 0}')""", "gave no audio"),
    ],
)
def test_a_failed_try_is_one_sentence_not_a_traceback(code, words):
    line, finding = doctor.attempt(code)
    assert line == ""
    assert finding.level == "error" and words in finding.sentence
    assert "Traceback" not in str(finding)


def test_writable(tmp_path):
    assert doctor.writable(tmp_path / "not" / "yet")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    assert not doctor.writable(tmp_path / "file")
    assert not doctor.writable(tmp_path / "file" / "below")


def test_the_cache_is_where_it_was_asked_to_be(run, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XTTSBENCH_CACHE", str(tmp_path / "file"))
    _, said = run()
    assert f"cache: {tmp_path / 'file'}" in said and "set XTTSBENCH_CACHE" in said


def test_an_unwritable_results_folder_is_a_warning(tmp_path):
    (tmp_path / "results").write_text("a file in its place")
    out = io.StringIO()
    assert doctor.doctor(out, quick=True, results=tmp_path / "results") == 0
    assert f"the results folder {tmp_path / 'results'} cannot be written" in out.getvalue()
