"""A sweep run from the command line: checked before anything is written, resumed, interrupted, shown."""

from __future__ import annotations

import argparse
import datetime
import math
import shlex
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from xttsbench import machine, runner, store
from xttsbench.caveats import gathered
from xttsbench.grid import Sweep
from xttsbench.settings import VOICE_SETTINGS, settings_of
from xttsbench.showing import duration
from xttsbench.spec import Trial

COMPARED = ("cpu", "threads", "gpu", "driver", "torch_cuda", "python", "versions", "commit")
BAR = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}{postfix}]"  # the run itself says what is left
ASSUMED_RTF = {("nano", "cpu"): 0.3, ("random", "cpu"): 4.5, ("nano", "cuda"): 0.3, ("random", "cuda"): 0.4}


def dry_run(plan: Sweep, *, there: frozenset[str] = frozenset()) -> int:
    """Print every trial whose id is not there yet, and an estimate of time."""
    trials = [t for t in plan.trials() if t.id not in there]
    for t in trials:
        settings = ", ".join(f"{k}={getattr(t.settings, k)}" for k in settings_of(t.engine) if k in plan.grid)
        print(f"{t.id}  {t.phase:7} {t.engine:9} {t.text.language}/{t.text.name:8} seed {t.seed}  {settings}")
    config = plan.configs[0]
    rtf = ASSUMED_RTF.get((config.model, config.device), ASSUMED_RTF["random", config.device])
    generated = {t.utterance if plan.replay else t.id: t for t in trials if plan.replay or t.phase != "replay"}.values()
    seconds = sum(len(t.text.text) for t in generated) / 14 * rtf
    print(
        f"{len(trials)} trials; roughly {duration(seconds)} and the loading of {len(plan.configs)} model(s) "
        f"(assuming 14 characters a second and rtf {rtf}; the machine at hand may differ a lot)"
    )
    return 0


def execute(plan: Sweep, args: argparse.Namespace, *, present: Callable[[Path], int]) -> int:
    """Run a resolved sweep into its folder, with a progress bar, and present what came of it."""
    wanted = plan.trials()
    folder = Path(args.resume) if args.resume else Path(args.out) if args.out else default_folder(plan)
    there = {r.trial.id for r in store.read(folder)} if args.resume else set()
    todo = [t for t in wanted if t.id not in there]
    if not todo:
        print("nothing left to run")
        return present(folder)
    if args.max_seconds is not None and not args.max_seconds > 0:
        raise ValueError(f"--max-seconds is {args.max_seconds}; it takes a number of seconds above 0.")
    if plan.replay and args.no_audio:
        raise ValueError("a replay is about what is heard, and --no-audio keeps nothing to hear; leave it out.")
    if not args.resume:
        store.must_be_free(folder)
    session = runner.open_session(todo[0].config, accept_cpml=args.accept_cpml)
    described = dict(session.describe())
    check_before(session, todo)
    for sentences in gathered(wanted, char_limits=described["char_limits"]).values():
        for sentence in sentences[:3]:
            print(f"note: {sentence}")
        if len(sentences) > 3:
            print(f"note: ... and {len(sentences) - 3} more like it")
    keep_audio = not args.no_audio
    meta = {
        "sweep": plan.to_json(),
        "keep_audio": keep_audio,
        "machine": machine.fingerprint(),
        "model": described,
        "command": shlex.join(["python", "-m", "xttsbench", *args.words]),
    }
    if args.resume:
        then = store.read_meta(folder)
        _must_match(then, meta, folder)
        keep_audio = then["keep_audio"]
        run = store.Run.resume(folder)
    else:
        run = store.Run.create(folder, meta)
    bar = tqdm(total=len(todo), bar_format=BAR, dynamic_ncols=True)
    interrupted = ""
    try:
        with run, bar:
            steps = runner.run(
                plan,
                run,
                first=session,
                accept_cpml=args.accept_cpml,
                keep_audio=keep_audio,
                max_seconds=args.max_seconds if args.max_seconds is not None else math.inf,
            )
            for step in steps:
                t = step.record.trial
                bar.set_postfix_str(f"{t.engine} {t.text.name} {t.phase}, {duration(step.left_s)} left", refresh=False)
                bar.update()
                if step.record.status != "ok" and t.phase in ("timed", "replay"):
                    bar.write(f"failed: {t.engine} {t.text.name}: {step.record.error}", file=sys.stderr)
            if bar.n < len(todo):
                interrupted = f"stopped after --max-seconds with {len(todo) - bar.n} trials to go"
    except KeyboardInterrupt:
        interrupted = "interrupted"
    except OSError as error:
        print(
            f"xttsbench: the run could not be written ({error.strerror or error}); what was there before is whole.",
            file=sys.stderr,
        )
        print(f"xttsbench: make room and go on with: python -m xttsbench sweep --resume {folder}", file=sys.stderr)
        return 1
    code = present(folder)
    if interrupted:
        print(f"{interrupted}; go on with: python -m xttsbench sweep --resume {folder}")
        return 130 if interrupted == "interrupted" else code
    return code


def check_before(session: Any, trials: Iterable[Trial]) -> None:
    """Refuse before anything is written what no trial could do: a language the model lacks, a voice that can't be read."""
    languages = session.languages()
    seen = set()
    for t in trials:
        if t.text.language not in languages:
            raise ValueError(
                f"text {t.text.name!r} is in {t.text.language!r}, but this model speaks {', '.join(languages)}; "
                "choose other texts or another --model."
            )
        key = tuple(getattr(t.settings, name) for name in VOICE_SETTINGS)
        if key not in seen:
            seen.add(key)
            session.voice(t)


def _must_match(then: dict[str, Any], now: dict[str, Any], folder: Path) -> None:
    differ = [
        f"{name} {then['machine'].get(name)!r} then, {now['machine'].get(name)!r} now"
        for name in COMPARED
        if then["machine"].get(name) != now["machine"].get(name)
    ]
    differ += [
        f"{name} {then['model'][name]} then, {now['model'][name]} now"
        for name in ("weights_sha256", "torch_threads")
        if then["model"][name] != now["model"][name]
    ]
    if differ:
        raise ValueError(
            f"{str(folder)!r} was begun under other conditions ({'; '.join(differ)}), and unlike runs are not mixed; "
            f"start a new one with --like {folder}."
        )


def default_folder(plan: Sweep, *, results: Path = Path("results")) -> Path:
    """Return <results>/<date>-<preset>-<model>, with a number behind it if that is taken."""
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    name = f"{stamp}-{plan.preset or 'sweep'}-{Path(plan.configs[0].model).name}"
    free = (results / f"{name}{end}" for end in ("", *(f"-{i}" for i in range(2, 1000))))
    return next(folder for folder in free if not folder.exists())
