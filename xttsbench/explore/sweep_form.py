"""What the sweep panel asks: a field for every setting and choice, and the command line they come to."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ipywidgets as widgets

from xttsbench.presets import PRESETS
from xttsbench.settings import DEVICES, ENGINES, SETTINGS, range_text
from xttsbench.texts import NAMES

MODELS = ("auto", "nano", "random", "xtts_v2")
FOLDER = "checkpoint folder"
SHOWN = ("stream_chunk_size", "overlap_wav_len", "temperature", "top_k", "top_p", "repetition_penalty", "speed")
VALUES = tuple(name for name in SETTINGS if name != "language")
LABEL = "150px"


class Form:
    """The fields and what they come to. An empty field of values leaves them to the preset.

    Attributes
    ----------
    fields
        Every field by name: 'preset', 'model', ..., and a setting's name for its values.
    engines, texts
        The check boxes by name.
    view
        All of it as one widget.
    """

    def __init__(self, *, preset: str, model: str, device: str) -> None:
        named = model in MODELS
        self.fields: dict[str, Any] = {
            "preset": _field(widgets.Dropdown, "preset", options=list(PRESETS), value=preset),
            "model": _field(widgets.Dropdown, "model", options=[*MODELS, FOLDER], value=model if named else FOLDER),
            "checkpoint": _field(widgets.Text, "folder", value="" if named else model, placeholder="my-checkpoint"),
            "device": _field(widgets.Dropdown, "device", options=list(DEVICES), value=device),
            "text": _field(
                widgets.Textarea, "your own texts", placeholder="a text a line; empty: the shipped ones", rows=2
            ),
            "languages": _field(widgets.Text, "languages", value="en"),
            "repeats": _field(widgets.IntText, "repeats"),
            "seed": _field(widgets.IntText, "seed", value=0),
            "out": _field(widgets.Text, "out folder", placeholder="named by date, preset and model"),
            "other": _field(widgets.Text, "other options", placeholder="--precision fp32 bf16 --threads 1 --no-stages"),
        }
        self.fields |= {name: _field(widgets.Text, name) for name in VALUES}
        for name in VALUES:
            self.fields[name].tooltip = f"{SETTINGS[name].metadata['meaning']}; takes {range_text(name)}"
        self.engines = {name: _box(name, "engine") for name in ENGINES}
        self.texts = {name: _box(name, "text") for name in NAMES}
        self.view = self._laid_out()
        self.take_preset()
        self._show_folder()
        self.fields["model"].observe(lambda _: self._show_folder(), "value")

    def take_preset(self) -> None:
        """Fill in what the preset runs."""
        preset = PRESETS[self.fields["preset"].value]
        for name in VALUES:
            values = preset.grid.get(name, ())
            self.fields[name].value = " ".join(map(str, values))
            self.fields[name].placeholder = " ".join(map(str, values or (SETTINGS[name].default,)))
        for name, box in self.engines.items():
            box.value = name in preset.engines
        for name, box in self.texts.items():
            box.value = name in preset.texts
        self.fields["repeats"].value = preset.repeats
        self.about.value = f'<div style="line-height:1.4"><i>{preset.about}</i></div>'

    def take(
        self,
        *,
        engines: Sequence[str] | None,
        texts: Sequence[str] | None,
        repeats: int | None,
        values: Mapping[str, Sequence[Any]],
    ) -> None:
        """Fill in what the caller asked for, where it did."""
        for boxes, wanted in ((self.engines, engines), (self.texts, texts)):
            for name, box in boxes.items() if wanted is not None else ():
                box.value = name in (wanted or ())
        if repeats is not None:
            self.fields["repeats"].value = repeats
        for name, several in values.items():
            self.fields[name].value = " ".join(map(str, several))

    def observe(self, changed: Callable[[Any], None]) -> None:
        """Call `changed` after every change of a field but the preset."""
        for name, widget in self.everything().items():
            if name != "preset":
                widget.observe(changed, "value")

    def everything(self) -> dict[str, Any]:
        """Return every field and box by name."""
        return {**self.fields, **self.engines, **self.texts}

    def argv(self) -> list[str]:
        """Return the arguments of `python -m xttsbench`, all but --out; ValueError where a quote is left open."""
        f = {name: widget.value for name, widget in self.fields.items()}
        own = [line.strip() for line in f["text"].splitlines() if line.strip()]
        chosen = [name for name, box in self.texts.items() if box.value]
        words = ["sweep", "--preset", f["preset"], "--model", f["checkpoint"] if f["model"] == FOLDER else f["model"]]
        words += ["--device", f["device"], "--engines", *(name for name, box in self.engines.items() if box.value)]
        words += ["--text", *own] if own else ["--texts", *chosen]
        words += [] if f["languages"].strip() in ("", "en") else ["--languages", *_split(f["languages"])]
        for name in VALUES:
            if _split(f[name]):
                words += [f"--{name.replace('_', '-')}", *_split(f[name])]
        words += ["--repeats", str(f["repeats"]), "--seed", str(f["seed"])]
        try:
            return words + shlex.split(f["other"])
        except ValueError as error:
            raise ValueError(f"other options {f['other']!r} can't be read: {error}.") from error

    def _show_folder(self) -> None:
        self.fields["checkpoint"].layout.display = "" if self.fields["model"].value == FOLDER else "none"

    def _laid_out(self) -> Any:
        f = self.fields
        self.about = widgets.HTML()
        engines = _row("engines", self.engines)
        texts = _row("texts", self.texts)
        hidden = [f[name] for name in VALUES if name not in SHOWN]
        more = widgets.Accordion([grid([*hidden, f["languages"], f["other"]])], selected_index=None)
        more.set_title(0, "more settings and options")
        return widgets.VBox(
            [
                grid([f["preset"], self.about, f["model"], f["device"], f["checkpoint"]]),
                engines,
                texts,
                f["text"],
                widgets.HTML(
                    "<b>values</b>: one or several each, apart by spaces; an empty field has what it shows in grey"
                ),
                grid([*(f[name] for name in SHOWN), f["repeats"], f["seed"], f["out"]]),
                more,
            ]
        )


def _split(text: str) -> list[str]:
    return [word for word in re.split(r"[\s,;]+", text) if word]


def _field(kind: Any, name: str, **traits: Any) -> Any:
    if kind in (widgets.Text, widgets.Textarea, widgets.IntText):
        traits["continuous_update"] = False  # a value is looked at when it is whole
    widget = kind(
        description=name,
        style={"description_width": LABEL},
        layout=widgets.Layout(width="auto", min_width="0"),
        **traits,
    )
    widget.add_class(f"xttsbench-{name.replace('_', '-').replace(' ', '-')}")
    return widget


def _box(name: str, kind: str) -> Any:
    box = widgets.Checkbox(description=name, indent=False, layout=widgets.Layout(width="110px"))
    box.add_class(f"xttsbench-{kind}-{name}")
    return box


def _row(name: str, boxes: Mapping[str, Any]) -> Any:
    label = widgets.HTML(
        f'<div style="text-align:right;padding-right:8px">{name}</div>', layout={"width": LABEL, "flex": "0 0 auto"}
    )
    row = widgets.HBox(list(boxes.values()), layout=widgets.Layout(flex_flow="row wrap", flex="1 1 0"))
    return widgets.HBox([label, row])


def grid(children: Sequence[Any]) -> Any:
    """Return widgets side by side, or one below the other where it is narrow."""
    return widgets.GridBox(
        list(children),
        layout=widgets.Layout(grid_template_columns="repeat(auto-fit, minmax(320px, 1fr))", grid_gap="0 12px"),
    )


def button(text: str, name: str, icon: str, style: str) -> Any:
    """Return a button that a test finds by its name."""
    width = "auto" if text else "40px"
    made = widgets.Button(description=text, icon=icon, button_style=style, layout=widgets.Layout(width=width))
    return made.add_class(f"xttsbench-{name}")
