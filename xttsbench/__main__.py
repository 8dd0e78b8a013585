"""`python -m xttsbench`."""

import sys

from xttsbench.cli import main

if __name__ == "__main__":
    sys.exit(main())
