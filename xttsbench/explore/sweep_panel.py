"""A sweep from a notebook: choose, start, watch, stop, go on. What runs is the command line, in a process of its own."""

from __future__ import annotations

import html
import math
import threading
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from xttsbench.explore import runs
from xttsbench.explore.asking import asked, counted, place
from xttsbench.explore.following import RUNNING, Job, command_line
from xttsbench.explore.inline import command, words
from xttsbench.explore.live import LiveRun
from xttsbench.explore.sweep_form import Form, button

POLL_S = 0.5


class SweepPanel:
    """Choose a sweep and run it, with the kernel free meanwhile. Shown where it stands last in a cell.

    Parameters
    ----------
    preset, model, device
        What the fields begin with; `model` may be a checkpoint folder.
    engines, texts, repeats, values
        In place of the preset's; `values` are several by setting, e.g. {"stream_chunk_size": (10, 20)}.
    results
        Where runs lie and new ones go.

    Attributes
    ----------
    state
        'idle', 'running', 'stopping', 'stopped', 'finished' or 'failed'.
    folder
        The run that was started or gone on with last.
    """

    def __init__(
        self,
        *,
        preset: str = "quick",
        model: str = "auto",
        device: str = "auto",
        engines: Sequence[str] | None = None,
        texts: Sequence[str] | None = None,
        repeats: int | None = None,
        values: Mapping[str, Sequence[Any]] | None = None,
        results: str | Path = "results",
    ) -> None:
        self.results = Path(results)
        self.state, self.folder = "idle", Path()
        self._argv: list[str] = []
        self._saying = threading.RLock()
        self._job: Job | None = None
        self._thread: threading.Thread | None = None
        self.form = Form(preset=preset, model=model, device=device)
        self.form.take(engines=engines, texts=texts, repeats=repeats, values=values or {})
        self._build()
        self.form.fields["preset"].observe(self._preset, "value")
        self.form.observe(self._check)
        self._check()
        self.refresh()
        for job in list(RUNNING):  # a cell that runs again finds the sweep it began
            self._follow(job)

    def _build(self) -> None:
        self.check = widgets.HTML(layout=widgets.Layout(margin="4px 0")).add_class("xttsbench-check")
        self.command = widgets.HTML().add_class("xttsbench-command")
        self.start_button = button("Start", "start", "play", "success")
        self.stop_button = button("Stop", "stop", "stop", "warning")
        self.resume_button = button("Resume", "resume", "step-forward", "info")
        self.refresh_button = button("", "refresh", "refresh", "")
        self.refresh_button.tooltip = "look for runs again"
        self.unfinished = widgets.Dropdown(
            description="broken off", layout=widgets.Layout(flex="1 1 300px", min_width="0")
        ).add_class("xttsbench-unfinished")
        self.live = LiveRun()
        self.said = widgets.HTML().add_class("xttsbench-said")
        buttons = [self.start_button, self.stop_button, self.resume_button, self.unfinished, self.refresh_button]
        self.view = widgets.VBox(
            [
                self.form.view,
                self.check,
                self.command,
                widgets.HBox(buttons, layout=widgets.Layout(flex_flow="row wrap", margin="6px 0")),
                self.said,
                self.live.view,
            ],
            layout=widgets.Layout(max_width="900px"),
        ).add_class("xttsbench-sweep-panel")
        for pressed, act in (
            (self.start_button, self.start),
            (self.stop_button, self.stop),
            (self.resume_button, self.resume),
            (self.refresh_button, self.refresh),
        ):
            pressed.on_click(lambda _, act=act: act())
        self.unfinished.observe(lambda _: self._enable(), "value")
        self._say("idle", "nothing runs")

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        return self.view._repr_mimebundle_(**kwargs)

    def start(self) -> None:
        """Start what the fields ask for, in a new run; where they ask for something wrong, say it and start nothing."""
        if self._busy():
            return
        self._check()
        if self._argv:
            self.folder = Path(self._argv[-1])
            self._follow(Job(self._argv, self.folder))

    def resume(self) -> None:
        """Go on with the run that is chosen among those broken off."""
        if self._busy() or not self.unfinished.value:
            return
        self.folder = self.unfinished.value
        self._follow(Job(["sweep", "--resume", str(self.folder)], self.folder))

    def stop(self) -> None:
        """Ask the sweep to end after what it has on disk; asked twice, it is killed. It can be gone on with."""
        with self._saying:
            if self._job is not None and self._busy():
                self._job.stop()
                self._say("stopping", "asked to stop: the trial under way is given up, what is on disk stays")

    def wait(self, seconds: float = math.inf) -> str:
        """Wait until nothing runs, at most `seconds`, and return the state; for scripts, since it keeps the kernel busy."""
        if self._thread is not None:
            self._thread.join(min(seconds, threading.TIMEOUT_MAX))
        return self.state

    def refresh(self) -> None:
        """Look again which runs were broken off."""
        if not self._busy():
            there = runs.unfinished(runs.runs(self.results))
            self.unfinished.options = [*there.items()] or [("none", "")]
            folders = list(there.values())
            self.unfinished.index = folders.index(self.folder) if self.folder in folders else 0
            self._enable()

    def close(self) -> None:
        """Stop what runs and take the panel away."""
        if self._job is not None:
            self._job.stop()
        self.wait()
        for widget in _all_of(self.view):
            widget.close()

    def _busy(self) -> bool:
        return self.state in ("running", "stopping")

    def _preset(self, _: Any) -> None:
        self.form.take_preset()
        self._check()

    def _check(self, _: Any = None) -> None:
        """Say how many trials the fields ask for, or what is wrong with them; keep the command."""
        self._argv = []
        try:
            argv = self.form.argv()
            plan, model = asked(argv)
            argv += ["--out", str(place(plan, self.form.fields["out"].value.strip(), results=self.results))]
        except (ValueError, OSError) as error:
            self.check.value, self.command.value = words(str(error), trouble=True), ""
        else:
            self._argv = argv
            self.check.value = words(f"{counted(plan)}; {model}")
            self.command.value = command(command_line(argv))
        self._enable()

    def _enable(self) -> None:
        busy = self._busy()
        self.start_button.disabled = busy or not self._argv
        self.stop_button.disabled = not busy
        self.resume_button.disabled = busy or not self.unfinished.value
        for widget in (*self.form.everything().values(), self.unfinished, self.refresh_button):
            widget.disabled = busy

    def _say(self, state: str, sentence: str) -> None:
        self.state = state
        live = "off" if state == "running" else "polite"  # a count twice a second is nothing to read aloud
        mark = "border-left:4px solid #d55e00;padding:2px 8px" if state == "failed" else "padding:2px 0"
        self.said.value = (
            f'<div role="status" aria-live="{live}" data-state="{state}" style="{mark};line-height:1.5">'
            f"<b>{state}</b>: {html.escape(sentence)}</div>"
        )
        self.stop_button.description = "Kill" if state == "stopping" else "Stop"
        self._enable()

    def _follow(self, job: Job) -> None:
        """Watch a sweep from a thread that doesn't keep the panel."""
        self._job = job
        self.folder = self.folder if self.folder.name else job.folder
        self.live.begin(job.folder)
        self._say("running", "the model is being loaded")
        self._thread = threading.Thread(target=_watch, args=(weakref.ref(self), job), daemon=True, name="sweep-panel")
        self._thread.start()

    def _tick(self, job: Job, *, ended: bool) -> None:
        """Take over what came since the last time; called by the thread."""
        self.live.update(last=ended)
        with self._saying:
            if ended:
                self._ended(job)
            elif self.live.moving and self.state == "running":
                self._say("running", self.live.where())

    def _ended(self, job: Job) -> None:
        done, failed, total = self.live.done, self.live.failed, self.live.total
        counted = f"{done} of {total} trials are on disk in {self.folder}"
        if total and done >= total and failed < done:
            self._say("finished", counted + (f", {failed} of them failed" if failed else "") + "; RunExplorer shows it")
        elif total and done >= total:
            self._say("failed", f"no trial succeeded: {self.live.last_error}")
        elif job.stopped or job.code == 0:
            self._say("stopped", f"{counted}; Resume goes on with it" if total else "nothing was written yet")
        else:
            why = job.last_words() or "it said nothing"
            why += f"; {counted}, Resume goes on with it" if total else ""
            self._say("failed", f"the process ended with {job.ending}: {why}")
        self.live.progress.bar_style = {"finished": "success", "failed": "danger"}.get(self.state, "")
        self.refresh()
        self._check()


def _watch(panel: weakref.ref[SweepPanel], job: Job) -> None:
    ended = False
    while not ended:
        ended = job.wait(POLL_S)
        here = panel()
        if here is None:
            return
        try:
            here._tick(job, ended=ended)
        except Exception as error:
            job.stop()
            here._say("failed", f"the run in {job.folder} can't be followed ({error}); what is on disk stays")
            return
        del here


def _all_of(widget: Any) -> list[Any]:
    return [widget, *(below for child in getattr(widget, "children", ()) for below in _all_of(child))]
