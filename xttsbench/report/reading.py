"""A run as a report needs it: its records and tables read once, and its seams judged where it is about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm.auto import tqdm

from xttsbench import comparison, sampling, stats, store, table
from xttsbench.comparison import Heard
from xttsbench.presets import PRESETS
from xttsbench.record import Record


@dataclass(frozen=True)
class Reading:
    """A run with its tables. Records whose audio is not there any more have none here; `lost` counts them.

    `heard` and `compared` (of `comparison.compare`) are empty unless the run compares engines or replays joins.
    """

    folder: Path
    meta: Mapping[str, Any]
    records: tuple[Record, ...]
    trials: pd.DataFrame
    summary: pd.DataFrame
    heard: tuple[Heard, ...]
    compared: pd.DataFrame
    lost: int

    @cached_property
    def effects(self) -> pd.DataFrame:
        """`sampling.effects` of a run that varies sampling parameters on one set-up; empty for any other."""
        if not self.replayed and set(PRESETS["sampling"].grid) & set(stats.varying(self.done)):
            try:
                return sampling.effects(self.trials)
            except ValueError:  # several set-ups: an effect is of one
                pass
        return pd.DataFrame()

    @property
    def replayed(self) -> bool:
        return bool(self.meta["sweep"].get("replay"))

    @property
    def asked(self) -> pd.DataFrame:
        """The timed and replayed trials: all but cold ones, warm-ups and stages."""
        return self.trials[self.trials["phase"].isin(["timed", "replay"])] if len(self.trials) else self.trials

    @property
    def done(self) -> pd.DataFrame:
        """Those of `asked` that succeeded."""
        return self.asked[self.asked["status"] == "ok"] if len(self.trials) else self.trials


def read(folder: Path) -> Reading:
    """Read a run; ValueError if it is none, is broken, or of a newer schema."""
    meta, trials = table.load_run(folder)
    written = list(store.read(folder))
    records = tuple(r if store.audio_is_there(folder, r) else replace(r, audio="") for r in written)
    about_seams = meta["sweep"].get("replay") or meta["sweep"].get("preset") == "compare"
    heard = (
        comparison.hear(folder, tqdm(records, desc="listening", unit="trial", leave=False, disable=None))
        if about_seams
        else []
    )
    return Reading(
        folder=folder,
        meta=meta,
        records=records,
        trials=trials,
        summary=stats.summary(trials),
        heard=tuple(heard),
        compared=comparison.compare(heard),
        lost=sum(bool(was.audio) and not r.audio for was, r in zip(written, records, strict=True)),
    )
