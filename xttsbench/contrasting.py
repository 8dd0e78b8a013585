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
MOST_ROWS = 16
WIDTH = 120


def show_comparison(folder: Path) -> int:
    """Print a comparison; write compare.csv, figures and clips/ into its run. 1 if no contender succeeded."""
    meta = store.read_meta(folder)
    records = list(store.read(folder))
    heard = comparison.hear(folder, tqdm(records, desc="listening", unit="trial", leave=False, disable=None))
    rows = comparison.compare(heard)
    trials = table.trials(records)
    summary = stats.summary(trials)
    store.write_derived(folder / "summary.csv", summary.to_csv(index=False))
    apart = comparison.by_order(heard)
    every = pd.concat([rows.assign(order="all"), apart]) if len(rows) else rows
    store.write_derived(folder / "compare.csv", every.to_csv(index=False))
    timed = [r for r in records if r.trial.phase in ("timed", "replay") and r.status == "ok"]
    if not heard and not timed:
        print("no timed request has succeeded yet")
    elif not heard:
        print(f"no trial kept its audio, and seams can't be judged without it\n\n{readable.INTERVALS}")
        print(readable.times(summary).to_string(index=False))
    if len(rows):
        if rows["rtf"].notna().any():
            print(f"\nhow soon and how fast: {readable.INTERVALS}")
            print(readable.contenders(rows).to_string(index=False))
        else:
            print("\nreplayed: times are not measured; a variant is stream_chunk_size/overlap_wav_len")
        for words, seams in (
            (f"seams: {readable.SHARES}", readable.shares(rows)),
            (readable.SIZES, readable.sizes(rows)),
        ):
            if len(seams):
                print("\n" + textwrap.fill(words, WIDTH))
                print(seams.to_string(index=False))
        orders = readable.orders(apart)
        if 0 < len(orders) <= MOST_ROWS:
            print("\n" + textwrap.fill(readable.ORDERS, WIDTH))
            print(orders.to_string(index=False))
        elif len(orders):
            print(f"\nfirst and later seams apart, {len(orders)} rows, are in compare.csv")
        print("\nverdict")
        told = apart.loc[orders.index] if len(orders) <= MOST_ROWS else apart[:0]
        for sentence in [*readable.verdicts(rows), *readable.verdicts(told)]:
            print(textwrap.fill(sentence, WIDTH, initial_indent="  ", subsequent_indent="    "))
    for doubt in stats.doubts(trials, summary):
        print(f"careful: {doubt}")
    for note in [*comparison.notes(heard), meta["model"].get("note", "")]:
        if note:
            print(f"note: {note}")
    clips = _clips(folder, comparison.worst_seams(heard))
    found = places.places(heard)
    overview = _figure(folder, heard, rows, found, corner=_corner(meta))
    written = [folder / "compare.csv", *([overview] if overview else []), *_close_ups(folder, heard, found)]
    print(f"\n{', '.join(map(str, written))}" + (f", {len(clips)} clips in {folder / 'clips'}" if clips else ""))
    print(f"next: python -m xttsbench report {folder}")
    return 0 if timed else 1


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


def _figure(folder: Path, heard: list[Heard], rows: pd.DataFrame, found: pd.DataFrame, *, corner: str) -> Path | None:
    """Draw which share of seams is beyond their controls, and exactness by distance; of many variants their clicks and levels."""
    if not len(rows):
        return None
    from matplotlib.figure import Figure

    from xttsbench import plot

    many = rows["variant"].nunique() > plot.MOST_SERIES
    with plot.style():
        figure = Figure(figsize=(16, 8 if many else 6.5))
        left, right = figure.subplots(1, 2)
        if many:
            plot.excess(left, found, "click")
            plot.excess(right, found, "level_step_db", corner=corner)
        else:
            plot.audible(left, rows)
            plot.exactness(right, places.distances(heard), corner=corner)
        figure.suptitle("Seams beside places of the same audio that are none")
        path = folder / "compare.png"
        figure.savefig(path)
    return path


def _close_ups(folder: Path, heard: list[Heard], found: pd.DataFrame) -> list[Path]:
    """Draw waveform, spectrogram and F0 of the worst seam of each kind, beside a control of it; a figure each."""
    from matplotlib.figure import Figure

    from xttsbench import plot

    worst: dict[str, tuple[float, Heard, int, str]] = {}
    for scored in comparison.scored_seams(heard):
        _, h, seam, _ = scored
        worst.setdefault(str(h.seams["kind"][seam]), scored)
    out = []
    for kind, (score, h, seam, metric) in sorted(worst.items()):
        t = h.record.trial
        with plot.style():
            figure = Figure(figsize=(10.5, 7))
            mine = found[found["id"] == t.id]
            plot.close_up(figure.subplots(3, 2), h.audio, mine, seam=seam, sample_rate=h.record.sample_rate)
            name = comparison.variant(h.record)
            figure.suptitle(
                f"The {kind} seam furthest from its own controls: {name}, text {t.text.name!r}, seed {t.seed}\n"
                f"in {WORDS[metric][0]}, by {score:.0f} of the controls' spreads (of this utterance: it does not rank engines)"
            )
            out.append(folder / f"worst-{kind}-seam.png")
            figure.savefig(out[-1])
    return out
