"""A comparison for people: two tables, a verdict a row, a figure, and the clips around the worst seams."""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile as sf
from tqdm.auto import tqdm

from xttsbench import comparison, places, readable, stats, store, table
from xttsbench.comparison import WORDS, Heard

CLIP_S = 0.5


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
    figure = _figure(folder, heard, rows, corner=_corner(meta))
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


def _figure(folder: Path, heard: list[Heard], rows: pd.DataFrame, *, corner: str) -> Path | None:
    """Draw which share of seams is beyond their controls, and exactness by distance; of many variants their clicks and levels."""
    if not len(rows):
        return None
    from matplotlib.figure import Figure

    from xttsbench import plot

    table, many = places.places(heard), rows["variant"].nunique() > plot.MOST_SERIES
    with plot.style():
        figure = Figure(figsize=(16, 8 if many else 6.5))
        left, right = figure.subplots(1, 2)
        if many:
            plot.excess(left, table, "click")
            plot.excess(right, table, "level_step_db", corner=corner)
        else:
            plot.audible(left, rows)
            plot.exactness(right, places.distances(heard), corner=corner)
        figure.suptitle("Seams beside places of the same audio that are none")
        path = folder / "compare.png"
        figure.savefig(path)
    return path
