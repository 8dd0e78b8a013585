"""Small things that many tests speak of."""

from xttsbench.spec import EngineConfig, Text

SHORT = Text("short", "en", "The birch canoe slid on the smooth planks.")
TWO = Text("two", "en", "Glue the sheet. These days a chicken leg is rare.")
NANO = EngineConfig(model="nano")
