"""Texts: what ships is in every language, and files of the user's are read or refused in a sentence."""

from __future__ import annotations

import json

import pytest

from xttsbench.settings import LANGUAGES
from xttsbench.texts import TEXTS, from_file, shipped


def test_every_language_has_a_short_and_a_medium_text():
    assert {(t.name, t.language) for t in TEXTS} == {
        *(("short", code) for code in LANGUAGES),
        *(("medium", code) for code in LANGUAGES),
        ("long", "en"),
    }


def test_long_is_above_the_limit_of_english_and_the_others_below():
    held = {t.name: len(t.text) for t in TEXTS if t.language == "en"}
    assert held["short"] < held["medium"] < 250 < held["long"]


def test_what_does_not_ship_is_said():
    with pytest.raises(ValueError, match="long/de"):
        shipped(("long",), ("de",))


def test_lines_and_json(tmp_path):
    (tmp_path / "a.txt").write_text("One.\n\nTwo.\n", encoding="utf-8")
    assert [(t.name, t.text) for t in from_file(str(tmp_path / "a.txt"), language="en")] == [
        ("a-01", "One."),
        ("a-02", "Two."),
    ]
    (tmp_path / "b.json").write_text(json.dumps([{"name": "x", "language": "de", "text": "Eins."}]))
    (text,) = from_file(str(tmp_path / "b.json"), language="en")
    assert (text.name, text.language) == ("x", "de")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.json", "{", "not a JSON list"),
        ("a.json", '[{"text": "x"}]', "not a JSON list"),
        ("a.json", "[]", "is empty"),
        ("a.json", '[{"name": "a", "text": "x"}, {"name": "a", "text": "y"}]', "name twice"),
        ("a.json", '[{"name": "a", "text": " "}]', "is empty"),
        ("a.txt", "\xff", "can't be read"),
    ],
)
def test_bad_files_are_refused_in_a_sentence(tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content.encode("latin-1"))
    with pytest.raises(ValueError, match=says):
        from_file(str(tmp_path / name), language="en")
