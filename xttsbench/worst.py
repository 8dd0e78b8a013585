"""Which seams are worth hearing first, what lies beside each, and what would it have been without the seam?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from xttsbench.clips import Signal, cut
from xttsbench.comparison import Heard, against_whole, is_reference, variants, whole_of, wholes, worst_seams
from xttsbench.metrics.excess import upper_quantile
from xttsbench.metrics.seams import METRICS
from xttsbench.places import ordinary

FALSE_ALARM = 0.01


@dataclass(frozen=True)
class Seam:
    """One seam to look at: seam `index` of `heard`, and the metric in which it stands out most ('' if it could not be judged)."""

    heard: Heard
    index: int
    metric: str
    variant: str

    @property
    def kind(self) -> str:
        return str(self.heard.seams["kind"][self.index])

    @property
    def at_s(self) -> float:
        return float(self.heard.seams["sample"][self.index]) / self.heard.record.sample_rate

    @property
    def overlap_s(self) -> float:
        return float(self.heard.seams["overlap_samples"][self.index]) / self.heard.record.sample_rate


def ranked(heard: list[Heard]) -> list[Seam]:
    """Return every seam of the contenders, the worst first as `comparison.worst_seams` has it; those it can't judge come last."""
    own = [h for h in heard if not is_reference(h.record)]
    names = dict(zip((id(h) for h in own), variants([h.record for h in own]), strict=True))
    judged = worst_seams(own, most=sum(len(h.seams) for h in own))
    out = [Seam(h, int(k), metric, names[id(h)]) for h, k, metric in judged]
    there = {(id(s.heard), s.index) for s in out}
    rest = ((h, k) for h in own if h.measures is not None for k in range(len(h.seams)) if (id(h), k) not in there)
    return [*out, *(Seam(h, k, "", names[id(h)]) for h, k in rest)]


def beside_controls(places: pd.DataFrame, *, trial: str, seam: int) -> pd.DataFrame:
    """Return a row a metric of one seam: metric, seam (its value), limit, beyond, controls.

    `limit` is the 99th percentile of the magnitudes at the controls of all seams of the same contender and kind, as
    `comparison.compare` has it for the audible share; NaN below 99 controls. `beyond` is whether the seam exceeds it.

    Raises
    ------
    ValueError
        If `places` of `places.places` has no such seam.
    """
    mine = _of(places, trial, seam, "seam")
    if not len(mine):
        raise ValueError(f"there is no seam {seam} of trial {trial!r} in this table of places.")
    row = mine.iloc[0]
    alike = places[(places["variant"] == row["variant"]) & (places["kind"] == row["kind"])]
    controls = alike[alike["place"] == "control"]
    rows = []
    for metric in METRICS:
        known = alike[(alike["place"] == "seam") & np.isfinite(alike[metric].to_numpy(dtype=float))]
        owners = pd.MultiIndex.from_frame(known[["id", "seam"]])
        own = controls[pd.MultiIndex.from_frame(controls[["id", "seam"]]).isin(owners)][metric].abs().dropna()
        limit = upper_quantile(own.to_numpy(dtype=float), beyond=FALSE_ALARM)
        rows.append((metric, float(row[metric]), limit, bool(abs(row[metric]) > limit), len(own)))
    return pd.DataFrame(rows, columns=["metric", "seam", "limit", "beyond", "controls"])


def with_seam(seam: Seam, *, around_s: float) -> Signal:
    """Return the audio from `around_s` before a seam to as long after its cross-fade or pause."""
    return _around(seam.heard.audio, seam, around_s=around_s)


def without_seam(seam: Seam, heard: list[Heard], *, around_s: float) -> Signal | None:
    """Return the same stretch of the whole decode of the same tokens; None where the run has none.

    Samples lost or repeated before the seam are allowed for, so that both clips start at the same sound.
    """
    references = wholes(heard)
    whole, exact = whole_of(seam.heard.record, references), against_whole(seam.heard, references)
    if whole is None or exact is None:
        return None
    lag = exact.lag_samples[seam.index]
    shift = float(lag) / seam.heard.record.sample_rate if np.isfinite(lag) else 0.0
    return _around(whole.audio, seam, around_s=around_s, shift_s=shift)


def at_control(seam: Seam, places: pd.DataFrame, *, around_s: float) -> Signal | None:
    """Return as long a stretch of the same audio around the most ordinary of the seam's controls; None without one."""
    control = ordinary(_of(places, seam.heard.record.trial.id, seam.index, "control"), samples=len(seam.heard.audio))
    if control is None:
        return None
    shift = float(control["sample"]) / seam.heard.record.sample_rate - seam.at_s
    return _around(seam.heard.audio, seam, around_s=around_s, shift_s=shift)


def _of(places: pd.DataFrame, trial: str, seam: int, place: str) -> pd.DataFrame:
    return places[(places["id"] == trial) & (places["seam"] == seam) & (places["place"] == place)]


def _around(audio: Signal, seam: Seam, *, around_s: float, shift_s: float = 0.0) -> Signal:
    at = seam.at_s + shift_s
    return cut(
        audio, sample_rate=seam.heard.record.sample_rate, from_s=at - around_s, to_s=at + seam.overlap_s + around_s
    )
