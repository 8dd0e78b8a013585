"""Seams as tables: the same numbers as `compare` has, one row a place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from xttsbench import comparison, places, store
from xttsbench.cli import main
from xttsbench.metrics.seams import METRICS


@pytest.fixture(scope="module")
def heard(tmp_path_factory, homes):
    folder: Path = tmp_path_factory.mktemp("runs") / "grid"
    argv = ["sweep", "--preset", "seams", "--model", "nano", "--device", "cpu", "--repeats", "1", "--texts", "short"]
    argv += ["--stream-chunk-size", "10", "--overlap-wav-len", "256", "4096", "--out", str(folder)]
    assert main(argv) == 0
    return comparison.hear(folder, store.read(folder))


def test_every_seam_and_its_controls_have_a_row(heard):
    table = places.places(heard)
    assert set(places.PLACE) | set(METRICS) == set(table.columns)
    contenders = [h for h in heard if not comparison.is_reference(h.record)]
    seams = table[table["place"] == "seam"]
    assert len(seams) == sum(len(h.seams) for h in contenders) > 0
    assert set(table["variant"]) == {"10/256", "10/4096"}
    for h in contenders:
        mine = seams[seams["id"] == h.record.trial.id]
        np.testing.assert_array_equal(mine["click"], h.measures.at_seams["click"])
        np.testing.assert_array_equal(mine["sample"], h.seams["sample"])


def test_exactness_is_lost_before_the_seam_and_regained_after_it(heard):
    table = places.distances(heard)
    assert tuple(table.columns) == places.DISTANCE
    short = table[table["variant"] == "10/256"].groupby("from_s")["snr_db"].median()
    assert short[-0.025] < 30, "the last samples of a chunk were made without what comes after them"
    assert short[0.1] > 100


def test_the_excess_of_a_seam_is_over_its_own_controls(heard):
    table = places.places(heard)
    rows = places.excess_by_seam(table, "click")
    first = rows.iloc[0]
    own = table[(table["place"] == "control") & (table["id"] == first["id"]) & (table["seam"] == first["seam"])]
    assert first["excess"] == pytest.approx(abs(first["click"]) - own["click"].abs().median())
    assert len(rows) == (table["place"] == "seam").sum()


def test_nothing_heard_is_an_empty_table_with_its_columns():
    assert list(places.places([]).columns) == [*places.PLACE, *METRICS] and not len(places.places([]))
    assert list(places.distances([]).columns) == list(places.DISTANCE)
    assert not len(places.excess_by_seam(places.places([]), "click"))


def test_the_excess_by_variant_is_the_one_that_compare_finds(heard):
    rows = comparison.compare(heard).set_index(["variant", "kind"])
    for metric in METRICS:
        for found in places.excesses(places.places(heard), metric).itertuples():
            judged = rows.loc[(found.variant, found.kind)]
            same = [judged[f"{metric}_{name}"] for name in ("excess", "excess_lo", "excess_hi", "audible_share")]
            np.testing.assert_array_equal([found.excess, found.low, found.high, found.audible_share], same)


def test_exactness_by_distance_is_a_median_over_chunk_seams(heard):
    table = places.distances(heard)
    rows = places.by_distance(table)
    assert tuple(rows.columns) == places.BY_DISTANCE and list(rows["variant"].unique()) == ["10/256", "10/4096"]
    first = rows.iloc[0]
    mine = table[(table["variant"] == "10/256") & (table["from_s"] == first["from_s"])]["snr_db"].dropna()
    assert first["snr_db"] == mine.median() and first["seams"] == len(mine)
    other = table.assign(kind="sentence")
    assert not len(places.by_distance(other)) and not len(places.by_distance(table.iloc[:0]))


def test_an_ordinary_control_is_in_the_middle_of_all_and_away_from_the_ends_of_the_audio():
    rows = pd.DataFrame({"sample": np.arange(1, 6) * 10000, "overlap_samples": 256, "sample_rate": 24000})
    rows = rows.assign(**dict.fromkeys(METRICS, (3.0, 1.0, 2.0, 4.0, 5.0)))
    assert places.ordinary(rows, samples=100000)["sample"] == 30000, "the one in the middle lies too near to the start"
    assert places.ordinary(rows.assign(sample=rows["sample"] + 10000), samples=100000)["sample"] == 20000
    assert places.ordinary(rows.iloc[:1], samples=100000)["sample"] == 10000, "better one near an end than none"
    assert places.ordinary(rows, samples=52000)["sample"] == 30000
    assert places.ordinary(rows.iloc[:0], samples=100000) is None
