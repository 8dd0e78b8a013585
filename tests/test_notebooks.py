"""Every notebook runs to its end with its widgets shown and not clicked, is stored without outputs, and begins with its parameters."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from xttsbench.notebooks import parameters

FOLDER = Path(__file__).parent.parent / "notebooks"
NANO = {"MODEL": "nano", "DEVICE": "cpu"}
SWEPT = {"RUN": "results/sweep", "ENGINES": ["stock", "seamless"], "CHUNK_SIZES": [10, 20], "REPEATS": 2}
ONE_VALUE = {"top_p": [0.85], "repetition_penalty": [10.0], "do_sample": [True], "speed": [1.0]}
# Small parameters for each notebook, over one results folder; one that is not named here has no test, and fails.
SMALL = {
    "01_quickstart": NANO | SWEPT,
    "02_sweep": NANO | SWEPT | {"TEXTS": ["short"]},  # looks at the run of 01
    "03_streaming_vs_naive": NANO | {"RUN": "results/compare", "REPEATS": 1},
    "04_sampling": NANO
    | {"REPEATS": 2, "GRID": {"temperature": [0.75, 0.2], "top_k": [50, 1], "length_penalty": [1.0, 2.0], **ONE_VALUE}},
    "05_seams": NANO | {"REPEATS": 1, "CHUNK_SIZES": [5, 20], "OVERLAPS": [256, 4096]},
    "06_reference_results": {"RESULTS": "results"},  # the runs of those before it
}
NAMES = sorted(path.stem for path in FOLDER.glob("*.ipynb"))
MOST_LINES = 10


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """Where all notebooks are executed, so that one can look at the run of another."""
    return tmp_path_factory.mktemp("notebooks")


def cells_of(name: str, folder: Path, values: dict[str, object]) -> list:
    """Return the code cells of a notebook run with these parameters, with their outputs."""
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    code[0].source += "".join(f"\n{key} = {value!r}" for key, value in values.items())
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}})
    # as a user's kernel: figures come inline, not by the backend of these tests
    client.execute(env={k: v for k, v in os.environ.items() if k != "MPLBACKEND"})
    return code


def executed(name: str, folder: Path, values: dict[str, object]) -> list:
    """Return all outputs of a notebook run with these parameters."""
    return outputs_of(cells_of(name, folder, values))


def outputs_of(cells: list) -> list:
    return [o for cell in cells for o in cell.outputs]


def kinds(outputs: list) -> list[str]:
    return [kind for o in outputs for kind in o.get("data", {})]


def said(outputs: list) -> str:
    return "".join(o.get("text", "") + o.get("data", {}).get("text/plain", "") for o in outputs)


def test_every_notebook_is_run_by_a_test():
    assert sorted(SMALL) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_a_template(name):
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code[0].metadata.get("tags") == ["parameters"]
    assert SMALL[name].keys() <= parameters(FOLDER / f"{name}.ipynb").keys()
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    assert [len(c.source.splitlines()) for c in code if len(c.source.splitlines()) > MOST_LINES] == []
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    first, last = notebook.cells[0], notebook.cells[-1]
    assert "You will" in first.source and last.source.startswith("## Next")


@pytest.mark.filterwarnings("default")  # the kernel is another process; these are jupyter's own
@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs_to_its_end(name, here):
    if name == "06_reference_results" and not (here / "results").exists():
        executed("01_quickstart", here, SMALL["01_quickstart"])
    cells = cells_of(name, here, SMALL[name])
    outputs = outputs_of(cells)
    assert not [o for o in outputs if o.output_type == "error"]
    drawn = [cell for cell in cells if "plt.subplots" in cell.source]
    assert drawn and not [cell.source for cell in drawn if "image/png" not in kinds(cell.outputs)]
    shown = kinds(outputs)
    assert "text/html" in shown, "a table was shown"
    if name != "04_sampling":
        assert "application/vnd.jupyter.widget-view+json" in shown
    assert not [o for o in outputs if o.output_type == "stream" and "Warning" in o.text], said(outputs)


@pytest.mark.filterwarnings("default")
def test_a_notebook_runs_again_over_the_run_that_is_there(here):
    """The run of 01 is there, or is made now; it is measured once."""
    for _ in range(2):
        outputs = executed("01_quickstart", here, SMALL["01_quickstart"])
    assert "$ python -m xttsbench sweep" not in said(outputs)


@pytest.mark.filterwarnings("default")
def test_without_reference_runs_the_notebook_says_how_to_make_one(tmp_path):
    outputs = executed("06_reference_results", tmp_path, {})
    assert "results/reference holds no run yet" in said(outputs)
    assert not [o for o in outputs if o.output_type == "error"]


@pytest.mark.filterwarnings("default")
def test_a_run_of_a_newer_schema_is_a_sentence_and_no_traceback(tmp_path):
    (tmp_path / "run.json").write_text('{"schema": 999}')
    with pytest.raises(CellExecutionError) as error:
        executed("05_seams", tmp_path, {"RUN": "."})
    assert error.value.ename == "NothingToShow" and "has schema 999" in error.value.evalue
    said = error.value.traceback.strip().splitlines()
    assert said[-1] == f"xttsbench: {error.value.evalue}" and not any("Traceback" in line for line in said)
