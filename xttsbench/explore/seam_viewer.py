"""Walk the seams of a run, worst first: see each beside a place that is none, and hear it with and without the seam."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import pandas as pd

from xttsbench import comparison, plot, store
from xttsbench.clips import Signal, wav
from xttsbench.comparison import WORDS, Heard
from xttsbench.explore import inline
from xttsbench.places import places
from xttsbench.plot.style import LABELS, figures
from xttsbench.worst import Seam, at_control, beside_controls, ranked, with_seam, without_seam

ALL = "all"
SPEEDS = (("as it is", 1), ("half speed", 2), ("quarter speed", 4))
HOW_TO = (
    "Slowed down means the same samples played at a half or a quarter of their rate: lower by one or two octaves, but no sample is changed, "
    "so a click stays a click. Tab moves on, the space bar plays and presses."
)


class SeamViewer:
    """Walk through the seams of a run. Shown where it stands last in a cell.

    Parameters
    ----------
    run
        Folder of the run.
    heard
        What `comparison.hear` returned for it, if that is at hand; else every seam is measured first.

    Attributes
    ----------
    seams
        Those that the filters leave, worst first, as `worst.ranked` has them.
    places
        The table of `places.places`, from which every number shown is taken.
    """

    def __init__(self, run: str | Path, *, heard: list[Heard] | None = None) -> None:
        self.run = Path(run)
        self.seams: list[Seam] = []
        self.places = pd.DataFrame()
        self._every: list[Seam] = []
        self._corner = ""
        self._quiet = False
        self._build()
        try:
            self._heard = hear(self.run) if heard is None else heard
            self._corner = store.read_meta(self.run)["model"].get("note") or ""
            self._every = ranked(self._heard)
            self.places = places(self._heard)
        except (ValueError, OSError) as error:
            self._say(str(error))
            return
        if not self._every:
            self._say(without_a_seam(self._heard))
            return
        self._quiet = True
        self.variant.options = [ALL, *dict.fromkeys(s.variant for s in self._every)]
        self.kind.options = [ALL, *dict.fromkeys(s.kind for s in self._every)]
        self._quiet = False
        self._filter()

    def _build(self) -> None:
        self.variant = widgets.Dropdown(options=[ALL], description="contender").add_class("xttsbench-variant")
        self.kind = widgets.Dropdown(options=[ALL], description="kind of seam").add_class("xttsbench-kind")
        self.zoom = widgets.IntSlider(
            value=50, min=20, max=500, step=10, description="seen, ± ms", continuous_update=False
        ).add_class("xttsbench-zoom")
        self.around = widgets.IntSlider(
            value=500, min=100, max=1500, step=100, description="heard, ± ms", continuous_update=False
        ).add_class("xttsbench-around")
        self.speed = widgets.ToggleButtons(options=SPEEDS, value=1, description="play").add_class("xttsbench-speed")
        self.speed.style.button_width = "140px"
        self.previous = widgets.Button(description="worse", icon="arrow-left").add_class("xttsbench-seam-previous")
        self.next = widgets.Button(description="next seam", icon="arrow-right").add_class("xttsbench-seam-next")
        self.rank = widgets.BoundedIntText(value=1, min=1, max=1, description="seam").add_class("xttsbench-seam-rank")
        for one in (self.variant, self.kind, self.zoom, self.around, self.rank, self.speed):
            one.style.description_width = "90px"
        self.rank.layout.width = "170px"
        self.message = widgets.HTML().add_class("xttsbench-message")
        self.figure = widgets.HTML().add_class("xttsbench-figure")
        self.table = widgets.HTML().add_class("xttsbench-table")
        self.players = widgets.HTML().add_class("xttsbench-players")
        self.variant.observe(lambda _: self._filter(), "value")
        self.kind.observe(lambda _: self._filter(), "value")
        self.rank.observe(lambda _: self._show(), "value")
        self.zoom.observe(lambda _: self._draw(), "value")
        self.around.observe(lambda _: self._play(), "value")
        self.speed.observe(lambda _: self._play(), "value")
        self.previous.on_click(lambda _: self._step(-1))
        self.next.on_click(lambda _: self._step(1))
        rows = [
            widgets.HBox([self.variant, self.kind], layout={"flex_flow": "row wrap"}),
            widgets.HBox([self.previous, self.rank, self.next], layout={"flex_flow": "row wrap"}),
            self.message,
            widgets.HBox([self.zoom, self.around], layout={"flex_flow": "row wrap"}),
            self.speed,
            self.players,
            self.figure,
            self.table,
            widgets.HTML(inline.words(HOW_TO)),
        ]
        self.view = widgets.VBox(rows, layout=widgets.Layout(max_width="900px")).add_class("xttsbench-seam-viewer")

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        return self.view._repr_mimebundle_(**kwargs)

    @property
    def seam(self) -> Seam:
        """The seam that is shown."""
        return self.seams[int(self.rank.value) - 1]

    def _say(self, trouble: str) -> None:
        """Leave nothing but one sentence."""
        self.message.value = inline.words(trouble, trouble=True)
        self.view.children = (self.message,)

    def _filter(self) -> None:
        if self._quiet:
            return
        self.seams = [
            s for s in self._every if self.variant.value in (ALL, s.variant) and self.kind.value in (ALL, s.kind)
        ]
        self._quiet = True
        self.rank.max, self.rank.value = max(1, len(self.seams)), 1
        self._quiet = False
        self._show()

    def _step(self, by: int) -> None:
        self.rank.value = min(max(1, self.rank.value + by), len(self.seams) or 1)

    def _show(self) -> None:
        if self._quiet:
            return
        self.previous.disabled = self.rank.value <= 1
        self.next.disabled = self.rank.value >= len(self.seams)
        if not self.seams:
            self.message.value = inline.words(f"{self.variant.value} has no {self.kind.value} seam; choose another.")
            self.figure.value = self.table.value = self.players.value = ""
            return
        self.message.value = inline.words(described(self.seam, self.rank.value, len(self.seams)))
        self.table.value = measured(self.places, self.seam)
        self._draw()
        self._play()

    def _draw(self) -> None:
        if self.seams:
            self.figure.value = drawn(self.places, self.seam, around_s=self.zoom.value / 1000, corner=self._corner)

    def _play(self) -> None:
        if self.seams:
            self.players.value = played(
                self.places, self.seam, self._heard, around_s=self.around.value / 1000, slower=self.speed.value
            )


def hear(run: Path) -> list[Heard]:
    """Measure every seam of a run, with a progress bar; ValueError if there is nothing to hear."""
    from tqdm.auto import tqdm

    store.read_meta(run)
    records = list(store.read(run))
    heard = comparison.hear(run, tqdm(records, desc="measuring seams", unit="trial", leave=False))
    if not heard:
        done = [r for r in records if r.status == "ok"]
        raise ValueError(
            "this run kept no audio, and no seam can be seen without it; run it again without --no-audio."
            if done and not any(r.audio for r in done)
            else "no timed trial of this run succeeded, so there is no seam to see; `python -m xttsbench show RUN` says what failed."
        )
    return heard


def without_a_seam(heard: list[Heard]) -> str:
    """Return why there is nothing to walk through."""
    names = ", ".join(dict.fromkeys(comparison.variants([h.record for h in heard])))
    return f"no utterance of this run has a seam ({names}): each came in one piece. Choose a smaller stream_chunk_size, or a longer text."


def described(seam: Seam, rank: int, many: int) -> str:
    """Return which seam this is and why it comes here, in two sentences."""
    t = seam.heard.record.trial
    why = (
        f"It stands out most in {WORDS[seam.metric][0]}"
        if seam.metric
        else "It can't be judged: too little of this audio is like it"
    )
    between = {"chunk": "between chunks", "sentence": "between sentences"}[seam.kind]
    return (
        f"Number {rank} of {many}, worst first: {seam.variant}, seam {seam.index} (they go from 0 to {len(seam.heard.seams) - 1}), {between}, "
        f"at {seam.at_s:.2f} s of text {t.text.name!r}, seed {t.seed}. {why}."
    )


def measured(table: pd.DataFrame, seam: Seam) -> str:
    """Return the seam's metrics beside the 99th percentile of the controls, as a table."""
    rows = beside_controls(table, trial=seam.heard.record.trial.id, seam=seam.index)
    scale = [LABELS[m][2] for m in rows["metric"]]
    shown = pd.DataFrame(
        {
            "metric": [plot.label(m) for m in rows["metric"]],
            "this seam": [_number(v * by) for v, by in zip(rows["seam"], scale, strict=True)],
            "99 % of controls are below": [_number(v * by) for v, by in zip(rows["limit"], scale, strict=True)],
            "beyond": ["yes" if b else "" for b in rows["beyond"]],
            "controls": rows["controls"],
        }
    )
    return inline.table(shown, caption="This seam beside the controls of its contender and kind (by magnitude)")


def drawn(table: pd.DataFrame, seam: Seam, *, around_s: float, corner: str = "") -> str:
    """Return waveform, spectrogram and F0 around the seam beside a control, as an inline image."""
    from matplotlib.figure import Figure

    h = seam.heard
    with plot.style():
        figure = Figure(figsize=(8.6, 6.4), layout="constrained")
        plot.close_up(
            figure.subplots(3, 2),
            h.audio,
            table[table["id"] == h.record.trial.id],
            seam=seam.index,
            sample_rate=h.record.sample_rate,
            around_s=around_s,
        )
        if corner:
            figure.supxlabel(corner, fontsize=7, x=0.995, ha="right", color="#666666")
        return inline.picture(
            figure,
            alt=f"Waveform, spectrogram and F0, {around_s * 1000:.0f} ms to each side of seam {seam.index} of {seam.variant}, beside the most ordinary of its controls.",
        )


def played(table: pd.DataFrame, seam: Seam, heard: list[Heard], *, around_s: float, slower: int) -> str:
    """Return players: with the seam, without it where there is a whole decode, and a control."""
    rate = seam.heard.record.sample_rate
    clips: list[tuple[str, Signal | None]] = [
        ("with the seam", with_seam(seam, around_s=around_s)),
        ("without it: one decode of the same tokens", without_seam(seam, heard, around_s=around_s)),
        ("the most ordinary of its controls", at_control(seam, table, around_s=around_s)),
    ]
    players = "".join(
        inline.audio(wav(clip, sample_rate=rate, slower=slower), label=label)
        for label, clip in clips
        if clip is not None
    )
    lacks = []
    if clips[1][1] is None:
        lacks.append(
            "This run holds no whole decode of the same tokens, so the seam can't be taken away; compare with the control"
        )
    if clips[2][1] is None:
        lacks.append("Nothing else in this audio is like this seam, so there is no control to hear")
    return f'<div style="display:flex;flex-wrap:wrap">{players}</div>' + "".join(inline.words(f"{s}.") for s in lacks)


def _number(value: float) -> str:
    return "-" if not math.isfinite(value) else figures(abs(value))
