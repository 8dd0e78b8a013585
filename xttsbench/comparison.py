"""Streaming against naive chunking: a run of several engines on the same texts and seeds, to one row an engine and kind of seam.

Nothing is measured here that the run does not hold: arrival times, audio, and where the seams are.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from xttsbench import store, table
from xttsbench.metrics.exactness import Exactness, exactness
from xttsbench.metrics.excess import LEAST_SEAMS
from xttsbench.metrics.seams import METRICS, SeamMeasures, judge, measure_seams, pool
from xttsbench.record import NAN, Record
from xttsbench.settings import ONE_CHUNK, REPLAYED, STREAMING
from xttsbench.stats import holm, median_interval, short

TIMES = ("ttfc_s", "safe_start_s", "rtf", "audio_s")
KINDS, ORDERS = ("chunk", "sentence"), ("first", "later")
WORDS = {
    "click": ("clicks", ""),
    "level_step_db": ("level steps", " dB"),
    "level_dip_db": ("level dips", " dB"),
    "spectrum_step_db": ("spectrum steps", " dB"),
    "pitch_step_cents": ("pitch steps", " cents"),
    "pause_s": ("pauses", " s"),
    "pause_ratio": ("pauses against its own", "x"),
    "rate_step_octaves": ("rate steps", " octaves"),
}


@dataclass(frozen=True)
class Heard:
    """One record with its audio, its seams and their measures; `measures` is None without a seam."""

    record: Record
    audio: np.ndarray[Any, np.dtype[np.float32]]
    seams: pd.DataFrame
    measures: SeamMeasures | None


def variant(record: Record) -> str:
    """Return what tells one contender from another: the engine, for naive its join, in a replay of stock chunk size and overlap."""
    t = record.trial
    if t.phase == "replay" and t.engine == "stock":
        return f"{t.settings.stream_chunk_size}/{t.settings.overlap_wav_len}"
    return f"naive/{t.settings.join}" if t.engine == "naive" else t.engine


def variants(records: list[Record]) -> list[str]:
    """Return the contender that each record belongs to: its `variant`, and whatever else of its settings differs within that."""
    plain = [variant(r) for r in records]
    seen: dict[str, dict[str, set[Any]]] = {}
    for name, r in zip(plain, records, strict=True):
        for setting, value in _others(r).items():
            seen.setdefault(name, {}).setdefault(setting, set()).add(value)
    return [
        " ".join([name, *(f"{s}={v}" for s, v in _others(r).items() if len(seen[name][s]) > 1)])
        for name, r in zip(plain, records, strict=True)
    ]


def _others(record: Record) -> dict[str, Any]:
    t = record.trial
    named = (*REPLAYED, "language") if t.phase == "replay" and t.engine == "stock" else ("join", "language")
    return {**{n: v for n, v in vars(t.settings).items() if n not in named}, **vars(t.config)}


def is_reference(record: Record) -> bool:
    """Return whether a streaming record came in one chunk a sentence: the whole decode that others are held against."""
    t = record.trial
    return t.engine in STREAMING and t.settings.stream_chunk_size == ONE_CHUNK


def hear(folder: Path, records: Iterable[Record], *, seed: int = 0) -> list[Heard]:
    """Read the audio of timed and replayed records that kept it, and measure every seam and its controls."""
    out = []
    for r in records:
        if r.status != "ok" or r.trial.phase not in ("timed", "replay") or not r.audio:
            continue
        audio = store.read_audio(folder, r)
        seams = table.seams([r])
        inside = seams[(seams["sample"] > 0) & (seams["sample"] < len(audio))]
        measures = None
        if len(inside) and not is_reference(r):
            measures = measure_seams(
                audio,
                inside["sample"].to_numpy(),
                sample_rate=r.sample_rate,
                overlap_samples=inside["overlap_samples"].to_numpy(),
                seed=seed,
            )
        out.append(Heard(r, audio, inside.reset_index(drop=True), measures))
    return out


def compare(heard: list[Heard]) -> pd.DataFrame:
    """Return a row a contender and kind of seam ('chunk', 'sentence', or '-' where it has none).

    Columns: variant, kind, n (utterances), times with `_lo` and `_hi`, seams; for each metric its median at seams, the
    excess over controls with interval, p (Holm-corrected over the row's metrics), effect and audible share with interval;
    snr_db and worst_seam_snr_db (of chunk seams) against the whole decode of the same tokens. Undefined is NaN.
    """
    references = wholes(heard)
    rows = []
    for name, mine in _contenders(heard):
        figures = table.trials([h.record for h in mine])
        base: dict[str, Any] = {"variant": name, "n": len(mine), "note": mine[0].record.note}
        for time in TIMES:
            base[time], base[f"{time}_lo"], base[f"{time}_hi"] = median_interval(figures[time].to_numpy(dtype=float))
        base |= _exact(mine, references)
        seams, pooled = _pooled(mine)
        kinds = [k for k in KINDS if (seams["kind"] == k).any()]
        for kind in kinds or ["-"]:
            judged = _judged(pooled, (seams["kind"] == kind).to_numpy()) if pooled else {"seams": 0}
            rows.append({**base, "kind": kind, **judged})
    return pd.DataFrame(rows)


def by_order(heard: list[Heard]) -> pd.DataFrame:
    """Return a row a contender, kind and order of seam: the first apart from later ones, as `table.seams` tells them.

    Columns: variant, kind, order ('first' or 'later'), and of `compare` those that speak of seams and controls alone.
    """
    rows = []
    for name, mine in _contenders(heard):
        seams, pooled = _pooled(mine)
        for kind, order in itertools.product(KINDS, ORDERS):
            which = ((seams["kind"] == kind) & (seams["order"] == order)).to_numpy()
            if pooled and which.any():
                rows.append({"variant": name, "kind": kind, "order": order, **_judged(pooled, which)})
    return pd.DataFrame(rows, columns=None if rows else ["variant", "kind", "order", "seams"])


def verdict(row: pd.Series, *, kind: str) -> str:
    """Return one sentence: what is heard more at these seams than elsewhere, or that no difference was found; and how exact they are."""
    return _heard_more(row, kind) + _from_one_decode(row, kind)


def _from_one_decode(row: pd.Series, kind: str) -> str:
    snr = row.get("snr_db", NAN)
    if kind != "chunk" or not math.isfinite(snr):
        return ""
    return f"; {snr:.0f} dB from one decode of the same tokens, {row['worst_seam_snr_db']:.0f} dB in the worst 25 ms"


def _heard_more(row: pd.Series, kind: str) -> str:
    if kind == "-":
        return "no seam"
    if row["seams"] < LEAST_SEAMS:
        return f"only {int(row['seams'])} seams: too few for an interval"
    found = []
    for metric in exceeding(row):
        share = row[f"{metric}_audible_share"]
        heard = f" ({share:.0%} stand out)" if math.isfinite(share) else " (too few controls for a share)"
        found.append(f"{_excess(row, metric)} over controls{heard}")
    if found:
        return "; ".join(found)
    if not judged(row):
        pauses = (
            f"; its pauses last {row['pause_s']:.2f} s, {row['pause_ratio']:.1f} times its own"
            if row["pause_s"] > 0
            else ""
        )
        return f"not judged: nothing in this audio is like these seams{pauses}"
    near = [m for m in WORDS if row.get(f"{m}_excess_lo", NAN) > 0]
    if not near:
        return "no difference found between seams and controls"
    first = min(near, key=lambda m: row[f"{m}_p"])
    tested = sum(math.isfinite(row[f"{m}_p"]) for m in METRICS)
    return f"no difference found, corrected for {tested} metrics (nearest: {_excess(row, first)}, p {row[f'{first}_p']:.2g})"


def _excess(row: pd.Series, metric: str) -> str:
    word, unit = WORDS[metric]
    median, low, high = (row[f"{metric}_excess{end}"] for end in ("", "_lo", "_hi"))
    return f"{word} {short(median, sign=True)}{unit} [{short(low)}, {short(high)}]"


def exceeding(row: pd.Series) -> list[str]:
    """Return the metrics in which a row's seams exceed their controls: the interval lies above 0, and p is under 0.05."""
    return [m for m in WORDS if row.get(f"{m}_excess_lo", NAN) > 0 and row.get(f"{m}_p", NAN) < 0.05]


def judged(row: pd.Series) -> bool:
    """Return whether any metric of a row's seams could be held against controls."""
    return any(math.isfinite(row.get(f"{metric}_excess_lo", NAN)) for metric in WORDS)


def notes(heard: list[Heard]) -> list[str]:
    """Return what a reader must know of what could not be compared."""
    out = []
    for text in {h.record.trial.text.name: h for h in heard if h.record.trial.engine == "naive" and not len(h.seams)}:
        out.append(f"text {text!r} is a single sentence: naive chunking has no seam in it")
    rejoined = sorted(
        {variant(h.record) for h in heard if h.record.trial.phase == "replay" and h.record.trial.engine == "naive"}
    )
    if rejoined:
        out.append(
            f"{' and '.join(rejoined)}: sentences synthesised once, for the first join, and joined anew; times are of that synthesis and this join"
        )
    short = [h for h in heard if len(h.audio) < h.record.sample_rate // 2]
    if short:
        out.append(f"{len(short)} utterances are shorter than 0.5 s: too short for the windows of most seam metrics")
    silent = [m for m in METRICS if not any(h.measures and np.isfinite(h.measures.at_seams[m]).any() for h in heard)]
    if silent and any(h.measures for h in heard):
        out.append(f"undefined at every seam: {', '.join(silent)}")
    return out


def worst_seams(heard: list[Heard], *, most: int = 6) -> list[tuple[Heard, int, str]]:
    """Return up to `most` seams that exceed their own controls by most in any metric, with the metric's name."""
    return [(h, k, metric) for _, h, k, metric in scored_seams(heard)[:most]]


def scored_seams(heard: list[Heard]) -> list[tuple[float, Heard, int, str]]:
    """Return every seam that can be held against its controls, worst first: its score, whose and which it is, and in what.

    The score is how far it exceeds its own controls in the metric where that is most, counted in units of the controls'
    spread (median absolute deviation), so that metrics compare.
    """
    found = []
    for h in heard:
        if h.measures is None:
            continue
        for metric, values in h.measures.at_seams.items():
            control = np.abs(h.measures.at_controls[metric])
            control = control[np.isfinite(control)]
            if len(control) < 10:
                continue
            spread = 1.4826 * np.median(np.abs(control - np.median(control)))
            if spread > 0:
                scores = (np.abs(values) - np.median(control)) / spread
                found += [(float(s), h, k, metric) for k, s in enumerate(scores) if np.isfinite(s)]
    found.sort(key=lambda item: -item[0])
    worst: dict[tuple[str, int], tuple[float, Heard, int, str]] = {}
    for item in found:
        worst.setdefault((item[1].record.trial.id, item[2]), item)
    return list(worst.values())


def wholes(heard: list[Heard]) -> dict[str, Heard]:
    """Return the one-chunk decodes among `heard`, by the utterance that they share with those held against them."""
    return {h.record.trial.utterance: h for h in heard if is_reference(h.record)}


def whole_of(record: Record, references: dict[str, Heard]) -> Heard | None:
    """Return the whole decode of the same tokens that a record is held against; None if `references` of `wholes` has none."""
    whole = references.get(record.trial.utterance)
    if whole is None or not record.chunks or record.chunks[-1].tokens != whole.record.chunks[-1].tokens:
        return None
    spoken = [c.sentence for c in whole.record.chunks if c.samples]
    if len(set(spoken)) < len(spoken):  # it ran on beyond the longest chunk, and has a seam of its own
        return None
    return whole


def against_whole(h: Heard, references: dict[str, Heard]) -> Exactness | None:
    """Return how exact a record is against its whole decode; None without a seam, or without a whole of the same tokens."""
    whole = whole_of(h.record, references)
    if whole is None or not len(h.seams):
        return None
    return exactness(
        h.audio,
        whole.audio,
        h.seams["sample"].to_numpy(),
        sample_rate=h.record.sample_rate,
        overlap_samples=h.seams["overlap_samples"].to_numpy(),
    )


def _exact(mine: list[Heard], references: dict[str, Heard]) -> dict[str, float]:
    """Hold each record against the one-chunk decode of the same tokens; NaN where there is none of equal tokens."""
    overall, worst = [], []
    for h in mine:
        got = against_whole(h, references)
        if got is None:
            continue
        overall.append(got.snr_db)
        near = got.seam_snr_db[(h.seams["kind"] == "chunk").to_numpy()]
        worst.append(np.nanmin(near) if np.isfinite(near).any() else NAN)
    snr, low, high = median_interval(np.array(overall))
    return {
        "snr_db": snr,
        "snr_db_lo": low,
        "snr_db_hi": high,
        "worst_seam_snr_db": float(np.nanmin(worst)) if np.isfinite(worst).any() else NAN,
    }


def _contenders(heard: list[Heard]) -> list[tuple[str, list[Heard]]]:
    """Return what each contender spoke, whole decodes left out."""
    own = [h for h in heard if not is_reference(h.record)]
    named: dict[str, list[Heard]] = {}
    for name, h in zip(variants([h.record for h in own]), own, strict=True):
        named.setdefault(name, []).append(h)
    return list(named.items())


def _pooled(mine: list[Heard]) -> tuple[pd.DataFrame, SeamMeasures | None]:
    """Return the seams of a contender's utterances with their measures, in one order; None if it has no seam."""
    measured = [(h.seams, h.measures) for h in mine if h.measures is not None]
    seams = pd.concat([s for s, _ in measured]) if measured else pd.DataFrame(columns=["kind", "order"])
    return seams, pool([m for _, m in measured]) if measured else None


def _judged(pooled: SeamMeasures, which: np.ndarray[Any, np.dtype[np.bool_]]) -> dict[str, float]:
    row: dict[str, float] = {"seams": int(which.sum())}
    p_values = {}
    for metric in METRICS:
        e = judge(pooled, metric, which=which)
        _, low, high = median_interval(np.abs(pooled.at_seams[metric][which]))
        row |= {
            metric: e.seam_median,
            f"{metric}_lo": low,
            f"{metric}_hi": high,
            f"{metric}_control": e.control_median,
            f"{metric}_excess": e.excess,
            f"{metric}_excess_lo": e.low,
            f"{metric}_excess_hi": e.high,
            f"{metric}_effect": e.effect,
            f"{metric}_audible_share": e.audible_share,
            f"{metric}_audible_share_lo": e.share_low,
            f"{metric}_audible_share_hi": e.share_high,
        }
        p_values[metric] = e.p_value
    return row | {f"{metric}_p": p for metric, p in holm(p_values).items()}
