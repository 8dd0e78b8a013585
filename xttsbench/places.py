"""Seams as tidy tables: every metric at every seam and control, exactness by distance from the seam, and their medians."""

from __future__ import annotations

import re
from dataclasses import asdict

import numpy as np
import pandas as pd

from xttsbench.comparison import Heard, against_whole, is_reference, variants, wholes
from xttsbench.metrics.excess import LEAST_SEAMS, Excess, excess_over_control, grouped_interval
from xttsbench.metrics.seams import METRICS
from xttsbench.record import NAN

PLACE = ("id", "variant", "engine", "text", "seed", "place", "seam", "kind", "sample", "overlap_samples", "sample_rate")
DISTANCE = ("id", "variant", "engine", "text", "seed", "seam", "kind", "from_s", "to_s", "snr_db", "lsd_db")
ROOM_S = 0.5  # the widest that a control is drawn to each side
BY_DISTANCE = ("variant", "from_s", "to_s", "seams", "snr_db", "snr_db_lo", "snr_db_hi")


def places(heard: list[Heard]) -> pd.DataFrame:
    """Return a row a seam and a row a control: `place` says which, `seam` the index of the seam that it is or stands for.

    Columns: id (of the trial), variant, engine, text, seed, place ('seam' or 'control'), seam, kind ('chunk' or
    'sentence'), sample, overlap_samples, sample_rate, and each metric of `metrics.seams.METRICS` under its name, NaN where
    undefined. Whole decodes, which others are held against, are left out. `heard` comes from `comparison.hear`.
    """
    parts = []
    for identity, h in _contenders(heard):
        if h.measures is None:
            continue
        n, controls = len(h.seams), h.measures.controls
        owner = np.concatenate([np.arange(n), controls.seam])
        where = {
            "place": ["seam"] * n + ["control"] * len(controls.seam),
            "seam": owner,
            "kind": h.seams["kind"].to_numpy()[owner],
            "sample": np.concatenate([h.seams["sample"].to_numpy(), controls.positions]),
            "overlap_samples": np.concatenate([h.seams["overlap_samples"].to_numpy(), controls.overlap_samples]),
            "sample_rate": h.record.sample_rate,
        }
        values = {m: np.concatenate([h.measures.at_seams[m], h.measures.at_controls[m]]) for m in METRICS}
        parts.append(pd.DataFrame({**identity, **where, **values}))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=[*PLACE, *METRICS])


def distances(heard: list[Heard]) -> pd.DataFrame:
    """Return a row a seam and class of distance from it: snr_db and lsd_db against the whole decode of the same tokens.

    `from_s` to `to_s` is the class, seconds from the start of the seam's cross-fade, negative before it. NaN where a class
    holds no sample of its own. Utterances without a whole decode of the same tokens have no rows.
    """
    references, parts = wholes(heard), []
    for identity, h in _contenders(heard):
        got = against_whole(h, references)
        if got is None:
            continue
        n, classes = got.seam_snr_db.shape
        seam = np.repeat(np.arange(n), classes)
        parts.append(
            pd.DataFrame(
                {
                    **identity,
                    "seam": seam,
                    "kind": h.seams["kind"].to_numpy()[seam],
                    "from_s": np.tile(got.edges_s[:-1], n),
                    "to_s": np.tile(got.edges_s[1:], n),
                    "snr_db": got.seam_snr_db.ravel(),
                    "lsd_db": got.seam_lsd_db.ravel(),
                }
            )
        )
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(DISTANCE))


def excess_by_seam(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return the seams of `places` with `excess`: the magnitude of `metric` there over the median of its own controls; NaN without any."""
    controls = table[table["place"] == "control"]
    own = controls[metric].abs().groupby([controls["id"], controls["seam"]]).median().rename("control")
    out = table[table["place"] == "seam"].join(own, on=["id", "seam"])
    out["excess"] = (out[metric].abs() - out.pop("control")) if len(out) else NAN
    return out.reset_index(drop=True)


def excesses(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return a row a variant and kind of seam of `places`: the fields of `metrics.excess.Excess`, the same that `compare` finds."""
    rows = []
    seams, controls = table[table["place"] == "seam"], table[table["place"] == "control"]
    for (variant, kind), mine in seams.groupby(["variant", "kind"], sort=False):
        place = {key: k for k, key in enumerate(zip(mine["id"], mine["seam"], strict=True))}
        owner = [place.get(key, -1) for key in zip(controls["id"], controls["seam"], strict=True)]
        own = np.array(owner, dtype=np.int64)
        found = excess_over_control(
            mine[metric].astype(float),
            controls[metric].astype(float)[own >= 0],
            own[own >= 0],
            groups=pd.factorize(mine["id"])[0],
        )
        rows.append({"variant": variant, "kind": kind, **asdict(found)})
    names = ["variant", "kind", *Excess.__annotations__]
    return _in_order(pd.DataFrame(rows, columns=names))


def by_distance(table: pd.DataFrame) -> pd.DataFrame:
    """Return a row a variant and class of distance of `distances`: the median snr_db over its chunk seams, with interval.

    Seams between sentences are left out: nothing is joined there that one decode would have had. Seams of one utterance are
    drawn together; below six seams there is no interval.
    """
    rows = []
    chunk = table[(table["kind"] == "chunk") & np.isfinite(table["snr_db"].astype(float))]
    for (variant, start, end), mine in chunk.groupby(["variant", "from_s", "to_s"]):
        values = mine["snr_db"].to_numpy(dtype=float)
        interval = grouped_interval(values, mine["id"]) if len(values) >= LEAST_SEAMS else (NAN, NAN)
        rows.append((variant, start, end, len(values), float(np.median(values)), *interval))
    return _in_order(pd.DataFrame(rows, columns=list(BY_DISTANCE)))


def natural(name: str) -> tuple[tuple[bool, float, str], ...]:
    """Return a key that sorts names as a person would: '5/64' before '10/64'.

    Examples
    --------
    >>> sorted(["10/64", "5/256", "5/64"], key=natural)
    ['5/64', '5/256', '10/64']
    """
    parts = re.split(r"(\d+)", name)
    return tuple((p.isdigit(), float(p) if p.isdigit() else 0.0, p) for p in parts if p)


def _in_order(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.sort_values("variant", key=lambda names: names.map(natural), kind="stable", ignore_index=True)


def ordinary(controls: pd.DataFrame, *, samples: int) -> pd.Series | None:
    """Return of some controls in `places` the one whose metrics lie nearest to the middle of all; None without any.

    One with half a second of the audio, `samples` long, to both its sides comes before any other, so that it can be seen and
    heard as a whole.
    """
    if not len(controls):
        return None
    ranks = controls[list(METRICS)].astype(float).abs().rank(pct=True)
    far = (ranks - 0.5).abs().mean(axis=1).fillna(1.0)
    room = ROOM_S * controls["sample_rate"]
    cut = (controls["sample"] < room) | (controls["sample"] + controls["overlap_samples"] + room > samples)
    return controls.iloc[int((far + cut).to_numpy().argmin())]


def _contenders(heard: list[Heard]) -> list[tuple[dict[str, object], Heard]]:
    contenders = [h for h in heard if not is_reference(h.record)]
    names = variants([h.record for h in contenders])
    return [
        (
            {
                "id": h.record.trial.id,
                "variant": name,
                "engine": h.record.trial.engine,
                "text": h.record.trial.text.name,
                "seed": h.record.trial.seed,
            },
            h,
        )
        for name, h in zip(names, contenders, strict=True)
    ]
