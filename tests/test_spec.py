"""Ids, grids and orders, by construction and by hypothesis."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import NANO, SHORT, TWO

from xttsbench.grid import Sweep
from xttsbench.planning import from_preset
from xttsbench.presets import PRESETS
from xttsbench.settings import ENGINES, JOINS, ONE_CHUNK, SETTINGS, Settings, check_setting, samples_of, settings_of
from xttsbench.spec import Text, Trial, VoiceSpec

GRID = {"stream_chunk_size": (10, 20), "overlap_wav_len": (256, 1024)}


def sweep(**changes) -> Sweep:
    return Sweep(**{"configs": (NANO,), "texts": (SHORT, TWO), "grid": GRID, "repeats": 3, **changes})


def test_same_trial_same_id_through_json(trial):
    again = Trial.from_json(json.loads(json.dumps(trial.to_json())))
    assert again == trial
    assert again.id == trial.id
    assert trial.id == "1421c05b7616c490"


@pytest.mark.parametrize(
    "change", [{"seed": 4}, {"repeat": 1}, {"phase": "warmup"}, {"engine": "whole"}, {"text": TWO}]
)
def test_any_change_is_another_id(trial, change):
    assert replace(trial, **change).id != trial.id


def test_repeats_share_a_cell(trial):
    assert replace(trial, seed=9, repeat=2, phase="stages").cell == trial.cell
    assert replace(trial, settings=Settings(top_k=1)).cell != trial.cell


def test_settings_an_engine_does_not_take_do_not_multiply_trials():
    trials = sweep(engines=("stock", "whole")).cells(NANO)
    assert sum(t.engine == "whole" for t in trials) == 2
    assert sum(t.engine == "stock" for t in trials) == 8
    assert "stream_chunk_size" not in next(t for t in trials if t.engine == "whole").to_json()["settings"]


def test_voice_enters_the_id_by_content_not_by_path(trial, tmp_path):
    (tmp_path / "a.wav").write_bytes(b"same")
    (tmp_path / "b.wav").write_bytes(b"same")
    a, b = (replace(trial, voice=VoiceSpec.from_files([str(tmp_path / n)])) for n in ("a.wav", "b.wav"))
    assert a.id == b.id != trial.id


def test_order_cold_then_warmup_then_whole_blocks_then_stages():
    trials = sweep(engines=("stock", "naive", "whole")).trials()
    phases = [t.phase for t in trials]
    assert phases[0] == "cold"
    assert phases == sorted(phases, key=["cold", "warmup", "timed", "stages"].index)
    timed = [t for t in trials if t.phase == "timed"]
    assert [t.repeat for t in timed] == sorted(t.repeat for t in timed)
    blocks = [{t.cell for t in timed if t.repeat == r} for r in range(3)]
    assert blocks[0] == blocks[1] == blocks[2] and len(blocks[0]) == 12
    assert len({t.id for t in trials}) == len(trials)
    assert [t.cell for t in timed[:12]] != [t.cell for t in timed[12:24]], "blocks are shuffled apart"


@given(st.integers(0, 2**31), st.integers(2, 5), st.integers(1, 4))
def test_no_text_follows_itself(seed, n_texts, repeats):
    texts = tuple(Text(f"t{i}", "en", f"text {i}") for i in range(n_texts))
    trials = sweep(texts=texts, seed=seed, repeats=repeats).trials()
    names = [t.text.name for t in trials]
    assert all(a != b for a, b in itertools.pairwise(names))


@given(st.integers(0, 2**31))
def test_order_is_a_function_of_the_seed(seed):
    assert [t.id for t in sweep(seed=seed).trials()] == [t.id for t in sweep(seed=seed).trials()]


def test_repeat_r_has_the_same_seed_in_every_cell():
    for t in sweep(seed=7).trials():
        assert t.seed == 7 + t.repeat


def test_one_at_a_time_varies_one_setting():
    cells = sweep(engines=("stock",), texts=(SHORT,), one_at_a_time=True).cells(NANO)
    got = {(c.settings.stream_chunk_size, c.settings.overlap_wav_len) for c in cells}
    assert got == {(10, 256), (20, 256), (10, 1024)}


def test_sweep_survives_json():
    s = sweep(voice=VoiceSpec(speaker="nano"))
    assert Sweep.from_json(json.loads(json.dumps(s.to_json()))) == s


def replayed(**changes) -> Sweep:
    return sweep(**{"engines": ("stock",), "replay": True, **changes})


def test_a_replay_goes_by_utterance_and_has_a_reference_in_each():
    trials = replayed(grid={**GRID, "temperature": (0.5, 0.75)}, repeats=2).trials()
    assert {t.phase for t in trials} == {"replay"} and len({t.id for t in trials}) == len(trials)
    groups = [(u, list(g)) for u, g in itertools.groupby(trials, key=lambda t: t.utterance)]
    assert len(groups) == len({u for u, _ in groups}) == 2 * 2 * 2, "texts x temperatures x seeds, each at one stretch"
    for _, group in groups:
        assert len({(t.text, t.settings.temperature, t.seed, t.repeat) for t in group}) == 1
        cells = [(t.settings.stream_chunk_size, t.settings.overlap_wav_len) for t in group]
        assert cells == [(10, 256), (10, 1024), (20, 256), (20, 1024), (ONE_CHUNK, 1024)]


def test_a_reference_that_the_grid_holds_is_there_once():
    trials = replayed(grid={"stream_chunk_size": (600,), "overlap_wav_len": (1024, 64)}, repeats=1).trials()
    assert len(trials) == 2 * len({t.text for t in trials})


def test_a_replay_is_a_repeat_of_its_cell(trial):
    again = replace(trial, phase="replay")
    assert again.cell == trial.cell and again.id != trial.id and again.utterance == trial.utterance
    assert again.utterance == replace(again, repeat=3, settings=Settings(overlap_wav_len=64)).utterance
    for change in ({"seed": 9}, {"text": TWO}, {"settings": Settings(top_k=1)}):
        assert again.utterance != replace(again, **change).utterance


@pytest.mark.parametrize("engines", [("stock", "naive"), ("seamless",)])
def test_only_stock_is_replayed(engines):
    with pytest.raises(ValueError, match=f"asked of {engines[-1]}, but only 'stock' can be replayed"):
        replayed(engines=engines)


def reused(**changes) -> Sweep:
    grid = {"stream_chunk_size": (10, 20), "join": JOINS}
    return sweep(**{"engines": ENGINES, "grid": grid, "stages": False, "reuse": True, **changes})


def shape(t: Trial) -> str:
    return f"{t.engine} {t.settings.join if t.engine == 'naive' else t.settings.stream_chunk_size}"


def test_what_a_request_generated_is_used_again_at_once():
    trials = reused().trials()
    assert len({t.id for t in trials}) == len(trials)
    firsts = {}
    for before, t in itertools.pairwise(trials):
        if t.phase == "replay":
            assert before.phase in ("timed", "replay") and before.utterance == t.utterance
        elif t.phase == "timed":
            firsts.setdefault((t.text, t.seed), []).append(shape(t))
    both = ["naive none", "seamless 10", "seamless 20", "stock 10", "stock 20", "whole 20"]
    assert all(sorted(made) == both for made in firsts.values()), "naive speaks once for all joins"
    again = [shape(t) for t in trials if t.phase == "replay"]
    assert set(again) == {"naive pause", "naive trimmed", f"stock {ONE_CHUNK}", f"seamless {ONE_CHUNK}"}
    assert len(again) == 4 * len(firsts)


def test_a_whole_decode_of_seamless_is_whole_though_its_first_chunk_was_small():
    trials = reused(engines=("seamless",), grid={"first_chunk_size": (5,), "chunk_growth": (1.5,)}).trials()
    wholes = [t.settings for t in trials if t.phase == "replay"]
    assert wholes and {(s.stream_chunk_size, s.first_chunk_size, s.chunk_growth) for s in wholes} == {(ONE_CHUNK, 0, 1)}


def test_reuse_counts_and_survives_json():
    plan = reused()
    assert plan.count() == len(plan.trials())
    assert Sweep.from_json(json.loads(json.dumps(plan.to_json()))) == plan


def test_naive_is_warmed_up_with_the_join_that_does_most():
    for plan in (reused(), reused(reuse=False)):
        joins = {t.settings.join for t in plan.trials() if t.phase == "warmup" and t.engine == "naive"}
        assert joins == {"trimmed"}


def test_a_replay_survives_json_and_runs_from_before_load():
    plan = replayed()
    assert Sweep.from_json(json.loads(json.dumps(plan.to_json()))) == plan
    old = sweep().to_json()
    del old["replay"]
    assert Sweep.from_json(old) == sweep()


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("stream_chunk_size", 0, "1 to 600"),
        ("overlap_wav_len", 0, "1 to 48000"),
        ("overlap_wav_len", -5, "1 to 48000"),
        ("temperature", 0, "above 0"),
        ("temperature", float("nan"), "above 0"),
        ("top_p", 1.5, "above 0 to 1"),
        ("top_k", 2.5, "a whole number"),
        ("do_sample", 1, "True or False"),
        ("language", "xx", "known: en"),
        ("join", "glue", "none, pause, trimmed"),
        ("stream_chunk", 20, "Did you mean 'stream_chunk_size'"),
    ],
)
def test_bad_values_say_what_is_allowed(name, value, says):
    with pytest.raises(ValueError) as caught:
        check_setting(name, value)
    assert says in str(caught.value)
    assert str(value) in str(caught.value) or name in str(caught.value)


def test_a_piece_of_the_reference_is_no_longer_than_the_whole():
    with pytest.raises(ValueError, match="gpt_cond_chunk_len is 8 s"):
        Settings(gpt_cond_len=4, gpt_cond_chunk_len=8)


def test_every_setting_says_what_it_is():
    for name, f in SETTINGS.items():
        assert f.metadata["meaning"] and f.metadata["unit"] and f.metadata["acts"], name
        assert check_setting(name, f.default) == f.default
        assert any(name in settings_of(e) for e in f.metadata["engines"])


@pytest.mark.parametrize("text", ["", "   ", "x" * 10_000])
def test_empty_and_endless_texts_are_refused(text):
    with pytest.raises(ValueError, match=r"empty|10,000 characters"):
        Text("t", "en", text)


def test_samples_of_tokens_matches_the_facts():
    assert samples_of(20) == 22272
    assert samples_of(20) - 1024 == 21248


def test_every_language_is_a_text_of_its_own():
    texts = tuple(Text("short", language, f"text in {language}") for language in ("en", "de"))
    trials = sweep(texts=texts, engines=("stock",), grid={}).trials()
    assert {t.text.language for t in trials if t.phase == "warmup"} == {"en", "de"}
    assert all(a.text != b.text for a, b in itertools.pairwise(trials))


def test_a_checkpoint_counts_by_its_weights_not_by_its_place(trial):
    here, there = (
        replace(trial, config=replace(NANO, model=m, weights_sha256="abc")) for m in ("/a/model", "/b/model")
    )
    assert here.id == there.id != trial.id
    assert replace(here, config=replace(here.config, weights_sha256="abd")).id != here.id


def test_trials_are_counted_without_making_them():
    for preset in PRESETS:
        plan = replace(from_preset(preset), repeats=3)
        assert plan.count() == len(plan.trials())
