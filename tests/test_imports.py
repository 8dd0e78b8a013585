"""What an import costs: results open, and help prints, without torch."""

import pkgutil
import subprocess
import sys

import pytest

import xttsbench

NEEDS_TORCH = ("xttsbench.engines", "xttsbench.models", "xttsbench.__main__")


def imported(*modules: str) -> set[str]:
    """Return the top-level names in sys.modules of a fresh process that imports `modules`."""
    code = f"import sys, importlib; [importlib.import_module(m) for m in {modules!r}]; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.split()}


def test_the_bare_import_brings_nothing_heavy():
    heavy = {"torch", "TTS", "matplotlib", "IPython", "ipywidgets", "numpy", "pandas", "scipy", "transformers"}
    assert imported("xttsbench") & heavy == set()


def test_everything_but_engines_and_models_does_without_torch():
    modules = [
        module.name
        for module in pkgutil.walk_packages(xttsbench.__path__, "xttsbench.")
        if not module.name.startswith(NEEDS_TORCH)
    ]
    assert {"xttsbench.spec", "xttsbench.record", "xttsbench.machine", "xttsbench.doctor"} <= set(modules)
    assert imported(*modules) & {"torch", "TTS", "transformers"} == set()


def test_the_probe_sees_what_is_imported():
    assert "torch" in imported("torch")


def test_a_connection_is_refused_in_tests():
    import socket

    with socket.socket() as one, pytest.raises(AssertionError, match="tried to connect"):
        one.connect(("192.0.2.1", 80))  # an address reserved for documentation, RFC 5737
