"""What each command does: resolve what was asked, call the package, print."""

from __future__ import annotations

import argparse
import datetime
import math
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from xttsbench import texts as text_sources
from xttsbench.caveats import gathered
from xttsbench.presets import PRESETS
from xttsbench.spec import (
    ENGINES,
    VOICE_SETTINGS,
    EngineConfig,
    Settings,
    Sweep,
    Text,
    Trial,
    VoiceSpec,
    settings_of,
    unknown,
)

COMPARED = ("cpu", "gpu", "driver", "python", "versions")
ASSUMED_RTF = {("nano", "cpu"): 0.3, ("random", "cpu"): 4.5, ("nano", "cuda"): 0.3, ("random", "cuda"): 0.4}


def sweep(args: argparse.Namespace) -> int:
    """Resolve, load, run, show."""
    from xttsbench import store

    if args.resume:
        meta = store.read_meta(Path(args.resume))
        plan = Sweep.from_json(meta["sweep"])
        print(f"resuming {args.resume}")
    else:
        plan, said = resolve_sweep(args)
        print(said)
    if args.dry_run:
        return dry_run(plan)
    return execute(plan, args)


def resolve_sweep(args: argparse.Namespace) -> tuple[Sweep, str]:
    """Turn options into a sweep: preset or earlier run first, then what was given; and say which model it is."""
    from xttsbench import store
    from xttsbench.cli import settings_given

    given = settings_given(args)
    if args.like:
        base = Sweep.from_json(store.read_meta(Path(args.like))["sweep"])
        if args.preset:
            raise ValueError("--like and --preset both say what to run; give one of them.")
    else:
        base = from_preset(args.preset or "quick")
    model, said = _resolve_model(args.model or (base.configs[0].model if args.like else "auto"), args.accept_cpml)
    configs = _configs(args, model, base.configs)
    changes: dict[str, Any] = {"configs": configs, "grid": {**base.grid, **{k: tuple(v) for k, v in given.items()}}}
    if args.engines:
        changes["engines"] = tuple(dict.fromkeys(args.engines))
    languages = tuple(args.languages or ("en",))
    if args.texts_file and (args.texts or args.languages and len(languages) > 1):
        raise ValueError("--texts-file brings its own texts; leave out --texts, and give at most one of --languages for plain lines.")
    if args.texts_file:
        changes["texts"] = text_sources.from_file(args.texts_file, language=languages[0])
    elif args.texts or args.languages:
        names = tuple(args.texts or dict.fromkeys(t.name for t in base.texts))
        if languages != ("en",) and not args.texts:
            names = tuple(n for n in names if n != "long")
        changes["texts"] = text_sources.shipped(names, languages)
    if args.voice or args.speaker:
        changes["voice"] = _voice(args)
    for name in ("repeats", "seed"):
        if getattr(args, name) is not None:
            changes[name] = getattr(args, name)
    if args.no_stages:
        changes["stages"] = False
    plan = replace(base, **changes)
    for config in plan.configs:
        plan.cells(config)
    return plan, said


def from_preset(name: str) -> Sweep:
    """Return the sweep of a preset, still without a real model."""
    if name not in PRESETS:
        raise unknown("preset", name, tuple(PRESETS))
    p = PRESETS[name]
    return Sweep(
        configs=(EngineConfig(model="nano"),),
        engines=p.engines,
        grid=dict(p.grid),
        texts=text_sources.shipped(p.texts, ("en",)),
        repeats=p.repeats,
        one_at_a_time=p.one_at_a_time,
        preset=name,
    )


def _resolve_model(model: str, accept_cpml: bool) -> tuple[str, str]:
    from xttsbench.models.weights import resolve

    return resolve(model, accept_cpml=accept_cpml)


def _configs(args: argparse.Namespace, model: str, base: tuple[EngineConfig, ...]) -> tuple[EngineConfig, ...]:
    from xttsbench.engines.session import resolve_device

    device = resolve_device(args.device or (base[0].device if args.like else "auto"))
    precisions = args.precision or list(dict.fromkeys(c.precision for c in base))
    compiles = args.compile or list(dict.fromkeys(c.compile for c in base))
    threads = args.threads or list(dict.fromkeys(c.threads for c in base))
    return tuple(
        EngineConfig(model=model, device=device, precision=p, compile=c, threads=t, deepspeed=args.deepspeed)
        for p in precisions
        for c in compiles
        for t in threads
    )


def _voice(args: argparse.Namespace) -> VoiceSpec:
    if args.speaker:
        return VoiceSpec(speaker=args.speaker)
    return VoiceSpec.from_files(args.voice) if args.voice else VoiceSpec()


def dry_run(plan: Sweep) -> int:
    """Print every trial and an estimate of time."""
    trials = plan.trials()
    for t in trials:
        settings = ", ".join(f"{k}={getattr(t.settings, k)}" for k in settings_of(t.engine) if k in plan.grid)
        print(f"{t.id}  {t.phase:7} {t.engine:9} {t.text.language}/{t.text.name:8} seed {t.seed}  {settings}")
    config = plan.configs[0]
    rtf = ASSUMED_RTF.get((config.model, config.device), ASSUMED_RTF["random", config.device])
    seconds = sum(len(t.text.text) for t in trials) / 14 * rtf
    print(
        f"{len(trials)} trials; roughly {_duration(seconds)} and the loading of {len(plan.configs)} model(s) "
        f"(assuming 14 characters a second and rtf {rtf}; the machine at hand may differ a lot)"
    )
    return 0


def execute(plan: Sweep, args: argparse.Namespace) -> int:
    """Run a resolved sweep into its folder, with a progress bar, and show what came of it."""
    from tqdm.auto import tqdm

    from xttsbench import machine, runner, store

    wanted = plan.trials()
    folder = Path(args.resume) if args.resume else Path(args.out) if args.out else default_folder(plan)
    there = {r.trial.id for r in store.read(folder)} if args.resume else set()
    todo = [t for t in wanted if t.id not in there]
    if not todo:
        print("nothing left to run")
        return show_run(folder)
    if not args.resume:
        _must_be_free(folder)
    session = runner.open_session(todo[0].config, accept_cpml=args.accept_cpml)
    described = dict(session.describe())
    check_before(session, todo)
    for sentences in gathered(wanted, char_limits=described["char_limits"]).values():
        for sentence in sentences[:3]:
            print(f"note: {sentence}")
        if len(sentences) > 3:
            print(f"note: ... and {len(sentences) - 3} more like it")
    meta = {"sweep": plan.to_json(), "machine": machine.fingerprint(), "model": described, "command": _command()}
    if args.resume:
        _must_match(store.read_meta(folder), meta, folder)
        run = store.Run.resume(folder)
    else:
        run = store.Run.create(folder, meta)
    bar = tqdm(total=len(todo), unit="trial", dynamic_ncols=True)
    interrupted = ""
    try:
        with run, bar:
            steps = runner.run(
                plan,
                run,
                first=session,
                accept_cpml=args.accept_cpml,
                keep_audio=not args.no_audio,
                max_seconds=args.max_seconds if args.max_seconds is not None else math.inf,
            )
            for step in steps:
                bar.update()
                t = step.record.trial
                bar.set_postfix_str(f"{t.engine} {t.text.name} {t.phase}, {_duration(step.left_s)} left", refresh=False)
                if step.record.status != "ok" and t.phase == "timed":
                    bar.write(f"failed: {t.engine} {t.text.name}: {step.record.error}", file=sys.stderr)
            if bar.n < len(todo):
                interrupted = f"stopped after --max-seconds with {len(todo) - bar.n} trials to go"
    except KeyboardInterrupt:
        interrupted = "interrupted"
    except OSError as error:
        print(f"xttsbench: the run could not be written ({error.strerror or error}); what was there before is whole.", file=sys.stderr)
        print(f"xttsbench: make room and go on with: python -m xttsbench sweep --resume {folder}", file=sys.stderr)
        return 1
    code = show_run(folder)
    if interrupted:
        print(f"{interrupted}; go on with: python -m xttsbench sweep --resume {folder}")
        return 130 if interrupted == "interrupted" else code
    return code


def _must_be_free(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{str(folder)!r} holds something already; name a new folder, or go on with --resume {folder}.")
    parent = next(p for p in (folder, *folder.parents) if p.exists())
    import os

    if not os.access(parent, os.W_OK):
        raise ValueError(f"can't write to {str(parent)!r}; choose another place with --out.")


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
    if then["model"]["weights_sha256"] != now["model"]["weights_sha256"]:
        differ.append("other weights")
    if differ:
        raise ValueError(
            f"{str(folder)!r} was begun under other conditions ({'; '.join(differ)}), and unlike runs are not mixed; "
            f"start a new one with --like {folder}."
        )


def default_folder(plan: Sweep) -> Path:
    """Return results/<date>-<preset>-<model>, with a number behind it if that is taken."""
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    return Path("results") / f"{stamp}-{plan.preset or 'sweep'}-{Path(plan.configs[0].model).name}"


def show(args: argparse.Namespace) -> int:
    """Print the table of a run."""
    return show_run(Path(args.run))


def show_run(folder: Path) -> int:
    """Print a run's table and doubts, write its summary.csv, and name the next step. 1 if no timed trial succeeded."""
    from xttsbench import stats, store, table

    meta, trials = table.load_run(folder)
    if not len(trials):
        print(f"{folder} holds no trial yet")
        return 1
    rows = stats.summary(trials)
    store.write_text(folder / "summary.csv", rows.to_csv(index=False))
    if len(rows):
        print(render(rows))
    note = meta["model"].get("note")
    if note:
        print(f"note: {note}")
    cold = trials[(trials["phase"] == "cold") & (trials["status"] == "ok")]
    for _, row in cold.iterrows():
        print(f"the first request after loading ({row['engine']}, {row['text']}) took {row['ttfc_s'] * 1000:,.0f} ms to its first chunk; it is in no median")
    for doubt in stats.doubts(trials, rows):
        print(f"careful: {doubt}")
    ok = int((trials["status"] == "ok").sum())
    print(f"{ok} of {len(trials)} trials succeeded; {folder / 'trials.jsonl'}, {folder / 'summary.csv'}")
    print(f"next: python -m xttsbench sweep --like {folder} --repeats 20")
    return 0 if len(rows) and rows["n"].sum() else 1


def render(rows: Any) -> str:
    """Return a summary as a table for people: what differs between rows, then median and 95 % interval."""
    from xttsbench import stats

    shown = rows[stats.varying(rows)].copy() if len(rows) > 1 else rows[["engine", "text"]].copy()
    for name in shown:
        shown[name] = [_plain(v) for v in shown[name]]
    columns = (("ttfc_s", "ttfc ms", 1000, 0), ("rtf", "rtf", 1, 3), ("prebuffer_s", "prebuffer ms", 1000, 0), ("stalls", "stalls", 1, 0))
    shown.insert(len(shown.columns), "n", rows["n"].to_numpy())
    for metric, title, scale, digits in columns:
        shown[title] = [_interval(r, metric, scale, digits) for _, r in rows.iterrows()]
    text: str = shown.to_string(index=False)
    return f"median [95 % bootstrap interval]\n{text}"


def _interval(row: Any, metric: str, scale: float, digits: int) -> str:
    values = [row[metric], row[f"{metric}_lo"], row[f"{metric}_hi"]]
    words = ["-" if not math.isfinite(v) else f"{v * scale:,.{digits}f}" for v in values]
    return words[0] if words[0] == "-" else f"{words[0]} [{words[1]}, {words[2]}]"


def _plain(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    return f"{value:g}" if isinstance(value, float) else str(value)


def say(args: argparse.Namespace) -> int:
    """Speak one text to a file, to the loudspeaker, or both, and print how soon the sound came."""
    from xttsbench import player, runner
    from xttsbench.cli import settings_given
    from xttsbench.engines.session import resolve_device

    if not (args.out or args.play):
        raise ValueError("nothing to do with the sound: give --out F.wav, --play, or both.")
    if args.out and Path(args.out).exists():
        raise ValueError(f"{args.out!r} is there already; nothing is overwritten: name a new file.")
    if args.out and not Path(args.out).resolve().parent.is_dir():
        raise ValueError(f"folder {str(Path(args.out).resolve().parent)!r} is not there; make it first.")
    if args.engine not in ENGINES:
        raise unknown("engine", args.engine, ENGINES)
    settings = Settings(**settings_given(args))
    text = Text("said", settings.language, args.text)
    model, said = _resolve_model(args.model or "auto", args.accept_cpml)
    print(said)
    config = EngineConfig(model=model, device=resolve_device(args.device or "auto"))
    trial = Trial(engine=args.engine, config=config, settings=settings, text=text, voice=_voice(args), seed=args.seed)
    live = player.open_player(sample_rate=runner.SAMPLE_RATE) if args.play else None
    session = runner.open_session(config, accept_cpml=args.accept_cpml)
    check_before(session, [trial])
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
        f"{seconds:.2f} s of audio in {len(record.chunks)} chunks"
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
    from xttsbench.models import weights
    from xttsbench.models.released import released

    if args.model == "nano":
        from xttsbench.models.nano import DATA

        path: Path | None = DATA / "config.json"
    elif args.model == "random":
        path = None
    elif args.model == "xtts_v2":
        here = released()
        if here.folder is None or not here.whole:
            raise ValueError("XTTSv2's config.json is not in the cache; fetch the model by a sweep first.")
        path = here.folder / "config.json"
    else:
        weights.check_folder(Path(args.model))
        path = Path(args.model) / "config.json"
    print(manual.markdown(path, source=f"{args.model}'s") if args.markdown else manual.text(path), end="\n" if not args.markdown else "")
    return 0


def export_checkpoint(args: argparse.Namespace) -> int:
    """Write a model as a checkpoint folder."""
    from xttsbench.models.export import export_checkpoint as export
    from xttsbench.models.weights import load

    model, said = _resolve_model(args.model, args.accept_cpml)
    print(said)
    folder = Path(args.folder)
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"folder {str(folder)!r} is not empty; nothing is overwritten: name a new one.")
    for path in export(load(EngineConfig(model=model), accept_cpml=args.accept_cpml), folder):
        print(f"{path.stat().st_size:>13,} bytes  {path}")
    return 0


def _command() -> str:
    import shlex

    return shlex.join(["python", "-m", "xttsbench", *sys.argv[1:]])


def _duration(seconds: float) -> str:
    if not math.isfinite(seconds):
        return "?"
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
