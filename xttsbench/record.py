"""What happened: a trial as it was heard, written once, in a versioned JSON form.

Nothing here is derived that could be derived later, with one exception that needs the audio at hand:
`first_audible_sample`. Unmeasured is NaN in memory and null in the file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from xttsbench.spec import Trial

SCHEMA = 2  # 2 added codes
NAN = math.nan


@dataclass(frozen=True)
class Chunk:
    """A piece of audio as it reached the caller.

    Attributes
    ----------
    arrival_s
        When its samples were in host memory, seconds since the request was made; NaN in a replay of latents.
    yielded_s
        When the generator handed it over, perhaps before the GPU had finished it; NaN in a replay of latents.
    samples
        Its length in samples; 0 if the engine yielded an empty chunk.
    sentence
        Which independent generation it belongs to, counted from 0.
    tokens
        GPT audio tokens generated since the request began, when it was handed over; -1 if not known.
    """

    arrival_s: float
    yielded_s: float
    samples: int
    sentence: int = 0
    tokens: int = -1


@dataclass(frozen=True, kw_only=True)
class Record:
    """One trial and what came of it. A failed trial is a record too, with its error and NaN figures.

    Attributes
    ----------
    trial
        What was asked.
    status, error
        'ok' or 'failed', and then why.
    started_at
        UTC, ISO 8601.
    end_s
        When the engine had nothing more to yield, seconds since the request; NaN in a replay of latents.
    sample_rate
        Hz.
    audio
        File name under audio/ of the run, or '' if none was kept.
    first_audible_sample
        Index into the put-together audio of the first frame above the threshold of `metrics.latency.first_audible`; -1 if silent.
    voice_s
        What computing the voice's latents had cost, seconds; never inside the times above.
    stages
        Seconds by stage (text, prefill, token_loop, latents, vocoder, join); only in a stages pass.
    memory
        Bytes: device_peak_allocated, device_peak_reserved, process_rss.
    energy_j
        By NVML's counter, joules; NaN where the window was under 5 s or there is no counter.
    state
        Clocks, temperature, load and the like around the trial.
    flags
        Causes for doubt, e.g. 'gpu_throttled:sw_power_cap', 'cpu_shared'.
    codes
        GPT audio token ids as generated, a tuple a sentence, the stop token included; empty in a replay or of schema 1.
    note
        What must be said with every figure of this model, e.g. that its sound is noise.
    """

    trial: Trial
    status: str = "ok"
    error: str = ""
    started_at: str = ""
    end_s: float = NAN
    sample_rate: int = 24000
    chunks: tuple[Chunk, ...] = ()
    audio: str = ""
    first_audible_sample: int = -1
    voice_s: float = NAN
    stages: Mapping[str, float] = field(default_factory=dict)
    memory: Mapping[str, float] = field(default_factory=dict)
    energy_j: float = NAN
    state: Mapping[str, Any] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    codes: tuple[tuple[int, ...], ...] = ()
    note: str = ""

    def to_json(self) -> str:
        """Return the record as one line of JSON, without the newline."""
        data: dict[str, Any] = {"schema": SCHEMA, "id": self.trial.id, **vars(self)}
        data["trial"] = self.trial.to_json()
        data["chunks"] = {name: [getattr(c, name) for c in self.chunks] for name in Chunk.__annotations__}
        return json.dumps(nulled(data), ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, line: str) -> Record:
        """Read a line of any schema version up to this one; ValueError for a newer one or a broken line."""
        try:
            data = json.loads(line)
            schema = int(data.pop("schema"))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not a trial record: {line[:60]!r}.") from error
        if schema > SCHEMA:
            raise ValueError(
                f"this run has schema {schema}, this xttsbench reads up to {SCHEMA}; install a newer xttsbench."
            )
        try:
            return cls._of(data)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not a whole trial record ({error!r}): {line[:60]!r}.") from error

    @classmethod
    def _of(cls, data: dict[str, Any]) -> Record:
        data.pop("id")
        columns = data.pop("chunks")
        names = list(Chunk.__annotations__)
        for name in ("arrival_s", "yielded_s"):
            columns[name] = [NAN if v is None else v for v in columns[name]]
        rows = zip(*(columns[name] for name in names), strict=True)
        for name in ("end_s", "voice_s", "energy_j"):
            data[name] = NAN if data[name] is None else data[name]
        for name in ("stages", "memory"):
            data[name] = {k: NAN if v is None else v for k, v in data[name].items()}
        return cls(
            **{
                **data,
                "trial": Trial.from_json(data["trial"]),
                "chunks": tuple(Chunk(*row) for row in rows),
                "flags": tuple(data["flags"]),
                "codes": tuple(tuple(sentence) for sentence in data.get("codes", ())),
            }
        )


def nulled(value: Any) -> Any:
    """Return `value` with every NaN or infinite number as None: JSON has no word for them."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {k: nulled(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [nulled(v) for v in value]
    return value
