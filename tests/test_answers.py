"""The three answers, by construction: what intervals carry is said, and no more."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from samples import NANO, SHORT, TWO

from xttsbench import answers, stats, table
from xttsbench.record import Chunk, Record
from xttsbench.settings import Settings
from xttsbench.spec import Trial

RATE = 24000


def record(ttfc_s, *, text=SHORT, size=20, repeat=0, status="ok", late_s=0.0, engine="stock") -> Record:
    """Two chunks of a second: the first after `ttfc_s`, the second when it is needed and `late_s` later."""
    trial = Trial(
        engine=engine, config=NANO, settings=Settings(stream_chunk_size=size), text=text, seed=repeat, repeat=repeat
    )
    chunks = (Chunk(ttfc_s, ttfc_s, RATE, 0, 20), Chunk(ttfc_s + 1 + late_s, ttfc_s + 1 + late_s, RATE, 0, 40))
    return Record(trial=trial, status=status, chunks=chunks, end_s=chunks[1].arrival_s, first_audible_sample=0)


def said(records) -> dict[str, str]:
    trials = table.trials(records)
    return answers.of_sweep(trials, stats.summary(trials))


def test_a_setting_is_told_apart_only_where_intervals_do_not_overlap():
    fast = [record(0.1 + 0.001 * r, size=5, repeat=r) for r in range(5)]
    near = [record(0.102 + 0.001 * r, size=10, repeat=r) for r in range(5)]
    slow = [record(0.5 + 0.001 * r, size=40, repeat=r) for r in range(5)]
    assert (
        "with stock, stream_chunk_size 5: 102 [100, 104] ms (n = 5), apart from the other"
        in said(fast + slow)["How soon?"]
    )
    assert (
        "stream_chunk_size 5: 102 [100, 104] ms (n = 5), which is not told apart from any other (1)"
        in said(fast + near)["How soon?"]
    )
    assert "ms (n = 5), not told apart from 1 of 2 others" in said(fast + near + slow)["How soon?"]


def test_under_five_requests_nothing_is_told_apart():
    fast, slow = (
        [record(ttfc + 0.001 * r, size=size, repeat=r) for r in range(4)] for ttfc, size in ((0.1, 5), (9.0, 40))
    )
    assert "(n = 4), which is not told apart from any other (1)" in said([*fast, *slow])["How soon?"]


def test_one_request_has_no_interval_and_so_no_rank():
    words = said([record(0.1, size=5), record(0.5, size=40)])["How soon?"]
    assert "not told apart from any other (1)" in words
    assert "100 [-, -] ms (n = 1)" in words


def test_texts_come_by_their_length_and_the_rest_is_counted():
    words = said([record(0.1, text=TWO), record(0.1, text=SHORT)])["How soon?"]
    assert words.index("'short'") < words.index("'two'")
    texts = [type(SHORT)(f"t{k}", "en", "a" * (k + 1)) for k in range(5)]
    assert "(2 more texts are in the table)" in said([record(0.1, text=t) for t in texts])["How soon?"]


@pytest.mark.parametrize(
    ("late_s", "rtf", "stalls"), [(-0.5, "1 of 1 settings are faster", 0), (1.5, "1 of 1 are slower", 4)]
)
def test_keeping_up_is_rtf_and_stalls(late_s, rtf, stalls):
    words = said([record(0.1 + 0.001 * r, repeat=r, late_s=late_s) for r in range(4)])["Does it keep up?"]
    assert rtf in words and f"falls silent in {stalls} of the 4 requests" in words


def test_an_interval_across_one_decides_nothing():
    rows = pd.DataFrame({"rtf": [0.9], "rtf_lo": [0.8], "rtf_hi": [1.1]})
    assert answers.keeps_up(rows) == "Median rtf 0.900: for 1 the interval does not decide."
    assert "was not measured" in answers.keeps_up(rows * math.nan)


def test_failures_and_nothing_are_said():
    assert said([record(0.1, status="failed")]) == {
        answers.NOTHING: "No request succeeded: all 1 failed, so nothing can be said of times or sound."
    }
    assert said([])[answers.NOTHING].startswith("This run holds no timed request yet")
    assert "none kept its audio" in answers.of_comparison(table.trials([record(0.1)]), pd.DataFrame())[answers.NOTHING]


def test_settings_at_their_default_are_not_listed():
    trials = [record(0.1), record(0.2)]
    warm = Trial(engine="stock", config=NANO, settings=Settings(temperature=0.2), text=SHORT)
    words = said([trials[0], Record(trial=warm, chunks=trials[1].chunks, end_s=1.0, first_audible_sample=0)])[
        "How soon?"
    ]
    assert "with stock, defaults: 100" in words


def effect(**changed):
    row = {"engine": "stock", "parameter": "top_k", "value": 1, "metric": "audio_s", "effect": -0.5, "effect_lo": -0.6}
    return row | {"effect_hi": -0.4, "p_least": 0.01, "beyond": False, "unchanged": False} | changed


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([effect(beyond=True)], "beyond what another seed does: stock, top_k 1: audio_s -0.5 [-0.6, -0.4]."),
        ([effect()], "No value could be told apart from what another seed does."),
        ([effect(p_least=0.25)], "There are too few pairs of requests to tell; raise --repeats."),
        ([effect(unchanged=True)], "Not a single token changed with stock, top_k 1."),
    ],
)
def test_of_sampling_only_what_is_beyond_the_seed_is_claimed(rows, says):
    (answer,) = answers.of_sampling(pd.DataFrame(rows)).values()
    assert says in answer
    assert answers.of_sampling(pd.DataFrame()) == {}
