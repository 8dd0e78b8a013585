"""What would the same measure say where there is no seam? Control points of the same audio, matched in voicing and level."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from xttsbench.metrics.regions import Floats, Ints, Regions, active_rms, periodicities, regions

CONTEXT_S = 0.03
AWAY_S = 0.05
LEVEL_RANGE_DB = 6.0
VOICED = 0.5
SILENT_DB = -40.0
CANDIDATE_S = 0.005
CANDIDATES = 2000


@dataclass(frozen=True)
class Controls:
    """Places that are not seams, each standing for one seam.

    Attributes
    ----------
    positions
        Sample indices, shape (controls,).
    seam
        Which seam each one stands for, shape (controls,).
    overlap_samples
        The region's length, that of its seam, shape (controls,).
    """

    positions: Ints
    seam: Ints
    overlap_samples: Ints


def control_points(
    audio: ArrayLike,
    seams: ArrayLike,
    *,
    sample_rate: int,
    overlap_samples: ArrayLike = 0,
    per_seam: int = 20,
    seed: int = 0,
    away_s: float = AWAY_S,
    level_range_db: float = LEVEL_RANGE_DB,
) -> Controls:
    """Draw places that resemble each seam but are none: the null against which a seam is judged.

    A control has as many voiced sides (none, one, both) as its seam, the louder side within `level_range_db` of
    the seam's louder side, a region of the same length, and lies at least `away_s` from every seam. Any that fit are drawn
    without repetition, the same for the same seed; a seam with nothing to match has no controls.

    Parameters
    ----------
    audio
        Mono floats, shape (n,).
    seams
        Sample index of each seam, shape (seams,).
    sample_rate
        Hz.
    overlap_samples
        Length of each seam's region, samples.
    per_seam
        Controls wanted for each seam.
    seed
        Decides which of the fitting places are drawn.
    away_s
        Least distance between a control's region and any seam's region, seconds.
    level_range_db
        Largest difference in level, decibels.

    Returns
    -------
    Controls
        At most `per_seam` for each seam.

    Raises
    ------
    ValueError
        If an input is not what `regions` expects or `per_seam` is below 1.

    Notes
    -----
    Matching on what the fault itself may move (a level step moves the level) is kept coarse on purpose: number of voiced
    sides and the louder side only.

    Examples
    --------
    >>> hum = np.sin(2 * np.pi * 200 * np.arange(48000) / 24000)
    >>> drawn = control_points(hum, np.array([24000]), sample_rate=24000, per_seam=5, seed=1)
    >>> len(drawn.positions), bool(np.abs(drawn.positions - 24000).min() >= 1200)
    (5, True)
    """
    r = regions(audio, seams, sample_rate=sample_rate, overlap_samples=overlap_samples)
    if per_seam < 1:
        raise ValueError(f"per_seam is {per_seam}; expected 1 or more (20 is usual).")
    length = r.end - r.start
    chosen: list[Ints] = []
    owner: list[Ints] = []
    seam_kind = _kinds(r)
    rng = np.random.default_rng(seed)
    for size in np.unique(length):
        places = _candidates(r, int(size), away_s)
        if len(places) > CANDIDATES:
            places = np.sort(rng.choice(places, size=CANDIDATES, replace=False))
        there = _kinds(Regions(audio=r.audio, start=places, end=places + size, sample_rate=r.sample_rate))
        for s in np.flatnonzero(length == size):
            voiced, level = seam_kind[s]
            fits = (there[:, 0] == voiced) & (np.abs(there[:, 1] - level) <= level_range_db)
            pool = places[fits]
            drawn = rng.choice(pool, size=min(per_seam, len(pool)), replace=False)
            chosen.append(np.sort(drawn).astype(np.int64))
            owner.append(np.full(len(drawn), s, dtype=np.int64))
    if not chosen:
        none = np.zeros(0, dtype=np.int64)
        return Controls(positions=none, seam=none, overlap_samples=none)
    seam = np.concatenate(owner)
    order = np.argsort(seam, kind="stable")
    return Controls(
        positions=np.concatenate(chosen)[order], seam=seam[order], overlap_samples=length[seam[order]].astype(np.int64)
    )


def _candidates(r: Regions, size: int, away_s: float) -> Ints:
    margin, away = r.samples(2 * CONTEXT_S), r.samples(away_s)
    grid = np.arange(margin, len(r.audio) - margin - size, r.samples(CANDIDATE_S), dtype=np.int64)
    free = np.ones(len(grid), dtype=bool)
    for start, end in zip(r.start, r.end, strict=True):
        free &= (grid + size + away <= start) | (grid >= end + away)
    return grid[free]


def _kinds(r: Regions) -> Floats:
    """Return number of voiced sides and the louder side's level re the speech, shape (regions, 2); NaN beyond the audio."""
    speech = active_rms(r.audio, sample_rate=r.sample_rate)
    out = np.full((len(r.start), 2), np.nan)
    n = r.samples(CONTEXT_S)
    kept = np.flatnonzero((r.start >= n) & (r.end + n <= len(r.audio)))
    if np.isnan(speech) or not len(kept):
        return out
    # what lies after one place often lies before another
    first, side = np.unique(np.concatenate([r.start[kept] - n, r.end[kept]]), return_inverse=True)
    sides = r.audio[first[:, None] + np.arange(n)]
    levels = 10 * np.log10(np.mean(sides * sides, axis=1) / speech**2 + 10 ** (SILENT_DB / 10))
    voiced = levels > SILENT_DB / 2 - 10
    voiced[voiced] = periodicities(sides[voiced], sample_rate=r.sample_rate)[0] > VOICED
    out[kept, 0] = voiced[side].reshape(2, -1).sum(axis=0)
    out[kept, 1] = levels[side].reshape(2, -1).max(axis=0)
    return out
