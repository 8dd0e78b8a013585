"""Tables to Axes, one idea a function: table in, no files, no `show`, no global settings.

Make the figure inside `with plot.style():`. Times are seconds in tables and milliseconds on axes.
"""

from xttsbench.plot.signals import pitch, spectrogram, waveform
from xttsbench.plot.style import corner_of, label, style

__all__ = ["corner_of", "label", "pitch", "spectrogram", "style", "waveform"]
