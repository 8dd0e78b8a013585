"""How do sound, figures and tables stand in a widget? As HTML that needs no file, with words for those who can't see or hear it."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pandas as pd

from xttsbench import plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 110
# Without it JupyterLab takes the keys: Enter would edit the cell, the space bar scroll.
OWN_KEYS = 'data-lm-suppress-shortcuts="true"'


def audio(data: bytes, *, label: str, kind: str = "wav", wide: bool = False) -> str:
    """Return a player for a file of `kind` ('flac', 'wav') in memory, with its label above it; `wide` fills the line without one."""
    encoded = base64.b64encode(data).decode("ascii")
    said = html.escape(label, quote=True)
    size = "width:100%" if wide else "width:260px;max-width:100%;height:36px"
    return (
        f'<div {OWN_KEYS} style="margin:2px 12px 6px 0;line-height:1.4">{"" if wide else f"<div>{said}</div>"}'
        f'<audio controls preload="auto" aria-label="{said}" src="data:audio/{kind};base64,{encoded}" style="{size};display:block"></audio></div>'
    )


def picture(figure: Figure, *, alt: str) -> str:
    """Return a figure, made inside `plot.style()`, as an inline PNG with `alt` as its text."""
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=DPI, metadata={"Software": None})
    encoded = base64.b64encode(data.getvalue()).decode("ascii")
    width = figure.get_size_inches()[0] * 100
    return (
        f'<img src="data:image/png;base64,{encoded}" alt="{html.escape(alt, quote=True)}" '
        f'style="width:{width:.0f}px;max-width:100%;height:auto">'
    )


def drawing(draw: Callable[[Axes], Any], *, alt: str, size_in: tuple[float, float] = (8.0, 3.6)) -> str:
    """Return what `draw` draws into one Axes as an inline PNG; pyplot is not touched."""
    from matplotlib.figure import Figure

    with plot.style():
        figure = Figure(figsize=size_in, layout="constrained")
        draw(figure.subplots())
        return picture(figure, alt=alt)


def words(text: str, *, trouble: bool = False) -> str:
    """Return a sentence as a paragraph; `trouble` marks it, by more than colour, as what has to be mended first."""
    look = ' role="alert" style="margin:0;padding:2px 8px;border-left:4px solid #d55e00;line-height:1.5"'
    plain = ' style="margin:0;line-height:1.5;max-width:860px"'
    return f"<p{look if trouble else plain}>{html.escape(text)}</p>" if text else ""


def table(shown: pd.DataFrame, *, caption: str, most: int | None = None) -> str:
    """Return a table, every word escaped; of a long one the first `most` rows, in a box that scrolls."""
    head = shown if most is None else shown.head(most)
    body = head.to_html(index=False, escape=True, border=0, na_rep="-", classes="dataframe", justify="left")
    body = body.replace("<table ", '<table style="border-spacing:12px 0;margin-left:-12px;text-align:left" ', 1)
    more = f"; the first {len(head)} of {len(shown):,}" if len(shown) > len(head) else ""
    scrolls = "" if most is None else ' tabindex="0"'
    return (
        f'<p style="margin:8px 0 2px;line-height:1.5"><b>{html.escape(caption + more)}</b></p>'
        f'<div{scrolls} style="{"" if most is None else "max-height:260px;overflow:auto;"}line-height:1.5">{body}</div>'
    )


def command(text: str) -> str:
    """Return a command line to copy."""
    return f'<pre tabindex="0" style="white-space:pre-wrap;word-break:normal;overflow-wrap:anywhere;margin:0;line-height:1.4">{html.escape(text)}</pre>'
