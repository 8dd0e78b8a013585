"""xttsbench measures how XTTSv2 streams: how soon the first sound comes, whether it keeps up, and whether one hears the joins."""

__version__ = "0.1.0"
