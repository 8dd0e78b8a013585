"""What every figure of the project shares: one style sheet, colours by meaning, and a corner that says what was measured."""

from __future__ import annotations

import itertools
import textwrap
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from xttsbench.settings import JOINS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHEET = Path(__file__).parent / "xttsbench.mplstyle"
ONE_AT_A_TIME = threading.RLock()
SEAM, CONTROL, INK, FAINT = "#d55e00", "#0072b2", "#333333", "#808080"
SMALL = 7.0
PLATE = {"fc": "white", "ec": "none", "alpha": 0.8, "pad": 0.5}  # under words that lie on data
ENGINE = {"stock": "#0072b2", "naive": "#d55e00", "whole": "#333333", "seamless": "#009e73"}
MARKER = {"stock": "o", "naive": "s", "whole": "X", "seamless": "^"}
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#333333")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LOOKS = {name: (ENGINE[name], MARKER[name]) for name in ENGINE}
LOOKS |= zip(
    (f"naive/{join}" for join in JOINS),
    [LOOKS["naive"], *zip(SERIES[3:5], MARKERS[3:5], strict=True)],
    strict=True,
)
LABELS = {
    "ttfc_s": ("time to first chunk", "ms", 1000.0),
    "ttfa_s": ("time to first audible sample", "ms", 1000.0),
    "safe_start_s": ("time to safe start", "ms", 1000.0),
    "prebuffer_s": ("least prebuffer", "ms", 1000.0),
    "stall_s": ("silence while playing from the first chunk", "ms", 1000.0),
    "deficit_s": ("longest lag behind playback", "ms", 1000.0),
    "gap_p50_s": ("median gap between chunks", "ms", 1000.0),
    "gap_p95_s": ("95th percentile of the gaps between chunks", "ms", 1000.0),
    "gap_max_s": ("longest gap between chunks", "ms", 1000.0),
    "gap_slope_s": ("growth of the gap between chunks", "ms a chunk", 1000.0),
    "rtf": ("real-time factor", "s per s of audio", 1.0),
    "rtf_steady": ("real-time factor after the first chunk", "s per s of audio", 1.0),
    "first_tokens": ("tokens of the first chunk", "", 1.0),
    "audio_s": ("length of the audio", "s", 1.0),
    "synthesis_s": ("synthesis time", "s", 1.0),
    "chars_per_s": ("speaking rate", "characters/s", 1.0),
    "repetition": ("repeated 4-grams of tokens", "share", 1.0),
    "word_error_rate": ("word error rate", "", 1.0),
    "stalls": ("stalls", "", 1.0),
    "tokens": ("audio tokens", "", 1.0),
    "chunks": ("chunks", "", 1.0),
    "energy_j": ("energy", "J", 1.0),
    "stream_chunk_size": ("stream_chunk_size", "tokens", 1.0),
    "overlap_wav_len": ("overlap_wav_len", "samples", 1.0),
    "snr_db": ("SNR against one decode", "dB", 1.0),
    "lsd_db": ("log-spectral distance", "dB", 1.0),
    "click": ("click", "robust deviations", 1.0),
    "level_step_db": ("level step", "dB", 1.0),
    "level_dip_db": ("level dip", "dB", 1.0),
    "spectrum_step_db": ("spectrum step", "dB", 1.0),
    "pitch_step_cents": ("pitch step", "cents", 1.0),
    "pause_s": ("pause", "ms", 1000.0),
    "pause_ratio": ("pause against the utterance's own", "times", 1.0),
    "rate_step_octaves": ("rate step", "octaves", 1.0),
}


@contextmanager
def style() -> Iterator[None]:
    """Return the project's style as a context: make the figure and draw inside it; nothing global stays changed.

    Matplotlib's settings belong to the process, and widgets draw from threads of their own: one at a time.
    """
    import matplotlib as mpl

    sheet = mpl.rc_params_from_file(SHEET, use_default_template=False)
    with ONE_AT_A_TIME:
        # Not `style.context`: it would also undo what a backend that loads inside it turns on, and Jupyter's
        # would show the first figure of a notebook and no other.
        before = {name: mpl.rcParams[name] for name in sheet}
        mpl.rcParams.update(sheet)
        try:
            yield
        finally:
            mpl.rcParams.update(before)


def scale(name: str) -> float:
    """Return what a stored value is multiplied by to be drawn: seconds are drawn in milliseconds where LABELS says so."""
    return LABELS.get(name.removesuffix("_excess"), ("", "", 1.0))[2]


def label(name: str) -> str:
    """Return the axis label of a column, with its unit; of a seam metric also for its excess and its share of seams.

    Examples
    --------
    >>> label("ttfc_s"), label("top_k")
    ('time to first chunk (ms)', 'top_k')
    >>> label("pitch_step_cents_excess"), label("click_audible_share")
    ('pitch step at seams over controls (cents)', 'share of seams whose click is beyond 99 % of controls')
    """
    if name.endswith("_audible_share"):
        return f"share of seams whose {_said(name.removesuffix('_audible_share'))[0]} is beyond 99 % of controls"
    words, unit = _said(name.removesuffix("_excess"))
    words += " at seams over controls" if name.endswith("_excess") else ""
    return f"{words} ({unit})" if unit else words


def _said(name: str) -> tuple[str, str]:
    return LABELS.get(name, (name, "", 1.0))[:2]


def figures(value: float) -> str:
    """Return a number with three figures, or with all that are before its point; never in powers of ten.

    Examples
    --------
    >>> figures(1273.6), figures(-12.345), figures(0.00002), figures(3.0)
    ('1,274', '-12.3', '0.00002', '3')
    """
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return np.format_float_positional(value, precision=3, unique=False, fractional=False, trim="-")


def look(names: Iterable[Any]) -> dict[Any, tuple[str, str]]:
    """Return (colour, marker) by name: engines and the joins of naive have their own, as has the first variant of each; others take turns.

    Examples
    --------
    >>> look(["naive/trimmed", "stock"]) == look(["naive/trimmed"]) | look(["stock"])
    True
    """
    wanted = list(dict.fromkeys(names))
    out: dict[Any, tuple[str, str]] = {name: LOOKS[name] for name in wanted if name in LOOKS}
    for name in wanted:
        own = LOOKS.get(str(name).split(" ")[0])
        if own and own not in out.values():
            out[name] = own
    turns = [(SERIES[k % 7], MARKERS[(k + k // 7) % 7]) for k in range(49)]
    free = itertools.cycle([turn for turn in turns if turn not in out.values()])
    return {name: out[name] if name in out else next(free) for name in wanted}


def in_order(values: Iterable[Any]) -> list[Any]:
    """Return the different values in the order of a legend: numbers by size, engines as they are always named, then the rest.

    Examples
    --------
    >>> in_order(["naive", "seamless", "stock", "naive"]), in_order([1024, 256])
    (['stock', 'naive', 'seamless'], [256, 1024])
    """
    unique, engines = list(dict.fromkeys(values)), list(ENGINE)
    if all(isinstance(v, Real) for v in unique):
        return sorted(unique)
    return sorted(unique, key=lambda v: engines.index(v) if v in ENGINE else len(engines))


def corner_of(trials: pd.DataFrame) -> str:
    """Return what a reader must know of trials: model, machine, precision, how many, and what is said of the model.

    `trials` is a table of `table.load_run`, or any that has its columns model, device, precision, note, and machine.
    """
    if not len(trials):
        return "no trial"
    said = []
    for name in ("model", "machine", "device", "precision"):
        values = [str(v) for v in trials[name].dropna().unique()] if name in trials else []
        said.append("/".join(Path(v).name if name == "model" else v for v in values))
    notes = [str(note).split(":")[0].split(";")[0] for note in trials["note"].dropna().unique() if note]
    counted = (
        f"n = {len(trials)}" if "n" not in trials else f"n = {trials['n'].min():g} to {trials['n'].max():g} a point"
    ).replace(" ", "\u00a0")  # no line breaks in it
    return "; ".join([", ".join(word for word in said if word), *notes, counted])


def put_corner(ax: Axes, corner: str) -> None:
    """Write `corner` small, under the right end of the axes and their label; nothing for ''.

    Above them there is room for a legend then, which `put_legend` puts there so that it covers no data.
    """
    if not corner:
        return
    columns = max(24, int(ax.get_window_extent().width / ax.figure.dpi * 72 / (0.5 * SMALL)))
    ax.annotate(
        textwrap.fill(corner, columns),
        (1, 0),
        xycoords=("axes fraction", ax.xaxis.label),
        xytext=(0, -4),
        textcoords="offset points",
        ha="right",
        va="top",
        fontsize=SMALL,
        color=FAINT,
        annotation_clip=False,
    )


def put_legend(ax: Axes) -> None:
    """Put the legend above the axes, outside of the data, in as many columns as fit; nothing if nothing has a name."""
    for columns in range(min(4, len(ax.get_legend_handles_labels()[1])), 0, -1):
        legend = ax.legend(
            loc="lower left",
            bbox_to_anchor=(0, 1),
            ncols=columns,
            borderaxespad=0.2,
            handletextpad=0.5,
            columnspacing=1.0,
            handlelength=1.7,
        )
        if legend.get_window_extent().width <= ax.get_window_extent().width:
            return


def put_nothing(ax: Axes, sentence: str, *, corner: str = "") -> Axes:
    """Say in empty axes why there is nothing to draw."""
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(False)
    ax.text(
        0.5, 0.5, sentence, transform=ax.transAxes, ha="center", va="center", color="#666666", wrap=True, fontsize=10
    )
    put_corner(ax, corner)
    return ax


def jitter(n: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return n offsets within -0.3..0.3 that look random and are always the same: multiples of the golden ratio."""
    return np.asarray(0.6 * ((np.arange(1, n + 1) * 0.6180339887) % 1.0) - 0.3)
