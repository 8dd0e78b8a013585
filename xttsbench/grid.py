"""Which trials a sweep has, and in what order."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from xttsbench.settings import (
    ENGINES,
    JOINS,
    ONE_CHUNK,
    REPLAYED,
    STREAMING,
    Settings,
    check_setting,
    range_text,
    unknown,
)
from xttsbench.spec import EngineConfig, Text, Trial, VoiceSpec


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A grid of trials: every engine at every value of every setting it takes, on every text, `repeats` times.

    With `one_at_a_time` the grid is not crossed: each setting goes through its values while the others stay at
    their first. Repeat r of every cell runs under seed `seed + r`, so cells are paired by repeat. With `replay` the
    tokens of an utterance are generated once for all chunk sizes and overlaps, and no time is measured. With `reuse`
    what a timed request generated is used again: a streaming one is followed by its whole decode, in one chunk, and
    naive chunking by its other joins.
    """

    configs: tuple[EngineConfig, ...]
    engines: tuple[str, ...] = ENGINES
    grid: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    texts: tuple[Text, ...] = ()
    voice: VoiceSpec = field(default_factory=VoiceSpec)
    repeats: int = 3
    seed: int = 0
    stages: bool = True
    one_at_a_time: bool = False
    replay: bool = False
    reuse: bool = False
    preset: str = ""

    def __post_init__(self) -> None:
        for engine in self.engines:
            if engine not in ENGINES:
                raise unknown("engine", engine, ENGINES)
        for name, what in (("engines", "engine"), ("texts", "text"), ("configs", "configuration")):
            if not getattr(self, name):
                raise ValueError(f"a sweep needs at least one {what}.")
        others = [engine for engine in self.engines if engine != "stock"]
        if self.replay and others:
            raise ValueError(
                f"a replay was asked of {', '.join(others)}, but only 'stock' can be replayed: its chunks are joined from one "
                "generation; leave the other engines out, or run them in a sweep that doesn't replay."
            )
        if not 0 <= self.seed <= 2**63 - 1 - self.repeats:
            raise ValueError(f"seed is {self.seed}; torch takes whole numbers from 0 up to 63 bits.")
        if self.repeats < 1:
            raise ValueError(f"repeats is {self.repeats}; a sweep needs 1 or more.")
        for name, values in self.grid.items():
            if not values:
                raise ValueError(f"{name} was given no value; it takes {range_text(name)}.")
            for value in values:
                check_setting(name, value)

    def cells(self, config: EngineConfig) -> list[Trial]:
        """Return one trial (repeat 0) a cell for `config`, in a plain order, each cell once."""
        names = [n for n in self.grid if n != "language"]
        found: dict[str, Trial] = {}
        for engine, text in itertools.product(self.engines, self.texts):
            for values in self._combinations(names):
                settings = Settings(**dict(zip(names, values, strict=True)))
                trial = Trial(
                    engine=engine, config=config, settings=settings, text=text, voice=self.voice, seed=self.seed
                )
                found.setdefault(trial.cell, trial)
        return list(found.values())

    def _combinations(self, names: list[str]) -> Iterator[tuple[Any, ...]]:
        if not self.one_at_a_time:
            yield from itertools.product(*(self.grid[n] for n in names))
            return
        base = [self.grid[n][0] for n in names]
        yield tuple(base)
        for k, name in enumerate(names):
            for value in self.grid[name][1:]:
                yield (*base[:k], value, *base[k + 1 :])

    def trials(self) -> list[Trial]:
        """Return all trials in the order to run them.

        For each configuration: the cold first request, a warm-up a shape (engine, chunk size, text), the
        timed repeats in whole blocks, each shuffled by seed, then a pass that times stages. Where there are several
        texts, no trial speaks the text of the one before. A replay has one trial a cell and repeat, in groups of one
        utterance, and in each group one trial more: the whole in one chunk, which the others are compared with.
        With `reuse` each timed request is followed at once by the replays of it.
        """
        if self.replay:
            return [trial for config in self.configs for trial in self._replays(config)]
        out: list[Trial] = []
        for config in self.configs:
            cells, again = _reused(self.cells(config)) if self.reuse else (self.cells(config), {})
            out.append(replace(cells[0], phase="cold"))
            blocks = [warmups([*cells, *itertools.chain.from_iterable(again.values())])]
            for r in range(self.repeats):
                blocks.append([replace(t, seed=self.seed + r, repeat=r) for t in cells])
            if self.stages:
                blocks.append([replace(t, phase="stages") for t in cells])
            for number, block in enumerate(blocks):
                for trial in _shuffled(block, seed=f"{self.seed}/{number}", after=out[-1].text):
                    out.append(trial)
                    if trial.phase == "timed":
                        made = again.get(trial.cell, ())
                        out += [replace(t, seed=trial.seed, repeat=trial.repeat) for t in made]
        return out

    def count(self) -> int:
        """Return how many trials there are without making them all: every repeat adds the same number.

        Examples
        --------
        >>> sweep = Sweep(configs=(EngineConfig(model="nano"),), texts=(Text("t", "en", "Hello."),), repeats=1000)
        >>> sweep.count()
        4009
        """
        one, two = (len(replace(self, repeats=n).trials()) for n in (1, 2))
        return one + (self.repeats - 1) * (two - one)

    def _replays(self, config: EngineConfig) -> Iterator[Trial]:
        groups: dict[str, list[Trial]] = {}
        for r in range(self.repeats):
            for cell in self.cells(config):
                trial = replace(cell, seed=self.seed + r, repeat=r, phase="replay")
                groups.setdefault(trial.utterance, []).append(trial)
        for group in groups.values():
            group.append(_whole(group[0]))
            # short chunks first: longer ones often end where they end, and then need no decoding of their own
            group.sort(key=lambda t: tuple(getattr(t.settings, name) for name in REPLAYED))
            yield from {t.id: t for t in group}.values()

    def to_json(self) -> dict[str, Any]:
        data = {f.name: getattr(self, f.name) for f in fields(self)}
        data["configs"] = [dict(vars(c)) for c in self.configs]
        data["texts"] = [dict(vars(t)) for t in self.texts]
        data["voice"] = {**vars(self.voice), "files": list(self.voice.files)}
        data["engines"] = list(self.engines)
        data["grid"] = {name: list(values) for name, values in self.grid.items()}
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Sweep:
        voice = dict(data["voice"])
        return cls(
            **{
                **data,
                "configs": tuple(EngineConfig(**c) for c in data["configs"]),
                "texts": tuple(Text(**t) for t in data["texts"]),
                "voice": VoiceSpec(**{**voice, "files": tuple(voice["files"])}),
                "engines": tuple(data["engines"]),
                "grid": {name: tuple(values) for name, values in data["grid"].items()},
            }
        )


def warmups(trials: Iterable[Trial]) -> list[Trial]:
    """Return a warm-up for each shape (engine, chunk size, text) among `trials`; of joins for the last, which does most."""
    shapes: dict[tuple[str, int, Text], Trial] = {}
    for t in sorted(trials, key=lambda t: -JOINS.index(t.settings.join)):
        if t.phase != "replay" or t.engine == "naive":
            shapes.setdefault((t.engine, t.settings.stream_chunk_size, t.text), replace(t, phase="warmup"))
    return list(shapes.values())


def _whole(trial: Trial) -> Trial:
    """Return the replay of a streaming trial in one chunk a sentence."""
    settings = replace(trial.settings, stream_chunk_size=ONE_CHUNK, overlap_wav_len=Settings.overlap_wav_len)
    if trial.engine == "seamless":
        settings = replace(settings, first_chunk_size=0, chunk_growth=1.0)
    return replace(trial, settings=settings, phase="replay")


def _reused(cells: list[Trial]) -> tuple[list[Trial], dict[str, list[Trial]]]:
    """Return the cells that must be run, and by cell the replays of what one of them generated."""
    run: list[Trial] = []
    again: dict[str, list[Trial]] = {}
    leaders: dict[str, Trial] = {}
    for trial in cells:
        leader = leaders.setdefault(trial.utterance, trial)
        if trial.engine == "naive" and leader is not trial:
            again[leader.cell].append(replace(trial, phase="replay"))
            continue
        run.append(trial)
        if leader is trial:
            again[trial.cell] = [_whole(trial)] if trial.engine in STREAMING else []
    return run, again


def _shuffled(block: list[Trial], *, seed: str, after: Text) -> list[Trial]:
    """Shuffle a block so that neighbours speak different texts wherever the counts allow it."""
    rng = random.Random(seed)
    queues: dict[Text, list[Trial]] = {}
    for trial in rng.sample(block, len(block)):
        queues.setdefault(trial.text, []).append(trial)
    out: list[Trial] = []
    while queues:
        most = max(len(q) for q in queues.values())
        names = [n for n in queues if n != after and len(queues[n]) == most] or [n for n in queues if n != after]
        after = rng.choice(names or list(queues))
        out.append(queues[after].pop())
        if not queues[after]:
            del queues[after]
    return out
