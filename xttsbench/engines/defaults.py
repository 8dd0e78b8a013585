"""The library's own defaults of every setting, in the three places where they differ."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xttsbench.settings import SETTINGS

RENAMED = {"max_ref_len": "max_ref_length"}


def library_defaults(config_json: Path | None = None) -> Mapping[str, tuple[Any, Any, Any]]:
    """Return setting -> (method signature, XttsConfig, loaded config.json); None where a place has no such value."""
    from TTS.config import load_config
    from TTS.tts.configs.xtts_config import XttsConfig
    from TTS.tts.models.xtts import Xtts

    methods = (Xtts.inference_stream, Xtts.inference, Xtts.get_conditioning_latents)
    signature: dict[str, Any] = {}
    for method in methods:
        for name, parameter in inspect.signature(method).parameters.items():
            if parameter.default is not inspect.Parameter.empty:
                signature.setdefault(name, parameter.default)
    plain = XttsConfig()
    loaded = load_config(config_json) if config_json is not None else None
    return {
        name: (
            signature.get(RENAMED.get(name, name)),
            getattr(plain, name, None),
            getattr(loaded, name, None) if loaded is not None else None,
        )
        for name in SETTINGS
    }
