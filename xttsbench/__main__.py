"""`python -m xttsbench`."""

import signal
import sys

from xttsbench.cli import main

if __name__ == "__main__":
    # Asked to end (by `kill`, a scheduler, a notebook), a run ends as by Ctrl-C: whole, shown, ready to be gone on with.
    for name in ("SIGTERM", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.default_int_handler)
    sys.exit(main())
