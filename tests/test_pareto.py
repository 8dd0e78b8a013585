"""The Pareto front: by construction, and against its own definition on any table."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xttsbench.stats import pareto

VALUE = st.one_of(st.integers(0, 5).map(float), st.just(math.nan))
POINTS = st.lists(st.tuples(VALUE, VALUE), max_size=12)


def front(points) -> list[bool]:
    return pareto(pd.DataFrame(points, columns=["x", "y"], dtype=float), "x", "y").tolist()


def test_the_front_of_a_staircase_is_its_corners():
    assert front([(1, 9), (2, 9), (2, 5), (3, 5), (4, 1), (9, 1)]) == [True, False, True, False, True, False]


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([], []),
        ([(1, 1)], [True]),
        ([(1, 1), (1, 1)], [True, True]),
        ([(math.nan, 0), (1, 1), (0, math.nan)], [False, True, False]),
        ([(math.inf, 0), (1, 1)], [False, True]),
    ],
)
def test_few_equal_and_undefined_rows(points, expected):
    assert front(points) == expected


def test_the_index_is_that_of_the_rows():
    rows = pd.DataFrame({"x": [2.0, 1.0], "y": [2.0, 1.0]}, index=["a", "b"])
    got = pareto(rows, "x", "y")
    assert got.to_dict() == {"a": False, "b": True} and got.dtype == bool
    assert rows[got].index.tolist() == ["b"]


@given(POINTS)
def test_on_the_front_means_that_no_row_is_as_good_in_both_and_better_in_one(points):
    known = [p for p in points if not any(map(math.isnan, p))]
    expected = [p in known and not any(q[0] <= p[0] and q[1] <= p[1] and q != p for q in known) for p in points]
    assert front(points) == expected


@given(POINTS)
def test_someone_is_on_the_front_and_scale_and_order_do_not_matter(points):
    got = front(points)
    assert any(got) == any(not math.isnan(x + y) for x, y in points)
    assert front([(3 * y + 1, 2 * x) for x, y in points]) == got
    assert front(points[::-1]) == got[::-1]
