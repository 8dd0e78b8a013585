"""A comparison for people: two tables, a verdict a row, a figure, and the clips around the worst seams."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile as sf
from tqdm.auto import tqdm

from xttsbench import comparison, places, stats, store, table
from xttsbench.comparison import WORDS, Heard
from xttsbench.showing import interval

CLIP_S = 0.5
SHORT = {
    "click": "click",
    "level_step_db": "level",
    "level_dip_db": "dip",
    "spectrum_step_db": "spectrum",
    "pitch_step_cents": "pitch",
    "pause_s": "pause",
    "rate_step_octaves": "rate",
}


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
        once = rows.drop_duplicates("variant")
        if once["rtf"].notna().any():
            print("\nhow soon and how fast: median [95 % bootstrap interval]")
            print(_times(once).to_string(index=False))
        else:
            print("\nreplayed: times are not measured; a variant is stream_chunk_size/overlap_wav_len")
        seams = rows[rows["kind"] != "-"]
        if len(seams):
            print(
                "\nseams: share beyond the 99th percentile of their controls (1 % is what chance gives); medians; exactness against one decode"
                "\nof the same tokens, over all and in the worst 25 ms around a chunk seam"
            )
            print(_seams(seams).to_string(index=False))
        print("\nverdict")
        for _, row in rows.iterrows():
            where = "" if row["kind"] == "-" else f", {row['kind']} seams"
            print(f"  {row['variant']}{where}: {comparison.verdict(row, kind=row['kind'])}")
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


def _times(rows: pd.DataFrame) -> pd.DataFrame:
    shown = rows[["variant", "n"]].copy()
    columns = (
        ("ttfc_s", "ttfc ms", 1000, 0),
        ("safe_start_s", "safe start ms", 1000, 0),
        ("rtf", "rtf", 1, 3),
        ("audio_s", "audio s", 1, 2),
    )
    for metric, title, scale, digits in columns:
        shown[title] = [interval(r, metric, scale, digits) for _, r in rows.iterrows()]
    return shown


def _seams(rows: pd.DataFrame) -> pd.DataFrame:
    shown = rows[["variant", "kind", "seams"]].copy()
    for metric, title in SHORT.items():
        columns = [f"{metric}_audible_share{end}" for end in ("", "_lo", "_hi")]
        shown[title] = [_share(*values) for values in rows[columns].itertuples(index=False)]
    for metric, title, digits in (
        ("pause_s", "pause s", 2),
        ("pause_ratio", "x own", 1),
        ("pitch_step_cents", "cents", 0),
    ):
        shown[title] = [interval(row, metric, 1, digits) for _, row in rows.iterrows()]
    chunk = rows["kind"] == "chunk"
    shown["SNR dB"] = [
        interval(row, "snr_db", 1, 1) if own else "" for own, (_, row) in zip(chunk, rows.iterrows(), strict=True)
    ]
    shown["worst dB"] = [_number(v, 1) if own else "" for own, v in zip(chunk, rows["worst_seam_snr_db"], strict=True)]
    return shown


def _share(value: float, low: float, high: float) -> str:
    return "-" if not math.isfinite(value) else f"{value:.0%} [{low:.0%}, {high:.0%}]"


def _number(value: float, digits: int) -> str:
    return "-" if not math.isfinite(value) else f"{value:.{digits}f}"


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
