"""What CUDA runs, held to account on a CPU: the kernels by Triton's interpreter, the token loop with stand-ins for `torch.cuda`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton", reason="Triton does not exist for this platform")
HERE = Path(__file__).parent


def run(script: str, what: str) -> None:
    places = os.pathsep.join(filter(None, [str(HERE), str(HERE.parent), *sys.path]))
    done = subprocess.run(
        [sys.executable, HERE / script, what],
        env=os.environ | {"PYTHONPATH": places},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("what", ["fp32", "bf16", "draws"])
def test_kernels_do_what_torchs_operations_do(what):
    run("kernels_on_cpu.py", what)


@pytest.mark.parametrize("what", ["torch", "kernels", "seed"])
def test_a_token_loop_of_graphs_says_what_the_plain_one_says(what):
    run("graphs_on_cpu.py", what)
