"""What a report says of a run: verdict, tables, figures, clips and warnings, gathered once for page and Markdown."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from xttsbench import __version__, answers, comparison, readable, stats
from xttsbench.caveats import gathered
from xttsbench.report import clips, tables
from xttsbench.report.clips import Spoken
from xttsbench.report.encoding import Picture
from xttsbench.report.figures import of_times
from xttsbench.report.reading import Reading
from xttsbench.report.seam_figures import of_seams
from xttsbench.report.tables import Table

MOST_ALIKE = 3


@dataclass(frozen=True)
class Content:
    """A report before it has a form.

    `verdict` is question -> answer, `verdicts` are sentences a kind of seam, `unheard` says which audio is not in it.
    """

    name: str
    about: str
    verdict: Mapping[str, str]
    verdicts: tuple[str, ...]
    warnings: tuple[str, ...]
    results: tuple[Table, ...]
    pictures: tuple[Picture, ...]
    spoken: tuple[Spoken, ...]
    chosen_by: str
    unheard: str
    background: tuple[Table, ...]
    command: str
    next_step: str
    version: str


def gather(run: Reading, *, with_media: bool = True) -> Content:
    """Say what is in a run; without media neither figures are drawn nor clips cut."""
    chosen_by, chosen = _chosen(run)
    spoken = clips.cut(run.folder, chosen) if with_media else []
    return Content(
        name=run.folder.resolve().name,
        about=_about(run),
        verdict=_verdict(run),
        verdicts=tuple(readable.verdicts(run.compared)),
        warnings=tuple(dict.fromkeys(_warnings(run))),
        results=tuple(_results(run)),
        pictures=tuple(drawn(run)) if with_media else (),
        spoken=tuple(spoken),
        chosen_by=chosen_by,
        unheard=_unheard(run, texts=len(chosen), spoken=len(spoken)),
        background=(
            tables.asked(run.meta, run.records),
            tables.texts(run.meta),
            tables.model(run.meta),
            tables.machine(run.meta),
        ),
        command=str(run.meta.get("command", "")),
        next_step=_next(run),
        version=__version__,
    )


def _verdict(run: Reading) -> dict[str, str]:
    if len(run.compared) or run.replayed:
        out = answers.of_comparison(run.trials, run.compared)
    else:
        out = answers.of_sweep(run.trials, run.summary) | answers.of_sampling(run.effects)
    notes = _notes(run)
    return out | ({"About the model:": f"{'; '.join(notes)}."} if notes else {})


def _notes(run: Reading) -> list[str]:
    said = [run.meta["model"].get("note", ""), *(r.note for r in run.records)]
    return list(dict.fromkeys(note.rstrip(".") for note in said if note))


def _about(run: Reading) -> str:
    sweep = run.meta["sweep"]
    models = " and ".join(dict.fromkeys(Path(c["model"]).name for c in sweep["configs"]))
    devices = {c["device"] for c in sweep["configs"]}
    machine = run.meta["machine"]
    where = " and ".join(str(machine.get("gpu" if d == "cuda" else "cpu", d)) for d in sorted(devices))
    kind = "a replay of joins" if run.replayed else f"preset {sweep['preset']}" if sweep.get("preset") else "a sweep"
    return f"{kind}, model {models} on {where}: {len(run.done)} of {len(run.asked)} trials succeeded"


def _results(run: Reading) -> list[Table]:
    out = []
    if len(run.compared):
        if not run.replayed:
            out.append(tables.contenders(run.compared))
        out += [tables.shares(run.compared), tables.sizes(run.compared)]
        apart = tables.orders(comparison.by_order(list(run.heard)))
        out += [apart] if apart.rows else []
    elif len(run.summary) and not run.replayed:
        out.append(tables.times(run.summary))
    if len(run.trials):
        out += [tables.stages(run.trials), tables.failures(run.trials)]
    return [t for t in out if t.rows]


def _warnings(run: Reading) -> list[str]:
    out = stats.doubts(run.trials, run.summary) if len(run.trials) else []
    limits = run.meta["model"].get("char_limits")
    for sentences in gathered((r.trial for r in run.records), char_limits=limits).values():
        out += sentences[:MOST_ALIKE]
        if len(sentences) > MOST_ALIKE:
            out.append(f"... and {len(sentences) - MOST_ALIKE} more like it")
    if run.lost:
        out.append(
            f"the audio of {run.lost} of {len(run.records)} trials was kept, but is not in the run's folder any more"
        )
    about_seams = run.replayed or run.meta["sweep"].get("preset") == "compare"
    if about_seams and len(run.done) and not run.heard:
        out.append("no trial has audio here, and seams can't be judged without it")
    if run.meta["machine"].get("dirty"):
        out.append("the code that ran had changes that are not committed")
    wanted = [c["device"] for c in run.meta["sweep"]["configs"]]
    if not len(run.done) and not len(run.asked) and wanted:
        out.append("the run was broken off before its first timed request, or is under way")
    return [*out, *comparison.notes(list(run.heard)), *readable.cold(run.trials)] if len(run.trials) else out


def drawn(run: Reading) -> list[Picture]:
    """Draw every figure that a run has something to show in."""
    from xttsbench import plot

    with plot.style():
        of_what = of_seams(run) if len(run.compared) else ()
        return [*of_what, *(of_times(run) if len(run.done) and not run.replayed else ())]


def _chosen(run: Reading) -> tuple[str, clips.Chosen]:
    by_seam = clips.by_seam(run.heard)
    if by_seam:
        return clips.BY_SEAM, by_seam
    by_start = clips.by_safe_start(run.records, run.trials)
    return (clips.BY_SAFE_START, by_start) if by_start else (clips.BY_NOTHING, clips.examples(run.records))


def _unheard(run: Reading, *, texts: int, spoken: int) -> str:
    if not texts:
        return "This run has no audio to hear." if len(run.done) else ""
    if spoken < texts:
        return (
            f"Sound takes room: the players of {texts - spoken} of {texts} texts are left out, "
            f"to keep what is heard here under {clips.MOST_BYTES / 1e6:.1f} MB."
        )
    return ""


def _next(run: Reading) -> str:
    folder = shlex.quote(str(run.folder))
    if not len(run.done):
        return f"python -m xttsbench sweep --resume {folder}" if not len(run.asked) else "python -m xttsbench doctor"
    if run.replayed or run.meta["sweep"].get("preset") == "compare":
        return "python -m xttsbench sweep --preset latency"
    return f"python -m xttsbench sweep --like {folder} --repeats 20"
