"""A metric over any column: every trial is a point, every value has its place, medians are those of stats."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from xttsbench import plot
from xttsbench.plot.over import as_words, ordered


@pytest.fixture
def trials():
    rows = [
        dict(engine="stock", stream_chunk_size=size, text=text, ttfc_s=size / 100 + k / 1000, audio_s=2.0 + k)
        for size in (10.0, 20.0)
        for text in ("medium", "short")
        for k in range(3)
    ]
    rows += [dict(engine="whole", stream_chunk_size=np.nan, text="short", ttfc_s=1.0, audio_s=2.0) for _ in range(3)]
    return pd.DataFrame(rows).assign(status="ok", phase="timed")


def drawn(trials, metric="ttfc_s", **how):
    with plot.style():
        return plot.over(Figure().subplots(), trials, metric, **how)


def points(ax) -> int:
    """How many marks are faint: single trials."""
    return sum(len(line.get_xdata()) for line in ax.lines if (line.get_alpha() or 1) < 1)


def test_every_trial_is_a_point_and_every_value_has_its_place(trials):
    ax = drawn(trials, x="stream_chunk_size", hue="engine")
    assert points(ax) == len(trials)
    assert [t.get_text() for t in ax.get_xticklabels()] == ["10", "20", "none"]
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["stock", "whole"]
    assert ax.get_ylabel() == plot.label("ttfc_s") and ax.get_ylim()[0] == 0


def test_medians_are_drawn_in_the_unit_of_the_axis(trials):
    ax = drawn(trials, x="text")
    assert [t.get_text() for t in ax.get_xticklabels()] == ["short", "medium"]
    (medians,) = [c.lines[0].get_ydata() for c in ax.containers]
    expected = trials.groupby("text")["ttfc_s"].median() * 1000
    assert list(medians) == pytest.approx([expected["short"], expected["medium"]])


def test_over_another_metric_there_are_trials_only(trials):
    ax = drawn(trials, x="audio_s", hue="text")
    assert points(ax) == len(trials) and not ax.containers


def test_failed_trials_and_absent_numbers_are_left_out_and_none_left_is_said(trials):
    trials.loc[0, "status"] = "failed"
    trials.loc[1, "ttfc_s"] = np.nan
    assert points(drawn(trials, x="text")) == len(trials) - 2
    trials["ttfc_s"] = np.nan
    assert "no trial with ttfc_s" in [t.get_text() for t in drawn(trials, x="text").texts]


def test_values_as_words_keep_their_order():
    values = pd.Series([20.0, 5.0, np.nan, 10.0])
    assert ordered(values) == ["5", "10", "20", "none"] and list(as_words(values)) == ["20", "5", "none", "10"]
    assert ordered(pd.Series(["seamless", "stock"])) == ["stock", "seamless"]
    assert ordered(pd.Series([True, False])) == ["False", "True"]
