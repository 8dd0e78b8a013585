"""What one does with the mouse in a notebook: start a sweep, walk through a run and its seams, hear it, be asked what one hears."""

from xttsbench.explore.blind_test import BlindTest
from xttsbench.explore.run_explorer import RunExplorer
from xttsbench.explore.seam_viewer import SeamViewer
from xttsbench.explore.sweep_panel import SweepPanel

__all__ = ["BlindTest", "RunExplorer", "SeamViewer", "SweepPanel"]
