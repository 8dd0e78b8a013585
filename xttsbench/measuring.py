"""The run that a notebook is about: the one that is there, gone on with where it was broken off, or measured now."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pandas as pd

from xttsbench import cli, planning, store, sweeping, table
from xttsbench.grid import Sweep
from xttsbench.notebooks import place

HEARD = ("timed", "replay")


class NothingToShow(ValueError):
    """A run that can't be had or shown, said in a sentence; a notebook shows the sentence and no traceback."""

    def _render_traceback_(self) -> list[str]:
        return [f"xttsbench: {self}"]


def measure(folder: str | Path, command: str = "sweep", /, **options: Any) -> Path:
    """Return the folder of a run, which is measured if it isn't there yet.

    Parameters
    ----------
    folder
        Of the run. A run that is there is taken as it is. If it was broken off, and asked in these very words, it's gone on with.
    command
        'sweep' or 'compare'.
    options
        The command's own, with underscores: `stream_chunk_size=[10, 20]`, `repeats=3`, `accept_cpml=True`. None and False leave one out.

    Raises
    ------
    NothingToShow
        If it can't be measured or read, or no trial of it succeeded; says why.
    """
    run = place(folder)
    words = [command, *_words(options)]
    try:
        if (run / store.RUN).exists():
            _taken(run, words, accept_cpml=bool(options.get("accept_cpml")))
        else:
            print("$", shlex.join(["python", "-m", "xttsbench", *words]))
            args = _parsed([*words, "--out", str(run)])
            plan, said = (planning.resolve_compare if command == "compare" else planning.resolve_sweep)(args)
            print(said)
            _executed(plan, args)
        _, trials = table.load_run(run)
    except ValueError as error:
        raise NothingToShow(str(error)) from None
    _check(run, trials)
    return run


def read_runs(folder: str | Path) -> dict[str, tuple[dict[str, Any], pd.DataFrame]]:
    """Return (metadata, trials) of each run in a folder by its name; says in a sentence which can't be read, or that there is none."""
    found, place_of = {}, place(folder)
    for path in sorted(place_of.glob(f"*/{store.RUN}")):
        try:
            found[path.parent.name] = table.load_run(path.parent)
        except ValueError as error:
            print(f"left out: {error}")
    if not found:
        print(
            f"{folder} holds no run yet. Copy the folder of a run there, or make one: python -m xttsbench sweep --out {folder}/NAME"
        )
    return found


def _words(options: dict[str, Any]) -> list[str]:
    """Return options as on a command line: `a_b=[1, 2]` is --a-b 1 2, `a=True` is --a."""
    out: list[str] = []
    for name, value in options.items():
        if value is None or value is False:
            continue
        out.append(f"--{name.replace('_', '-')}")
        if value is not True:
            out += map(str, value) if isinstance(value, list | tuple) else [str(value)]
    return out


def _parsed(words: list[str]) -> Any:
    try:
        return cli.parse(words)
    except SystemExit:
        raise ValueError(f"`{words[0]}` does not take these options; the line above says which.") from None


def _taken(run: Path, words: list[str], *, accept_cpml: bool) -> None:
    """Take the run that is there; go on with it only if it's the one that was asked for, since others may take hours."""
    meta = store.read_meta(run)
    plan = Sweep.from_json(meta["sweep"])
    left = len({t.id for t in plan.trials()} - {r.trial.id for r in store.read(run)})
    before = shlex.split(meta["command"])[3:]
    same = before[: len(words)] == words and before[len(words) :][:1] in ([], ["--out"])
    if not same:
        print(f"{run} is there already and is shown as it is; it was made by: {meta['command']}")
    if left and same:
        print(f"{run} was broken off with {left} trials to go: going on")
        try:
            _executed(
                planning.unchanged(plan),
                _parsed(["sweep", "--resume", str(run), *(["--accept-cpml"] if accept_cpml else [])]),
            )
        except ValueError as error:
            print(f"{error}\nWhat is there is shown.")
    elif left:
        print(f"{left} of its trials are still to be run: python -m xttsbench sweep --resume {run}")


def _executed(plan: Sweep, args: Any) -> None:
    code = sweeping.execute(plan, args, present=lambda folder: 0)
    if code == 130:
        raise KeyboardInterrupt
    if code:
        raise ValueError("the run stopped; the line above says why.")


def _check(run: Path, trials: pd.DataFrame) -> None:
    if not len(trials):
        raise NothingToShow(f"{run} holds no trial yet; go on with: python -m xttsbench sweep --resume {run}")
    ok = trials["status"] == "ok"
    if not (ok & trials["phase"].isin(HEARD)).any():
        errors = trials.loc[~ok, "error"].value_counts()
        why = f"; most often: {errors.index[0]}" if len(errors) else ""
        raise NothingToShow(f"{run} has no trial to show: {int((~ok).sum())} of {len(trials)} failed{why}")
    print(f"{run}: {int(ok.sum())} of {len(trials)} trials succeeded")
