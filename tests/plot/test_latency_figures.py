"""Latency figures: on a real run of nano, on tables with little or nothing in them, and as golden images."""

from __future__ import annotations

import copy
import dataclasses
import math

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from xttsbench import plot, store, table
from xttsbench.cli import main
from xttsbench.fitting import fit_ttfc
from xttsbench.metrics.latency import latency
from xttsbench.plot.style import SHEET
from xttsbench.record import Chunk

RATE = 24000
MODES = dict(baseline_dir="baseline", style=str(SHEET), tolerance=2, savefig_kwargs={"dpi": 70})


@pytest.fixture(scope="module")
def run(tmp_path_factory, homes):
    """Records and trials of a small sweep: four engines, two chunk sizes, a stages pass."""
    folder = tmp_path_factory.mktemp("runs") / "figures"
    argv = ["sweep", "--model", "nano", "--device", "cpu", "--texts", "short", "--repeats", "1", "--out", str(folder)]
    argv += ["--engines", "stock", "naive", "whole", "seamless", "--stream-chunk-size", "10", "40"]
    argv += ["--overlap-wav-len", "1024", "--no-audio"]
    assert main(argv) == 0
    return list(store.read(folder)), table.load_run(folder)[1]


@pytest.fixture(autouse=True)
def nothing_global():
    """No figure function changes rcParams, leaves a figure with pyplot, or shows one."""
    before = copy.deepcopy(dict(mpl.rcParams))
    yield
    assert dict(mpl.rcParams) == before
    assert plt.get_fignums() == []


def drawn(function, *args, **kwargs):
    """Draw on new axes to the last pixel, and return them."""
    with plot.style():
        ax = Figure().add_subplot()
        assert function(ax, *args, **kwargs) is ax
        ax.figure.draw_without_rendering()
    return ax


def words(ax) -> str:
    legend = ax.get_legend()
    return " | ".join([t.get_text() for t in [*ax.texts, *(legend.get_texts() if legend else [])]])


def rows_of(*values, **more) -> pd.DataFrame:
    """Trials with these times to first chunk, one a chunk size."""
    n = len(values)
    base = dict(id=[str(k) for k in range(n)], engine="stock", text="short", phase="timed", status="ok")
    base |= dict(stream_chunk_size=[10.0 * 2**k for k in range(n)], overlap_wav_len=1024.0, ttfc_s=list(values))
    base |= dict(rtf=list(values), audio_s=[2.0 + k for k in range(n)])
    return pd.DataFrame(base | more)


def chunks_of(*pairs, engine="stock", id="a") -> pd.DataFrame:
    """Rows of table.chunks for (arrival_s, samples)."""
    arrival = np.array([a for a, _ in pairs])
    gap = np.diff(arrival, prepend=math.nan)
    columns = dict(id=id, chunk=range(len(pairs)), arrival_s=arrival, samples=[n for _, n in pairs])
    return pd.DataFrame(columns | dict(gap_s=gap, engine=engine))


STARVED = chunks_of((0.4, 12000), (1.2, 12000), (1.5, 12000), (2.6, 12000))


def contenders() -> pd.DataFrame:
    names = ["stock", "seamless", "seamless", "naive/none", "naive/pause", "naive/trimmed", "whole"]
    kinds = ["chunk", "chunk", "sentence", "sentence", "sentence", "sentence", "-"]
    start = np.array([0.30, 0.25, 0.25, 0.60, 0.62, 0.61, 1.9])
    click = np.array([0.20, 0.02, 0.60, 0.65, 0.90, 0.55, math.nan])
    bounds = dict(safe_start_s_lo=start * 0.9, safe_start_s_hi=start * 1.2)
    bounds |= dict(click_excess_lo=click - 0.05, click_excess_hi=click + 0.1)
    return pd.DataFrame(dict(variant=names, kind=kinds, safe_start_s=start, click_excess=click) | bounds)


def sized(seed: int = 0) -> pd.DataFrame:
    """Trials of three engines whose times are drawn by seed, not measured."""
    rng = np.random.default_rng(seed)
    rows = []
    for engine, base, step in (("stock", 0.05, 0.009), ("seamless", 0.03, 0.005)):
        for size in (5, 10, 20, 40, 80):
            rows += [(engine, float(size), base + step * size * rng.lognormal(0, 0.08)) for _ in range(5)]
    rows += [("whole", math.nan, 1.1 * rng.lognormal(0, 0.05)) for _ in range(5)]
    engines, sizes, times = zip(*rows, strict=True)
    return rows_of(*times, engine=list(engines), stream_chunk_size=list(sizes), id=[str(k) for k in range(len(rows))])


def costs() -> pd.DataFrame:
    """Chunks of two engines: stock's gaps climb, seamless's do not."""
    rng = np.random.default_rng(1)
    made = []
    for engine, climb in (("stock", 0.03), ("seamless", 0.0)):
        for k in range(4):
            gaps = (0.15 + climb * np.arange(9)) * rng.lognormal(0, 0.05, 9)
            made.append(chunks_of(*((a, 22000) for a in np.cumsum(gaps)), engine=engine, id=f"{engine}{k}"))
    return pd.concat(made, ignore_index=True)


@pytest.mark.mpl_image_compare(**MODES)
def test_golden_life():
    figure = Figure(figsize=(6, 4))
    plot.life(figure.add_subplot(), STARVED, sample_rate=RATE, first_audible_sample=1200, corner="made up, n = 1")
    return figure


@pytest.mark.mpl_image_compare(**MODES)
def test_golden_by_chunk_size():
    figure = Figure(figsize=(6, 4))
    plot.by_chunk_size(figure.add_subplot(), sized(), "ttfc_s", corner="made up, n = 55")
    return figure


@pytest.mark.mpl_image_compare(**MODES)
def test_golden_trade_off():
    figure = Figure(figsize=(6, 4))
    plot.trade_off(figure.add_subplot(), contenders(), corner="made up")
    return figure


@pytest.mark.mpl_image_compare(**MODES)
def test_golden_chunk_cost():
    figure = Figure(figsize=(6, 4))
    plot.chunk_cost(figure.add_subplot(), costs(), corner="made up, n = 8")
    return figure


def test_every_figure_draws_a_real_run(run):
    records, trials = run
    timed = trials[trials["phase"] == "timed"]
    corner = plot.corner_of(timed)
    for record in records:
        drawn(plot.life, table.chunks([record]), sample_rate=record.sample_rate, corner=corner)
    chunks = table.chunks(records).merge(timed[["id", "engine"]], on="id")
    stock, streams = trials[trials["engine"] == "stock"], timed[timed["stream_chunk_size"].notna()]
    fit = fit_ttfc(stock)
    axes = [
        drawn(plot.stages, trials, corner=corner),
        drawn(plot.by_chunk_size, timed, "ttfc_s", corner=corner),
        drawn(plot.by_chunk_size, timed, "rtf", hue="overlap_wav_len", corner=corner),
        drawn(plot.by_chunk_size, timed, "safe_start_s", hue="text", corner=corner),
        drawn(plot.heat_map, stock, "ttfc_s", corner=corner),
        drawn(plot.heat_map, streams, "rtf", y="engine", corner=corner),
        drawn(plot.ttfc_model, fit, corner=corner),
        drawn(plot.ttfc_residuals, fit, corner=corner),
        drawn(plot.chunk_cost, chunks, corner=corner),
        drawn(plot.rtf_by_length, timed, corner=corner),
    ]
    for ax in axes:
        assert ax.get_xlabel() and (ax.get_ylabel() or ax.get_yticklabels()[0].get_text().startswith("stock"))
        assert "nano" in words(ax), "the corner names the model"
        assert "no trial" not in words(ax) and "no chunk" not in words(ax)


def test_what_a_first_chunk_waited_for_is_recorded(run):
    _, trials = run
    timed = trials[trials["phase"] == "timed"].set_index("engine")
    assert sorted(set(timed.loc["stock", "first_tokens"])) == [10, 40]
    assert (timed.loc["whole", "first_tokens"] == timed.loc["whole", "tokens"]).all()
    assert (timed["sentences"] == 1).all(), "short is one sentence"


def test_the_ticks_are_the_chunk_sizes_and_those_without_one_have_their_names():
    ax = drawn(plot.by_chunk_size, sized(), "ttfc_s")
    assert [t.get_text() for t in ax.get_xticklabels()] == ["5", "10", "20", "40", "80", "whole"]
    assert ax.get_xlabel() == "stream_chunk_size (tokens)" and ax.get_ylabel() == "time to first chunk (ms)"


def test_every_value_is_drawn_within_the_axes():
    trials = sized()
    trials.loc[0, "ttfc_s"] = 7.0
    ax = drawn(plot.by_chunk_size, trials, "ttfc_s")
    points = np.concatenate([line.get_ydata() for line in ax.lines if line.get_alpha()])
    assert sorted(points) == pytest.approx(sorted(trials["ttfc_s"] * 1000))
    assert ax.get_ylim()[0] == 0 and ax.get_ylim()[1] > 7000


def test_life_says_what_latency_says():
    figures = latency(
        [Chunk(a, a, int(n)) for a, n in zip(STARVED["arrival_s"], STARVED["samples"], strict=True)],
        end_s=2.6,
        sample_rate=RATE,
        first_audible_sample=1200,
    )
    said = words(drawn(plot.life, STARVED, sample_rate=RATE, first_audible_sample=1200))
    assert "4 chunks, first after 400 ms" in said
    assert f"silent: {figures['stalls']:.0f} stalls, {figures['stall_s'] * 1000:,.0f} ms" in said
    assert f"after {figures['prebuffer_s'] * 1000:,.0f} ms of prebuffer" in said
    assert f"safe start: {figures['safe_start_s'] * 1000:,.0f} ms" in said
    smooth = words(drawn(plot.life, chunks_of((0.1, RATE), (0.5, RATE)), sample_rate=RATE))
    assert "no stall" in smooth and "prebuffer" not in smooth and "silent" not in smooth and "safe" not in smooth


def test_real_time_is_drawn_where_it_is_near():
    assert words(drawn(plot.rtf_by_length, rows_of(0.8, 1.5))).split(" | ")[0] == "real time"
    assert "far above" in words(drawn(plot.rtf_by_length, rows_of(0.01, 0.02)))
    assert "real time" not in words(drawn(plot.by_chunk_size, rows_of(0.8, 1.5), "ttfc_s"))


def test_names_in_a_trade_off_cover_neither_each_other_nor_a_point():
    rng = np.random.default_rng(5)
    many = pd.DataFrame(dict(safe_start_s=rng.uniform(0.1, 1, 18), click_excess=rng.uniform(0, 2, 18)))
    many["variant"] = [f"{size}/1024" for size in range(10, 28)]
    ax = drawn(plot.trade_off, many)
    boxes = [t.get_window_extent() for t in ax.texts if "/" in t.get_text()]
    assert len(boxes) == 18
    apart = [not a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[:k]]
    assert all(apart)
    points = ax.transData.transform(many[["safe_start_s", "click_excess"]].to_numpy() * [1000, 1])
    assert not any(box.contains(*point) for box in boxes for point in points)


def test_a_name_in_a_trade_off_is_nearest_to_its_own_mark_or_led_to_it_and_has_its_colour():
    names, rng = ["stock", "seamless", "naive/none", "naive/pause", "naive/trimmed", "whole"], np.random.default_rng(2)
    crowd = pd.DataFrame(dict(variant=names, safe_start_s=0.5, click_excess=1.0)).assign(
        safe_start_s=lambda t: t["safe_start_s"] + rng.uniform(0, 0.03, len(t))
    )
    apart = pd.DataFrame(dict(variant=["20/1024"], safe_start_s=[2.0], click_excess=[2.0]))
    rows = pd.concat([crowd, apart], ignore_index=True)
    ax = drawn(plot.trade_off, rows)
    marks = ax.transData.transform(rows[["safe_start_s", "click_excess"]].to_numpy() * [1000, 1])
    led = {tuple(a.xy) for a in ax.texts if getattr(a, "arrow_patch", None)}
    said = {a.get_text(): a for a in ax.texts}
    for k, name in enumerate(rows["variant"]):
        (left, low), (right, high) = said[name].get_window_extent().get_points()
        away = np.hypot(*(marks - np.clip(marks, (left, low), (right, high))).T)
        assert away.argmin() == k or tuple(said[name].xy) in led, name
        assert mpl.colors.to_rgb(said[name].get_color()) == pytest.approx(
            0.7 * np.array(mpl.colors.to_rgb(ax.containers[k].lines[0].get_color()))
        )
    assert led and tuple(said["20/1024"].xy) not in led, "only where it is needed"


def test_no_axis_of_a_trade_off_runs_below_a_zero_that_nothing_can_pass():
    near = contenders().assign(safe_start_s=lambda t: t["safe_start_s"] / 10)
    ax = drawn(plot.trade_off, near)
    assert ax.get_xlim()[0] == 0 and ax.get_ylim()[0] < 0, "an excess may be negative"
    assert drawn(plot.trade_off, near.assign(pitch_step_cents=-5.0), x="pitch_step_cents").get_xlim()[0] < -5


def test_the_front_of_a_trade_off_is_full_and_what_can_not_be_drawn_is_said():
    ax = drawn(plot.trade_off, contenders())
    full = [c.lines[0].get_markerfacecolor() != "white" for c in ax.containers]
    assert full == [False, True, False, False, False, False], (
        "seamless at its chunk seams beats all that have both figures"
    )
    said = words(ax)
    assert "1 of 7 rows lack one of the two" in said
    assert "seamless, chunk" in said and "seamless, sentence" in said and "stock |" in said + " |"


def test_rows_that_differ_in_nothing_drawn_are_one_point():
    ax = drawn(plot.trade_off, contenders().assign(rtf=0.2), x="safe_start_s", y="rtf")
    assert len(ax.containers) == 6 and "seamless, " not in words(ax)


def test_the_parts_of_ttfc_are_drawn_where_they_are_known():
    times = [0.1 + 0.01 * size for size in (10, 20, 40)] * 3
    timed = rows_of(*times, first_tokens=[10, 20, 40] * 3)
    staged = timed.assign(phase="stages", tokens=50.0, sentences=1.0, stage_prefill_s=0.02, stage_token_loop_s=0.3)
    assert "no stages pass" in words(drawn(plot.ttfc_model, fit_ttfc(timed)))
    both = words(drawn(plot.ttfc_model, fit_ttfc(pd.concat([timed, staged]))))
    assert "6.00 ms of step" in both and "4.00 ms of vocoder" in both and "100 ms + tokens × 10.00 ms" in both
    slow = words(drawn(plot.ttfc_model, fit_ttfc(pd.concat([timed, staged.assign(stage_token_loop_s=3.0)]))))
    assert "one would be negative" in slow and "of vocoder" not in slow


def test_a_large_spread_is_said_in_plain_digits():
    fit = fit_ttfc(rows_of(*[0.1 + 0.01 * size for size in (10, 20, 40)], first_tokens=[10, 20, 40]))
    for spread_s, said in ((1.2736, "within 1,274 ms"), (0.0123456, "within 12.3 ms")):
        assert said in words(drawn(plot.ttfc_residuals, dataclasses.replace(fit, spread_s=spread_s)))


def test_stages_are_medians_a_second_of_audio():
    staged = rows_of(0.1, 0.1, 0.1, phase="stages", audio_s=[1.0, 2.0, 4.0])
    staged["stage_vocoder_s"], staged["stage_join_s"], staged["stage_warp_s"] = [0.2, 0.4, 0.8], [0.1, 0.2, 0.4], 0.0
    ax = drawn(plot.stages, staged)
    widths = {c.get_label(): c.patches[0].get_width() for c in ax.containers if hasattr(c, "patches")}
    assert widths == pytest.approx({"vocoder": 200, "join": 100, "warp": 0}), "a stage nobody has heard of is drawn too"


EMPTY = pd.DataFrame()
NOTHING = [
    (plot.life, (chunks_of(),), dict(sample_rate=RATE), "no chunk with a sample in it"),
    (plot.life, (EMPTY,), dict(sample_rate=RATE), "no chunk with a sample in it"),
    (plot.life, (chunks_of((math.nan, 10)),), dict(sample_rate=RATE), "a replay has none"),
    (plot.stages, (EMPTY,), {}, "no trial of a stages pass"),
    (plot.stages, (rows_of(0.1),), {}, "no trial of a stages pass"),
    (plot.by_chunk_size, (EMPTY, "ttfc_s"), {}, "no trial with ttfc_s"),
    (plot.by_chunk_size, (rows_of(math.nan, math.nan), "ttfc_s"), {}, "no trial with ttfc_s"),
    (plot.by_chunk_size, (rows_of(0.1, status="failed"), "ttfc_s"), {}, "no trial with ttfc_s"),
    (plot.by_chunk_size, (rows_of(0.1), "snr_db"), {}, "no trial with snr_db"),
    (plot.heat_map, (EMPTY, "rtf"), {}, "no trial with rtf, stream_chunk_size and overlap_wav_len"),
    (plot.heat_map, (rows_of(0.1, overlap_wav_len=None), "rtf"), {}, "no trial with rtf"),
    (plot.chunk_cost, (EMPTY,), {}, "no chunk with a gap"),
    (plot.chunk_cost, (chunks_of((0.1, 10)),), {}, "no chunk with a gap"),
    (plot.chunk_cost, (chunks_of((0.1, 10), (0.2, 10), engine="whole"),), {}, "no chunk with a gap"),
    (plot.rtf_by_length, (EMPTY,), {}, "no trial with rtf and audio_s"),
    (plot.rtf_by_length, (rows_of(math.nan),), {}, "no trial with rtf and audio_s"),
    (plot.trade_off, (EMPTY,), {}, "no row with safe_start_s and click_excess"),
    (plot.trade_off, (contenders().assign(click_excess=math.nan),), {}, "no row with safe_start_s"),
]


@pytest.mark.parametrize(("function", "args", "kwargs", "sentence"), NOTHING)
def test_nothing_to_draw_is_a_sentence(function, args, kwargs, sentence):
    said = words(drawn(function, *args, **kwargs, corner="the corner"))
    assert sentence in said and "the corner" in said


LITTLE = [
    (plot.life, (chunks_of((0.1, 100)),), dict(sample_rate=RATE)),
    (plot.life, (chunks_of((0.1, 0), (0.2, 100)),), dict(sample_rate=RATE)),
    (plot.stages, (rows_of(0.1, phase="stages", stage_vocoder_s=0.1),), {}),
    (plot.by_chunk_size, (rows_of(0.1), "ttfc_s"), {}),
    (plot.by_chunk_size, (rows_of(0.0, 0.0), "ttfc_s"), {}),
    (plot.by_chunk_size, (rows_of(0.1, 0.2, engine="whole", stream_chunk_size=None), "rtf"), {}),
    (plot.by_chunk_size, (rows_of(0.1, math.nan), "rtf"), dict(hue="overlap_wav_len")),
    (plot.heat_map, (rows_of(0.1), "ttfc_s"), {}),
    (plot.heat_map, (rows_of(0.1, 0.1), "ttfc_s"), {}),
    (plot.chunk_cost, (chunks_of((0.1, 10), (0.2, 10)).drop(columns="engine"),), {}),
    (plot.rtf_by_length, (rows_of(0.1),), {}),
    (plot.trade_off, (contenders().iloc[:1],), {}),
    (plot.trade_off, (contenders()[["variant", "safe_start_s", "click_excess"]],), {}),
]


@pytest.mark.parametrize(("function", "args", "kwargs"), LITTLE)
def test_a_single_value_is_drawn(function, args, kwargs):
    assert "no trial" not in words(drawn(function, *args, **kwargs))


def test_what_can_not_be_one_figure_is_refused_in_a_sentence():
    two = pd.concat([STARVED, STARVED.assign(id="b")])
    with pytest.raises(ValueError, match="life draws one trial, these chunks are of 2; pick one id"):
        plot.life(Figure().add_subplot(), two, sample_rate=RATE)
    with pytest.raises(ValueError, match="would mix stock, naive in its cells; pick one"):
        plot.heat_map(Figure().add_subplot(), rows_of(0.1, 0.2, engine=["stock", "naive"]), "rtf")


def test_legends_and_corners_stay_clear_of_the_data():
    for ax in (drawn(plot.life, STARVED, sample_rate=RATE, corner="made up, " * 20), drawn(plot.chunk_cost, costs())):
        inside = ax.get_window_extent()
        assert ax.get_legend().get_window_extent().y0 >= inside.y1 - 1
        for text in ax.texts:
            if "made up" in text.get_text():
                assert text.get_window_extent().y1 <= ax.xaxis.label.get_window_extent().y0
                assert text.get_window_extent().x0 >= 0
