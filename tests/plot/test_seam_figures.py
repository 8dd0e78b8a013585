"""Figures of seams and sampling: every one on a real replay and on tables without a number, three held against golden images."""

from __future__ import annotations

import itertools

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from xttsbench import comparison, places, plot, sampling, store
from xttsbench.cli import main
from xttsbench.metrics.seams import METRICS
from xttsbench.plot.style import jitter, look

golden = pytest.mark.mpl_image_compare(
    baseline_dir="baseline", style="default", savefig_kwargs={"dpi": 70}, tolerance=1.5
)


@pytest.fixture(scope="module")
def heard(tmp_path_factory, homes):
    folder = tmp_path_factory.mktemp("runs") / "grid"
    argv = ["sweep", "--preset", "seams", "--model", "nano", "--device", "cpu", "--repeats", "2", "--texts", "short"]
    argv += ["--stream-chunk-size", "10", "--overlap-wav-len", "256", "4096", "--out", str(folder)]
    assert main(argv) == 0
    return comparison.hear(folder, store.read(folder))


@pytest.fixture(autouse=True)
def nothing_left_behind():
    """No figure function may change a global setting, nor leave a figure to pyplot."""
    import matplotlib.pyplot as plt

    before = dict(mpl.rcParams)
    yield
    assert dict(mpl.rcParams) == before and plt.get_fignums() == []


def axes(rows=1, columns=1, size=(7, 4)):
    figure = Figure(figsize=size)
    return figure.subplots(rows, columns)


def words(ax) -> str:
    texts = [*ax.texts, ax.xaxis.label, ax.yaxis.label, ax.title, *ax.get_xticklabels(), *ax.get_yticklabels()]
    legend = ax.get_legend()
    texts += legend.get_texts() if legend else []
    return " | ".join(t.get_text() for t in [*texts, ax.get_title(loc="left") and ax._left_title] if t)


def made_places() -> pd.DataFrame:
    """Three utterances of two variants, three seams each with four controls; every metric is a fixed wave."""
    rows = []
    for v, (variant, high) in enumerate({"stock": 3.0, "seamless": 0.2}.items()):
        for utterance in range(3):
            for seam in range(3):
                for control in range(5):
                    wave = 1 + 0.5 * np.sin(7 * utterance + 3 * seam + 2 * control + v)
                    value = wave + (high if control == 0 else 0.0)
                    place = "seam" if control == 0 else "control"
                    where = (seam, "chunk", 24000 * (seam + 1) + 2000 * control, 1024, 24000)
                    rows.append((f"{variant}{utterance}", variant, variant, "t", utterance, place, *where, value))
    table = pd.DataFrame(rows, columns=[*places.PLACE, "click"])
    return table.assign(**dict.fromkeys(METRICS, table["click"]))


def made_distances() -> pd.DataFrame:
    edges = (-0.1, -0.05, -0.025, 0.0, 0.025, 0.05, 0.1)
    rows = []
    for variant, depth in {"20/256": 90.0, "20/4096": 40.0}.items():
        for seed in range(3):
            for seam in range(3):
                for start, end in itertools.pairwise(edges):
                    near = max(0.0, 1 - abs(start + 0.0125) / 0.09)
                    snr = 125 - depth * near + 4 * np.sin(5 * seed + 3 * seam + 90 * start)
                    rows.append((f"{variant}{seed}", variant, "stock", "t", seed, seam, "chunk", start, end, snr, 0.1))
    return pd.DataFrame(rows, columns=list(places.DISTANCE))


def made_effects() -> tuple[pd.DataFrame, pd.DataFrame]:
    pairs = []
    settings = [("temperature", 0.2, 0.75, 0.0), ("temperature", 1.0, 0.75, 0.05), ("length_penalty", 2.0, 1.0, None)]
    for parameter, value, default, shift in [*settings, ("speed", 0.8, 1.0, 0.6), ("do_sample", False, True, -0.1)]:
        for seed in range(8):
            difference = 0.0 if shift is None else shift + 0.1 * np.sin(3 * seed + len(parameter))
            key = ("stock", parameter, value, default, "audio_s", "t", "en", seed)
            pairs.append((*key, difference, shift is None))
    table = pd.DataFrame(pairs, columns=list(sampling.PAIR)).astype({"value": object, "default": object})
    rows = []
    for (parameter, value), group in table.groupby(["parameter", "value"], sort=False):
        middle = group["difference"].median()
        unchanged = bool(group["same"].all())
        spread = 0.0 if unchanged else 0.06
        found = (
            8,
            middle,
            middle - spread,
            middle + spread,
            -0.12,
            0.12,
            0.1,
            0.2,
            0.01,
            0.01,
            bool(abs(middle) > 0.12),
        )
        default = group["default"].iloc[0]
        rows.append(("stock", parameter, value, default, "audio_s", *found, float(unchanged), unchanged))
    return pd.DataFrame(rows, columns=list(sampling.EFFECT)), table


@golden
def test_golden_excess():
    with plot.style():
        ax = axes(size=(7, 3))
        return plot.excess(ax, made_places(), "click").figure


@golden
def test_golden_exactness():
    with plot.style():
        return plot.exactness(axes(), made_distances()).figure


@golden
def test_golden_effects():
    effects, pairs = made_effects()
    with plot.style():
        return plot.effects(axes(size=(8, 5)), effects, "audio_s", pairs=pairs).figure


def test_every_seam_of_a_real_run_is_drawn_beside_a_control(heard):
    table = places.places(heard)
    for h in [h for h in heard if h.measures is not None][:2]:
        mine = table[table["id"] == h.record.trial.id]
        for seam in (0, len(h.seams) - 1):
            grid = axes(3, 2, size=(10, 7))
            plot.close_up(grid, h.audio, mine, seam=seam, sample_rate=h.record.sample_rate, around_s=0.1)
            assert f"seam {seam}, between chunks" in words(grid[0, 0]) and "most ordinary" in words(grid[0, 1])
            assert "click" in words(grid[0, 0]) and "ms" in words(grid[2, 0])
            for left, right in grid:
                assert left.get_xlim() == right.get_xlim() and left.get_ylim() == right.get_ylim()
            assert grid[1, 0].images[0].get_clim() == grid[1, 1].images[0].get_clim()


def test_the_control_beside_a_seam_is_an_ordinary_one(heard):
    h = next(h for h in heard if h.measures is not None)
    table = places.places([h])
    odd = table[(table["seam"] == 0) & (table["place"] == "control")].index[0]
    table.loc[odd, "click"] = 1e6
    grid = axes(3, 2)
    plot.close_up(grid, h.audio, table, seam=0, sample_rate=h.record.sample_rate)
    assert "click 1,000,000" not in words(grid[0, 1])
    alone = table[table["place"] == "seam"]
    grid = axes(3, 2)
    plot.close_up(grid, h.audio, alone, seam=0, sample_rate=h.record.sample_rate)
    assert "no control" in words(grid[0, 1]).replace("\n", " ")


def test_a_close_up_of_no_such_seam_is_a_sentence(heard):
    table = places.places(heard)
    with pytest.raises(ValueError, match="rows of one utterance"):
        plot.close_up(axes(3, 2), heard[0].audio, table, seam=0, sample_rate=24000)
    with pytest.raises(ValueError, match="seam 99"):
        plot.close_up(axes(3, 2), heard[0].audio, table[table["id"] == table["id"].iloc[0]], seam=99, sample_rate=24000)


def test_excess_draws_every_seam_that_has_controls(heard):
    table = places.places(heard)
    for metric in METRICS:
        plot.excess(axes(), table, metric)
    ax = plot.excess(axes(), table, "click", corner="nano, n = 4")
    points = sum(len(c.get_offsets()) for c in ax.collections)
    assert points == np.isfinite(places.excess_by_seam(table, "click")["excess"]).sum() > 10
    assert "robust deviations" in words(ax) and "nano, n = 4" in words(ax) and "10/256 (" in words(ax)


def test_excess_counts_and_scales_as_its_table_does():
    table = made_places().assign(pause_s=lambda t: t["click"])
    click, pause = (plot.excess(axes(), table, m) for m in ("click", "pause_s"))
    drawn = [np.sort(np.concatenate([c.get_offsets()[:, 0] for c in ax.collections])) for ax in (click, pause)]
    np.testing.assert_allclose(drawn[1], 1000 * drawn[0])
    assert "ms" in words(pause)


def test_what_is_left_out_is_named():
    table = made_places()
    without = table[(table["variant"] == "seamless") | (table["place"] == "seam")]
    assert "without a control: stock (chunk)" in words(plot.excess(axes(), without, "click"))
    shares = [f"{m}_audible_share{end}" for m in METRICS for end in ("", "_lo", "_hi")]
    rows = pd.DataFrame(
        [
            {"variant": v, "kind": "chunk", "seams": 3, **dict.fromkeys(shares, x)}
            for v, x in (("stock", 0.5), ("whole", np.nan))
        ]
    )
    assert "none at all for whole (chunk)" in " ".join(words(plot.audible(axes(), rows)).split())


def test_audible_draws_each_share(heard):
    rows = comparison.compare(heard)
    ax = plot.audible(axes(size=(8, 6)), rows)
    assert "chance" in words(ax) and "%" in words(ax)
    markers = [line.get_xdata()[0] for line in ax.lines if len(line.get_xdata()) == 1]
    shares = rows[[f"{m}_audible_share" for m in METRICS]].to_numpy().ravel()
    np.testing.assert_allclose(sorted(markers), sorted(shares[np.isfinite(shares)]))


def test_exactness_is_that_of_its_table(heard):
    distances = places.distances(heard)
    ax = plot.exactness(axes(), distances)
    stairs = [p for p in ax.patches if hasattr(p, "get_data")]
    rows = places.by_distance(distances)
    for line, (_, mine) in zip(stairs, rows.groupby("variant", sort=False), strict=True):
        np.testing.assert_allclose(line.get_data().values, mine.sort_values("from_s")["snr_db"])
    assert "dB" in words(ax) and "10/4096" in words(ax)


def test_effects_are_filled_only_where_beyond_the_seed():
    effects, pairs = made_effects()
    ax = plot.effects(axes(), effects, "audio_s", pairs=pairs)
    fills = {
        round(float(line.get_xdata()[0]), 6): line.get_markerfacecolor() != "white"
        for line in ax.lines
        if len(line.get_xdata()) == 1
    }
    assert fills == {round(r.effect, 6): r.beyond for r in effects.itertuples()}
    assert "same tokens" in words(ax) and "temperature 0.75, default" in words(ax) and "(s)" in words(ax)
    few = plot.effects(axes(), effects.assign(p_least=0.1), "audio_s").get_legend().get_title().get_text()
    assert "too few for a verdict" in few and "too few" not in ax.get_legend().get_title().get_text()
    pairs.loc[0, "difference"] = 1000.0
    far = plot.effects(axes(), effects, "audio_s", pairs=pairs)
    assert "pairs beyond this axis: 1" in words(far) and far.get_xlim() == ax.get_xlim()


def test_one_variant_alone_can_be_drawn():
    table, distances = made_places(), made_distances()
    assert len(plot.excess(axes(), table[table["variant"] == "stock"], "click").get_yticks()) == 1
    plot.exactness(axes(), distances[distances["variant"] == "20/256"])
    effects, _ = made_effects()
    plot.effects(axes(), effects[effects["parameter"] == "speed"], "audio_s")


@pytest.mark.parametrize("how", ["empty", "nan"])
def test_nothing_to_draw_is_a_sentence_in_the_axes(how):
    def without(table: pd.DataFrame, *columns: str) -> pd.DataFrame:
        return table.iloc[:0] if how == "empty" else table.assign(**dict.fromkeys(columns, np.nan))

    effects, _ = made_effects()
    shares = [f"{m}_audible_share{end}" for m in METRICS for end in ("", "_lo", "_hi")]
    rows = pd.DataFrame([{"variant": "stock", "kind": "chunk", "seams": 3, **dict.fromkeys(shares, 1.0)}])
    drawn = [
        plot.excess(axes(), without(made_places(), *METRICS), "click", corner="n = 0"),
        plot.exactness(axes(), without(made_distances(), "snr_db"), corner="n = 0"),
        plot.effects(axes(), without(effects, "effect", "effect_lo", "effect_hi"), "audio_s", corner="n = 0"),
        plot.audible(axes(), without(rows, *shares), corner="n = 0"),
    ]
    for ax in drawn:
        assert "no " in words(ax) and "n = 0" in words(ax) and not len(ax.get_xticks())
    plot.audible(axes(), pd.DataFrame())
    plot.effects(axes(), pd.DataFrame(), "audio_s")


def test_too_many_to_tell_apart_is_said_where_they_share_a_colour_scale():
    many = pd.concat([made_distances().assign(variant=f"20/{n}") for n in range(8)])
    assert "8 variants are too many" in words(plot.exactness(axes(), many)).replace("\n", " ")
    table = pd.concat([made_places().assign(variant=f"20/{n}", id=f"{n}") for n in range(8)])
    assert len(plot.excess(axes(), table, "click").get_yticks()) == 8, "each has a line of its own"


def test_looks_are_distinct_and_an_engine_keeps_its_own():
    names = ["naive/pause", "naive/none", "stock", "seamless", "whole", "20/256"]
    looks = look(names)
    assert len(set(looks.values())) == len(names) and list(looks) == names
    assert all(looks[name] == look([name])[name] for name in names[:5]), "whatever it is drawn beside"
    assert looks["naive/none"] == look(["naive"])["naive"]
    assert len(set(look(range(30)).values())) == 30


def test_jitter_is_the_same_each_time_and_spreads():
    np.testing.assert_array_equal(jitter(50), jitter(50))
    assert np.abs(jitter(50)).max() <= 0.3 and len(set(jitter(50))) == 50
