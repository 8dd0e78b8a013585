"""Do the seam numbers mean what they say? Faults of known size in real speech; writes docs/validation.md and its figures.

Run: python benchmarks/validate_seams.py [--recordings mine.wav ...]. Needs the development extra.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from seam_alternatives import click_choices, pause_choices, pitch_choices
from seam_faults import Recording, load, shipped
from seam_trials import CASES, Case, confusion, coverage, detect, exact_counts, false_alarms

PARTS = ("development", "held-out", "24k", "coverage", "choices")
DOCS = Path(__file__).resolve().parents[1] / "docs"
CLICKS = tuple(c for c in CASES if c.metric == "click" and c.fault in ("click", "step"))


def run(
    sources: Sequence[Recording],
    *,
    n: int,
    repeats: int,
    seed: int,
    cases: Sequence[Case] = CASES,
    stored: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return detections, confusion and false alarms of one part of the recordings; what `stored` has is kept.

    Every case draws from a generator of its own, so a case added later changes no other.
    """
    out = dict(stored or {})
    out["recordings"] = [
        {"name": s.name, "sample_rate": s.sample_rate, "seconds": len(s.audio) / s.sample_rate} for s in sources
    ]
    done = {tuple(d["case"][k] for k in ("fault", "where", "metric")): d for d in out.get("detections", [])}
    out["detections"] = [
        done.get((c.fault, c.where, c.metric)) or asdict(detect(c, sources, n=n, seed=seed)) for c in cases
    ]
    for case, detection in zip(cases, out["detections"], strict=True):
        detection["case"] = asdict(case)
    if repeats:
        out["confusion"] = out.get("confusion") or confusion(sources, n=n, seed=seed)
        out["false_alarms"] = out.get("false_alarms") or {
            m: asdict(a) for m, a in false_alarms(sources, repeats=repeats, seed=seed).items()
        }
        out["exact_counts"] = out.get("exact_counts") or exact_counts(sources[0], n=20, seed=seed)
    return out


def detection_table(found: dict[str, Any], *, recordings: bool = False) -> str:
    """Return a Markdown table of one part: ROC AUC by size, and the smallest size found."""
    names = [r["name"] for r in found["recordings"]]
    extra = [f"AUC {n} at target" for n in names] if recordings else []
    head = [
        "fault",
        "where",
        "metric",
        "AUC by size",
        "found at 1 % by size",
        "smallest found (50 %, 90 %)",
        "rise",
        "target",
        *extra,
    ]
    rows = []
    for d in found["detections"]:
        case, cells = d["case"], d["cells"]
        goal = case["target"]
        hit = next((c for c in cells if goal and c["size"] == goal[0]), None)
        verdict = (
            "-"
            if hit is None
            else f"{goal[1]:g} at {goal[0]:g}: {'met' if hit['auc'] >= goal[1] else '**missed**'} ({hit['auc']:.3f})"
        )
        if case["metric"] == "click" and case["fault"] in ("click", "step"):
            softer = next(c for c in cells if c["size"] == -40)
            verdict += f"; 0.95 at -40: {'met' if softer['auc'] >= 0.95 else '**missed**'} ({softer['auc']:.3f})"
        sizes = [f"{c['size']:g}" for c in cells]
        rows.append(
            [
                case["fault"],
                case["where"],
                f"`{case['metric']}`",
                ", ".join(f"{s}: {c['auc']:.3f}" for s, c in zip(sizes, cells, strict=True)) + f" {case['unit']}",
                ", ".join(f"{s}: {c['found']:.2f}" for s, c in zip(sizes, cells, strict=True)),
                f"{_size(d['smallest_50'])}, {_size(d['smallest_90'])} {case['unit']}",
                f"{d['rises']:.2f}",
                verdict,
                *(
                    [f"{hit['by_recording'].get(n, float('nan')):.3f}" if hit else "-" for n in names]
                    if recordings
                    else []
                ),
            ]
        )
    return _markdown(head, rows)


def confusion_table(found: dict[str, Any]) -> str:
    """Return a Markdown table: share of faulty places beyond each metric's 1 % threshold."""
    metrics = list(next(iter(found["confusion"].values())))
    rows = [[fault, *(_share(row[m]) for m in metrics)] for fault, row in found["confusion"].items()]
    return _markdown(["fault", *(f"`{m}`" for m in metrics)], rows)


def alarm_table(found: dict[str, Any]) -> str:
    """Return a Markdown table: how often a pretended seam of clean speech counts as audible."""
    names = [r["name"] for r in found["recordings"]]
    rows = [
        [
            f"`{m}`",
            str(a["alarms"]),
            str(a["seams"]),
            f"{_share(a['rate'], 2)} [{100 * a['low']:.2f}, {100 * a['high']:.2f}]",
            *(_share(a["by_recording"].get(n, float("nan")), 2) for n in names),
            _share(a["ties"], 2),
        ]
        for m, a in found["false_alarms"].items()
    ]
    head = ["metric", "alarms", "pretended seams", "rate (1 % asked)", *names, "controls at the threshold"]
    return _markdown(head, rows)


def _size(value: float) -> str:
    return f"{value:g}" if np.isfinite(value) else "none"


def _share(value: float, digits: int = 0) -> str:
    return f"{100 * value:.{digits}f} %" if np.isfinite(value) else "-"


def _markdown(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head), *("| " + " | ".join(r) + " |" for r in rows)]
    return "\n".join(lines)


def figures(found: dict[str, Any], folder: Path) -> None:
    """Draw detection against size, and the confusion table, as SVG without a date in it."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "xttsbench"
    import matplotlib.pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    kept = found["detections"]
    fig, axes = plt.subplots(3, 5, figsize=(15, 8), sharey=True, layout="constrained")
    for ax, d in zip(axes.flat, kept, strict=False):
        sizes = [f"{c['size']:g}" for c in d["cells"]]
        ax.plot(sizes, [c["auc"] for c in d["cells"]], "o-", label="ROC AUC")
        ax.plot(sizes, [c["found"] for c in d["cells"]], "s--", label="found at 1 % false alarms")
        ax.set(
            title=f"{d['case']['fault']}, {d['case']['where']}\n{d['case']['metric']}",
            xlabel=d["case"]["unit"],
            ylim=(0, 1.03),
        )
        ax.grid(alpha=0.3)
    axes.flat[0].legend(fontsize=8)
    for ax in list(axes.flat)[len(kept) :]:
        ax.set_visible(False)
    fig.savefig(folder / "validation_detection.svg", metadata={"Date": None})
    table = found["confusion"]
    metrics = list(next(iter(table.values())))
    grid = np.array([[row[m] for m in metrics] for row in table.values()])
    fig, ax = plt.subplots(figsize=(8, 5), layout="constrained")
    ax.imshow(grid, vmin=0, vmax=1, cmap="Blues", aspect="auto")
    ax.set_xticks(range(len(metrics)), metrics, rotation=30, ha="right")
    ax.set_yticks(range(len(table)), list(table))
    for (i, j), value in np.ndenumerate(grid):
        ax.text(j, i, _share(value), ha="center", va="center", fontsize=8, color="white" if value > 0.6 else "black")
    fig.savefig(folder / "validation_confusion.svg", metadata={"Date": None})
    plt.close("all")


def page(found: dict[str, Any]) -> str:
    """Return docs/validation.md."""
    text = (Path(__file__).with_name("validation_page.md")).read_text(encoding="utf-8")
    held = found["held-out"]
    parts = {
        "recordings": _markdown(
            ["part", "recording", "rate", "seconds"],
            [
                [part, r["name"], f"{r['sample_rate']} Hz", f"{r['seconds']:.1f}"]
                for part in ("development", "held-out", "yours")
                if part in found
                for r in found[part]["recordings"]
            ],
        ),
        "detection": detection_table(held, recordings=True),
        "clicks_24k": detection_table(found["24k"], recordings=True),
        "confusion": confusion_table(held),
        "false_alarms": alarm_table(held),
        "coverage": _markdown(
            ["population", "coverage of the 95 % interval"], [[k, _share(v, 1)] for k, v in found["coverage"].items()]
        ),
        "exact_counts": _share(held["exact_counts"], 1),
        "development": detection_table(found["development"]),
        "yours": "## Your recordings\n\n" + detection_table(found["yours"], recordings=True)
        if "yours" in found
        else "",
        "n": str(held["asked"]["n"]),
        "alarms_repeats": str(held["asked"]["repeats"]),
        "choices": choice_tables(found["choices"]),
        "choices_n": str(found["choices"]["click"][0]["n"]),
    }
    for name, value in parts.items():
        text = text.replace("{{" + name + "}}", value)
    return text.rstrip() + "\n"


def main() -> None:
    """Run what was asked for, store every figure, write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--recordings", type=Path, nargs="*", default=[], help="your own speech files, reported beside ours"
    )
    parser.add_argument("--n", type=int, default=150, help="clean and faulty places a size and recording")
    parser.add_argument(
        "--repeats", type=int, default=40, help="times 40 pretended seams a recording, for false alarms"
    )
    parser.add_argument("--coverage", type=int, default=2000, help="simulated studies a population")
    parser.add_argument("--seed", type=int, default=0, help="decides places, signs and controls")
    parser.add_argument("--out", type=Path, default=DOCS, help="folder for validation.md, validation.json and figures/")
    parser.add_argument("--keep", action="store_true", help="run only what validation.json does not hold yet")
    parser.add_argument(
        "--parts", nargs="*", choices=PARTS, default=list(PARTS), help="run these, keep the rest as stored"
    )
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    raw = args.out / "validation.json"
    found: dict[str, Any] = json.loads(raw.read_text(encoding="utf-8")) if raw.exists() else {}
    for name, value in everything(args, found if args.keep else {}):
        found[name] = value
        raw.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    figures(found["held-out"], args.out / "figures")
    (args.out / "validation.md").write_text(page(found), encoding="utf-8")


def everything(args: argparse.Namespace, stored: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the name and the figures of each part that was asked for."""
    sizes = {"n": args.n, "repeats": args.repeats, "seed": args.seed}
    for part, sources in reversed(shipped().items()):
        if part in args.parts:
            # Only what is published needs the long tail of clean places.
            asked = sizes | ({"repeats": 0} if part == "development" else {})
            yield part, run(sources, stored=stored.get(part), **asked) | {"asked": asked}
    if "24k" in args.parts and "24k" not in stored:
        yield "24k", run(shipped(native=False)["held-out"], n=args.n, repeats=0, seed=args.seed, cases=CLICKS)
    if args.recordings:
        yield "yours", run([load(p) for p in args.recordings], **sizes)
    if "coverage" in args.parts and "coverage" not in stored:
        yield "coverage", coverage(repeats=args.coverage, seed=args.seed)
    if "choices" in args.parts:
        sources = shipped()["development"]
        asked, kept = {"n": args.n, "seed": args.seed}, stored.get("choices", {})
        yield (
            "choices",
            {
                "click": kept.get("click") or click_choices(sources, **asked),
                "pitch": kept.get("pitch") or pitch_choices(sources, **asked),
                "pause": kept.get("pause") or pause_choices(sources, **asked),
            },
        )


def choice_tables(found: dict[str, Any]) -> str:
    """Return Markdown tables: methods for the click, the pitch step and the pause, on the development part."""
    cells = [k for k in found["click"][0] if k not in ("method", "n", "ms")]
    click = [[r["method"], *(f"{r[k]:.3f}" for k in cells), f"{r['ms']:.1f}"] for r in found["click"]]
    pitch = [
        [r["method"], f"{r['auc']:.3f}", f"{r['reads']:.0f}", _share(r["undefined"]), f"{r['ms']:.1f}"]
        for r in found["pitch"]
    ]
    names = [k for k in found["pause"][0] if k != "method"]
    pause = [[r["method"], *(f"{r[k]:.3f}" for k in names)] for r in found["pause"]]
    return (
        _markdown(["impulse's view, step's view (window to each side, prediction order)", *cells, "ms a place"], click)
        + "\n\n"
        + _markdown(["pitch step of 100 cents, steady", "AUC", "cents read", "undefined", "ms a place"], pitch)
        + "\n\n"
        + _markdown(["pause inside a phrase", *names], pause)
    )


if __name__ == "__main__":
    main()
