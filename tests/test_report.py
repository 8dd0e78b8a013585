"""`report`: real runs of nano to one page, read back with a parser; what users wrote stays text."""

from __future__ import annotations

import base64
import io
import itertools
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile as sf

from xttsbench import comparison, readable, stats, store, table
from xttsbench.cli import main
from xttsbench.record import SCHEMA
from xttsbench.report import clips, content
from xttsbench.report.rendering import escaped
from xttsbench.settings import ONE_CHUNK

HOSTILE = "<script>alert('name')</script>"
TEXTS = [
    {"name": HOSTILE, "language": "en", "text": "The birch <script>alert('text')</script> canoe & all."},
    {"name": "a|b $1 $2", "language": "en", "text": "Glue the sheet to it. These days a chicken leg is a rare dish."},
]
VOID = {"meta", "link", "img", "br", "hr", "input", "source"}


class Page(HTMLParser):
    """Elements with their attributes and text, and whether every tag was closed in order."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str], list[str]]] = []
        self.open: list[tuple[str, dict[str, str], list[str]]] = []
        self.feed(path.read_text(encoding="utf-8"))
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), (tag, names)
        element = (tag, dict(attrs), [])
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        for _, _, texts in self.open:
            texts.append(data)

    def all(self, *tags: str) -> list[tuple[str, dict[str, str], str]]:
        return [(tag, attrs, "".join(texts)) for tag, attrs, texts in self.elements if tag in tags]

    def text(self) -> str:
        (body,) = self.all("body")
        return " ".join(body[2].split())


@pytest.fixture(scope="module")
def swept(tmp_path_factory, homes):
    """A finished sweep by the real command, of texts whose names and words are hostile."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "texts.json").write_text(json.dumps(TEXTS))
    argv = ["sweep", "--model", "nano", "--device", "cpu", "--preset", "quick", "--engines", "stock", "naive"]
    argv += ["--texts-file", str(folder / "texts.json"), "--repeats", "2", "--overlap-wav-len", "1024"]
    assert main([*argv, "--out", str(folder / "swept")]) == 0
    return folder / "swept"


@pytest.fixture(scope="module")
def compared(tmp_path_factory, homes):
    folder = tmp_path_factory.mktemp("runs") / "compared"
    texts = folder.parent / "texts.json"
    texts.write_text(json.dumps(TEXTS[1:]))
    argv = ["compare", "--model", "nano", "--device", "cpu", "--repeats", "2", "--texts-file", str(texts)]
    assert main([*argv, "--engines", "stock", "naive", "--join", "none", "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def pages(swept, compared):
    for folder in (swept, compared):
        assert main(["report", str(folder), "--md", str(folder / "report.md")]) == 0
    return {"swept": swept / "report.html", "compared": compared / "report.html"}


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """Return a function that copies a run without its audio, its records changed by another; such a copy is not drawn."""
    monkeypatch.setattr(content, "drawn", lambda run: [])

    def made(folder: Path, change=lambda record: record, **meta) -> Path:
        out = tmp_path / "copy"
        out.mkdir()
        run = json.loads((folder / "run.json").read_text())
        (out / "run.json").write_text(json.dumps({**run, **meta}))
        lines = [change(json.loads(line)) for line in (folder / "trials.jsonl").read_text().splitlines()]
        (out / "trials.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines if line))
        return out

    return made


def report(folder: Path, capsys, *argv: str, code: int = 0) -> Page:
    assert main(["report", str(folder), *argv]) == code, capsys.readouterr().err
    assert "Traceback" not in capsys.readouterr().err
    return Page(folder / "report.html")


@pytest.mark.parametrize("name", ["swept", "compared"])
def test_the_page_stands_alone_and_is_well_made(pages, name):
    page = Page(pages[name])
    assert page.all("script", "iframe", "object", "embed", "form") == []
    for tag, attrs, _ in page.all(*{tag for tag, _, _ in page.elements}):
        for attribute in ("src", "href", "action", "data", "poster", "srcset"):
            if attribute in attrs:
                assert attrs[attribute].startswith(("data:", "#")), (tag, attrs[attribute][:80])
        assert not any(attribute.startswith("on") for attribute in attrs)
    assert all("url(" not in text and "@import" not in text for _, _, text in page.all("style"))
    assert [attrs["lang"] for _, attrs, _ in page.all("html")] == ["en"]
    assert [text for _, _, text in page.all("title")] == [f"{name} · xttsbench report"]
    levels = [int(tag[1]) for tag, _, _ in page.all("h1", "h2", "h3", "h4")]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    ids = [attrs["id"] for _, attrs, _ in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {attrs["href"][1:] for _, attrs, _ in page.all("a")} <= set(ids)
    assert all(attrs["scope"] in ("row", "col") for _, attrs, _ in page.all("th"))
    assert len(page.all("table")) == len(page.all("caption")) >= 5
    assert len(page.all("figure")) == len(page.all("figcaption"))
    assert pages[name].stat().st_size < 10e6


@pytest.mark.parametrize("name", ["swept", "compared"])
def test_every_figure_can_be_decoded_and_says_what_it_shows(pages, name):
    images = Page(pages[name]).all("img")
    assert len(images) >= 3
    for _, attrs, _ in images:
        kind, data = attrs["src"].removeprefix("data:").split(";base64,")
        content = base64.b64decode(data, validate=True)
        assert content[:4] == b"\x89PNG" if kind == "image/png" else b"<svg" in content[:600]
        assert len(attrs["alt"]) > 40 and re.search(r"\d", attrs["alt"]), attrs["alt"]
        assert "nan" not in attrs["alt"].lower().split()


@pytest.mark.parametrize("name", ["swept", "compared"])
def test_the_page_is_the_same_for_the_same_run(pages, name, tmp_path, capsys):
    again = tmp_path / "again.html"
    assert main(["report", str(pages[name].parent), "--html", str(again)]) == 0
    assert again.read_bytes() == pages[name].read_bytes()


def test_what_users_wrote_stays_text(pages, swept):
    page = Page(pages["swept"])
    assert [text for _, _, text in page.all("blockquote")] == [TEXTS[0]["text"], TEXTS[1]["text"]]
    assert f"Text “{HOSTILE}” (en)" in [text for _, _, text in page.all("h3")]
    assert "<script" not in pages["swept"].read_text()
    md = (swept / "report.md").read_text()
    assert "<script" not in md.replace("\\<script", "") and "a\\|b \\$1 \\$2" in md


def test_an_error_and_a_voice_stay_text(copy, swept, capsys, monkeypatch):
    def change(record):
        if record["trial"]["phase"] == "timed" and record["trial"]["repeat"] == 1:
            record |= {
                "status": "failed",
                "error": "ValueError: <img src=x onerror=alert(1)> | `x`",
                "chunks": {k: [] for k in record["chunks"]},
            }
        record["trial"]["voice"]["speaker"] = "<b>me</b>"
        return record

    folder = copy(swept, change)
    page = report(folder, capsys, "--md", str(folder / "r.md"))
    assert "<img src=x" not in (folder / "report.html").read_text().replace("&lt;img", "")
    assert "ValueError: <img src=x onerror=alert(1)> | `x`" in page.text()
    assert "<b>me</b>" in page.text() and page.all("b") == []
    md = (folder / "r.md").read_text()
    assert "\\<img src=x onerror=alert(1)\\> \\| \\`x\\`" in md
    rows = [line for line in md.splitlines() if line.startswith("|")]
    assert all(len(re.findall(r"(?<!\\)\|", row)) >= 3 for row in rows)


def test_the_players_play_what_the_records_hold(pages, swept):
    records = {r.trial.id: r for r in store.read(swept)}
    run = list(records.values())
    _, trials = table.load_run(swept)
    chosen = clips.by_safe_start(run, trials)
    players = Page(pages["swept"]).all("audio")
    spoken = clips.cut(swept, chosen)
    assert len(players) == sum(len(s.clips) for s in spoken) >= 4
    for (_, attrs, _), clip in zip(players, (c for s in spoken for c in s.clips), strict=True):
        kind, data = attrs["src"].split(";base64,")
        assert kind == "data:audio/flac"
        audio, rate = sf.read(io.BytesIO(base64.b64decode(data)), dtype="float32")
        kept = store.read_audio(swept, clip.choice.record)
        assert rate == clip.choice.record.sample_rate and len(audio) == len(kept)
        assert np.abs(audio - kept).max() <= 1 / 2**15
        assert attrs["aria-label"]


def test_best_and_worst_are_by_the_median_safe_start_and_naive_is_there(swept):
    _, trials = table.load_run(swept)
    timed = trials[trials["phase"] == "timed"]
    for text, choices in clips.by_safe_start(store.read(swept), trials).items():
        medians = timed[timed["text"] == text.name].groupby("cell")["safe_start_s"].median()
        parts = {choice.part: choice.record for choice in choices}
        assert parts["best"].trial.cell == medians.idxmin() and parts["worst"].trial.cell == medians.idxmax()
        assert "naive" in {r.trial.engine for r in parts.values()}


def test_of_a_comparison_the_clips_go_by_the_worst_seam_inside_a_sentence(pages):
    captions = [
        text for _, _, text in Page(pages["compared"]).all("figcaption") if " seed " in text and "stands out by" in text
    ]
    assert [" ".join(c.split()).split(":")[0] for c in captions] == ["Best", "Worst"]
    scores = [float(re.search(r"stands out by ([\d.]+)", c)[1]) for c in captions]
    assert scores[0] < scores[1]
    assert all("chunk seam" in c and "stock" in c for c in captions)
    assert "Naive: naive, join none" in Page(pages["compared"]).text()


def test_audio_is_cut_around_what_it_is_about_and_its_sum_is_capped(swept):
    records = [r for r in store.read(swept) if r.status == "ok" and r.trial.phase == "timed"]
    long = max(records, key=lambda r: sum(c.samples for c in r.chunks))
    choice = clips.Choice("worst", long, "why", moment_s=2.0)
    ((clip,),) = (s.clips for s in clips.cut(swept, {long.trial.text: [choice]}, most_s=1.0))
    assert clip.seconds == 1.0 and clip.start_s <= 2.0 <= clip.start_s + clip.seconds < clip.whole_s
    audio, rate = sf.read(io.BytesIO(clip.flac), dtype="float32")
    kept = store.read_audio(swept, long)[int(clip.start_s * rate) :][:rate]
    assert np.abs(audio - kept).max() <= 1 / 2**15
    by_text = {r.trial.text: [clips.Choice("best", r, "why")] for r in records}
    first, second = clips.cut(swept, by_text)
    assert len(first.text.text) < len(second.text.text)
    enough = len(first.clips[0].flac) + len(second.clips[0].flac)
    assert clips.cut(swept, by_text, most_bytes=enough) == [first, second]
    assert clips.cut(swept, by_text, most_bytes=enough - 1) == [first]


def test_texts_that_find_no_room_are_counted(copy, swept, capsys, monkeypatch):
    folder = copy(swept)
    shutil.copytree(swept / "audio", folder / "audio")
    monkeypatch.setattr(clips.cut, "__kwdefaults__", {**clips.cut.__kwdefaults__, "most_bytes": 1})
    page = report(folder, capsys)
    assert "the players of 2 of 2 texts are left out" in page.text() and page.all("audio") == []


def test_page_and_markdown_say_the_same_numbers(pages, swept, compared):
    _, trials = table.load_run(swept)
    cells = readable.times(stats.summary(trials)).astype(str).to_numpy().ravel().tolist()
    cells += readable.stages(trials).astype(str).to_numpy().ravel().tolist()
    page, md = Page(pages["swept"]).text(), (swept / "report.md").read_text()
    for cell in set(cells):
        assert " ".join(cell.split()) in page and escaped(cell) in md
    for path, folder in ((pages["swept"], swept), (pages["compared"], compared)):
        md = (folder / "report.md").read_text()
        assert "data:" not in md and "](" not in md
        sentences = [t for _, _, t in Page(path).all("li")] + re.findall(r"</strong> (.*?)</p>", path.read_text())
        assert len(sentences) > 4
        for _, _, sentence in Page(path).all("li"):
            assert escaped(sentence) in md
        for command in [t for _, _, t in Page(path).all("pre")]:
            assert f"\n{command}\n" in md


def test_a_comparison_gives_the_verdict_of_each_kind_of_seam(pages, compared):
    rows = comparison.compare(comparison.hear(compared, store.read(compared)))
    assert set(rows["variant"] + rows["kind"]) == {"stockchunk", "naive/nonesentence"}
    said = [text for _, _, text in Page(pages["compared"]).all("li")]
    assert set(readable.verdicts(rows)) <= set(said)
    text = Page(pages["compared"]).text()
    assert "Can one hear the joins? Of 2 kinds of seam" in text
    assert "nano is a small stand-in" in text


def test_the_words_of_the_seam_tables_have_a_meaning(pages):
    meant = {text for _, _, text in Page(pages["compared"]).all("dt")}
    columns = {text for _, _, text in Page(pages["compared"]).all("th")}
    assert {"click", "dip", "x own", "pitch cents"} <= meant & columns and "stands out" in meant


def test_a_run_of_failed_trials_only_says_so(copy, swept, capsys):
    def fail(record):
        return {
            **record,
            "status": "failed",
            "error": "RuntimeError: out of memory",
            "audio": "",
            "chunks": {k: [] for k in record["chunks"]},
        }

    page = report(copy(swept, fail), capsys, code=1)
    assert "No request succeeded: all 12 failed" in page.text()
    assert "RuntimeError: out of memory" in page.text()
    assert page.all("img", "audio") == []


def test_a_run_without_a_trial_yet_says_so(copy, swept, capsys):
    folder = copy(swept, lambda record: None)
    page = report(folder, capsys, code=1)
    assert "This run holds no timed request yet" in page.text() and "sweep --resume" in page.text()
    (folder / "trials.jsonl").unlink()
    assert report(folder, capsys, code=1).text() == page.text()


def test_a_run_broken_off_after_its_first_request_says_so(copy, swept, capsys):
    page = report(copy(swept, lambda record: record if record["trial"]["phase"] == "cold" else None), capsys, code=1)
    assert "no timed request yet" in page.text() and "under way" in page.text()


@pytest.mark.parametrize("name", ["swept", "compared"])
def test_a_run_whose_audio_is_gone_keeps_its_times(name, copy, swept, compared, capsys):
    source = {"swept": swept, "compared": compared}[name]
    page = report(copy(source), capsys)
    assert "is not in the run's folder any more" in page.text()
    assert "This run has no audio to hear." in page.text() and page.all("audio") == []
    assert "How soon? The first chunk came soonest" in page.text()
    assert ("seams can't be judged without it" in page.text()) == (name == "compared")


def test_only_whole_decodes_that_others_are_held_against_are_left_out_of_figures():
    rows = pd.DataFrame({"phase": ["timed", "replay", "replay"], "stream_chunk_size": [ONE_CHUNK, ONE_CHUNK, 20]})
    assert stats.whole_decodes(rows).tolist() == [False, True, False]


def test_one_broken_sound_does_not_break_the_page(copy, swept, capsys):
    folder = copy(swept)
    shutil.copytree(swept / "audio", folder / "audio")
    first = next(r for r in store.read(folder) if r.audio)
    (folder / first.audio).write_bytes(b"no sound")
    assert "the audio of 1 of" in report(folder, capsys).text()


def test_a_newer_run_and_no_run_are_one_sentence(copy, swept, tmp_path, capsys):
    newer = copy(swept, schema=SCHEMA + 1)
    lines = copy_lines(newer)
    for folder, says in (
        (newer, f"schema {SCHEMA + 1}, this xttsbench reads up to {SCHEMA}; install a newer xttsbench"),
        (lines, f"schema {SCHEMA + 7}, this xttsbench reads up to {SCHEMA}"),
        (tmp_path, "is not a run"),
        (tmp_path / "nowhere", "is not"),
    ):
        assert main(["report", str(folder)]) == 2
        err = capsys.readouterr().err
        assert says in err and len(err.strip().splitlines()) == 1
        assert not (folder / "report.html").exists()


def copy_lines(folder: Path) -> Path:
    out = folder.parent / "lines"
    out.mkdir()
    run = json.loads((folder / "run.json").read_text())
    (out / "run.json").write_text(json.dumps({**run, "schema": SCHEMA}))
    line = (folder / "trials.jsonl").read_text().splitlines()[0]
    (out / "trials.jsonl").write_text(json.dumps({**json.loads(line), "schema": SCHEMA + 7}) + "\n")
    return out


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--html", "{run}/run.json"], "ends in .html or .htm"),
        (["--md", "{run}/trials.jsonl"], "ends in .md or .markdown"),
        (["--html", "nowhere/x.html"], "in a folder that is not there"),
        (["--md", "/proc/x.md"], "can't write"),
        (["--markdown", "x.md"], "did you mean --md?"),
    ],
)
def test_bad_places_are_one_sentence_and_write_nothing(argv, says, swept, in_tmp, capsys):
    before = {path: path.stat().st_mtime_ns for path in swept.rglob("*")}
    try:
        code = main(["report", str(swept), *[word.format(run=swept) for word in argv]])
    except SystemExit as stop:
        code = stop.code
    err = capsys.readouterr().err
    assert code == 2 and says in err and len(err.strip().splitlines()) == 1
    assert {path: path.stat().st_mtime_ns for path in swept.rglob("*")} == before
    assert list(in_tmp.iterdir()) == []


def test_what_is_no_run_is_called_so(in_tmp, capsys):
    assert main(["report", "nowhere"]) == 2
    assert "nowhere" in (err := capsys.readouterr().err) and "--html" not in err and "run" in err


def test_it_needs_no_torch(swept, tmp_path):
    code = "import sys; from xttsbench.cli import main; code = main(sys.argv[1:]); print({'torch', 'TTS'} & set(sys.modules)); sys.exit(code)"
    argv = ["report", str(swept), "--html", str(tmp_path / "x.html")]
    done = subprocess.run([sys.executable, "-c", code, *argv], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "set()"
    assert (tmp_path / "x.html").is_file()


def test_old_runs_have_a_report(tmp_path, capsys):
    for old in sorted((Path(__file__).parent / "data").glob("schema_*")):
        assert main(["report", str(old), "--html", str(tmp_path / "x.html")]) in (0, 1), capsys.readouterr().err
        assert Page(tmp_path / "x.html").all("h1")
