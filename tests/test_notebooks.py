"""Every notebook runs, is stored without outputs, and begins with its parameters."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parent.parent / "notebooks"
# Small parameters for each notebook; one that is not named here has no test, and fails.
SMALL = {"01_quickstart": 'MODEL, DEVICE, CHUNK_SIZES, REPEATS, OUT = "nano", "cpu", [20], 1, "results/quickstart"'}
NAMES = sorted(path.stem for path in FOLDER.glob("*.ipynb"))


def test_every_notebook_is_run_by_a_test():
    assert sorted(SMALL) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_a_template(name):
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code[0].metadata.get("tags") == ["parameters"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    assert all(len(cell.source.splitlines()) <= 12 for cell in code)


@pytest.mark.filterwarnings("default")  # the kernel is another process; these are jupyter's own
@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs_to_its_end(name, tmp_path):
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    parameters = next(cell for cell in notebook.cells if cell.cell_type == "code")
    parameters.source = SMALL[name]
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [o for cell in notebook.cells if cell.cell_type == "code" for o in cell.outputs]
    assert not [o for o in shown if o.output_type == "error"]
    assert any("text/html" in o.get("data", {}) for o in shown), "a table was shown"
