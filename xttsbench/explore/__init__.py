"""What one does with the mouse in a notebook: walk through the seams, and be asked what one hears."""

from xttsbench.explore.blind_test import BlindTest
from xttsbench.explore.seam_viewer import SeamViewer

__all__ = ["BlindTest", "SeamViewer"]
