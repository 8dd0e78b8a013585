"""The seam viewer, driven as a hand would: what it shows is what the tables hold, and what it plays is what was cut."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import soundfile as sf

from xttsbench import comparison, store, worst
from xttsbench.explore import SeamViewer, inline, seam_viewer
from xttsbench.explore.seam_viewer import measured
from xttsbench.metrics.controls import Controls
from xttsbench.metrics.seams import METRICS, judge, pool
from xttsbench.places import places
from xttsbench.settings import ONE_CHUNK

RATE = 24000


@pytest.fixture(scope="module")
def heard(compared_once):
    return comparison.hear(compared_once, store.read(compared_once))


@pytest.fixture
def viewer(compared_once, heard):
    return SeamViewer(compared_once, heard=heard)


def sounds(markup: str):
    """Return (label, samples, sample rate) of every player."""
    found = re.findall(r'<audio[^>]*aria-label="([^"]*)"[^>]*src="data:audio/wav;base64,([^"]*)"', markup)
    return [(label, *sf.read(io.BytesIO(base64.b64decode(data)))) for label, data in found]


# the functions


def test_every_seam_is_ranked_once_and_the_worst_as_compare_has_it(heard):
    seams = worst.ranked(heard)
    contenders = [h for h in heard if not comparison.is_reference(h.record)]
    assert len(seams) == sum(len(h.seams) for h in contenders) > 10
    assert len({(s.heard.record.trial.id, s.index) for s in seams}) == len(seams)
    first = comparison.worst_seams(contenders, most=6)
    assert [(s.heard, s.index, s.metric) for s in seams[:6]] == first
    assert {s.variant for s in seams} == {"stock", "seamless", "naive/pause"}


def test_a_seam_that_cannot_be_judged_comes_last(heard):
    h = next(h for h in heard if h.record.trial.engine == "naive")
    few, controls = np.arange(3), h.measures.controls
    short = replace(
        h.measures,
        at_controls={m: v[few] for m, v in h.measures.at_controls.items()},
        controls=Controls(controls.positions[few], controls.seam[few], controls.overlap_samples[few]),
    )
    bare = replace(h, measures=short)
    others = [o for o in heard if o.record.trial.engine != "naive"]
    seams = worst.ranked([bare, *others])
    assert [s.metric for s in seams[-len(h.seams) :]] == [""] * len(h.seams)
    assert all(s.metric for s in seams[: -len(h.seams)])


def test_the_limit_is_that_of_the_audible_share(heard):
    table = places(heard)
    seam = next(s for s in worst.ranked(heard) if s.variant == "stock" and s.kind == "chunk")
    rows = worst.beside_controls(table, trial=seam.heard.record.trial.id, seam=seam.index).set_index("metric")
    mine = [h for h in heard if h.record.trial.engine == "stock" and h.measures is not None]
    pooled = pool([h.measures for h in mine])
    which = np.concatenate([(h.seams["kind"] == "chunk").to_numpy() for h in mine])
    for metric in METRICS:
        judged = judge(pooled, metric, which=which)
        assert rows.loc[metric, "limit"] == pytest.approx(judged.threshold, nan_ok=True)
        value = seam.heard.measures.at_seams[metric][seam.index]
        assert rows.loc[metric, "seam"] == pytest.approx(value, nan_ok=True)
        assert rows.loc[metric, "beyond"] == (abs(value) > judged.threshold)
    assert rows["limit"].notna().any() and (rows["controls"] > 0).any()
    with pytest.raises(ValueError, match="no seam 99"):
        worst.beside_controls(table, trial=seam.heard.record.trial.id, seam=99)


def test_without_the_seam_is_the_whole_decode_at_the_same_sound(heard):
    for seam in worst.ranked(heard):
        with_it = worst.with_seam(seam, around_s=0.2)
        without = worst.without_seam(seam, heard, around_s=0.2)
        if seam.variant == "naive/pause":
            assert without is None
            continue
        assert len(with_it) == len(without)
        error = float(np.abs(with_it - without).max())
        if seam.variant == "seamless":
            assert error < 1e-5
        elif seam.kind == "chunk":
            assert error > 1e-3


def test_lost_samples_are_allowed_for(heard):
    seam = next(s for s in worst.ranked(heard) if s.variant == "seamless" and s.kind == "chunk" and s.index > 0)
    at = int(seam.heard.seams["sample"][0])
    lost = 480
    audio = np.delete(seam.heard.audio, range(at, at + lost))
    seams = seam.heard.seams.copy()
    seams.loc[1:, "sample"] -= lost
    shorter = replace(seam.heard, audio=audio, seams=seams)
    moved = replace(seam, heard=shorter)
    others = [shorter if h is seam.heard else h for h in heard]
    both = worst.with_seam(moved, around_s=0.1), worst.without_seam(moved, others, around_s=0.1)
    np.testing.assert_allclose(*both, atol=1e-5)


def test_the_control_is_one_of_the_seams_own_and_no_seam(heard):
    table = places(heard)
    seam = next(s for s in worst.ranked(heard) if s.variant == "stock" and s.metric)
    clip = worst.at_control(seam, table, around_s=0.05)
    own = table[(table["id"] == seam.heard.record.trial.id) & (table["seam"] == seam.index)]
    controls = own[own["place"] == "control"]["sample"]
    middles = [seam.heard.audio[c - 600 : c + 600] for c in controls]
    assert any(np.array_equal(clip[600:1800], m) for m in middles)


# the widget


def test_it_begins_with_the_worst_seam_and_walks(viewer):
    first = viewer.seam
    assert first == viewer.seams[0] and viewer.previous.disabled
    assert f"Number 1 of {len(viewer.seams)}, worst first" in viewer.message.value
    viewer.next.click()
    assert viewer.seam == viewer.seams[1] and "Number 2 of" in viewer.message.value and not viewer.previous.disabled
    viewer.previous.click()
    assert viewer.seam == first
    viewer.rank.value = len(viewer.seams)
    assert viewer.next.disabled
    viewer.next.click()
    assert viewer.rank.value == len(viewer.seams)


def test_filters_leave_what_they_say(viewer):
    assert set(viewer.variant.options) == {"all", "stock", "seamless", "naive/pause"}
    viewer.variant.value = "stock"
    assert {s.variant for s in viewer.seams} == {"stock"} and {s.kind for s in viewer.seams} == {"chunk", "sentence"}
    viewer.kind.value = "sentence"
    assert {s.kind for s in viewer.seams} == {"sentence"} and viewer.rank.max == len(viewer.seams)
    viewer.variant.value, viewer.kind.value = "naive/pause", "chunk"
    assert viewer.seams == [] and "has no chunk seam" in viewer.message.value and viewer.players.value == ""
    viewer.next.click()
    viewer.zoom.value = 100
    viewer.variant.value = "all"
    assert viewer.seam and viewer.players.value


def test_the_zoom_draws_anew_and_the_image_has_words(viewer):
    before = viewer.figure.value
    viewer.zoom.value = 200
    assert viewer.figure.value != before
    assert re.search(r'alt="Waveform, spectrogram and F0, 200 ms to each side of seam', viewer.figure.value)
    png = base64.b64decode(re.search(r"data:image/png;base64,([^\"]+)", viewer.figure.value)[1])
    assert png[:4] == b"\x89PNG" and len(png) > 10_000
    assert (viewer.zoom.min, viewer.zoom.max) == (20, 500)


def test_the_seam_and_its_control_are_drawn_in_full(heard, viewer, monkeypatch):
    figures = []
    monkeypatch.setattr(inline, "picture", lambda figure, *, alt: figures.append(figure) or "")
    seam = next(s for s in viewer.seams if s.variant == "stock" and s.metric)
    seam_viewer.drawn(places(heard), seam, around_s=0.05)
    waveform, beside, spectrogram, _, pitch, _ = figures[0].axes
    assert waveform.has_data() and beside.has_data() and spectrogram.has_data() and "Hz" in pitch.get_ylabel()
    assert "the most ordinary of its controls" in beside.get_title(loc="left")


def test_it_plays_with_and_without_the_seam_and_slowed_down(viewer, heard):
    viewer.variant.value, viewer.around.value = "stock", 300
    played = sounds(viewer.players.value)
    assert [label for label, _, _ in played] == [
        "with the seam",
        "without it: one decode of the same tokens",
        "the most ordinary of its controls",
    ]
    clip = worst.with_seam(viewer.seam, around_s=0.3)
    np.testing.assert_allclose(played[0][1], clip, atol=4e-5)
    assert not np.array_equal(played[0][1], played[1][1])
    viewer.speed.value = 4
    slow = sounds(viewer.players.value)
    assert {rate for _, _, rate in slow} == {RATE // 4}
    np.testing.assert_array_equal(slow[0][1], played[0][1])


def test_where_there_is_no_whole_decode_it_says_so_and_offers_the_control(viewer):
    viewer.variant.value = "naive/pause"
    labels = [label for label, _, _ in sounds(viewer.players.value)]
    assert labels[0] == "with the seam" and not any("decode" in label for label in labels)
    assert "holds no whole decode of the same tokens" in viewer.players.value


def test_the_table_shows_what_the_seam_has_beside_its_controls(viewer):
    viewer.kind.value = "chunk"
    assert "click (robust deviations)" in viewer.table.value and "99 % of controls" in viewer.table.value
    table, seam = viewer.places.copy(), viewer.seam
    table.loc[(table["id"] == seam.heard.record.trial.id) & (table["seam"] == seam.index), "click"] = 0.5
    mine = (table["id"] == seam.heard.record.trial.id) & (table["seam"] == seam.index) & (table["place"] == "seam")
    before = measured(table, seam).count("<td>yes</td>")
    table.loc[mine, "click"] = -1234.0
    assert "<td>1,234</td>" in measured(table, seam)
    assert measured(table, seam).count("<td>yes</td>") == before + 1


def test_names_from_outside_are_only_words(compared_once, heard):
    h = next(h for h in heard if h.measures is not None)
    trial = replace(h.record.trial, text=replace(h.record.trial.text, name="<script>x</script>"))
    view = SeamViewer(compared_once, heard=[replace(h, record=replace(h.record, trial=trial))])
    assert "<script>" not in view.message.value and "&lt;script&gt;" in view.message.value


def only_words(viewer):
    (message,) = viewer.view.children
    assert message.value.startswith('<p role="alert"') and "Traceback" not in message.value
    return message.value


@pytest.fixture
def run(compared_once, tmp_path):
    return shutil.copytree(compared_once, tmp_path / "run")


def test_bad_input_is_one_sentence(run, tmp_path):
    assert "is not a run" in only_words(SeamViewer(tmp_path / "nothing"))
    trials = (run / "trials.jsonl").read_text()
    lines = [json.loads(line) for line in trials.splitlines()]
    whole = [x for x in lines if x["trial"]["settings"].get("stream_chunk_size") == ONE_CHUNK]

    def having(changed):
        (run / "trials.jsonl").write_text("".join(json.dumps(x) + "\n" for x in changed))
        return only_words(SeamViewer(run))

    assert "no utterance of this run has a seam" in having(whole)
    assert "kept no audio" in having([x | {"audio": ""} for x in lines])
    assert "no timed trial of this run succeeded" in having([x | {"status": "failed", "audio": ""} for x in lines])
    assert "no timed trial of this run succeeded" in having([])
    assert "schema 9" in having([x | {"schema": 9} for x in lines])
    assert "not a trial record" in having([{"what": 1}])
    shutil.rmtree(run / "audio")
    assert "can&#x27;t be read" in having(lines)
