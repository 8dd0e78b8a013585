"""The blind test, driven as a hand would: asked in order, answered, kept, gone on with, and blind."""

from __future__ import annotations

import json
import re
import shutil

import ipywidgets as widgets
import pytest

from xttsbench import listening
from xttsbench.explore import BlindTest
from xttsbench.listening import ANCHOR, REFERENCE
from xttsbench.settings import ONE_CHUNK


@pytest.fixture
def run(compared_once, tmp_path):
    return shutil.copytree(compared_once, tmp_path / "run")


def shown(widget) -> list:
    """Return a widget and all that is under it."""
    return [widget, *(w for child in getattr(widget, "children", ()) for w in shown(child))]


def in_the_page(widget) -> str:
    """Return all that the browser gets to know of what is shown."""
    return json.dumps([w.get_state() for w in shown(widget)], default=str)


def visible(test, wanted) -> bool:
    return any(w is wanted for w in shown(test.view))


def right(question) -> str:
    return "A" if question.order[2] == question.order[0] else "B"


def asked(run, **how):
    test = BlindTest(run, **how)
    test.start.click()
    return test


def test_abx_from_the_start_to_the_result(run):
    test = asked(run, conditions=["stock", "seamless"], trials=6)
    for number in range(6):
        assert f"Question {number + 1} of 6" in test.progress.value
        assert [re.search('aria-label="([^"]*)"', p.value)[1] for p in test.players[:3]] == [
            "sample A",
            "sample B",
            "sample X",
        ]
        test.answers["AB".index(right(test.question))].click()
    assert test.question is None and visible(test, test.result)
    assert "stock / seamless: told apart, 6 of 6 right" in test.result.value
    assert listening.results(run)["correct"].tolist() == [6]
    test.again.click()
    assert visible(test, test.start)


def test_it_asks_what_was_planned_in_that_order(run):
    plan = listening.plan(run, conditions=["stock", "seamless"], trials=5, listener="Ada")
    test = asked(run, conditions=["stock", "seamless"], trials=5, listener="Ada")
    for question in plan.questions:
        assert test.question == question
        test.answers[0].click()
    assert [a.order for a in listening.read(run)] == [q.order for q in plan.questions]


def test_a_half_done_test_goes_on_where_it_stopped(run):
    test = asked(run, trials=4)
    test.answers[0].click()
    test.answers[1].click()
    test.stop.click()
    assert visible(test, test.start) and test.question is None
    later = asked(run, trials=4)
    assert "Question 3 of 4" in later.progress.value
    other = BlindTest(run, trials=4)
    other.listener.value = "Ada"
    other.start.click()
    assert "Question 1 of 4" in other.progress.value


@pytest.mark.parametrize("kind", ["abx", "mushra"])
def test_nothing_in_the_page_tells_who_is_who(run, kind):
    test = asked(run, kind=kind, conditions=["stock", "naive/pause"], trials=2)
    page = in_the_page(test.view)
    for name in ("stock", "naive", ".flac", ANCHOR, *test.question.ids.values()):
        assert name not in page
    players = [w.value for w in shown(test.view) if isinstance(w, widgets.HTML) and "<audio" in w.value]
    data = [re.search('base64,([^"]*)', p)[1] for p in players]
    assert len(players) == (3 if kind == "abx" else 5)
    assert len(set(data)) == len(data), "X must not be one of the others byte by byte, nor the reference the hidden one"
    assert len({len(d) for d in data}) == 1, "length must not tell either"


def test_mushra_wants_every_sample_rated_and_stores_by_condition(run):
    test = asked(run, kind="mushra", conditions=["stock", "naive/pause"])
    assert "<audio" in test.reference.value and visible(test, test.reference)
    test.sliders[0].value = 30
    test.done.click()
    assert "Not rated yet: sample 2, 3, 4" in test.message.value and listening.read(run) == []
    given = {"stock": 60, "naive/pause": 40, REFERENCE: 100, ANCHOR: 5}
    while test.question is not None:
        assert {s.value for s in test.sliders} == {0} or test.question.number == 0
        for slider, name in zip(test.sliders, test.question.order, strict=False):
            slider.value = given[name]
        test.done.click()
    assert listening.results(run).set_index("condition")["rating"].to_dict() == given
    assert "stock: median rating 60" in test.result.value and "careful" not in test.result.value


def test_an_unreliable_listener_is_told(run):
    test = asked(run, kind="mushra", conditions=["stock", "naive/pause"], listener="<b>Bob")
    while test.question is not None:
        for slider in test.sliders[:4]:
            slider.value = 50
        test.done.click()
    assert "careful: &lt;b&gt;Bob rated the hidden reference under 90" in test.result.value


def test_a_zero_can_be_given_by_moving_there_and_back(run):
    test = asked(run, kind="mushra", conditions=["stock", "naive/pause"], trials=1)
    for slider in test.sliders[:4]:
        slider.value = 10
        slider.value = 0
    test.done.click()
    assert listening.read(run)[0].ratings == (0, 0, 0, 0)


def test_the_choices_change_with_the_kind_of_test(run):
    test = BlindTest(run)
    assert visible(test, test.one) and not visible(test, test.several)
    test.kind.value = "mushra"
    assert visible(test, test.several) and not visible(test, test.one)
    test.several.value = ("stock",)
    test.start.click()
    assert "two to 10 different contenders" in test.message.value and visible(test, test.start)
    test.kind.value = "abx"
    test.one.value = test.other.value = "stock"
    test.start.click()
    assert "two different contenders" in test.message.value


def test_an_answer_that_cannot_be_kept_is_said_and_asked_again(run):
    test = asked(run)
    (run / listening.FILE).mkdir()
    test.answers[0].click()
    assert "the answer was not kept" in test.message.value and test.question.number == 0


def test_bad_input_is_one_sentence(run, tmp_path):
    def only_words(folder):
        (message,) = BlindTest(folder).view.children
        assert message.value.startswith('<p role="alert"') and "Traceback" not in message.value
        return message.value

    lines = [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]

    def having(changed):
        (run / "trials.jsonl").write_text("".join(json.dumps(x) + "\n" for x in changed))
        return only_words(run)

    assert "is not a run" in only_words(tmp_path / "nothing")
    stock = [x for x in lines if x["trial"]["engine"] == "stock"]
    assert "only &#x27;stock&#x27;" in having(stock)
    assert "no trial that can be heard" in having([])
    assert "kept no audio" in having([x | {"audio": ""} for x in lines])
    assert "schema 9" in having([x | {"schema": 9} for x in lines])
    apart = [
        x
        for x in lines
        if (x["trial"]["engine"], x["trial"]["seed"]) in (("stock", 0), ("naive", 1))
        and x["trial"]["settings"].get("stream_chunk_size") != ONE_CHUNK
    ]
    assert "share no text and seed" in having(apart)


def test_a_newer_answer_file_says_what_is_needed(run):
    (run / listening.FILE).write_text('{"schema": 5}\n')
    test = asked(run)
    assert "schema 5, this xttsbench reads up to 1" in test.message.value
    assert visible(test, test.start)
