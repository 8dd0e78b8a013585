"""The manual of every setting: meaning, unit, range, where it acts, and its three defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from xttsbench.settings import SETTINGS, VOICE_SETTINGS, range_text

HEAD = """# Parameters

Every setting has the library's own name. `xttsbench` takes its default from the method's signature, which is what a
caller of `inference_stream` gets. Streaming takes no value from `config.json`; `Xtts.synthesize` and `TTS.api.TTS.tts` do.

This page is written by `python -m xttsbench params --markdown`; coqui-tts {version}; the last column is {source}.
"""


def rows(config_json: Path | None = None) -> list[dict[str, str]]:
    """Return one row a setting, as text."""
    from xttsbench.engines.defaults import library_defaults

    defaults = library_defaults(config_json)
    out = []
    for name, f in SETTINGS.items():
        signature, config, loaded = (_shown(v) for v in defaults[name])
        out.append(
            {
                "setting": name,
                "meaning": f.metadata["meaning"],
                "unit": f.metadata["unit"],
                "range": range_text(name),
                "acts on": f.metadata["acts"],
                "engines": "all (voice)" if name in VOICE_SETTINGS else ", ".join(f.metadata["engines"]),
                "xttsbench": _shown(f.default),
                "signature": signature,
                "XttsConfig": config,
                "config.json": loaded,
            }
        )
    return out


def text(config_json: Path | None = None) -> str:
    """Return the manual for a terminal."""
    blocks = []
    for r in rows(config_json):
        blocks.append(
            f"{r['setting']}  [{r['unit']}]  {r['range']}\n"
            f"    {r['meaning']}\n"
            f"    acts on: {r['acts on']}; engines: {r['engines']}\n"
            f"    defaults: here {r['xttsbench']}, signature {r['signature']}, XttsConfig {r['XttsConfig']}, config.json {r['config.json']}"
        )
    return "\n\n".join(blocks)


def markdown(config_json: Path | None = None, *, source: str) -> str:
    """Return the manual as the page docs/parameters.md."""
    import importlib.metadata

    table = rows(config_json)
    names = list(table[0])
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    lines += [f"| {' | '.join(row[n].replace('|', '/') for n in names)} |" for row in table]
    head = HEAD.format(version=importlib.metadata.version("coqui-tts"), source=source)
    return head + "\n" + "\n".join(lines) + "\n"


def _shown(value: Any) -> str:
    return "-" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
