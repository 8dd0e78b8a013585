"""Tables to Axes, one idea a function: table in, no files, no `show`, no global settings.

Make the figure inside `with plot.style():`. Times are seconds in tables and milliseconds on axes.
"""

from xttsbench.plot.latency import chunk_cost, life, stages
from xttsbench.plot.one_seam import close_up
from xttsbench.plot.over import over
from xttsbench.plot.sampling import effects
from xttsbench.plot.seams import MOST_SERIES, audible, exactness, excess
from xttsbench.plot.signals import pitch, spectrogram, waveform
from xttsbench.plot.style import corner_of, label, style
from xttsbench.plot.sweeps import by_chunk_size, heat_map, rtf_by_length, ttfc_model, ttfc_residuals
from xttsbench.plot.tradeoff import trade_off

__all__ = [
    "MOST_SERIES",
    "audible",
    "by_chunk_size",
    "chunk_cost",
    "close_up",
    "corner_of",
    "effects",
    "exactness",
    "excess",
    "heat_map",
    "label",
    "life",
    "over",
    "pitch",
    "rtf_by_length",
    "spectrogram",
    "stages",
    "style",
    "trade_off",
    "ttfc_model",
    "ttfc_residuals",
    "waveform",
]
