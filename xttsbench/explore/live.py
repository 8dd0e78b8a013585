"""A run while it is being written: how far it is, what it does now, and its times as they come."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from xttsbench import plot, store, table
from xttsbench.explore.following import Tail
from xttsbench.explore.inline import drawing, words
from xttsbench.grid import Sweep
from xttsbench.record import Record
from xttsbench.settings import settings_of
from xttsbench.showing import duration
from xttsbench.spec import Trial

DRAW_EVERY_S = 2.0
DRAW_SHARE = 0.05  # of one core at most: what is measured runs on the same machine
METRICS = ("ttfc_s", "rtf")


class LiveRun:
    """A progress bar and a figure that follow a run's folder; `update` looks at what is new there.

    Attributes
    ----------
    done, failed, total
        Trials on disk, how many of them failed, and how many there will be (0 as long as that is not known).
    view
        Bar, choice of figure and figure as one widget.
    """

    def __init__(self) -> None:
        self.progress = widgets.IntProgress(min=0, layout=widgets.Layout(width="100%"))
        self.progress.add_class("xttsbench-progress")
        self.metric = widgets.Dropdown(
            description="figure of", options=[(plot.label(name), name) for name in METRICS], layout={"width": "340px"}
        )
        self.metric.add_class("xttsbench-live-metric")
        self.figure = widgets.HTML().add_class("xttsbench-figure")
        self.view = widgets.VBox([self.progress, self.metric, self.figure])
        self.view.layout.display = "none"
        self.metric.observe(lambda _: self._draw(), "value")
        self._records: list[Record] = []
        self._meta: dict[str, Any] = {}

    def begin(self, folder: Path) -> None:
        """Follow another run."""
        self._folder, self._tail = folder, Tail(folder)
        self._records = []
        self._plan: Sweep | None = None
        self._trials: list[Trial] = []
        self._before = self._first = -1
        self._since = math.nan
        self._drawn, self._pause_s = -math.inf, DRAW_EVERY_S
        self.figure.value, self.progress.value, self.progress.max, self.progress.bar_style = "", 0, 1, ""
        self.view.layout.display = ""

    @property
    def done(self) -> int:
        return len(self._records)

    @property
    def moving(self) -> bool:
        """Whether there is more than there was at first: a run that is gone on with begins with some."""
        return self.done > self._before >= 0

    @property
    def failed(self) -> int:
        return sum(r.status != "ok" for r in self._records)

    @property
    def total(self) -> int:
        return len(self._trials)

    @property
    def last_error(self) -> str:
        """Why the last of the failed trials failed."""
        return next((r.error for r in reversed(self._records) if r.error), "")

    def update(self, *, last: bool = False) -> None:
        """Take over what was written since; draw it where that is due, or where it was the last."""
        if self._plan is None and (self._folder / store.RUN).exists():
            self._meta = store.read_meta(self._folder)
            self._plan = Sweep.from_json(self._meta["sweep"])
            self._trials = self._plan.trials()
        new = self._tail.new()
        self._records += new
        if self._before < 0:
            self._before = self.done
        elif new and self._first < 0:
            self._first, self._since = self.done, time.monotonic()
        self.progress.max, self.progress.value = max(self.total, 1), self.done
        if self.done and (last or (new and time.monotonic() - self._drawn > self._pause_s)):
            self._draw()

    def where(self) -> str:
        """Return how far it is, how long it may still take, and the trial under way."""
        rest = self.total - self.done
        timed = self.done - self._first if self._first >= 0 else 0
        each = (time.monotonic() - self._since) / timed if timed else math.nan
        there = {r.trial.id for r in self._records}
        now = next((t for t in self._trials if t.id not in there), None)
        return f"{self.done} of {self.total} trials, {duration(each * rest)} left" + (
            f"; {self._named(now)}" if now else ""
        )

    def _named(self, t: Trial) -> str:
        assert self._plan is not None
        several = [name for name in settings_of(t.engine) if len(self._plan.grid.get(name, ())) > 1]
        values = "".join(f", {name} {getattr(t.settings, name)}" for name in several)
        return f"now {t.phase}: {t.engine}, text {t.text.name}{values}"

    def _draw(self) -> None:
        begun = time.monotonic()
        trials = table.of_run(self._meta, self._records)
        timed = trials[(trials["phase"] == "timed") & (trials["status"] == "ok")] if len(trials) else trials
        if len(timed):
            metric = self.metric.value
            alt = f"{plot.label(metric)} over stream_chunk_size, a point a trial, {len(timed)} trials so far"
            corner = plot.corner_of(timed)
            self.figure.value = drawing(lambda ax: plot.by_chunk_size(ax, timed, metric, corner=corner), alt=alt)
        elif len(trials) and (trials["phase"] == "replay").any():
            self.figure.value = words("A replay measures no times; `show` says what is heard at its seams.")
        self._drawn = time.monotonic()
        self._pause_s = max(DRAW_EVERY_S, (self._drawn - begun) / DRAW_SHARE)
