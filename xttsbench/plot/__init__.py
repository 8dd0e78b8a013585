"""Tables to Axes, one idea a function: table in, no files, no `show`, no global settings.

Make the figure inside `with plot.style():`. Times are seconds in tables and milliseconds on axes.
"""

from xttsbench.plot.one_seam import close_up
from xttsbench.plot.sampling import effects
from xttsbench.plot.seams import MOST_SERIES, audible, exactness, excess
from xttsbench.plot.signals import pitch, spectrogram, waveform
from xttsbench.plot.style import corner_of, label, style

__all__ = [
    "MOST_SERIES",
    "audible",
    "close_up",
    "corner_of",
    "effects",
    "exactness",
    "excess",
    "label",
    "pitch",
    "spectrogram",
    "style",
    "waveform",
]
