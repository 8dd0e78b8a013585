"""Is this command line a sweep, and which? Answered with the command line's own sentences, without loading torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from xttsbench import cli, planning
from xttsbench.grid import Sweep
from xttsbench.store import must_be_free
from xttsbench.sweeping import default_folder

MOST_CELLS = 5000


class _Asking(cli.Parser):
    """The command line's parser, whose error is raised and not printed."""

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        raise ValueError((message or "--help is for a terminal; leave it out.").strip().removeprefix("xttsbench: "))

    def print_help(self, file: Any = None) -> None:
        """Print nothing: `exit`, which follows, says where help is."""


def asked(argv: Sequence[str]) -> tuple[Sweep, str]:
    """Return the sweep that `argv` asks for and the sentence on its model; ValueError says what is wrong with it.

    What device 'auto' is only torch knows, and a checkpoint takes long to hash. Neither decides how many trials there
    are, so both are left to the process that runs them, and 'auto' is held for a device that can do everything.
    """
    args = cli.parser(_Asking).parse_args(list(argv))
    if args.resume or args.like or args.dry_run:
        raise ValueError(
            "--resume, --like and --dry-run are for a terminal: the panel says what is run, and counts it."
        )
    model, said = planning.resolve_model(args.model or "auto", args.accept_cpml)
    cells = len(args.engines or ()) * math.prod(len(values) for values in planning.settings_given(args).values())
    if cells > MOST_CELLS:
        raise ValueError(
            f"{cells:,} combinations of values are too many to count here ({MOST_CELLS:,}); give fewer values."
        )
    args.model, args.device = "nano", "cuda" if args.device in (None, "auto") else args.device
    plan, _ = planning.resolve_sweep(args)
    return replace(plan, configs=tuple(replace(config, model=model) for config in plan.configs)), said


def counted(plan: Sweep) -> str:
    """Return in words how many trials a sweep has, and why."""
    cells = sum(len(plan.cells(config)) for config in plan.configs)
    apart = (
        "" if plan.replay else ", a cold start, warm-ups" + (", and once more to time stages" if plan.stages else "")
    )
    return f"{plan.count():,} trials: {cells:,} settings with {plan.repeats} repeats{apart}"


def place(plan: Sweep, out: str, *, results: Path) -> Path:
    """Return the folder of a new run: `out`, or one named by date, preset and model; ValueError if it is taken."""
    folder = Path(out) if out else default_folder(plan, results=results)
    must_be_free(folder)
    return folder
