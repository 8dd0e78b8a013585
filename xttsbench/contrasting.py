"""A comparison for people: two tables, a verdict a row, a figure, and the clips around the worst seams."""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np
import soundfile as sf
from tqdm.auto import tqdm

from xttsbench import comparison, readable, stats, store, table
from xttsbench.comparison import WORDS, Heard

CLIP_S = 0.5
MOST_COLUMNS = 6


def show_comparison(folder: Path) -> int:
    """Print a comparison; write compare.csv, compare.png and clips/ into its run. 1 if no contender succeeded."""
    meta = store.read_meta(folder)
    records = list(store.read(folder))
    heard = comparison.hear(folder, tqdm(records, desc="listening", unit="trial", leave=False, disable=None))
    rows = comparison.compare(heard)
    trials = table.trials(records)
    summary = stats.summary(trials)
    store.write_derived(folder / "summary.csv", summary.to_csv(index=False))
    store.write_derived(folder / "compare.csv", rows.to_csv(index=False))
    if not heard and len(trials):
        print("no trial kept audio, and seams can't be judged without it; run again without --no-audio")
    if len(rows):
        if rows["rtf"].notna().any():
            print(f"\nhow soon and how fast: {readable.INTERVALS}")
            print(readable.contenders(rows).to_string(index=False))
        else:
            print("\nreplayed: times are not measured; a variant is stream_chunk_size/overlap_wav_len")
        seams = readable.seams(rows)
        if len(seams):
            print("\n" + textwrap.fill(f"seams: {readable.SHARES}", 140))
            print(seams.to_string(index=False))
        print("\nverdict")
        for sentence in readable.verdicts(rows):
            print(f"  {sentence}")
    for doubt in stats.doubts(trials, summary):
        print(f"careful: {doubt}")
    for note in [*comparison.notes(heard), meta["model"].get("note", "")]:
        if note:
            print(f"note: {note}")
    clips = _clips(folder, comparison.worst_seams(heard))
    figure = _figure(folder, heard, note=_corner(meta))
    print(
        f"\n{folder / 'compare.csv'}"
        + (f", {figure}" if figure else "")
        + (f", {len(clips)} clips in {folder / 'clips'}" if clips else "")
    )
    return 0 if len(rows) else 1


def _clips(folder: Path, worst: list[tuple[Heard, int, str]]) -> list[Path]:
    """Write half a second to each side of the worst seams, named by contender, kind and metric; older ones go."""
    out = []
    for old in (folder / "clips").glob("*.wav"):
        old.unlink()
    for number, (h, k, metric) in enumerate(worst, 1):
        rate = h.record.sample_rate
        at = int(h.seams["sample"][k])
        end = at + int(h.seams["overlap_samples"][k])
        clip = h.audio[max(0, at - int(CLIP_S * rate)) : end + int(CLIP_S * rate)]
        name = comparison.variant(h.record).replace("/", "-")
        path = folder / "clips" / f"{number}-{name}-{h.seams['kind'][k]}-seam-{WORDS[metric][0].replace(' ', '-')}.wav"
        path.parent.mkdir(exist_ok=True)
        sf.write(str(path), np.clip(clip, -1, 1), rate, subtype="PCM_24")
        out.append(path)
    return out


def _corner(meta: dict[str, object]) -> str:
    sweep, machine = meta["sweep"], meta["machine"]
    assert isinstance(sweep, dict) and isinstance(machine, dict)
    config = sweep["configs"][0]
    where = machine["gpu"] if config["device"] == "cuda" else machine["cpu"]
    model = meta["model"]
    assert isinstance(model, dict)
    return f"{Path(config['model']).name} on {where}; {model['note'] or 'as released'}"


def _figure(folder: Path, heard: list[Heard], *, note: str) -> Path | None:
    """Draw waveform, spectrogram and F0 of one utterance a contender, the first text and seed, with seams and controls."""
    contenders = [h for h in heard if not comparison.is_reference(h.record)]
    if not contenders:
        return None
    from matplotlib.figure import Figure

    from xttsbench import plot

    first = contenders[0].record.trial
    same = [h for h in contenders if (h.record.trial.text, h.record.trial.seed) == (first.text, first.seed)]
    columns = list({comparison.variant(h.record): h for h in same}.values())[:MOST_COLUMNS]
    figure = Figure(figsize=(4.2 * len(columns), 7.5), layout="constrained")
    axes = figure.subplots(3, len(columns), squeeze=False, sharex="col")
    for column, h in zip(axes.T, columns, strict=True):
        rate = h.record.sample_rate
        marks = {
            "sample_rate": rate,
            "seams": h.seams["sample"].tolist(),
            "controls": h.measures.controls.positions[::4].tolist() if h.measures else [],
        }
        for ax, draw in zip(column, (plot.waveform, plot.spectrogram, plot.pitch), strict=True):
            draw(ax, h.audio, **marks)
            ax.label_outer()
        column[0].set_title(f"{comparison.variant(h.record)} ({len(h.seams)} seams)")
        column[0].set_ylim(-1, 1)
    figure.suptitle(
        f"seams solid, every fourth control dotted; text {first.text.name!r}, seed {first.seed}; {note}", fontsize=10
    )
    path = folder / "compare.png"
    figure.savefig(path, dpi=110)
    return path
