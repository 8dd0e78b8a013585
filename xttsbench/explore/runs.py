"""Which runs lie in a folder, can they be read, and which were broken off?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from xttsbench import store
from xttsbench.grid import Sweep

HOW_TO = "python -m xttsbench sweep --model nano"


@dataclass(frozen=True)
class Found:
    """A run that was found: its folder, what it is called there, and why it can't be read ('' if it can)."""

    folder: Path
    name: str
    trouble: str = ""


def runs(results: Path) -> list[Found]:
    """Return the runs in `results` and one folder below, newest first; those of a newer schema too, with what is needed."""
    folders = [meta.parent for pattern in ("*/", "*/*/") for meta in results.glob(f"{pattern}{store.RUN}")]
    folders.sort(key=lambda folder: ((folder / store.RUN).stat().st_mtime_ns, folder.name), reverse=True)
    return [found(folder, folder.relative_to(results).as_posix()) for folder in folders]


def found(folder: Path, name: str = "") -> Found:
    """Return one run, called by its folder where it has no other name."""
    try:
        store.read_meta(folder)
    except ValueError as error:
        return Found(folder, name or str(folder), str(error))
    return Found(folder, name or str(folder))


def none_yet(results: Path) -> str:
    """Return what to tell someone whose folder holds no run."""
    return f"There is no run in {str(results)!r} yet. Make one with SweepPanel or in a terminal, in about two minutes, then refresh:"


def left(folder: Path) -> int:
    """Return how many trials of a run are not on disk yet; ValueError if it can't be read."""
    meta = store.read_meta(folder)
    try:
        wanted = Sweep.from_json(meta["sweep"]).count()
    except (KeyError, TypeError) as error:
        raise ValueError(f"{folder / store.RUN} can't be read ({error!r}).") from error
    trials = folder / store.TRIALS
    return wanted - (trials.read_bytes().count(b"\n") if trials.exists() else 0)


def unfinished(there: list[Found]) -> dict[str, Path]:
    """Return the folders that can be gone on with, by a name that says how many trials are left."""
    out = {}
    for run in there:
        try:
            missing = 0 if run.trouble else left(run.folder)
        except ValueError:
            continue
        if missing > 0:
            out[f"{run.name} ({missing} trials left)"] = run.folder
    return out
