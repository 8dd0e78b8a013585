"""Seam metrics by construction: faults of known size in signals of known make, and what must not change them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xttsbench.metrics.seams import (
    METRICS,
    click,
    control_points,
    exactness,
    judge,
    level_dip_db,
    level_step_db,
    measure_seams,
    pause_ratio,
    pause_s,
    pitch_step_cents,
    pool,
    rate_step_octaves,
    spectrum_step_db,
)

RATE = 24000
MIDDLE = 2 * RATE


def voice(seconds: float = 4.0, *, f0_hz: float = 120.0, seed: int = 0, rate: int = RATE) -> np.ndarray:
    """Return a buzz with three moving formants, syllables at 4 Hz and a little breath: speech enough for a metric."""
    from scipy.signal import lfilter

    rng = np.random.default_rng(seed)
    n = round(seconds * rate)
    t = np.arange(n) / rate
    phase = np.cumsum(f0_hz * (1 + 0.02 * np.sin(2 * np.pi * 0.7 * t))) / rate
    source = np.diff(np.floor(phase), prepend=0.0) + 0.003 * rng.normal(size=n)
    for hz, wide in ((600, 80), (1300, 100), (2600, 150)):
        r = np.exp(-np.pi * wide / rate)
        source = lfilter([1.0], [1, -2 * r * np.cos(2 * np.pi * hz / rate), r * r], source)
    shaped = source * (1.5 + np.cos(2 * np.pi * 4 * t))
    return 0.1 * shaped / shaped.std()


def at(metric, audio, seam=MIDDLE, **more):
    return float(metric(audio, np.array([seam]), sample_rate=RATE, **more)[0])


@pytest.mark.parametrize("size_db", [-10, -20, -30])
def test_a_click_stands_out_and_a_bigger_one_more(size_db):
    audio = voice()
    audio[MIDDLE] += audio.std() * 10 ** (size_db / 20)
    assert at(click, audio) > 3 * at(click, voice())
    assert at(click, audio) > at(click, audio, seam=MIDDLE + 1200)


@pytest.mark.parametrize("size_db", [-20, -30])
def test_a_step_is_a_click(size_db):
    audio = voice()
    audio[MIDDLE:] += audio.std() * 10 ** (size_db / 20)
    assert at(click, audio) > 3 * at(click, voice())


def test_both_edges_of_a_region_are_looked_at_but_not_its_inside():
    def with_click(offset):
        audio = voice()
        audio[MIDDLE + offset] += 0.1
        return at(click, audio, overlap_samples=1024)

    assert min(with_click(0), with_click(1024)) > 5 * with_click(512)


@pytest.mark.parametrize("size_db", [-12, -6, 3, 6, 12])
def test_a_level_step_of_known_size(size_db):
    audio = voice()
    clean = at(level_step_db, audio)
    audio[MIDDLE:] *= 10 ** (size_db / 20)
    assert at(level_step_db, audio) - clean == pytest.approx(size_db, abs=0.3)


@pytest.mark.parametrize("cents", [-400, -165, 50, 165, 400, 700])
@pytest.mark.parametrize("f0_hz", [110.0, 200.0])
def test_a_pitch_step_of_known_size(cents, f0_hz):
    first, same, other = (voice(f0_hz=hz) for hz in (f0_hz, f0_hz, f0_hz * 2 ** (cents / 1200)))
    audio, clean = (np.concatenate([first[:MIDDLE], rest[MIDDLE:]]) for rest in (other, same))
    assert at(pitch_step_cents, audio) - at(pitch_step_cents, clean) == pytest.approx(cents, abs=30)


def test_another_vowel_is_a_spectrum_step_and_another_level_is_not():
    audio = voice()
    assert at(spectrum_step_db, audio * np.where(np.arange(len(audio)) < MIDDLE, 1, 2)) < 15
    muffled = np.concatenate([audio[:MIDDLE], np.convolve(audio[MIDDLE:], np.ones(24) / 24, "same")])
    assert at(spectrum_step_db, muffled) > 2 * at(spectrum_step_db, audio) + 5


@pytest.mark.parametrize("ms", [50, 150, 417, 800])
def test_a_pause_of_known_length(ms):
    n = round(ms * RATE / 1000)
    audio = np.concatenate([voice()[:MIDDLE], np.zeros(n), voice()[MIDDLE:]])
    assert at(pause_s, audio, overlap_samples=n) == pytest.approx(ms / 1000, abs=0.012)
    assert at(pause_s, audio) == pytest.approx(ms / 1000, abs=0.012)
    assert at(pause_s, audio, seam=RATE) == 0


def test_pause_ratio_counts_in_the_utterances_own_pauses():
    part, hole = voice(1.0), np.zeros(RATE // 5)
    audio = np.concatenate([part, hole, part, hole, part, np.zeros(RATE * 3 // 5), part])
    seam = 3 * len(part) + 2 * len(hole)
    assert at(pause_ratio, audio, seam=seam) == pytest.approx(3, rel=0.05)
    assert np.isnan(at(pause_ratio, voice()))


def test_a_linear_crossfade_of_unlike_sounds_dips_by_three_db():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 4 * RATE)) * 0.1
    n = 4096
    rise = np.arange(n) / n
    linear = np.concatenate(
        [a[:MIDDLE], a[MIDDLE : MIDDLE + n] * (1 - rise) + b[MIDDLE : MIDDLE + n] * rise, b[MIDDLE + n :]]
    )
    equal = linear.copy()
    equal[MIDDLE : MIDDLE + n] = a[MIDDLE : MIDDLE + n] * np.sqrt(1 - rise) + b[MIDDLE : MIDDLE + n] * np.sqrt(rise)
    # The middle half of the fade has a mean power of 1 - 2/3 * 11/16 ... about -2.7 dB.
    assert at(level_dip_db, linear, overlap_samples=n) == pytest.approx(-2.7, abs=0.4)
    assert at(level_dip_db, equal, overlap_samples=n) == pytest.approx(0, abs=0.4)
    assert np.isnan(at(level_dip_db, linear))


def test_a_voice_that_hurries_raises_the_rate():
    def sweeps(hz, seconds):
        t = np.arange(round(seconds * RATE)) / RATE
        return 0.1 * np.sin(2 * np.pi * np.cumsum(900 + 500 * np.sin(2 * np.pi * hz * t)) / RATE)

    audio = np.concatenate([sweeps(2, 2), sweeps(4, 2)])
    assert at(rate_step_octaves, audio) > 0.4
    assert abs(at(rate_step_octaves, np.concatenate([sweeps(3, 2), sweeps(3, 2)]))) < 0.1


INVARIANT = [m for m in METRICS if m != "level_dip_db"]
SEAMS = np.array([30011, 48000, 66123])


@settings(max_examples=8, deadline=None)
@given(gain=st.floats(0.02, 8), flip=st.booleans())
def test_gain_and_polarity_change_nothing(gain, flip):
    audio = np.concatenate([voice(2), np.zeros(RATE // 4), voice(2, seed=1)])
    for name, metric in METRICS.items():
        before = metric(audio, SEAMS, sample_rate=RATE, overlap_samples=480)
        after = metric(audio * (-gain if flip else gain), SEAMS, sample_rate=RATE, overlap_samples=480)
        np.testing.assert_allclose(after, before, rtol=1e-3, atol=1e-3, err_msg=name)


@settings(max_examples=8, deadline=None)
@given(leading_ms=st.integers(0, 1000))
def test_leading_silence_changes_nothing(leading_ms):
    audio = np.concatenate([voice(2), np.zeros(RATE // 4), voice(2, seed=1)])
    # Whole hops of the one metric that has a frame grid.
    lead = leading_ms // 10 * RATE // 100
    for name, metric in METRICS.items():
        before = metric(audio, SEAMS, sample_rate=RATE, overlap_samples=480)
        after = metric(np.concatenate([np.zeros(lead), audio]), SEAMS + lead, sample_rate=RATE, overlap_samples=480)
        np.testing.assert_allclose(after, before, rtol=1e-2, atol=1e-2, err_msg=name)


@settings(max_examples=8, deadline=None)
@given(cuts=st.lists(st.integers(24000, 72000), min_size=1, max_size=5, unique=True))
def test_rechunking_the_same_samples_changes_nothing(cuts):
    audio = voice()
    cuts = sorted(cuts)
    chunked = np.concatenate([audio[a:b] for a, b in pairwise([0, *cuts, len(audio)])])
    for metric in ("click", "level_step_db", "spectrum_step_db", "pitch_step_cents", "pause_s"):
        alone = [METRICS[metric](audio, np.array([c]), sample_rate=RATE)[0] for c in cuts]
        np.testing.assert_allclose(
            METRICS[metric](chunked, np.array(cuts), sample_rate=RATE), alone, rtol=1e-6, atol=1e-9
        )
    found = exactness(chunked, audio, np.array(cuts), sample_rate=RATE)
    assert (found.lost_samples, found.repeated_samples, found.snr_db) == (0, 0, 140.0)


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_silence_and_too_short_audio_are_nan(metric):
    assert np.isnan(metric(np.zeros(RATE), np.array([RATE // 2]), sample_rate=RATE, overlap_samples=480)).all()
    if metric is not pause_s:
        assert np.isnan(metric(voice(0.01), np.array([100]), sample_rate=RATE)).all()
    assert metric(voice(), np.zeros(0, dtype=int), sample_rate=RATE).shape == (0,)


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"seams": np.array([1.5])}, "are these seconds, not samples"),
        ({"seams": np.array([10**7])}, "outside the audio"),
        ({"audio": np.zeros((2, 100))}, "mono"),
        ({"audio": np.zeros(100, np.int16)}, "divide 16-bit"),
        ({"audio": np.full(100, np.nan)}, "NaN"),
        ({"sample_rate": 24}, "kHz"),
        ({"overlap_samples": -1}, "hard cut"),
    ],
)
def test_bad_input_is_told(metric, change, says):
    good = {"audio": voice(1), "seams": np.array([12000]), "sample_rate": RATE, "overlap_samples": 0} | change
    with pytest.raises(ValueError, match=says):
        metric(good.pop("audio"), good.pop("seams"), **good)


@pytest.mark.parametrize("jump", [-2000, -1, 0, 1, 137, 2000])
def test_lost_and_repeated_samples_are_counted(jump):
    whole = voice()
    streamed = np.concatenate([whole[:MIDDLE], whole[MIDDLE + jump :]])
    found = exactness(streamed, whole, np.array([24000, MIDDLE]), sample_rate=RATE)
    assert found.jump_samples.tolist() == [0, jump]
    assert (found.lost_samples, found.repeated_samples) == (max(jump, 0), max(-jump, 0))


def test_a_lost_tail_is_counted():
    whole = voice()
    found = exactness(whole[:-1024], whole, np.array([MIDDLE]), sample_rate=RATE)
    assert (found.lost_samples, found.repeated_samples) == (1024, 0)


def test_snr_and_spectral_distance_lie_where_the_error_is():
    whole = voice()
    rng = np.random.default_rng(0)
    streamed = whole.copy()
    low = MIDDLE - 600
    streamed[low:MIDDLE] += rng.normal(size=600) * whole[low:MIDDLE].std() * 10 ** (-20 / 20)
    found = exactness(
        streamed, whole, np.array([24000, MIDDLE]), sample_rate=RATE, edges_s=(-0.05, -0.025, 0, 0.025, 0.05)
    )
    assert found.seam_snr_db[1, 1] == pytest.approx(20, abs=1)
    assert found.seam_snr_db[0].tolist() == [140] * 4
    assert found.seam_snr_db[1, [0, 2, 3]].tolist() == [140] * 3
    assert found.seam_lsd_db[1, 1] > 1 > found.seam_lsd_db[0].max()


def test_controls_match_and_keep_away_and_repeat_by_seed():
    audio = np.concatenate([voice(3), 0.01 * np.random.default_rng(0).normal(size=3 * RATE)])
    seams = np.array([RATE, 5 * RATE])
    drawn = control_points(audio, seams, sample_rate=RATE, overlap_samples=np.array([1024, 0]), per_seam=15, seed=3)
    again = control_points(audio, seams, sample_rate=RATE, overlap_samples=np.array([1024, 0]), per_seam=15, seed=3)
    np.testing.assert_array_equal(drawn.positions, again.positions)
    assert np.bincount(drawn.seam).tolist() == [15, 15]
    assert (drawn.positions[drawn.seam == 0] < 3 * RATE).all()
    assert (drawn.positions[drawn.seam == 1] > 3 * RATE - 1000).all()
    assert (drawn.overlap_samples[drawn.seam == 0] == 1024).all()
    assert np.abs(drawn.positions[:, None] - seams).min() >= 0.05 * RATE


def test_measures_of_utterances_pool_and_are_judged_by_kind():
    measures = []
    for seed in range(8):
        audio = voice(seed=seed)
        seams = np.array([RATE, MIDDLE, 3 * RATE])
        audio[MIDDLE:] *= 2
        measures.append(measure_seams(audio, seams, sample_rate=RATE, metrics=["level_step_db", "click"]))
    together = pool(measures)
    kind = np.tile([False, True, False], 8)
    step = judge(together, "level_step_db", which=kind)
    assert step.seams == 8
    assert step.low > 3
    assert step.audible_share == 1
    clean = judge(together, "level_step_db", which=~kind)
    assert clean.low <= 0.5
    assert clean.audible_share <= 0.2
    with pytest.raises(ValueError, match="not measured"):
        judge(together, "pause_s")
    with pytest.raises(ValueError, match="known: click"):
        measure_seams(voice(), np.array([MIDDLE]), sample_rate=RATE, metrics=["clicks"])


def test_without_any_seam_everything_is_nan():
    found = measure_seams(voice(), np.zeros(0, dtype=int), sample_rate=RATE)
    verdict = judge(found, "click")
    assert verdict.seams == 0
    assert np.isnan([verdict.excess, verdict.low, verdict.p_value, verdict.audible_share]).all()


def test_importing_the_metrics_imports_nothing_heavy():
    import subprocess
    import sys

    code = (
        "import sys, xttsbench.metrics.seams, xttsbench.metrics.speech; "
        "print([m for m in ('torch', 'matplotlib', 'librosa', 'onnxruntime', 'pandas') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert out.stdout.strip() == "[]"
