"""`notebook` and `lab`: a template found, its parameters checked, executed beside the run it shows; JupyterLab asked for."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import nbformat
import pytest

from xttsbench import notebooks
from xttsbench.cli import main

SCHEMA_2 = Path(__file__).parent / "data" / "schema_2"
PARAMETERS = 'RUN = "results/here"\nNUMBER = 2\nSHARE = 0.5\nNAMES = ["a"]\nWORD = "x"'


def write(path: Path, *sources: str) -> None:
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    cells[0].metadata["tags"] = ["parameters"]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), path)


@pytest.fixture
def templates(in_tmp, monkeypatch):
    """Three small notebooks in place of the shipped ones: one that works, one that stops, one about no run."""
    folder = in_tmp / "clone" / "notebooks"
    folder.mkdir(parents=True)
    write(
        folder / "01_works.ipynb", PARAMETERS, "from pathlib import Path\nprint(NUMBER, WORD, Path(RUN).resolve().name)"
    )
    write(folder / "02_stops.ipynb", PARAMETERS, "print('before')", "raise KeyError('it')")
    write(folder / "03_about_all.ipynb", 'RESULTS = "results"', "print(RESULTS)")
    monkeypatch.setattr(notebooks, "CLONE", folder.parent)
    monkeypatch.setattr(notebooks, "TEMPLATES", folder)
    return folder


@pytest.fixture
def run(in_tmp) -> Path:
    return Path(shutil.copytree(SCHEMA_2, in_tmp / "results" / "old"))


def printed(path: Path) -> str:
    cells = nbformat.read(path, as_version=4).cells
    return "".join(o.get("text", "") for c in cells if c.cell_type == "code" for o in c.outputs)


def test_a_notebook_is_found_by_number_and_name(templates):
    for name in ("1", "01", "works", "01_works", "01_works.ipynb"):
        assert notebooks.find(name) == templates / "01_works.ipynb"


def test_the_shipped_notebooks_are_found_and_have_parameters():
    assert notebooks.find("1").stem == "01_quickstart"
    assert notebooks.parameters(notebooks.find("1"))["RUN"] == "results/quickstart"


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["9"], "unknown notebook '9'; known: 01_works, 02_stops, 03_about_all"),
        (["1", "-p", "NUMER", "3"], "01_works has no parameter 'NUMER'; it takes RUN, NUMBER, SHARE, NAMES, WORD"),
        (["1", "-p", "NUMBER", "many"], "NUMBER was given 'many'; 01_works takes a value of the kind of 2"),
        (["1", "-p", "NAMES", "a"], "NAMES was given 'a'; 01_works takes a value of the kind of ['a']"),
        (["3", "--run", "results/old"], "03_about_all is not about one run; leave out --run. It takes RESULTS"),
        (["1", "--run", "newer"], "'newer' has schema 999, this xttsbench reads up to 2"),
    ],
)
def test_bad_input_is_one_sentence_and_writes_nothing(templates, argv, says, capsys):
    Path("newer").mkdir()
    Path("newer/run.json").write_text('{"schema": 999}')
    before = sorted(Path.cwd().rglob("*"))
    assert main(["notebook", *argv]) == 2
    err = capsys.readouterr().err
    assert says.replace("'newer'", repr(str(Path("newer").resolve()))) in err and len(err.strip().splitlines()) == 1
    assert sorted(Path.cwd().rglob("*")) == before


def test_without_templates_it_says_where_they_come_from(in_tmp, monkeypatch, capsys):
    monkeypatch.setattr(notebooks, "TEMPLATES", in_tmp / "none")
    for command in (["notebook", "1"], ["lab"]):
        assert main(command) == 2
        assert "they come with a clone of the repository" in capsys.readouterr().err


def test_values_are_python_and_words_stay_words(templates):
    words = [("NUMBER", "3"), ("SHARE", "1"), ("NAMES", "['b', 'c']"), ("WORD", "5")]
    values = notebooks.given(templates / "01_works.ipynb", words)
    assert values == {"NUMBER": 3, "SHARE": 1, "NAMES": ["b", "c"], "WORD": "5"}


@pytest.mark.filterwarnings("default")  # the kernel's client is jupyter's own
def test_the_copy_lies_beside_the_run_and_the_template_stays(templates, run, capsys):
    before = (templates / "01_works.ipynb").read_bytes()
    assert main(["notebook", "works", "--run", str(run), "-p", "NUMBER", "7", "--html"]) == 0
    copy = run / "01_works.ipynb"
    assert capsys.readouterr().out == f"{copy}, {copy.with_suffix('.html')}\n"
    assert printed(copy) == "7 x old\n"
    assert "7 x old" in copy.with_suffix(".html").read_text()
    assert (templates / "01_works.ipynb").read_bytes() == before
    assert sorted(p.name for p in run.parent.iterdir()) == ["old"], "nothing else is left"


@pytest.mark.filterwarnings("default")
def test_an_error_in_a_cell_is_a_sentence_and_the_half_executed_copy_is_kept(templates, capsys):
    for _ in range(2):  # a copy of a try that failed is in nobody's way
        assert main(["notebook", "2"]) == 1
        said = capsys.readouterr()
        assert said.err == "xttsbench: 02_stops stopped in cell 4: KeyError: 'it'\n"
        assert said.out == f"{Path('results/here/02_stops.ipynb').resolve()}\n"
        assert "before" in printed(Path("results/here/02_stops.ipynb"))


@pytest.mark.filterwarnings("default")
def test_a_notebook_about_no_single_run_goes_into_results(templates, capsys):
    assert main(["notebook", "3", "-p", "RESULTS", "elsewhere"]) == 0
    assert printed(Path("results/03_about_all.ipynb")) == "elsewhere\n"


@pytest.fixture
def started(monkeypatch):
    """What `lab` would turn into."""
    calls: list[list[str]] = []

    def execv(path, argv):
        calls.append(argv)
        raise SystemExit(0)

    monkeypatch.setattr(os, "execv", execv)
    return calls


def test_lab_opens_the_notebooks_of_the_clone(started):
    with pytest.raises(SystemExit):
        main(["lab", "--no-browser", "--port", "9000"])
    (argv,) = started
    assert argv[1:3] == ["-m", "jupyterlab"] and argv[-2:] == ["--no-browser", "--port=9000"]
    assert f"--ServerApp.root_dir={notebooks.CLONE}" in argv
    assert "--LabApp.default_url=/lab/tree/notebooks/01_quickstart.ipynb" in argv


@pytest.mark.filterwarnings("default")
def test_lab_on_a_run_opens_copies_that_show_it_and_keeps_those_there(templates, run, started):
    (run / "02_stops.ipynb").write_text("mine")
    with pytest.raises(SystemExit):
        main(["lab", str(run)])
    assert f"--ServerApp.root_dir={run.parent}" in started[0]
    assert "--LabApp.default_url=/lab/tree/old/01_works.ipynb" in started[0]
    assert 'RUN = "."' in [c.source.splitlines()[-1] for c in nbformat.read(run / "01_works.ipynb", as_version=4).cells]
    assert (run / "02_stops.ipynb").read_text() == "mine"
    assert not (run / "03_about_all.ipynb").exists()


def test_lab_on_no_run_says_so(templates, capsys):
    assert main(["lab", "nowhere"]) == 2
    assert "'nowhere' is not a run" in capsys.readouterr().err


def test_in_a_clone_results_are_the_clones(templates, monkeypatch):
    monkeypatch.chdir(templates)
    assert notebooks.place("results/a") == templates.parent.resolve() / "results" / "a"
    (templates / "results" / "a").mkdir(parents=True)
    assert notebooks.place("results/a") == templates.resolve() / "results" / "a"
    monkeypatch.chdir(templates.parent.parent)
    assert notebooks.place("results/a") == templates.parent.parent.resolve() / "results" / "a"
