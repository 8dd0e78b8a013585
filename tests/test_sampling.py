"""Sampling effects by construction: a known change is found, none is not, what does nothing is said to; and a real nano sweep."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from xttsbench import sampling, store, table
from xttsbench.cli import main
from xttsbench.settings import SETTINGS

LENGTH_S = {"short": 2.0, "medium": 6.0}


def trials(values=(0.2,), *, seed=0, seeds=10, change=0.0, audio=None, **columns) -> pd.DataFrame:
    """One engine, two texts: temperature 0.75 and `values`, whose audio is longer by `change`."""
    rng = np.random.default_rng(seed)
    rows = []
    for temperature in (0.75, *values):
        for text, length in LENGTH_S.items():
            for s in range(seeds):
                longer = 0.0 if temperature == 0.75 else change
                length_s = audio if audio is not None else length + longer + 0.1 * rng.normal()
                row = {
                    **{"engine": "stock", "phase": "timed", "status": "ok", "text": text, "seed": s},
                    **{name: f.default for name, f in SETTINGS.items()},
                    **{"temperature": temperature, "audio_s": length_s, "codes_hash": f"{temperature}{text}{s}"},
                }
                rows.append(row)
    return pd.DataFrame(rows).assign(**columns)


def test_a_known_change_is_found_and_is_beyond_another_seed():
    (row,) = sampling.effects(trials(change=0.5), metrics=["audio_s"]).to_dict("records")
    assert (row["engine"], row["parameter"], row["value"], row["default"]) == ("stock", "temperature", 0.2, 0.75)
    assert row["n"] == 20 and row["effect_lo"] < 0.5 < row["effect_hi"]
    assert -0.15 < row["null_lo"] < 0 < row["null_hi"] < 0.15, (
        "two texts of unlike length are two nulls, not one wide one"
    )
    assert row["beyond"] and row["p"] < 0.001 and not row["unchanged"] and row["same_share"] == 0


def test_the_null_is_what_two_seeds_of_the_default_differ_by():
    rows = trials()
    (row,) = sampling.effects(rows, metrics=["audio_s"]).to_dict("records")
    own = [rows[(rows["temperature"] == 0.75) & (rows["text"] == text)]["audio_s"].to_numpy() for text in LENGTH_S]
    apart = [abs(a - b) for x in own for i, a in enumerate(x) for b in x[:i]]
    assert row["seeds_differ"] == pytest.approx(np.median(apart))
    assert row["seeds_differ_p95"] == pytest.approx(np.quantile(apart, 0.95))


def test_where_nothing_differs_but_the_draw_alarms_are_as_rare_as_promised():
    found = [sampling.effects(trials((0.1, 0.2, 0.5, 1.0), seed=s), metrics=["audio_s"]) for s in range(30)]
    every = pd.concat(found)
    outside = ~every["effect"].between(every["null_lo"], every["null_hi"])
    assert 0 < outside.mean() < 0.12, "about one median in twenty lies outside the range of 95 %"
    assert np.mean([rows["beyond"].any() for rows in found]) <= 0.12, "Holm holds a whole engine to about 5 %"


def test_a_value_that_does_nothing_is_exactly_zero_and_said_to_be():
    both = trials((0.2,))
    both["length_penalty"] = np.where(both["temperature"] == 0.75, 1.0, 2.0)
    both["temperature"] = 0.75
    same = both.groupby(["text", "seed"])[["audio_s", "codes_hash"]].transform("first")
    (row,) = sampling.effects(both.assign(**same), metrics=["audio_s"]).to_dict("records")
    assert row["parameter"] == "length_penalty" and row["unchanged"] and row["same_share"] == 1
    assert (row["effect"], row["effect_lo"], row["effect_hi"], row["p"], row["beyond"]) == (0, 0, 0, 1, False)
    longer = both.assign(**same)
    longer.loc[longer["length_penalty"] == 2.0, "audio_s"] += 1
    (row,) = sampling.effects(longer, metrics=["audio_s"]).to_dict("records")
    assert not row["unchanged"], "the same tokens spoken slower are no longer the same"
    (row,) = sampling.effects(both.assign(codes_hash=""), metrics=["audio_s"]).to_dict("records")
    assert math.isnan(row["same_share"]) and not row["unchanged"], "tokens that are not known are not the same"


def test_the_default_is_the_cell_that_the_others_differ_from_in_one_setting():
    rows = pd.concat([trials((0.2, 0.5)), trials((), top_k=1)])
    found = sampling.effects(rows, metrics=["audio_s"])
    assert {(r.parameter, r.value, r.default) for r in found.itertuples()} == {
        ("temperature", 0.2, 0.75),
        ("temperature", 0.5, 0.75),
        ("top_k", 1, 50),
    }
    moved = rows.replace({"temperature": {0.75: 0.9}})
    assert set(sampling.effects(moved, metrics=["audio_s"])["default"]) == {0.9, 50}


def test_failed_trials_and_missing_partners_are_left_out():
    rows = trials(change=0.5)
    rows.loc[(rows["temperature"] == 0.2) & (rows["seed"] < 3), "status"] = "failed"
    rows.loc[(rows["temperature"] == 0.75) & (rows["seed"] == 9), "audio_s"] = np.nan
    (row,) = sampling.effects(rows, metrics=["audio_s"]).to_dict("records")
    assert row["n"] == 2 * 6


def test_too_few_pairs_have_no_p_and_one_seed_no_null():
    (row,) = sampling.effects(trials(seeds=1, change=5), metrics=["audio_s"]).to_dict("records")
    assert row["n"] == 2 and math.isnan(row["p"]) and math.isnan(row["null_lo"]) and not row["beyond"]


def test_pairs_that_are_too_few_for_any_verdict_are_known_to_be():
    four = (0.1, 0.2, 0.5, 1.0)
    few = sampling.effects(trials(four, seeds=3, change=5), metrics=["audio_s"])
    assert (few["p_least"] == 4 / 2**5).all() and np.allclose(few["p"], few["p_least"]) and not few["beyond"].any()
    more = sampling.effects(trials(four, seeds=4, change=5), metrics=["audio_s"])
    assert (more["p_least"] < 0.05).all() and more["beyond"].all()


def test_nothing_to_compare_is_an_empty_table_with_its_columns():
    for rows in (pd.DataFrame(), trials(()), trials().assign(status="failed")):
        assert tuple(sampling.effects(rows).columns) == sampling.EFFECT and not len(sampling.effects(rows))


@pytest.mark.parametrize(
    ("rows", "metrics", "says"),
    [
        (trials(), ["audio"], "none of audio is a column"),
        (
            pd.concat([trials(precision="fp32"), trials(precision="fp16")]),
            ["audio_s"],
            "differ in precision .fp32, fp16",
        ),
    ],
)
def test_what_cannot_be_compared_is_a_sentence(rows, metrics, says):
    with pytest.raises(ValueError, match=says):
        sampling.effects(rows, metrics=metrics)


@pytest.fixture(scope="module")
def swept(tmp_path_factory, homes) -> Path:
    folder: Path = tmp_path_factory.mktemp("runs") / "sampling"
    argv = ["sweep", "--preset", "sampling", "--model", "nano", "--device", "cpu", "--repeats", "2", "--texts", "short"]
    argv += ["--temperature", "0.75", "--top-k", "50", "--top-p", "0.85", "--repetition-penalty", "10"]
    argv += ["--do-sample", "true", "--length-penalty", "1", "2", "--speed", "1", "1.25", "--no-stages"]
    assert main([*argv, "--out", str(folder)]) == 0
    return folder


def test_on_nano_length_penalty_does_nothing_and_speed_does(swept):
    _, rows = table.load_run(swept)
    found = sampling.effects(rows).set_index(["parameter", "metric"])
    assert set(found.index.get_level_values("metric")) == {"audio_s", "repetition", "rtf", "chars_per_s"}
    assert (
        found.loc[("length_penalty", "audio_s"), "unchanged"]
        and found.loc[("length_penalty", "audio_s"), "effect"] == 0
    )
    assert not found.loc[("speed", "audio_s"), "unchanged"] and found.loc[("speed", "audio_s"), "effect"] < -0.2
    assert found.loc[("speed", "repetition"), "effect"] == 0, "speed stretches the same tokens"


def test_words_are_heard_once_a_record_with_audio(swept):
    records = [r for r in store.read(swept) if r.trial.phase == "timed"]
    heard = sampling.word_errors(swept, records, recogniser=lambda _audio, _rate: "the birch canoe slid")
    assert list(heard.index) == [r.trial.id for r in records] and heard.name == "word_error_rate"
    np.testing.assert_allclose(heard, 4 / 8)
    _, rows = table.load_run(swept)
    with_words = rows.assign(word_error_rate=rows["id"].map(heard))
    assert "word_error_rate" in set(sampling.effects(with_words)["metric"])
