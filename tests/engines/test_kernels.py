"""The token step's kernels, run by Triton's interpreter on the CPU, do what torch's operations do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton", reason="Triton does not exist for this platform")


@pytest.mark.parametrize("what", ["fp32", "bf16", "draws"])
def test_kernels_do_what_torchs_operations_do(what):
    file = Path(__file__).with_name("kernels_on_cpu.py")
    done = subprocess.run([sys.executable, file, what], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
