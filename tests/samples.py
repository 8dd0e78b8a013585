"""Small things that many tests speak of."""

import numpy as np

from xttsbench.spec import EngineConfig, Text

SHORT = Text("short", "en", "The birch canoe slid on the smooth planks.")
TWO = Text("two", "en", "Glue the sheet. These days a chicken leg is rare.")
NANO = EngineConfig(model="nano")


def snr_db(got, true):
    """Return the signal-to-noise ratio of two arrays of one shape in dB; inf where they are equal."""
    assert got.shape == true.shape
    error = ((got.astype(float) - true) ** 2).sum()
    return 10 * np.log10((true.astype(float) ** 2).sum() / error) if error else np.inf
