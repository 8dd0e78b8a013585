"""A figure as a file gives it to a page: SVG, or PNG where that is smaller; the same bytes for the same figure."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_SVG_BYTES = 250_000  # a larger drawing is mostly points, and smaller as an image
PNG_DPI = 130
CSS_DPI = 96
WIDE, TALL = 9.4, 3.8


@dataclass(frozen=True)
class Picture:
    """An encoded figure: media type, bytes, size in CSS pixels; a caption, and what it shows with its main numbers in words."""

    kind: str
    data: bytes
    width: int
    height: int
    caption: str
    alt: str


def picture(figure: Figure, *, caption: str, alt: str, pixels: bool = False) -> Picture:
    """Encode a figure, inside the style that it was drawn in; `pixels` if it is an image anyway."""
    data = b"" if pixels else _saved(figure, "svg", metadata={"Date": None, "Creator": None})
    kind = "image/svg+xml"
    if pixels or len(data) > MOST_SVG_BYTES:
        kind, data = "image/png", _saved(figure, "png", metadata={"Software": None}, dpi=PNG_DPI)
    width, height = (round(inches * CSS_DPI) for inches in figure.get_size_inches())
    return Picture(kind, data, width, height, caption, alt)


def plain(text: str) -> str:
    r"""Return text that a figure shows as it is: a dollar sign begins no formula.

    Examples
    --------
    >>> print(plain("5 $ or 6 $"))
    5 \$ or 6 \$
    """
    return text.replace("$", r"\$")


def canvas(*, height: float = TALL) -> tuple[Any, Any]:
    """Return a figure with one pair of axes, as wide as every other of a report."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDE, height))
    return figure, figure.subplots()


def panels(columns: int) -> tuple[Any, list[Any]]:
    """Return a figure with a row of axes: as many inches wide as they need."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(max(WIDE, 4.7 * columns), TALL))
    return figure, list(figure.subplots(1, columns, squeeze=False)[0])


def _saved(figure: Figure, form: str, **how: Any) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format=form, **how)
    return out.getvalue()
