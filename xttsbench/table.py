"""Records to tidy tables: trials, chunks, seams. No GPU, no torch: a run opens on any laptop."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from xttsbench import store
from xttsbench.metrics.latency import chars_per_s, latency
from xttsbench.metrics.tokens import repetition
from xttsbench.record import NAN, Record
from xttsbench.settings import PAUSE_SAMPLES, SETTINGS, settings_of

METRICS = (
    "ttfc_s",
    "ttfa_s",
    "rtf",
    "rtf_steady",
    "prebuffer_s",
    "safe_start_s",
    "stalls",
    "stall_s",
    "deficit_s",
    "gap_p50_s",
    "gap_p95_s",
    "gap_max_s",
    "gap_slope_s",
    "audio_s",
    "synthesis_s",
    "chars_per_s",
    "tokens",
    "repetition",
    "chunks",
    "energy_j",
    "device_peak_allocated_bytes",
    "device_peak_reserved_bytes",
    "process_rss_bytes",
)
MEMORY = ("device_peak_allocated", "device_peak_reserved", "process_rss")
IDENTITY = ("engine", "model", "device", "precision", "deepspeed", "compile", "threads", "text", "voice")


def trials(records: Iterable[Record]) -> pd.DataFrame:
    """Return one row a trial: identity, every setting (NaN where the engine takes none), figures, state.

    `codes_hash` is alike where the same tokens were said; '' where they are not known. Figures of a failed trial are NaN; its `status` and `error` say why.
    """
    return pd.DataFrame([_row(r) for r in records])


def chunks(records: Iterable[Record]) -> pd.DataFrame:
    """Return one row a chunk: trial id, index, arrival_s, yielded_s, samples, sentence, tokens, gap_s."""
    rows = []
    for r in records:
        last = NAN
        for index, c in enumerate(r.chunks):
            rows.append(
                (r.trial.id, index, c.arrival_s, c.yielded_s, c.samples, c.sentence, c.tokens, c.arrival_s - last)
            )
            last = c.arrival_s
    names = ["id", "chunk", "arrival_s", "yielded_s", "samples", "sentence", "tokens", "gap_s"]
    return pd.DataFrame(rows, columns=names)


def seams(records: Iterable[Record]) -> pd.DataFrame:
    """Return one row a seam: where chunk k meets chunk k+1, as an index into the put-together audio.

    `kind` is 'chunk' inside a sentence and 'sentence' between independent generations; `overlap_samples` is the length of
    what lies between the two: stock's cross-fade, which begins at the seam, or the zeros that naive puts there, at whose
    start the seam then is. `order` is 'first' for the first chunk seam of a sentence and the first sentence seam of all, else 'later'.
    """
    rows = []
    for r in records:
        heard = [c for c in r.chunks if c.samples > 0]
        faded = r.trial.settings.overlap_wav_len if r.trial.engine == "stock" else 0
        zeros = PAUSE_SAMPLES if r.trial.engine == "naive" and r.trial.settings.join == "pause" else 0
        position, met = 0, set()
        for k, (left, right) in enumerate(itertools.pairwise(heard)):
            position += left.samples
            kind = "chunk" if left.sentence == right.sentence else "sentence"
            place = left.sentence if kind == "chunk" else kind
            order = "later" if place in met else "first"
            met.add(place)
            rows.append((r.trial.id, k, position - zeros, kind, faded if kind == "chunk" else zeros, order))
    return pd.DataFrame(rows, columns=["id", "seam", "sample", "kind", "overlap_samples", "order"])


def load_run(folder: str | Path) -> tuple[dict[str, Any], pd.DataFrame]:
    """Return a run's metadata and its trials table, with the name of the processor or GPU as a column `machine`."""
    meta = store.read_meta(Path(folder))
    return meta, of_run(meta, store.read(Path(folder)))


def of_run(meta: Mapping[str, Any], records: Iterable[Record]) -> pd.DataFrame:
    """Return the trials of a run whose metadata is at hand, as `load_run` does."""
    rows = trials(records)
    if len(rows):
        named = meta.get("machine", {})
        machine = {"cpu": named.get("cpu"), "cuda": named.get("gpu")}
        rows.insert(rows.columns.get_loc("device") + 1, "machine", rows["device"].map(machine))
    return rows


def _row(r: Record) -> dict[str, Any]:
    t = r.trial
    taken = set(settings_of(t.engine))
    row: dict[str, Any] = {
        "id": t.id,
        "cell": t.cell,
        "engine": t.engine,
        "model": t.config.model,
        "device": t.config.device,
        "precision": t.config.precision,
        "deepspeed": t.config.deepspeed,
        "compile": t.config.compile,
        "threads": t.config.threads,
        "text": t.text.name,
        "text_chars": len(t.text.text),
        "voice": t.voice.label,
        **{name: getattr(t.settings, name) if name in taken else None for name in SETTINGS},
        "seed": t.seed,
        "repeat": t.repeat,
        "phase": t.phase,
        "status": r.status,
        "error": r.error,
        "started_at": r.started_at,
        "flags": " ".join(r.flags),
        "voice_s": r.voice_s,
        "energy_j": r.energy_j,
        "note": r.note,
    }
    ok = r.status == "ok"
    figures = latency(
        r.chunks if ok else (),
        end_s=r.end_s if ok else NAN,
        sample_rate=r.sample_rate,
        first_audible_sample=r.first_audible_sample,
    )
    if t.engine == "whole":  # its sentences come in one call: they have seams, but are no stream
        figures |= {name: NAN for name in figures if name.startswith("gap_") or name == "rtf_steady"}
        figures["chunks"] = min(figures["chunks"], 1.0)
        figures["first_tokens"] = figures["tokens"]
    row |= figures if ok else dict.fromkeys(figures, NAN)
    row["chars_per_s"] = chars_per_s(t.text.text, figures["audio_s"])
    row["repetition"] = repetition(r.codes) if ok else NAN
    row["codes_hash"] = hashlib.sha256(repr(r.codes).encode()).hexdigest()[:12] if ok and r.codes else ""
    row |= {f"stage_{name}_s": seconds for name, seconds in r.stages.items()}
    row |= {f"{name}_bytes": r.memory.get(name, NAN) for name in MEMORY}
    return row
