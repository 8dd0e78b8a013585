"""What holds for every test: one loaded nano, no network, no display, no caches but its own."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: two test runs must not fight for cores
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["MPLBACKEND"] = "Agg"

from samples import NANO, SHORT

from xttsbench.settings import Settings
from xttsbench.spec import Trial

# Scripts for processes of their own: they replace parts of torch and Triton when imported.
collect_ignore = ["engines/graphs_on_cpu.py", "engines/kernels_on_cpu.py"]


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Refuse every connection but those to this machine."""
    connect = socket.socket.connect

    def guarded(self, address):
        local = self.family not in (socket.AF_INET, socket.AF_INET6) or address[0] in ("127.0.0.1", "::1", "localhost")
        if not local:
            raise AssertionError(f"a test tried to connect to {address}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(scope="session", autouse=True)
def homes(tmp_path_factory):
    """Caches and the user's data folder are empty ones of our own."""
    home = tmp_path_factory.mktemp("home")
    os.environ["XTTSBENCH_CACHE"] = str(home / "cache")
    os.environ["TTS_HOME"] = str(home / "tts")
    os.environ["HF_HUB_CACHE"] = str(home / "hub")
    os.environ.pop("COQUI_TOS_AGREED", None)


@pytest.fixture(scope="session")
def nano(homes):
    """A session with the shipped nano on the CPU."""
    from xttsbench.engines.session import Session

    return Session(NANO)


@pytest.fixture
def trial() -> Trial:
    return Trial(engine="stock", config=NANO, settings=Settings(), text=SHORT, seed=3)


@pytest.fixture
def in_tmp(tmp_path, monkeypatch) -> Path:
    """Run in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def compared_once(tmp_path_factory, homes) -> Path:
    """A small finished comparison on nano, for reading: who writes into it takes a copy."""
    from xttsbench import contrasting
    from xttsbench.cli import main

    folder: Path = tmp_path_factory.mktemp("runs") / "compared-once"
    argv = [
        "compare",
        "--model",
        "nano",
        "--device",
        "cpu",
        "--repeats",
        "2",
        "--texts",
        "medium",
        "--out",
        str(folder),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contrasting, "show_comparison", lambda folder: 0)  # its figure takes longer than the run
        assert main([*argv, "--engines", "stock", "naive", "seamless", "--join", "pause"]) == 0
    return folder
