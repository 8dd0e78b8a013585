"""A run to walk through: pick what to see over what, then a trial, see its life and hear it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import pandas as pd

from xttsbench import plot, stats, store, table
from xttsbench.explore import pages, runs, views
from xttsbench.explore.inline import command, words
from xttsbench.explore.sweep_form import LABEL, grid
from xttsbench.plot.over import as_words, ordered
from xttsbench.record import Record
from xttsbench.table import METRICS

ALL, BOTH, NO = "all", "timed and replay", "-"


class RunExplorer:
    """Walk through the runs of a folder. Shown where it stands last in a cell.

    Parameters
    ----------
    results
        Where runs lie.
    run
        The run to begin with, wherever it lies; else the newest of `results`.

    Attributes
    ----------
    trials
        The trials of the run, as `table.load_run` has them.
    chosen
        Those that the filters leave.
    """

    def __init__(self, results: str | Path = "results", *, run: str | Path | None = None) -> None:
        self.results, self._first = Path(results), Path(run) if run is not None else None
        self.trials = self.chosen = pd.DataFrame()
        self._records: dict[str, Record] = {}
        self._found: list[runs.Found] = []
        self.filters: dict[str, Any] = {}
        self._quiet = False
        self._build()
        self.refresh()

    def _build(self) -> None:
        self.run = _choice("run", "run", self._open)
        self.refresh_button = widgets.Button(icon="refresh", tooltip="look for runs again", layout={"width": "40px"})
        self.refresh_button.add_class("xttsbench-refresh").on_click(lambda _: self.refresh())
        self.message = widgets.HTML().add_class("xttsbench-message")
        self.metric = _choice("figure of", "metric", self._show)
        self.x = _choice("over", "x", self._show)
        self.y = _choice("and over", "y", self._show)
        self.hue = _choice("colour by", "hue", self._show)
        self.filter_row = grid([])
        self.figure = widgets.HTML().add_class("xttsbench-figure")
        self.table = widgets.HTML().add_class("xttsbench-table")
        self.failed = widgets.HTML().add_class("xttsbench-failed")
        self.trial = widgets.Select(
            description="trial", rows=6, style=_LABEL, layout=widgets.Layout(width="auto")
        ).add_class("xttsbench-trial")
        self.trial.observe(lambda _: self._show_trial(), "value")
        self.life = widgets.HTML().add_class("xttsbench-life")
        self.audio = widgets.HTML().add_class("xttsbench-audio")
        self.body = widgets.VBox(
            [
                grid([self.metric, self.hue, self.x, self.y]),
                widgets.HTML("<b>only</b>"),
                self.filter_row,
                self.figure,
                self.table,
                self.failed,
                widgets.HTML("<b>one trial</b>"),
                self.trial,
                self.life,
                self.audio,
            ]
        )
        top = widgets.HBox([self.run, self.refresh_button])
        self.run.layout.flex = "1 1 auto"
        self.view = widgets.VBox([top, self.message, self.body], layout=widgets.Layout(max_width="900px"))
        self.view.add_class("xttsbench-run-explorer")

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        return self.view._repr_mimebundle_(**kwargs)

    def refresh(self) -> None:
        """Look again for runs, and read again the one that is shown."""
        before = self._found[self.run.value].folder if self._found and self.run.value is not None else self._first
        self._found = runs.runs(self.results)
        if self._first is not None and self._first not in [found.folder for found in self._found]:
            self._found.append(runs.found(self._first))
        self._quiet = True
        self.run.options = [
            (found.name + (" (can't be read)" if found.trouble else ""), k) for k, found in enumerate(self._found)
        ]
        folders = [found.folder for found in self._found]
        self.run.value = folders.index(before) if before in folders else 0 if folders else None
        self._quiet = False
        self._open()

    def _open(self) -> None:
        self.body.layout.display = "none"
        self.trials = self.chosen = pd.DataFrame()
        if self.run.value is None:
            self.message.value = words(runs.none_yet(self.results)) + command(runs.HOW_TO)
            return
        found = self._found[self.run.value]
        try:
            meta = store.read_meta(found.folder)
            self._records = {r.trial.id: r for r in store.read(found.folder)}
            self.trials = table.of_run(meta, self._records.values())
        except (ValueError, OSError, KeyError, TypeError) as error:
            self.message.value = words(found.trouble or f"{str(found.folder)!r} can't be read: {error}", trouble=True)
            return
        if not len(self.trials):
            self.message.value = words(f"{found.name} holds no trial yet; refresh when it has begun.")
            return
        self._folder = found.folder
        ok = self.trials["status"] == "ok"
        note = meta["model"].get("note") or ""
        self.message.value = words(
            f"{int(ok.sum())} of {len(ok)} trials succeeded. {note}", trouble=not ok.any()
        ) + command(str(meta.get("command", "")))
        self._offer(self.trials[ok])
        self.body.layout.display = ""
        self._show()

    def _offer(self, ok: pd.DataFrame) -> None:
        """Offer what the run can show: metrics that it has, columns that vary in it."""
        self._quiet = True
        metrics = [name for name in METRICS if len(ok) and ok[name].notna().any()]
        vary = stats.varying(self.trials)
        self._vary = vary
        axes = vary or ["engine"]
        _options(self.metric, [(plot.label(name), name) for name in metrics], "ttfc_s")
        _options(self.x, [(plot.label(n), n) for n in [*axes, *metrics]], "stream_chunk_size")
        _options(self.y, [(NO, ""), *((plot.label(n), n) for n in vary)], "")
        _options(self.hue, [(NO, ""), *((n, n) for n in vary)], "engine")
        self.filters = {}
        for name in ("phase", *vary):
            values = ordered(self.trials[name])
            usual = ALL
            if name == "phase":
                measured = [p for p in pages.MEASURED if p in values]
                values = [BOTH, *values] if len(measured) > 1 else values
                usual = next(iter([BOTH] if BOTH in values else measured), ALL)
            self.filters[name] = _choice(name, f"only-{name.replace('_', '-')}", self._show)
            _options(self.filters[name], [(v, v) for v in (ALL, *values)], usual)
        for old in self.filter_row.children:
            old.close()
        self.filter_row.children = tuple(self.filters.values())
        self._quiet = False

    def _show(self) -> None:
        """Let figure, table and trials follow what is picked."""
        if self._quiet or not len(self.trials):
            return
        kept = self.trials
        for name, choice in self.filters.items():
            if choice.value != ALL:
                kept = kept[as_words(kept[name]).isin(pages.MEASURED if choice.value == BOTH else [choice.value])]
        self.chosen = kept
        ok = kept[kept["status"] == "ok"]
        self.figure.value = self._figure(ok)
        self.table.value = pages.summary(ok, self.metric.value, self._vary) if len(ok) and self.metric.value else ""
        self.failed.value = pages.failures(kept, self._vary)
        rows = pages.names(kept, self._vary, self.metric.value)
        before = self.trial.value
        self._quiet = True
        self.trial.options = rows
        self.trial.value = before if before in kept["id"].array else rows[0][1] if rows else None
        self._quiet = False
        self._show_trial()

    def _figure(self, ok: pd.DataFrame) -> str:
        if not self.metric.value:
            return words("No trial of this run succeeded, so there is nothing to draw; below is why.", trouble=True)
        return views.overview(ok, self.metric.value, x=self.x.value, y=self.y.value, hue=self.hue.value)

    def _show_trial(self) -> None:
        if self._quiet:
            return
        record = self._records.get(self.trial.value or "")
        self.life.value = self.audio.value = ""
        if record is None:
            return
        if record.status != "ok":
            self.life.value = words(f"This trial failed: {record.error}", trouble=True)
            return
        row = self.trials[self.trials["id"] == record.trial.id]
        self.life.value = views.life_of(record, row) + pages.figures(row.iloc[0])
        self.audio.value = views.sound_of(record, self._folder)


_LABEL = {"description_width": LABEL}


def _choice(title: str, name: str, changed: Callable[[], None]) -> Any:
    choice = widgets.Dropdown(description=title, style=_LABEL, layout=widgets.Layout(width="auto", min_width="0"))
    choice.observe(lambda _: changed(), "value")
    return choice.add_class(f"xttsbench-{name}")


def _options(choice: Any, options: list[tuple[str, Any]], wanted: Any) -> None:
    """Offer `options`; what was chosen stays where it is among them, else `wanted`, else the first."""
    values = [value for _, value in options]
    before = choice.value
    choice.options = options
    choice.value = next((v for v in (before, wanted) if v in values and v is not None), values[0] if values else None)
