"""Are XTTSv2's released weights on this machine, whole, and is their licence agreed to? Nothing is fetched, no torch."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs

REPOSITORY = "tts-hub/XTTS-v2"
MODEL = "tts_models--multilingual--multi-dataset--xtts_v2"
FILES = ("config.json", "model.pth", "vocab.json", "speakers_xtts.pth")


def own_folder() -> Path:
    """Return where this package keeps what it computes once: `XTTSBENCH_CACHE`, else the user's cache folder."""
    return Path(os.environ.get("XTTSBENCH_CACHE") or platformdirs.user_cache_path("xttsbench", appauthor=False))


@dataclass(frozen=True)
class Released:
    """What is here of the released model.

    Attributes
    ----------
    agreed
        Whether the CPML was agreed to, by coqui's file or COQUI_TOS_AGREED=1.
    folder
        Where its files lie, in the Hugging Face cache or where older versions of coqui put them; None if nothing was
        ever fetched.
    missing
        Which of its files are absent.
    """

    agreed: bool
    folder: Path | None
    missing: tuple[str, ...]

    @property
    def usable(self) -> bool:
        """Whether it can be loaded without fetching or asking."""
        return self.agreed and self.whole

    @property
    def whole(self) -> bool:
        """Whether all its files are there."""
        return not self.missing

    def __str__(self) -> str:
        terms = "licence (CPML, non-commercial) " + ("agreed to" if self.agreed else "not agreed to")
        if self.folder is None:
            return f"not fetched, {terms}"
        if self.missing:
            return f"half downloaded, {', '.join(self.missing)} missing in {self.folder}, {terms}"
        return f"in the cache at {self.folder}, {terms}"


def released() -> Released:
    """Return the state of the released weights in the caches that coqui-tts itself uses."""
    agreed = (coqui_folder() / "tos_agreed.txt").is_file() or os.environ.get("COQUI_TOS_AGREED") == "1"
    folder = _snapshot()
    if folder is None and any((coqui_folder() / name).is_file() for name in FILES):
        folder = coqui_folder()
    missing = tuple(name for name in FILES if folder is None or not (folder / name).is_file())
    return Released(agreed, folder, missing)


def coqui_folder() -> Path:
    """Return the folder that coqui's own manager has for the model: its data folder by `get_user_data_dir`, without torch."""
    base = os.environ.get("TTS_HOME", os.environ.get("XDG_DATA_HOME", platformdirs.user_data_dir(appauthor=False)))
    return Path(base).expanduser().resolve() / "tts" / MODEL


def _snapshot() -> Path | None:
    """Return the newest snapshot folder of the model in the Hugging Face cache; empty ones count as half downloaded."""
    from huggingface_hub.constants import HF_HUB_CACHE

    folder = Path(HF_HUB_CACHE) / f"models--{REPOSITORY.replace('/', '--')}"
    main = folder / "refs" / "main"
    if main.is_file() and (folder / "snapshots" / main.read_text().strip()).is_dir():
        return folder / "snapshots" / main.read_text().strip()
    return folder if folder.is_dir() else None
