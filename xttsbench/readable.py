"""What a person reads of a run: its tables with intervals and units in words, the same in terminal, page and Markdown."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from xttsbench import comparison, stats
from xttsbench.metrics.excess import LEAST_SEAMS

TIMES = (
    ("ttfc_s", "ttfc ms", 1000, 0),
    ("rtf", "rtf", 1, 3),
    ("prebuffer_s", "prebuffer ms", 1000, 0),
    ("stalls", "stalls", 1, 0),
)
CONTENDER_TIMES = (
    ("ttfc_s", "ttfc ms", 1000, 0),
    ("safe_start_s", "safe start ms", 1000, 0),
    ("rtf", "rtf", 1, 3),
    ("audio_s", "audio s", 1, 2),
)
SEAM_FIGURES = (("pause_s", "pause s", 2), ("pause_ratio", "x own", 1), ("pitch_step_cents", "pitch cents", 0))
SHORT = {
    "click": "click",
    "level_step_db": "level",
    "level_dip_db": "dip",
    "spectrum_step_db": "spectrum",
    "pitch_step_cents": "pitch",
    "pause_s": "pause",
    "rate_step_octaves": "rate",
}
STAGES = tuple(f"stage_{name}_s" for name in ("text", "prefill", "token_loop", "latents", "vocoder", "join", "other"))
INTERVALS = "median [95 % bootstrap interval]"
POOLED = "stages: median ms a request over all its texts and settings, timed in a pass of their own"
ORDERS = (
    "first and later seams apart: first in its sentence, or first between sentences; "
    f"shares where there are {LEAST_SEAMS} seams or more"
)
SHARES = "share that stands out: beyond the 99th percentile of controls [95 % interval]; chance alone gives 1 %"
SIZES = (
    "medians at the seams: the pause, in seconds and in pauses of the same audio; the pitch step; and for chunks the exactness "
    "against one decode of the same tokens, over all and in the worst 25 ms around a seam"
)


def times(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a summary for people: what differs between rows, n, then median and interval of each figure."""
    shown = rows[stats.varying(rows)].copy() if len(rows) > 1 else rows[["engine", "text"]].copy()
    for name in shown:
        shown[name] = [plain(v) for v in shown[name]]
    shown.insert(len(shown.columns), "n", rows["n"].to_numpy())
    for metric, title, scale, digits in TIMES:
        shown[title] = [interval(r, metric, scale, digits) for _, r in rows.iterrows()]
    return shown


def stages(trials: pd.DataFrame) -> pd.DataFrame:
    """Return a row an engine: median milliseconds a request of each stage; no row if no trial of that pass succeeded."""
    timed = trials[(trials["phase"] == "stages") & (trials["status"] == "ok")].filter(regex="^(engine|stage_.*)$")
    medians = timed.groupby("engine").median() * 1000
    known = [name for name in STAGES if name in medians]
    medians = medians[[*(name for name in medians if name not in known), *known]]
    medians.columns = [name.removeprefix("stage_").removesuffix("_s") for name in medians.columns]
    return medians.map(lambda v: f"{v:,.1f}" if math.isfinite(v) else "-").reset_index()


def contenders(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a row a contender of `comparison.compare`: how soon and how fast it is."""
    once = rows.drop_duplicates("variant")
    shown = once[["variant", "n"]].copy()
    for metric, title, scale, digits in CONTENDER_TIMES:
        shown[title] = [interval(r, metric, scale, digits) for _, r in once.iterrows()]
    return shown


def shares(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a row a contender and kind of seam of `comparison.compare`: how many seams are beyond their controls."""
    return _shares(_with_seams(rows), ["variant", "kind", "seams"])


def sizes(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a row a contender and kind of seam of `comparison.compare`: pause and pitch step there, and how exact it is."""
    judged = _with_seams(rows)
    shown = judged[["variant", "kind", "seams"]].copy()
    for metric, title, digits in SEAM_FIGURES:
        shown[title] = [interval(row, metric, 1, digits) for _, row in judged.iterrows()]
    chunk = judged["kind"] == "chunk"
    shown["SNR dB"] = [
        interval(row, "snr_db", 1, 1) if own else "" for own, (_, row) in zip(chunk, judged.iterrows(), strict=True)
    ]
    shown["worst dB"] = [
        _number(v, 1) if own else "" for own, v in zip(chunk, judged["worst_seam_snr_db"], strict=True)
    ]
    return shown


def orders(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `comparison.by_order` that have seams enough to be judged: the shares of first and of later seams."""
    return _shares(rows[rows["seams"] >= LEAST_SEAMS], ["variant", "kind", "order", "seams"])


def _with_seams(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["kind"] != "-"]


def _shares(rows: pd.DataFrame, labels: list[str]) -> pd.DataFrame:
    shown = rows[labels].copy()
    for metric, title in SHORT.items():
        columns = [f"{metric}_audible_share{end}" for end in ("", "_lo", "_hi")]
        shown[title] = [_share(*values) for values in rows.reindex(columns=columns).itertuples(index=False)]
    return shown


def verdicts(rows: pd.DataFrame) -> list[str]:
    """Return what is heard more at seams than elsewhere, a sentence for rows of which the same is said.

    Rows are those of `comparison.compare`, or of `comparison.by_order`.
    """
    alike: dict[tuple[str, str], list[str]] = {}
    for _, row in rows.iterrows():
        kind = f"{row['order']} {row['kind']}" if "order" in row else row["kind"]
        where = "" if row["kind"] == "-" else f", {kind} seams"
        alike.setdefault((where, comparison.verdict(row, kind=row["kind"])), []).append(str(row["variant"]))
    return [f"{', '.join(names)}{where}: {said}" for (where, said), names in alike.items()]


def cold(trials: pd.DataFrame) -> list[str]:
    """Return a sentence for each first request after loading."""
    first = trials[(trials["phase"] == "cold") & (trials["status"] == "ok")]
    return [
        f"the first request after loading ({', '.join(_whose(row))}) took {row['ttfc_s'] * 1000:,.0f} ms "
        "to its first chunk; it is in no median"
        for _, row in first.iterrows()
    ]


def _whose(row: pd.Series) -> list[str]:
    chunk = row["stream_chunk_size"]
    return [row["engine"], *([f"stream_chunk_size {chunk:g}"] if pd.notna(chunk) else []), row["text"]]


def interval(row: Any, metric: str, scale: float, digits: int) -> str:
    """Return a metric of a summary row as text: median [low, high], scaled."""
    values = [row[metric], row[f"{metric}_lo"], row[f"{metric}_hi"]]
    words = ["-" if not math.isfinite(v) else f"{v * scale:,.{digits}f}" for v in values]
    return words[0] if words[0] == "-" else f"{words[0]} [{words[1]}, {words[2]}]"


def plain(value: Any) -> str:
    """Return an identity or a setting as text, '-' where there is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _share(value: float, low: float, high: float) -> str:
    return "-" if not math.isfinite(value) else f"{value:.0%} [{100 * low:.0f}, {100 * high:.0f}]"


def _number(value: float, digits: int) -> str:
    return "-" if not math.isfinite(value) else f"{value:.{digits}f}"
