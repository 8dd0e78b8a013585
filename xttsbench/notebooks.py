"""Which notebooks there are, one of them executed beside the run it shows, and JupyterLab opened where they lie."""

from __future__ import annotations

import ast
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xttsbench import store

CLONE = Path(__file__).parent.parent
TEMPLATES = CLONE / "notebooks"
FIRST = "01_quickstart"


@dataclass(frozen=True)
class Executed:
    """A notebook that was executed: where it lies, and in one sentence what stopped it, '' if it ran to its end."""

    path: Path
    stopped: str = ""


def templates() -> list[Path]:
    """Return the shipped notebooks in order; ValueError where the package is without them."""
    found = sorted(TEMPLATES.glob("[0-9]*.ipynb"))
    if not found:
        raise ValueError(
            f"no notebooks are in {str(TEMPLATES)!r}: they come with a clone of the repository and not with the package alone; "
            "run this from a clone, installed by `pip install -e .`."
        )
    return found


def find(name: str) -> Path:
    """Return the template of a number ('2', '02') or name ('02_sweep', 'sweep'); ValueError lists the known ones."""
    wanted = name.removesuffix(".ipynb")
    for path in templates():
        number, _, words = path.stem.partition("_")
        if wanted in (path.stem, number, number.lstrip("0"), words):
            return path
    raise ValueError(f"unknown notebook {name!r}; known: {', '.join(p.stem for p in templates())}.")


def parameters(template: Path) -> dict[str, Any]:
    """Return the names and defaults in the notebook's cell of parameters."""
    import nbformat

    notebook = nbformat.read(template, as_version=4)
    cells = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", ())]
    steps = [step for step in ast.parse(cells[0].source if cells else "").body if isinstance(step, ast.Assign)]
    return {target.id: ast.literal_eval(s.value) for s in steps for target in s.targets if isinstance(target, ast.Name)}


def given(template: Path, words: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Return the parameters given as (name, value) words, read as Python; ValueError for an unknown name or another kind of value."""
    known, out = parameters(template), {}
    for name, word in words:
        if name not in known:
            raise ValueError(f"{template.stem} has no parameter {name!r}; it takes {', '.join(known)}.")
        value = _value(word)
        default = known[name]
        if isinstance(default, str):
            value = word
        elif type(value) is not type(default) and not (isinstance(default, float) and isinstance(value, int)):
            raise ValueError(
                f"{name} was given {word!r}; {template.stem} takes a value of the kind of {default!r} (in quotes, if the shell would change it)."
            )
        out[name] = value
    return out


def place(path: str | Path) -> Path:
    """Return where a notebook's relative path is: here, or in a folder of a clone the clone's, so that `results/` is one everywhere."""
    path, here = Path(path), Path.cwd()
    inside = CLONE in here.parents and TEMPLATES.is_dir()
    return (here if path.is_absolute() or (here / path).exists() or not inside else CLONE).joinpath(path).resolve()


def execute(template: Path, values: Mapping[str, Any], *, run: str = "", html: bool = False) -> Executed:
    """Execute a notebook and leave the copy beside the run it shows; one that is about no single run goes into results/.

    The kernel works in the run's folder and RUN is '.', so the copy runs again wherever the folder is moved to. A copy that
    a cell's error stopped is kept. ValueError if the notebook takes no RUN.
    """
    known = parameters(template)
    if run and "RUN" not in known:
        raise ValueError(f"{template.stem} is not about one run; leave out --run. It takes {', '.join(known)}.")
    if "RUN" in known:
        folder = place(run or values.get("RUN", known["RUN"]))
        if (folder / store.RUN).exists():
            store.read_meta(folder)
        values, works_in = {**values, "RUN": "."}, folder
    else:
        folder, works_in = place("results"), Path.cwd()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"can't write to {str(folder)!r} ({error.strerror}); choose another place with --run."
        ) from error
    path = folder / template.name
    # beside the folder until it is done: a new run begins in an empty one
    part = folder.parent / f".{folder.name}-{os.getpid()}-{template.name}"
    if path.exists() and not (folder / store.RUN).exists():
        path.unlink()
    try:
        stopped = _papermill(template, part, values, works_in)
    finally:
        if part.exists():
            part.replace(path)
    if html:
        _html(path)
    return Executed(path, stopped)


def _papermill(template: Path, out: Path, values: Mapping[str, Any], works_in: Path) -> str:
    papermill = _quietly("papermill")
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    try:
        papermill.execute_notebook(
            str(template),
            str(out),
            parameters=dict(values),
            cwd=str(works_in),
            kernel_name="python3",
            progress_bar=sys.stderr.isatty(),
        )
    except PapermillExecutionError as error:
        said = next((line for line in str(error.evalue).strip().splitlines() if line), "")
        return f"cell {error.exec_count}: {said if error.ename == 'NothingToShow' else f'{error.ename}: {said}'}"
    except DeadKernelError:
        return "its kernel died; if memory ran out, try a smaller model or fewer values"
    return ""


def _html(path: Path) -> None:
    exporter = _quietly("nbconvert").HTMLExporter()
    path.with_suffix(".html").write_text(exporter.from_filename(str(path))[0], encoding="utf-8")


def prepare(run: Path) -> list[Path]:
    """Put a copy of each notebook that is about a run into its folder, with RUN set to it; copies that are there stay."""
    store.read_meta(run)
    papermill = _quietly("papermill")
    copies = []
    for template in templates():
        if "RUN" in parameters(template):
            copies.append(run / template.name)
            if not copies[-1].exists():
                papermill.execute_notebook(
                    str(template), str(copies[-1]), {"RUN": "."}, prepare_only=True, progress_bar=False
                )
    return copies


def lab_command(run: str = "", options: Sequence[str] = ()) -> list[str]:
    """Return the command that opens JupyterLab on the notebooks, or on copies of them in a run's folder."""
    if run:
        first = prepare(Path(run))[0]
        root = Path(run).resolve().parent
    else:
        first = next(p for p in templates() if p.stem == FIRST)
        root = CLONE
    where = first.resolve().relative_to(root).as_posix()
    return [
        *(sys.executable, "-m", "jupyterlab"),
        *(f"--ServerApp.root_dir={root}", f"--LabApp.default_url=/lab/tree/{where}"),
        *options,
    ]


def _quietly(module: str) -> Any:
    """Import what warns of its own affairs on import."""
    import importlib

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(module)


def _value(word: str) -> Any:
    try:
        return ast.literal_eval(word)
    except (ValueError, SyntaxError):
        return word
