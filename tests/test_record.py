"""The file form: nothing lost, unmeasured is null, newer schemas are refused, old ones read for ever."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from xttsbench.record import SCHEMA, Chunk, Record

OLD = Path(__file__).parent / "data"


def full(trial) -> Record:
    return Record(
        trial=trial,
        end_s=1.25,
        chunks=(Chunk(0.1, 0.09, 100, 0, 20), Chunk(0.2, 0.2, 0, 1, 40)),
        stages={"text": 0.001, "vocoder": math.nan},
        memory={"process_rss": 1e9},
        flags=("cpu_shared",),
        codes=((5, 6, 1025), (7,)),
        state={"load": 0.5},
    )


def test_round_trip_keeps_everything(trial):
    line = full(trial).to_json()
    assert "\n" not in line and "NaN" not in line
    again = Record.from_json(line)
    assert again.chunks == full(trial).chunks
    assert again.trial == trial
    assert again.codes == ((5, 6, 1025), (7,))
    assert math.isnan(again.stages["vocoder"]) and math.isnan(again.energy_j)
    assert again.to_json() == line


def test_unmeasured_times_of_chunks_are_null(trial):
    line = Record(trial=trial, chunks=(Chunk(math.nan, math.nan, 100, 0, 20),)).to_json()
    assert json.loads(line)["chunks"]["arrival_s"] == [None]
    (chunk,) = Record.from_json(line).chunks
    assert math.isnan(chunk.arrival_s) and math.isnan(chunk.yielded_s) and chunk.samples == 100
    assert Record.from_json(line).to_json() == line


def test_a_newer_schema_says_which_version_is_needed(trial):
    data = json.loads(full(trial).to_json())
    data["schema"] = SCHEMA + 1
    with pytest.raises(ValueError, match=f"schema {SCHEMA + 1}.*install a newer xttsbench"):
        Record.from_json(json.dumps(data))


@pytest.mark.parametrize(
    "line",
    ["", "{", "[]", "3", '{"a": 1}', '{"schema": 2}', '{"schema": "2"}', '{"schema": 2, "id": "a", "chunks": {}}'],
)
def test_a_broken_line_is_named(line):
    with pytest.raises(ValueError, match=r"not a (whole )?trial record"):
        Record.from_json(line)


@pytest.mark.parametrize("version", range(1, SCHEMA + 1))
def test_old_files_load(version):
    """A stored run of every schema version reads for ever; these files are never written again."""
    lines = (OLD / f"schema_{version}" / "trials.jsonl").read_text().splitlines()
    records = [Record.from_json(line) for line in lines]
    assert {r.trial.engine for r in records} >= {"stock", "naive", "whole"}
    assert {r.trial.phase for r in records} == {"cold", "warmup", "timed", "stages"}
    assert all(r.trial.id == json.loads(line)["id"] for r, line in zip(records, lines, strict=True))
    ok = [r for r in records if r.status == "ok"]
    assert ok and all(r.chunks[-1].arrival_s <= r.end_s for r in ok)
    assert any(r.status == "failed" and r.error for r in records)
    assert all(bool(r.codes) == (version >= 2) for r in ok)
