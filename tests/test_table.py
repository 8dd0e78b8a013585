"""Records to tables: one row each, nothing invented, seams where chunks meet."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from samples import TWO

from xttsbench import stats, table
from xttsbench.record import Chunk, Record
from xttsbench.settings import ONE_CHUNK, SETTINGS, Settings


def record(trial, ttfc=0.1, **changes) -> Record:
    chunks = (
        Chunk(ttfc, ttfc, 2400, 0, 20),
        Chunk(ttfc + 0.05, ttfc + 0.05, 1200, 0, 30),
        Chunk(0.5, 0.5, 2400, 1, 50),
    )
    return Record(trial=trial, **{"chunks": chunks, "end_s": 0.5, "first_audible_sample": 240, **changes})


def test_a_row_a_trial_with_every_setting_and_figure(trial):
    rows = table.trials([record(trial), record(replace(trial, engine="whole"))])
    assert len(rows) == 2 and set(SETTINGS) <= set(rows.columns) and set(table.METRICS) <= set(rows.columns)
    stock, whole = rows.iloc[0], rows.iloc[1]
    assert stock["stream_chunk_size"] == 20 and pd.isna(whole["stream_chunk_size"])
    assert stock["ttfc_s"] == 0.1 and stock["audio_s"] == 0.25 and stock["tokens"] == 50
    assert stock["chars_per_s"] == pytest.approx(len(trial.text.text) / 0.25)


def test_a_failed_trial_is_a_row_of_nan_with_its_error(trial):
    (row,) = table.trials([record(trial, status="failed", error="OutOfMemoryError: 2 GiB")]).to_dict("records")
    assert row["error"] == "OutOfMemoryError: 2 GiB" and row["status"] == "failed"
    assert all(math.isnan(row[m]) for m in table.METRICS)


def test_chunks_table(trial):
    rows = table.chunks([record(trial)])
    assert rows["chunk"].tolist() == [0, 1, 2]
    assert np.isnan(rows["gap_s"][0]) and rows["gap_s"][1] == pytest.approx(0.05)


def test_seams_lie_where_chunks_meet_and_kinds_are_kept_apart(trial):
    rows = table.seams([record(trial)])
    assert rows["sample"].tolist() == [2400, 3600]
    assert rows["kind"].tolist() == ["chunk", "sentence"]
    assert rows["overlap_samples"].tolist() == [1024, 0]
    empty_first = (Chunk(0.1, 0.1, 0), Chunk(0.2, 0.2, 100), Chunk(0.3, 0.3, 100))
    assert table.seams([record(trial, chunks=empty_first)])["sample"].tolist() == [100]


def test_the_first_seam_of_its_kind_is_told_from_later_ones(trial):
    chunks = tuple(Chunk(0.1, 0.1, 100, sentence) for sentence in (0, 0, 0, 1, 1, 1, 2))
    rows = table.seams([record(trial, chunks=chunks), record(replace(trial, seed=9), chunks=chunks)])
    kinds = ["chunk", "chunk", "sentence", "chunk", "chunk", "sentence"]
    orders = ["first", "later", "first", "first", "later", "later"]
    assert rows["kind"].tolist() == 2 * kinds and rows["order"].tolist() == 2 * orders


def many(trial, values, **changes):
    return [record(replace(trial, seed=i, repeat=i, **changes), ttfc=v) for i, v in enumerate(values)]


def test_summary_is_median_and_interval_of_timed_trials_alone(trial):
    records = many(trial, [0.1, 0.2, 0.3, 0.4, 0.5])
    records += [record(replace(trial, phase="cold"), ttfc=9.0), record(replace(trial, phase="warmup"), ttfc=9.0)]
    records += [record(replace(trial, seed=7, repeat=7), status="failed", error="x")]
    (row,) = stats.summary(table.trials(records)).to_dict("records")
    assert (row["n"], row["failed"]) == (5, 1)
    assert row["ttfc_s"] == pytest.approx(0.3)
    assert 0.1 <= row["ttfc_s_lo"] < 0.3 < row["ttfc_s_hi"] <= 0.5


def test_summary_of_failures_only_is_nan_not_absent(trial):
    records = [replace(r, status="failed", error="x") for r in many(trial, [0.1, 0.2])]
    (row,) = stats.summary(table.trials(records)).to_dict("records")
    assert row["n"] == 0 and row["failed"] == 2 and math.isnan(row["ttfc_s"]) and math.isnan(row["rtf_hi"])


def test_summary_of_nothing_timed_has_its_columns_and_no_row(trial):
    empty = stats.summary(table.trials([record(replace(trial, phase="cold"))]))
    assert len(empty) == 0 and {"ttfc_s", "ttfc_s_lo", "n"} <= set(empty.columns)
    assert stats.doubts(table.trials([record(replace(trial, phase="cold"))]), empty) == []


def test_what_varies_tells_rows_apart(trial):
    settings = Settings(stream_chunk_size=40)
    rows = stats.summary(table.trials([*many(trial, [0.1]), *many(trial, [0.1], settings=settings, text=TWO)]))
    assert stats.varying(rows) == ["text", "stream_chunk_size"]


def test_doubts_are_said_in_words(trial):
    records = many(trial, [0.1, 0.1, 0.9])
    records[0] = replace(records[0], flags=("cpu_shared",))
    records.append(record(replace(trial, seed=9), status="failed", error="OutOfMemoryError: x"))
    rows = table.trials(records)
    said = " | ".join(stats.doubts(rows, stats.summary(rows)))
    for part in (
        "1 of 4 trials failed: OutOfMemoryError: x",
        "under 5 repeats",
        "uncertain by more than 25%",
        "flagged cpu_shared",
    ):
        assert part in said, said


def test_whole_decodes_that_others_are_held_against_count_as_no_setting(trial):
    whole = replace(trial, settings=Settings(stream_chunk_size=ONE_CHUNK), phase="replay")
    records = [*many(trial, [0.1] * 3), record(whole, ttfc=math.nan, end_s=math.nan)]
    rows = table.trials(records)
    assert any(d.startswith("1 of 1 settings have under 5 repeats") for d in stats.doubts(rows, stats.summary(rows)))


def test_a_steady_run_raises_no_doubt(trial):
    rows = table.trials(many(trial, [0.1] * 10))
    assert stats.doubts(rows, stats.summary(rows)) == []


def test_the_interval_covers_what_it_should():
    """Of 300 samples of 15, the 95 % interval of the median holds the true median in about 95 % of cases."""
    rng = np.random.default_rng(0)
    held = 0
    for i in range(300):
        _, low, high = stats.median_interval(rng.lognormal(0, 0.3, 15), seed=i)
        held += low <= 1.0 <= high
    assert 0.91 <= held / 300 <= 0.99


@pytest.mark.parametrize(
    ("values", "expected"), [([], (1, 1, 1)), ([2.0], (0, 1, 1)), ([2.0, 2.0], (0, 0, 0)), ([math.nan], (1, 1, 1))]
)
def test_undefined_is_nan(values, expected):
    got = stats.median_interval(np.array(values))
    assert tuple(int(math.isnan(g)) for g in got) == expected


def test_a_whole_call_is_no_stream_though_its_sentences_have_seams(trial):
    whole = record(replace(trial, engine="whole"))
    (row,) = table.trials([whole]).to_dict("records")
    assert math.isnan(row["rtf_steady"]) and math.isnan(row["gap_p50_s"]) and row["chunks"] == 1
    assert len(table.seams([whole])) == 2


def test_what_must_be_said_of_a_model_is_in_every_row(trial):
    rows = table.trials([record(trial, note="random weights: times hold, sound is noise")])
    assert (
        rows["note"].tolist() == stats.summary(rows)["note"].tolist() == ["random weights: times hold, sound is noise"]
    )


def test_holm_is_monotone_and_keeps_nan():
    got = stats.holm({"a": 0.01, "b": math.nan, "c": 0.5, "d": 0.02})
    assert got["a"] == pytest.approx(0.03) and got["d"] == pytest.approx(0.04) and got["c"] == 0.5
    assert math.isnan(got["b"])
