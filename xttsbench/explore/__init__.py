"""What one does with the mouse in a notebook: start a sweep, walk through a run, hear it."""

from xttsbench.explore.run_explorer import RunExplorer
from xttsbench.explore.sweep_panel import SweepPanel

__all__ = ["RunExplorer", "SweepPanel"]
