"""Which clips a report lets one hear: of each text the best, the worst and the naive one, cut and encoded for a browser."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import soundfile as sf

from xttsbench import comparison, store
from xttsbench.comparison import WORDS, Heard
from xttsbench.record import Record
from xttsbench.settings import JOINS, REPLAYED, SETTINGS, settings_of
from xttsbench.spec import Text

MOST_S = 20.0
MOST_BYTES = 4_500_000  # a third more once it stands in a page
BY_SEAM = (
    "by the worst seam of each utterance that was streamed, inside a sentence where it has such seams, as between sentences a "
    "pause is no fault: how far that seam exceeds its own controls, in units of their spread, in the metric where that is most. "
    "Best is the utterance whose worst seam is mildest. It ranks single utterances, not engines"
)
BY_SAFE_START = (
    "by safe start, the time from which playback has no gap: of each text the settings with the least and the greatest "
    "median, and of each the request nearest to that median. No seam was judged"
)
BY_NOTHING = "by nothing: neither a time nor a seam of this run can be ranked, so the first utterance is an example"


@dataclass(frozen=True)
class Choice:
    """A record to hear: its part ('best', 'worst', 'naive', 'example'), why, and a moment that must be in it."""

    part: str
    record: Record
    why: str
    moment_s: float = 0.0


Chosen = dict[Text, list[Choice]]


@dataclass(frozen=True)
class Clip:
    """What a player plays: encoded audio with its place in the utterance."""

    choice: Choice
    flac: bytes
    start_s: float
    seconds: float
    whole_s: float

    @property
    def part(self) -> str:
        naive = self.choice.record.trial.engine == "naive" and self.choice.part != "naive"
        return f"{self.choice.part}, and naive" if naive else self.choice.part

    @property
    def settings(self) -> str:
        return settings_in_words(self.choice.record)


@dataclass(frozen=True)
class Spoken:
    """A text and its players."""

    text: Text
    clips: tuple[Clip, ...]


def by_seam(heard: Iterable[Heard]) -> Chosen:
    """Choose by the worst seam of each utterance, of those inside a sentence if its text has any."""
    heard = list(heard)
    scored = comparison.scored_seams(heard)
    inside = {h.record.trial.text for _, h, seam, _ in scored if h.seams["kind"][seam] == "chunk"}
    out: Chosen = {}
    worst: dict[str, tuple[float, Heard, int, str]] = {}
    for item in scored:
        _, h, seam, _ = item
        if h.seams["kind"][seam] == "chunk" or h.record.trial.text not in inside:
            worst.setdefault(h.record.trial.id, item)
    for item in reversed(worst.values()):  # the mildest first
        choices = out.setdefault(item[1].record.trial.text, [])
        choices[1:] = [_of_seam("worst" if choices else "best", *item)]
    return _with_naive(out, [h.record for h in heard])


def by_safe_start(records: Iterable[Record], trials: pd.DataFrame) -> Chosen:
    """Choose by the median safe start of each setting of a text; `trials` is the table of the same run."""
    records = [r for r in records if r.status == "ok" and r.trial.phase == "timed"]
    start = dict(zip(trials["id"], trials["safe_start_s"].astype(float), strict=True)) if len(trials) else {}
    cells: dict[Text, dict[str, list[Record]]] = {}
    for r in records:
        if math.isfinite(start.get(r.trial.id, math.nan)):
            cells.setdefault(r.trial.text, {}).setdefault(r.trial.cell, []).append(r)
    out: Chosen = {}
    for text, of_text in cells.items():
        medians = {cell: float(np.median([start[r.trial.id] for r in mine])) for cell, mine in of_text.items()}
        ends = {"best": min(medians, key=medians.__getitem__), "worst": max(medians, key=medians.__getitem__)}
        for part, cell in ends.items():
            near = min(
                (r for r in of_text[cell] if r.audio),
                key=lambda r: abs(start[r.trial.id] - medians[cell]),
                default=None,
            )
            if near is not None and (part == "best" or len(medians) > 1):
                out.setdefault(text, []).append(
                    Choice(
                        part,
                        near,
                        f"Safe start {start[near.trial.id] * 1000:,.0f} ms, median of its setting {medians[cell] * 1000:,.0f} ms",
                    )
                )
    return _with_naive(out, records)


def examples(records: Iterable[Record]) -> Chosen:
    """Choose the first utterance of each text."""
    out: Chosen = {}
    for r in records:
        if r.status == "ok" and r.audio and r.trial.text not in out:
            out[r.trial.text] = [Choice("example", r, "The first of its text")]
    return out


def cut(folder: Path, chosen: Chosen, *, most_s: float = MOST_S, most_bytes: int = MOST_BYTES) -> list[Spoken]:
    """Read, cut and encode what was chosen, text by text, until the page would be too large; then the texts that are left go without."""
    out: list[Spoken] = []
    spent = 0
    for text, choices in sorted(chosen.items(), key=lambda item: len(item[0].text)):
        clips = tuple(_clip(folder, choice, most_s=most_s) for choice in choices)
        spent += sum(len(clip.flac) for clip in clips)
        if spent > most_bytes:
            break
        out.append(Spoken(text, clips))
    return out


def settings_in_words(record: Record) -> str:
    """Return a record's engine and those of its settings that say most: chunk size, overlap, join, and any that is no default."""
    t = record.trial
    values = {name: getattr(t.settings, name) for name in settings_of(t.engine) if name != "language"}
    said = [f"{n} {v}" for n, v in values.items() if n in (*REPLAYED, "join") or v != SETTINGS[n].default]
    return ", ".join([t.engine, *said])


def _of_seam(part: str, score: float, h: Heard, seam: int, metric: str) -> Choice:
    at = h.seams["sample"][seam] / h.record.sample_rate
    why = (
        f"Its worst seam, a {h.seams['kind'][seam]} seam at {at:.2f} s, stands out by {score:.1f} ({WORDS[metric][0]})"
    )
    return Choice(part, h.record, why, at)


def _with_naive(chosen: Chosen, records: list[Record]) -> Chosen:
    """Add the naive utterance of the same seed as the first choice of its text, joined plainly if it was asked for."""
    for text, choices in chosen.items():
        if any(choice.record.trial.engine == "naive" for choice in choices):
            continue
        naive = [r for r in records if r.trial.engine == "naive" and r.trial.text == text and r.audio]
        seed = choices[0].record.trial.seed
        naive.sort(key=lambda r: (r.trial.seed != seed, JOINS.index(r.trial.settings.join)))
        if naive:
            choices.append(Choice("naive", naive[0], "To compare: the text cut up and spoken piece by piece"))
    return chosen


def _clip(folder: Path, choice: Choice, *, most_s: float) -> Clip:
    audio, rate = store.read_audio(folder, choice.record), choice.record.sample_rate
    most = int(most_s * rate)
    start = max(0, int(choice.moment_s * rate) - most // 2) if choice.moment_s > 0.8 * most_s else 0
    start = min(start, max(0, len(audio) - most))
    piece = audio[start : start + most]
    return Clip(choice, encoded(piece, sample_rate=rate), start / rate, len(piece) / rate, len(audio) / rate)


def encoded(audio: np.ndarray[Any, np.dtype[np.float32]], *, sample_rate: int) -> bytes:
    """Return audio (n,) as 16-bit FLAC: every browser of today plays it, and it loses nothing but the bits below the sixteenth."""
    out = io.BytesIO()
    sf.write(out, np.clip(audio, -1.0, 1.0), sample_rate, format="FLAC", subtype="PCM_16")
    return out.getvalue()
