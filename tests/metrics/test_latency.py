"""Latency figures by construction: every number here can be worked out on paper."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xttsbench.metrics.latency import chars_per_s, first_audible, latency
from xttsbench.record import Chunk

SR = 1000


def chunks(*pairs):
    return tuple(Chunk(t, t - 0.01, n) for t, n in pairs)


def test_a_stream_that_keeps_up():
    got = latency(chunks((0.2, 500), (0.5, 500), (0.9, 500)), end_s=1.0, sample_rate=SR, first_audible_sample=100)
    assert got["ttfc_s"] == 0.2
    assert got["ttfc_unsynced_s"] == pytest.approx(0.19)
    assert got["ttfa_s"] == pytest.approx(0.3)
    assert got["rtf"] == pytest.approx(1.0 / 1.5)
    assert got["rtf_steady"] == pytest.approx(0.8 / 1.0)
    assert (got["stalls"], got["stall_s"], got["deficit_s"], got["prebuffer_s"]) == (0, 0, 0, 0)
    assert got["safe_start_s"] == pytest.approx(0.3)
    assert got["gap_p50_s"] == pytest.approx(0.35) and got["gap_max_s"] == pytest.approx(0.4)
    assert got["gap_slope_s"] == pytest.approx(0.1)


def test_a_stream_that_starves():
    # plays 0.1-0.2, waits to 0.5, plays to 0.6, waits to 0.7
    got = latency(chunks((0.1, 100), (0.5, 100), (0.7, 100)), end_s=0.7, sample_rate=SR, first_audible_sample=150)
    assert got["stalls"] == 2
    assert got["stall_s"] == pytest.approx(0.4)
    assert got["deficit_s"] == pytest.approx(0.4)
    assert got["prebuffer_s"] == pytest.approx(0.4)
    assert got["ttfa_s"] == pytest.approx(0.55), "the audible sample lies in the second chunk, which came late"
    assert got["safe_start_s"] == pytest.approx(0.1 + 0.4 + 0.15)


def test_an_empty_first_chunk_is_not_a_first_chunk():
    got = latency(chunks((0.1, 0), (0.3, 100)), end_s=0.4, sample_rate=SR)
    assert got["ttfc_s"] == 0.3
    assert got["chunks"] == 1


def test_one_chunk_has_no_gaps_and_silence_no_first_sound():
    got = latency(chunks((0.1, 100)), end_s=0.1, sample_rate=SR)
    for name in ("gap_p50_s", "gap_slope_s", "rtf_steady", "ttfa_s", "safe_start_s"):
        assert math.isnan(got[name]), name
    assert got["stalls"] == 0


def test_no_audio_is_nan_throughout():
    got = latency((), end_s=float("nan"), sample_rate=SR)
    assert all(math.isnan(v) for k, v in got.items() if k != "chunks")


def test_times_that_were_not_measured_make_no_figure_but_sizes_stay():
    nan = float("nan")
    got = latency(chunks((nan, 100), (nan, 50), (nan, 0)), end_s=nan, sample_rate=SR, first_audible_sample=10)
    known = {k for k, v in got.items() if not math.isnan(v)}
    assert known <= {"audio_s", "chunks", "tokens", "first_tokens", "sentences"}
    assert got["audio_s"] == pytest.approx(150 / SR) and got["chunks"] == 2


@given(st.lists(st.tuples(st.floats(0, 2), st.integers(1, 3000)), min_size=1, max_size=20))
def test_prebuffer_is_the_least_head_start_that_plays_gapless(raw):
    arrival = np.cumsum([g for g, _ in raw])
    made = chunks(*zip(arrival, (n for _, n in raw), strict=True))
    got = latency(made, end_s=float(arrival[-1]), sample_rate=SR)
    ends = np.concatenate([[0], np.cumsum([c.samples for c in made])[:-1]]) / SR

    def gapless(head):
        return all(c.arrival_s <= arrival[0] + head + e + 1e-9 for c, e in zip(made, ends, strict=True))

    assert gapless(got["prebuffer_s"])
    assert got["prebuffer_s"] == 0 or not gapless(got["prebuffer_s"] - 1e-3)
    assert got["stall_s"] == pytest.approx(got["prebuffer_s"]), "waits add up to the head start that would spare them"


@given(st.integers(0, 5000), st.floats(0.02, 1), st.sampled_from([-1, 1]))
def test_first_audible_finds_the_onset_within_a_frame(lead, gain, sign):
    sr = 24000
    tone = sign * gain * np.sin(2 * np.pi * 300 * np.arange(4800) / sr)
    at = first_audible(np.concatenate([np.zeros(lead), tone]).astype(np.float32), sample_rate=sr)
    assert lead - 240 <= at <= lead + 24


def test_first_audible_is_minus_one_in_silence_and_dc():
    assert first_audible(np.zeros(24000, np.float32), sample_rate=24000) == -1
    assert first_audible(np.full(24000, 0.5, np.float32), sample_rate=24000) == -1
    assert first_audible(np.zeros(10, np.float32), sample_rate=24000) == -1


def test_chars_per_s():
    assert chars_per_s("abcd", 2.0) == 2.0
    assert math.isnan(chars_per_s("abcd", 0.0))


def test_what_the_first_chunk_waited_for_is_counted_in_tokens():
    made = (Chunk(0.1, 0.1, 0, 0, 1), Chunk(0.2, 0.2, 100, 0, 20), Chunk(0.4, 0.4, 100, 1, 50))
    got = latency(made, end_s=0.4, sample_rate=SR)
    assert (got["first_tokens"], got["tokens"], got["sentences"]) == (20, 50, 2)
    unknown = latency((Chunk(0.1, 0.1, 100),), end_s=0.1, sample_rate=SR)
    assert math.isnan(unknown["first_tokens"]) and unknown["sentences"] == 1
