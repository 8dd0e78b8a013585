"""What is heard is what was asked about: cuts that do not click, equal levels, an anchor within the standard's mask."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile as sf

from xttsbench.clips import anchor, cut, levelled, wav
from xttsbench.metrics.regions import active_rms

RATE = 24000


def tone(hz: float, seconds: float = 1.0) -> np.ndarray:
    return (0.1 * np.sin(2 * np.pi * hz * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32)


def test_a_cut_begins_and_ends_in_silence_and_is_untouched_between():
    x = np.full(RATE, 0.5, dtype=np.float32)
    clip = cut(x, sample_rate=RATE, from_s=0.25, to_s=0.75)
    assert len(clip) == RATE // 2 and clip[0] == 0 and abs(clip[-1]) < 0.001
    assert (clip[120:-120] == 0.5).all() and np.abs(np.diff(clip)).max() < 0.01


def test_what_lies_beyond_the_audio_is_left_out():
    assert len(cut(np.ones(RATE), sample_rate=RATE, from_s=-1, to_s=0.5)) == RATE // 2
    assert len(cut(np.ones(RATE), sample_rate=RATE, from_s=0.9, to_s=9)) == RATE // 10


@pytest.mark.parametrize(
    ("span", "says"), [((0.5, 0.5), "start before an end"), ((24000, 25000), "seconds, not samples")]
)
def test_a_span_that_holds_nothing_is_refused(span, says):
    with pytest.raises(ValueError, match=says):
        cut(np.ones(RATE), sample_rate=RATE, from_s=span[0], to_s=span[1])


def test_levels_and_lengths_are_equal_and_nothing_clips():
    loud, quiet, short = levelled([8 * tone(200), 0.01 * tone(900), tone(300, 0.4)], sample_rate=RATE)
    levels = [active_rms(x.astype(float), sample_rate=RATE) for x in (loud, quiet, short)]
    np.testing.assert_allclose(levels, 10 ** (-26 / 20), rtol=0.03)
    assert len(loud) == len(quiet) == len(short) and not short[RATE // 2 :].any()
    spiky = tone(200)
    spiky[RATE // 2] = 1.0
    first, second = levelled([spiky * 0.02, tone(200)], sample_rate=RATE, level_db=-3)
    assert max(np.abs(first).max(), np.abs(second).max()) <= 0.9801
    ratio = active_rms(first.astype(float), sample_rate=RATE) / active_rms(second.astype(float), sample_rate=RATE)
    assert ratio == pytest.approx(1, rel=0.01)


def test_silence_stays_silence():
    silent, _ = levelled([np.zeros(RATE, dtype=np.float32), tone(200)], sample_rate=RATE)
    assert not silent.any()


@pytest.mark.parametrize(
    ("hz", "low_db", "high_db"), [(1000, -0.1, 0.1), (3400, -0.1, 0.1), (4000, -999, -25), (4500, -999, -50)]
)
def test_the_anchor_is_within_the_mask_of_bs_1534(hz, low_db, high_db):
    x = tone(hz)
    y = anchor(x, sample_rate=RATE)
    middle = slice(2000, -2000)
    gain_db = 20 * np.log10(np.std(y[middle]) / np.std(x[middle]))
    assert low_db <= gain_db <= high_db and len(y) == len(x)


def test_slowed_down_is_the_same_samples_at_a_lower_rate():
    plain, half = (sf.read(io.BytesIO(wav(tone(200), sample_rate=RATE, slower=s)), dtype="int16") for s in (1, 2))
    assert (plain[1], half[1]) == (RATE, RATE // 2)
    np.testing.assert_array_equal(plain[0], half[0])
    with pytest.raises(ValueError, match="slower is 0"):
        wav(tone(200), sample_rate=RATE, slower=0)


def test_dither_hides_that_two_files_are_one_sound_and_is_within_a_bit():
    one, other = wav(tone(200), sample_rate=RATE, dither=1), wav(tone(200), sample_rate=RATE, dither=2)
    assert one != other and len(one) == len(other)
    x, _ = sf.read(io.BytesIO(one), dtype="int16")
    assert np.abs(x - tone(200) * 32767).max() <= 1.51
