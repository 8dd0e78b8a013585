"""Options to a sweep: a preset or an earlier run first, then what was given."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from xttsbench import store
from xttsbench import texts as text_sources
from xttsbench.grid import Sweep
from xttsbench.presets import PRESETS
from xttsbench.settings import ENGINES, JOINS, ONE_CHUNK, SETTINGS, unknown
from xttsbench.spec import EngineConfig, VoiceSpec


def settings_given(args: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that were on the command line, by name."""
    return {name: getattr(args, name) for name in SETTINGS if getattr(args, name, None) is not None}


def resolve_sweep(args: argparse.Namespace) -> tuple[Sweep, str]:
    """Turn options into a sweep: preset or earlier run first, then what was given; and say which model it is."""
    given = settings_given(args)
    if args.like:
        base = Sweep.from_json(store.read_meta(Path(args.like))["sweep"])
        if args.preset:
            raise ValueError("--like and --preset both say what to run; give one of them.")
        if not (args.voice or args.speaker):
            unchanged(base)
    else:
        base = from_preset(args.preset or ("quick" if _device(args) == "cpu" else "latency"))
    model, said = resolve_model(args.model or (base.configs[0].model if args.like else "auto"), args.accept_cpml)
    configs = _configs(args, model, base.configs)
    changes: dict[str, Any] = {"configs": configs, "grid": {**base.grid, **{k: tuple(v) for k, v in given.items()}}}
    if args.engines:
        changes["engines"] = tuple(dict.fromkeys(args.engines))
    languages = tuple(args.languages or (dict.fromkeys(t.language for t in base.texts) if args.like else ("en",)))
    if args.texts_file and (args.texts or (args.languages and len(languages) > 1)):
        raise ValueError(
            "--texts-file brings its own texts; leave out --texts, and give at most one of --languages for plain lines."
        )
    if args.text and (args.texts or args.texts_file or len(languages) > 1):
        raise ValueError("--text is what is spoken; leave out --texts and --texts-file, and give one of --languages.")
    if args.text:
        changes["texts"] = text_sources.typed(args.text, language=languages[0])
    elif args.texts_file:
        changes["texts"] = text_sources.from_file(args.texts_file, language=languages[0])
    elif args.texts or args.languages:
        names = tuple(args.texts or dict.fromkeys(t.name for t in base.texts))
        if languages != ("en",) and not args.texts:
            names = tuple(n for n in names if n != "long")
        changes["texts"] = text_sources.shipped(names, languages)
    if args.voice or args.speaker:
        changes["voice"] = voice_of(args)
    for name in ("repeats", "seed"):
        if getattr(args, name) is not None:
            changes[name] = getattr(args, name)
    if args.no_stages:
        changes["stages"] = False
    plan = replace(base, **changes)
    for config in plan.configs:
        plan.cells(config)
    return plan, said


def resolve_compare(args: argparse.Namespace) -> tuple[Sweep, str]:
    """Turn the options of `compare` into a sweep: every engine once, naive with each join, and whole decodes of what streamed."""
    engines = tuple(dict.fromkeys(args.engines or ENGINES))
    for engine in engines:
        if engine not in ENGINES:
            raise unknown("engine", engine, ENGINES)
    if len(engines) < 2:
        raise ValueError(f"compare was given {len(engines)} engine; it takes two or more of {', '.join(ENGINES)}.")
    model, said = resolve_model(args.model or "auto", args.accept_cpml)
    given = settings_given(args)
    chunk = given.pop("stream_chunk_size", SETTINGS["stream_chunk_size"].default)
    if chunk == ONE_CHUNK:
        raise ValueError(
            f"stream_chunk_size {ONE_CHUNK} is the whole decode that others are held against; give a smaller one."
        )
    grid = {
        "stream_chunk_size": (chunk,),
        "join": (given.pop("join"),) if "join" in given else JOINS,
        "enable_text_splitting": (given.pop("enable_text_splitting", True),),
        **{name: (value,) for name, value in given.items()},
    }
    if sum(map(bool, (args.text, args.texts, args.texts_file))) > 1:
        raise ValueError("compare takes one of --text, --texts and --texts-file.")
    if args.text:
        texts = text_sources.typed(args.text, language=args.language or "en")
    elif args.texts_file:
        texts = text_sources.from_file(args.texts_file, language=args.language or "en")
    else:
        texts = text_sources.shipped(tuple(args.texts or ["medium"]), (grid.pop("language", ("en",))[0],))
    plan = Sweep(
        configs=_configs(args, model, (EngineConfig(model=model),)),
        engines=engines,
        grid={name: values for name, values in grid.items() if name != "language"},
        texts=texts,
        voice=voice_of(args),
        repeats=args.repeats,
        seed=args.seed,
        stages=False,
        reuse=True,
        preset="compare",
    )
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
        replay=p.replay,
        preset=name,
    )


def resolve_model(model: str, accept_cpml: bool) -> tuple[str, str]:
    """Return the model's name and the sentence that says which it is; torch-side knowledge, so imported late."""
    from xttsbench.models.weights import resolve

    return resolve(model, accept_cpml=accept_cpml)


def _configs(args: argparse.Namespace, model: str, base: tuple[EngineConfig, ...]) -> tuple[EngineConfig, ...]:
    device = _device(args, base[0].device if getattr(args, "like", None) else "auto")
    deepspeed = getattr(args, "deepspeed", False) or base[0].deepspeed
    sha = weights_of(model)
    precisions = dict.fromkeys(args.precision or [c.precision for c in base])
    compiles = dict.fromkeys(getattr(args, "compile", None) or [c.compile for c in base])
    threads = dict.fromkeys(args.threads or [c.threads for c in base])
    return tuple(
        EngineConfig(
            model=model, device=device, precision=p, compile=c, threads=t, deepspeed=bool(deepspeed), weights_sha256=sha
        )
        for p in precisions
        for c in compiles
        for t in threads
    )


def weights_of(model: str) -> str:
    """Return the hash of a checkpoint folder's weights; '' for a model with a name, which says what it is."""
    from xttsbench.models.weights import file_sha256

    path = Path(model) / "model.pth"
    return file_sha256(path) if path.is_file() else ""


def unchanged(plan: Sweep) -> Sweep:
    """Return the sweep of an earlier run, if its voice files are still what they were; ValueError names the mend."""
    files = list(plan.voice.files)
    if files and VoiceSpec.from_files(files).sha256 != plan.voice.sha256:
        raise ValueError(
            f"voice file {', '.join(files)} is no longer the one of that run; restore it, or give --voice in a new run."
        )
    return plan


def _device(args: argparse.Namespace, otherwise: str = "auto") -> str:
    device: str = args.device or otherwise
    if device != "auto":
        return device
    from xttsbench.engines.session import resolve_device  # only torch knows what there is

    return resolve_device(device)


def voice_of(args: argparse.Namespace) -> VoiceSpec:
    """Return the voice asked for; the shipped one if none was."""
    if args.speaker:
        return VoiceSpec(speaker=args.speaker)
    return VoiceSpec.from_files(args.voice) if args.voice else VoiceSpec()
