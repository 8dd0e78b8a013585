"""Shared by all tests: one loaded nano, one trial, and no network."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "2")

from xttsbench.spec import EngineConfig, Settings, Text, Trial  # noqa: E402

SHORT = Text("short", "en", "The birch canoe slid on the smooth planks.")
TWO = Text("two", "en", "Glue the sheet. These days a chicken leg is rare.")
NANO = EngineConfig(model="nano")


@pytest.fixture(scope="session", autouse=True)
def homes(tmp_path_factory: pytest.TempPathFactory) -> None:
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
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
