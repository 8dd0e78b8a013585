"""A figure or a sentence as HTML for a widget: it looks the same in every notebook, and has words for those who can't see it."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from xttsbench import plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DPI = 110


def picture(draw: Callable[[Axes], Any], *, alt: str, width_in: float = 8.0, height_in: float = 3.6) -> str:
    """Return what `draw` draws into one Axes as an inline PNG with `alt` as its text; pyplot is not touched."""
    from matplotlib.figure import Figure

    data = io.BytesIO()
    with plot.style():
        figure = Figure(figsize=(width_in, height_in), layout="constrained")
        draw(figure.subplots())
        figure.savefig(data, format="png", dpi=DPI, metadata={"Software": None})
    encoded = base64.b64encode(data.getvalue()).decode("ascii")
    style = f"width:{width_in * 100:.0f}px;max-width:100%;height:auto"
    return f'<img src="data:image/png;base64,{encoded}" alt="{html.escape(alt)}" style="{style}">'


def player(data: bytes, *, kind: str, name: str) -> str:
    """Return an audio file of `kind` ('flac', 'wav') as a player that needs no sound device on the machine of the kernel."""
    encoded = base64.b64encode(data).decode("ascii")
    label = html.escape(name)
    return f'<audio controls aria-label="{label}" src="data:audio/{kind};base64,{encoded}" style="width:100%"></audio>'


def words(text: str, *, trouble: bool = False) -> str:
    """Return a sentence as a paragraph; `trouble` marks it, by more than colour, as what has to be mended first."""
    look = ' role="alert" style="margin:0;padding:2px 8px;border-left:4px solid #d55e00;line-height:1.5"'
    plain = ' style="margin:0;line-height:1.5"'
    return f"<p{look if trouble else plain}>{html.escape(text)}</p>" if text else ""


def command(text: str) -> str:
    """Return a command line to copy."""
    return f'<pre tabindex="0" style="white-space:pre-wrap;word-break:normal;overflow-wrap:anywhere;margin:0;line-height:1.4">{html.escape(text)}</pre>'
