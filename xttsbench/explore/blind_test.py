"""Ask a person what they hear: ABX or a MUSHRA-like rating between contenders of one run, their names hidden until the end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import numpy as np

from xttsbench import listening
from xttsbench.clips import wav
from xttsbench.explore import inline
from xttsbench.listening import ANCHOR, REFERENCE, Question, Test
from xttsbench.listening.plan import Kind

KINDS_SAID = (("ABX: which of two is it?", "abx"), ("MUSHRA: how good is each?", "mushra"))
ASKED = {
    "abx": "X is A or B, played once more. Listen as often as you like, then say which; guess if you can't tell.",
    "mushra": (
        "Rate each sample from 0 to 100: above 80 excellent, above 60 good, above 40 fair, above 20 poor, below that bad. "
        "Where there is a reference it is also hidden among the samples, and should get 100; one sample is made bad on purpose."
    ),
}
KEYS = "Keyboard: Tab goes from player to player and on to the answers, the space bar plays, Enter or the space bar answers, arrow keys move a slider."
LEVELS = (
    "All clips of a question are cut at the same times, faded over 5 ms, of one length, and brought to one loudness: the same RMS of active "
    "speech, -26 dB re full scale. Answers are kept in listening.jsonl of the run; a test that is stopped goes on where it was left."
)


class BlindTest:
    """A listening test over a run. Shown where it stands last in a cell.

    Parameters
    ----------
    run
        Folder of the run; answers are kept in it.
    kind, conditions, trials, seconds, seed, listener
        As in `listening.plan`; kind, conditions and listener can be changed before the start.

    Attributes
    ----------
    test
        The test under way, None before the start.
    question
        The question that is asked, None before the start and after the end.
    """

    def __init__(
        self,
        run: str | Path,
        *,
        kind: Kind = "abx",
        conditions: Sequence[str] | None = None,
        trials: int | None = None,
        seconds: float | None = None,
        seed: int = 0,
        listener: str = "",
    ) -> None:
        self.run = Path(run)
        self.test: Test | None = None
        self.question: Question | None = None
        self._how: dict[str, Any] = {"trials": trials, "seconds": seconds, "seed": seed}
        self._touched: set[int] = set()
        self._quiet = False
        self.message = widgets.HTML().add_class("xttsbench-message")
        self.view = widgets.VBox([self.message], layout=widgets.Layout(max_width="900px"))
        self.view.add_class("xttsbench-blind-test")
        try:
            first = listening.plan(self.run, kind, conditions=conditions, **self._how)
            names = listening.names(self.run)
        except (ValueError, OSError) as error:
            self.message.value = inline.words(str(error), trouble=True)
            return
        self._build(names, first, listener)
        self._begin()

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        return self.view._repr_mimebundle_(**kwargs)

    def _build(self, names: list[str], first: Test, listener: str) -> None:
        label = {"description_width": "90px"}
        self.kind = widgets.ToggleButtons(options=KINDS_SAID, value=first.kind, description="test", style=label)
        self.kind.style.button_width = "220px"
        self.kind.add_class("xttsbench-kind").observe(lambda _: self._begin(), "value")
        pair = first.conditions[:2]
        self.one, self.other = (
            widgets.Dropdown(options=names, value=name, description=words, style=label)
            for words, name in zip(("contender", "against"), pair, strict=True)
        )
        self.one.add_class("xttsbench-one")
        self.other.add_class("xttsbench-other")
        self.several = widgets.SelectMultiple(
            options=names,
            value=first.conditions if first.kind == "mushra" else tuple(names[:5]),
            rows=min(8, len(names)),
            description="contenders",
            style=label,
        ).add_class("xttsbench-several")
        self.listener = widgets.Text(
            value=listener, description="your name", placeholder="keeps listeners apart; may stay empty", style=label
        ).add_class("xttsbench-listener")
        self.listener.layout.width = "420px"
        self.start = widgets.Button(description="start, or go on", icon="play", button_style="primary")
        self.start.add_class("xttsbench-start").on_click(lambda _: self._start())
        self.progress = widgets.HTML().add_class("xttsbench-progress")
        self.reference = widgets.HTML().add_class("xttsbench-reference")
        self.players = [widgets.HTML().add_class("xttsbench-player") for _ in range(12)]
        self.sliders = [
            widgets.IntSlider(value=0, min=0, max=100, description=f"sample {k + 1}", continuous_update=False)
            for k in range(12)
        ]
        for k, slider in enumerate(self.sliders):
            slider.add_class("xttsbench-rating").observe(lambda _, k=k: self._touch(k), "value")
            slider.layout.width = "420px"
        self.answers = [widgets.Button(description=f"X is {letter}") for letter in "AB"]
        for button, letter in zip(self.answers, "AB", strict=True):
            button.add_class("xttsbench-answer").add_class(f"xttsbench-answer-{letter.lower()}")
            button.on_click(lambda _, letter=letter: self._answer(choice=letter))
        self.done = widgets.Button(description="next question", icon="check")
        self.done.add_class("xttsbench-answer").on_click(lambda _: self._rate())
        self.stop = widgets.Button(description="stop for now", icon="pause").add_class("xttsbench-stop")
        self.stop.on_click(lambda _: self._begin())
        self.result = widgets.HTML().add_class("xttsbench-result")
        self.again = widgets.Button(description="another test").add_class("xttsbench-again")
        self.again.on_click(lambda _: self._begin())

    def _begin(self) -> None:
        """Show the choices."""
        self.test = self.question = None
        self.message.value = ""
        self.progress.value = ""
        choice = [self.one, self.other] if self.kind.value == "abx" else [self.several]
        self.view.children = (
            self.kind,
            *choice,
            self.listener,
            self.start,
            self.message,
            widgets.HTML("".join(inline.words(text) for text in (ASKED[self.kind.value], KEYS, LEVELS))),
        )

    def _start(self) -> None:
        kind = self.kind.value
        conditions = (self.one.value, self.other.value) if kind == "abx" else self.several.value
        listener = self.listener.value.strip()
        try:
            self.test = listening.plan(self.run, kind, conditions=conditions, listener=listener, **self._how)
        except (ValueError, OSError) as error:
            self.message.value = inline.words(str(error), trouble=True)
            return
        self.message.value = ""
        self._next()

    def _next(self) -> None:
        """Show the first question that is left, or what came out."""
        assert self.test is not None
        try:
            left = listening.left(self.run, self.test)
            if not left:
                self._end()
                return
            clips, rate = listening.clips(self.run, self.test, left[0])
        except (ValueError, OSError) as error:
            self.message.value = inline.words(str(error), trouble=True)
            return
        self.question = left[0]
        many = len(self.test.questions)
        self.progress.value = inline.words(f"Question {many - len(left) + 1} of {many}. {ASKED[self.test.kind]}")
        # A little noise of its own makes each file unlike the others: X can't be told by its bytes.
        noise = iter(np.random.default_rng().integers(0, 2**63, 16).tolist())
        sounds = [wav(clips[name], sample_rate=rate, dither=next(noise)) for name in self.question.order]
        names = "ABX" if self.test.kind == "abx" else [str(k + 1) for k in range(len(sounds))]
        for player, sound, name in zip(self.players, sounds, names, strict=False):
            player.value = inline.audio(sound, label=f"sample {name}")
        notes = widgets.HTML("".join(inline.words(f"Note: {note}.") for note in self.test.notes))
        row = widgets.Layout(flex_flow="row wrap", align_items="flex-end")
        if self.test.kind == "abx":
            asked = [widgets.HBox(self.players[:3], layout=row), widgets.HBox([*self.answers, self.stop], layout=row)]
        else:
            self._quiet = True
            for slider in self.sliders:
                slider.value = 0
            self._quiet = False
            self._touched = set()
            known = REFERENCE in clips
            self.reference.value = (
                inline.audio(wav(clips[REFERENCE], sample_rate=rate, dither=next(noise)), label="the reference")
                if known
                else ""
            )
            pairs = zip(self.players[: len(sounds)], self.sliders, strict=False)
            asked = [self.reference, *(widgets.HBox(pair, layout=row) for pair in pairs)]
            asked += [widgets.HBox([self.done, self.stop], layout=row)]
        self.view.children = (self.progress, *asked, self.message, notes)

    def _touch(self, k: int) -> None:
        if not self._quiet:
            self._touched.add(k)

    def _rate(self) -> None:
        if self.question is None:
            return
        many = len(self.question.order)
        missing = [str(k + 1) for k in range(many) if k not in self._touched]
        if missing:
            self.message.value = inline.words(
                f"Not rated yet: sample {', '.join(missing)}. Move each slider once, also for a 0.", trouble=True
            )
            return
        self._answer(ratings=[slider.value for slider in self.sliders[:many]])

    def _answer(self, *, choice: str = "", ratings: Sequence[int] = ()) -> None:
        if self.test is None or self.question is None:
            return
        try:
            listening.append(self.run, self.test, self.question, choice=choice, ratings=ratings)
        except ValueError as error:
            self.message.value = inline.words(str(error), trouble=True)
            return
        self.message.value = ""
        self._next()

    def _end(self) -> None:
        """Show what the answers of all listeners to this test amount to."""
        assert self.test is not None
        self.question = None
        mine = [a for a in listening.read(self.run) if a.test == self.test.id]
        people = len({a.listener for a in mine})
        said = [f"Done, thank you. Over {people} listener{'s' if people > 1 else ''}:", *listening.said(mine)]
        note = (
            f"The hidden reference is one whole decode; {ANCHOR} is made bad on purpose. "
            if self.test.kind == "mushra"
            else "The interval is Clopper and Pearson's; p is the chance of so many right answers by guessing. "
        )
        self.result.value = "".join(inline.words(text) for text in said) + inline.words(
            note + "As a table: xttsbench.listening.results(run)."
        )
        self.view.children = (self.result, self.again)
