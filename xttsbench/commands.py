"""What each command does: resolve what was asked, call the package, print."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path

from xttsbench.caveats import gathered
from xttsbench.grid import Sweep
from xttsbench.planning import resolve_model, resolve_sweep, settings_given, unchanged, voice_of, weights_of
from xttsbench.settings import ENGINES, Settings, unknown
from xttsbench.spec import EngineConfig, Text, Trial

WITH_RESUME = ("command", "resume", "max_seconds", "accept_cpml", "dry_run", "words")


def sweep(args: argparse.Namespace) -> int:
    """Resolve, load, run, show."""
    from xttsbench import store, sweeping

    if args.resume:
        ignored = sorted(
            name
            for name, value in vars(args).items()
            if name not in WITH_RESUME and value is not None and value is not False
        )
        if ignored:
            options = ", ".join(f"--{name.replace('_', '-')}" for name in ignored)
            raise ValueError(
                f"--resume goes on with the run as it was asked; leave out {options}, or start anew with --like {args.resume}."
            )
        plan = Sweep.from_json(store.read_meta(Path(args.resume))["sweep"])
        unchanged(plan)
        there = frozenset(r.trial.id for r in store.read(Path(args.resume)))
        print(f"resuming {args.resume}")
    else:
        plan, said = resolve_sweep(args)
        there = frozenset()
        print(said)
    return sweeping.dry_run(plan, there=there) if args.dry_run else sweeping.execute(plan, args, present=present)


def compare(args: argparse.Namespace) -> int:
    """Run several engines on the same texts and seeds, and say how their seams and times differ."""
    from xttsbench import sweeping
    from xttsbench.planning import resolve_compare

    plan, said = resolve_compare(args)
    print(said)
    return sweeping.dry_run(plan) if args.dry_run else sweeping.execute(plan, args, present=present)


def show(args: argparse.Namespace) -> int:
    """Print the table of a run."""
    return present(Path(args.run))


def report(args: argparse.Namespace) -> int:
    """Write the page of a run, and its Markdown if asked. 1 if no timed or replayed request succeeded."""
    from xttsbench.report import write_report

    folder = Path(args.run)
    html = Path(args.html) if args.html else folder / "report.html"
    md = Path(args.md) if args.md else None
    succeeded = write_report(folder, html=html, md=md)
    for path in (html, md):
        if path is not None:
            print(f"{path}, {path.stat().st_size / 1e6:.2f} MB")
    return 0 if succeeded else 1


def present(folder: Path) -> int:
    """Show a run: its times, or where seams are what it is about, its seams."""
    from xttsbench import store
    from xttsbench.contrasting import show_comparison
    from xttsbench.showing import show_run

    sweep = store.read_meta(folder)["sweep"]
    return show_comparison(folder) if sweep.get("replay") or sweep.get("preset") == "compare" else show_run(folder)


def say(args: argparse.Namespace) -> int:
    """Speak one text to a file, to the loudspeaker, or both, and print how soon the sound came."""
    from xttsbench import player, runner, sweeping
    from xttsbench.engines.session import resolve_device

    if not (args.out or args.play):
        raise ValueError("nothing to do with the sound: give --out F.wav, --play, or both.")
    if args.out and Path(args.out).exists():
        raise ValueError(f"{args.out!r} is there already; nothing is overwritten: name a new file.")
    if args.out:
        player.check_place(Path(args.out))
    if args.engine not in ENGINES:
        raise unknown("engine", args.engine, ENGINES)
    settings = Settings(**settings_given(args))
    text = Text("said", settings.language, args.text)
    model, said = resolve_model(args.model or "auto", args.accept_cpml)
    print(said)
    config = EngineConfig(model=model, device=resolve_device(args.device or "auto"), weights_sha256=weights_of(model))
    trial = Trial(engine=args.engine, config=config, settings=settings, text=text, voice=voice_of(args), seed=args.seed)
    live = player.open_player(sample_rate=runner.SAMPLE_RATE) if args.play else None
    session = runner.open_session(config, accept_cpml=args.accept_cpml)
    sweeping.check_before(session, [trial])
    for sentences in gathered([trial], char_limits=session.describe()["char_limits"]).values():
        print(f"note: {sentences[0]}")
    runner.execute(session, replace(trial, phase="warmup"))
    record, audio = runner.execute(session, trial, heard=live.put if live else None)
    if live:
        live.close()
    if record.status != "ok":
        print(f"xttsbench: {record.error}", file=sys.stderr)
        return 1
    if args.out:
        player.write(Path(args.out), audio, sample_rate=record.sample_rate)
    first = next(c for c in record.chunks if c.samples)
    seconds = len(audio) / record.sample_rate
    print(
        f"ttfc {first.arrival_s * 1000:.0f} ms (after one warm-up), rtf {record.end_s / seconds:.3f}, "
        f"{seconds:.2f} s of audio in {sum(c.samples > 0 for c in record.chunks)} chunks"
        + (f", {live.underruns} underruns" if live else "")
        + (f" -> {args.out}" if args.out else "")
    )
    return 0


def doctor(args: argparse.Namespace) -> int:
    """Say whether synthesis can work here."""
    from xttsbench.doctor import doctor as examine

    return examine(sys.stdout, quick=args.quick)


def params(args: argparse.Namespace) -> int:
    """Print the manual."""
    from xttsbench import params as manual
    from xttsbench.models.released import released

    model, _ = resolve_model(args.model, accept_cpml=True)
    if model == "nano":
        from xttsbench.models.nano import DATA

        path: Path | None = DATA / "config.json"
    elif model == "random":
        path = None
    elif model == "xtts_v2":
        here = released()
        if here.folder is None or not here.whole:
            raise ValueError("XTTSv2's config.json is not in the cache; fetch the model by a sweep first.")
        path = here.folder / "config.json"
    else:
        path = Path(model) / "config.json"
    print(
        manual.markdown(path, source=f"{args.model}'s") if args.markdown else manual.text(path),
        end="\n" if not args.markdown else "",
    )
    return 0


def notebook(args: argparse.Namespace) -> int:
    """Execute a notebook beside the run it shows, and say where it is."""
    from xttsbench import notebooks

    template = notebooks.find(args.name)
    done = notebooks.execute(template, notebooks.given(template, args.parameter), run=args.run, html=args.html)
    if done.stopped:
        print(f"xttsbench: {template.stem} stopped in {done.stopped}", file=sys.stderr)
    print(f"{done.path}" + (f", {done.path.with_suffix('.html')}" if args.html else ""))
    return 1 if done.stopped else 0


def lab(args: argparse.Namespace) -> int:
    """Turn into a JupyterLab server on the notebooks."""
    from xttsbench import notebooks

    options = [f"--{name.replace('_', '-')}" for name in ("no_browser", "allow_root") if getattr(args, name)]
    command = notebooks.lab_command(args.run, [*options, *([f"--port={args.port}"] if args.port else [])])
    sys.stdout.flush()
    os.execv(command[0], command)


def export_checkpoint(args: argparse.Namespace) -> int:
    """Write a model as a checkpoint folder."""
    from xttsbench.models.export import check_place
    from xttsbench.models.export import export_checkpoint as export
    from xttsbench.models.weights import load

    model, said = resolve_model(args.model, args.accept_cpml)
    print(said)
    folder = Path(args.folder)
    check_place(folder)
    for path in export(load(EngineConfig(model=model), accept_cpml=args.accept_cpml), folder):
        print(f"{path.stat().st_size:>13,} bytes  {path}")
    return 0
