"""How measured values are drawn: every one as a faint point, and on top the median with its 95 % interval."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from xttsbench.plot.style import FAINT
from xttsbench.stats import median_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NEAR = 1 / 4
DENSE = 20


def measured(trials: pd.DataFrame, *columns: str, phases: Iterable[str] = ("timed", "replay")) -> pd.DataFrame:
    """Return the trials of these phases that succeeded and have a number in every one of `columns`; perhaps none."""
    if not {"status", "phase", *columns} <= set(trials.columns):
        return trials.iloc[:0]
    ok = (trials["status"] == "ok") & trials["phase"].isin(list(phases))
    for name in columns:
        ok &= np.isfinite(pd.to_numeric(trials[name], errors="coerce").astype(float))
    return trials[ok]


def summarised(
    ax: Axes,
    groups: Iterable[tuple[float, pd.Series]],
    *,
    colour: str,
    marker: str,
    name: str = "",
    joined: bool = True,
    xs: pd.Series | None = None,
) -> None:
    """Draw (x, values) groups: each value as a faint point beside x, or at its own of `xs`, and the medians with intervals."""
    from matplotlib.transforms import ScaledTranslation

    every = list(groups)
    if not every:
        return
    dense = len(every) > DENSE
    beside = ax.transData + ScaledTranslation(0 if dense or xs is not None else 5 / 72, 0, ax.figure.dpi_scale_trans)
    rows = []
    for x, values in every:
        at = np.full(len(values), x) if xs is None else xs.loc[values.index].to_numpy(dtype=float)
        ax.plot(at, values, marker, ms=3.4, color=colour, alpha=0.45, mew=0, zorder=2, transform=beside)
        ax.update_datalim(np.column_stack([at, values.to_numpy(dtype=float)]))
        rows.append((x, *median_interval(values.to_numpy(dtype=float))))
    x, median, low, high = np.array(rows).T
    ax.errorbar(
        x,
        median,
        yerr=np.nan_to_num([median - low, high - median]).clip(min=0),
        fmt=f"{marker}-" if joined else marker,
        color=colour,
        mec="white",
        mew=0.7,
        ms=4.5 if dense else 7,
        lw=1.3,
        elinewidth=1.0 if dense else 1.6,
        capsize=0 if dense else 3,
        label=name,
        zorder=3,
    )
    ax.autoscale_view()


def put_real_time(ax: Axes, metric: str) -> None:
    """Start the axis at 0; for a real-time factor draw the line it may not cross, or say that it is far off."""
    top = max(ax.get_ylim()[1], 0.0)
    ax.set_ylim(0, top or 1)
    if metric not in ("rtf", "rtf_steady"):
        return
    if top < NEAR:
        words = "real time is at 1, far above"
        ax.text(0.99, 0.98, words, transform=ax.transAxes, ha="right", va="top", fontsize=8, color=FAINT)
        return
    ax.set_ylim(0, max(top, 1.1))
    ax.axhline(1, color="black", lw=1, ls="--", zorder=1)
    ax.annotate(
        "real time",
        (1, 1),
        xycoords=ax.get_yaxis_transform(),
        xytext=(-2, 2),
        textcoords="offset points",
        ha="right",
        va="bottom",
        fontsize=8,
    )
