"""Listening tests: planned fairly, kept safely, judged rightly."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from samples import NANO, SHORT, TWO
from scipy.stats import binom

from xttsbench import listening, store, table
from xttsbench.clips import ANCHOR_HZ
from xttsbench.listening import (
    ANCHOR,
    FILE,
    REFERENCE,
    append,
    clips,
    left,
    listeners,
    pieces,
    plan,
    read,
    results,
    said,
)
from xttsbench.metrics.regions import active_rms
from xttsbench.record import Chunk, Record
from xttsbench.settings import ONE_CHUNK, Settings
from xttsbench.spec import Trial

RATE = 24000
META = {"sweep": {}, "machine": {}, "model": {}}


@pytest.fixture
def run(compared_once, tmp_path):
    return shutil.copytree(compared_once, tmp_path / "run")


def record(engine="stock", text=TWO, seed=0, audio="x", tokens=40, **settings) -> Record:
    trial = Trial(engine=engine, config=NANO, settings=Settings(**settings), text=text, seed=seed)
    chunks = (Chunk(0.1, 0.1, RATE, 0, tokens // 2), Chunk(0.2, 0.2, RATE, 1, tokens))
    return Record(trial=trial, chunks=chunks, end_s=0.3, audio=audio)


def stored(folder, records):
    with store.Run.create(folder, META) as made:
        for r in records:
            made.append(r)
    return folder


def abx_answers(test, right: int, run):
    for q in test.questions:
        correct = "A" if q.order[2] == q.order[0] else "B"
        append(run, test, q, choice=correct if q.number < right else "AB"["AB".index(correct) - 1])


# planning


def test_a_plan_is_the_same_again_and_other_by_seed_and_listener(run):
    first = plan(run)
    assert first == plan(run)
    assert plan(run, seed=1).id != first.id
    other = plan(run, listener="Ada")
    assert other.id == first.id and [q.order for q in other.questions] != [q.order for q in first.questions]


@pytest.mark.parametrize("trials", [4, 20])
def test_every_contender_is_a_and_x_equally_often(run, trials):
    test = plan(run, conditions=["stock", "seamless"], trials=trials)
    assert len(test.questions) == trials
    for place in range(3):
        assert Counter(q.order[place] for q in test.questions) == {"stock": trials // 2, "seamless": trials // 2}
    as_a = Counter(q.order[2] == q.order[0] for q in test.questions)
    assert as_a == {True: trials // 2, False: trials // 2}, "always answering A must be right half of the time"
    assert all(set(q.order[:2]) == {"stock", "seamless"} for q in test.questions)


def test_all_material_is_heard_before_any_is_heard_again(run):
    test = plan(run, conditions=["stock", "seamless"], trials=8)
    assert len({(q.text_seed, q.from_s) for q in test.questions}) == 8
    assert {q.text_seed for q in test.questions} <= {0, 1}


def test_clips_lie_around_seams_where_contenders_run_in_step_and_at_the_start_where_not(run):
    test = plan(run, conditions=["stock", "seamless"], trials=12, seconds=1.0)
    seams = table.seams(r for r in store.read(run) if r.trial.engine == "stock")
    at = set((seams["sample"] / RATE).round(6))
    assert any(round(q.from_s + 0.5, 6) in at for q in test.questions)
    assert len({q.from_s for q in test.questions}) > 4 and test.notes == ()
    paused = plan(run, conditions=["stock", "naive/pause"])
    assert {q.from_s for q in paused.questions} == {0.0}
    assert "do not run in step" in paused.notes[0]


def test_mushra_hides_a_reference_and_an_anchor_and_rates_no_text_twice(run):
    test = plan(run, "mushra", conditions=["stock", "naive/pause"])
    assert len(test.questions) == 2
    for q in test.questions:
        assert sorted(q.order) == sorted(["stock", "naive/pause", REFERENCE, ANCHOR])
        assert set(q.ids) == {"stock", "naive/pause", REFERENCE}
    by_id = {r.trial.id: r for r in store.read(run)}
    assert all(by_id[q.ids[REFERENCE]].trial.settings.stream_chunk_size == ONE_CHUNK for q in test.questions)


def test_a_piece_takes_the_whole_decode_of_its_own_tokens(run):
    odd = record("stock", stream_chunk_size=ONE_CHUNK, tokens=99)
    right = record("seamless", stream_chunk_size=ONE_CHUNK, tokens=40)
    (piece,) = pieces([odd, record("stock"), record("naive"), right])
    assert piece.whole is right and list(piece.records) == ["stock", "naive/pause"]


def test_failed_warm_and_silent_records_are_no_material():
    warm = replace(record(), trial=replace(record().trial, phase="warmup"))
    assert pieces([warm, record(audio=""), replace(record(), status="failed")]) == []


def test_the_clips_of_a_question_have_one_length_and_one_loudness(run):
    test = plan(run, "mushra", conditions=["stock", "naive/pause", "seamless"])
    heard, rate = clips(run, test, test.questions[0])
    assert rate == RATE and set(heard) == {"stock", "naive/pause", "seamless", REFERENCE, ANCHOR}
    assert {len(x) for x in heard.values()} == {len(heard["stock"])}
    levels = [active_rms(x.astype(float), sample_rate=rate) for x in heard.values()]
    assert max(levels) / min(levels) < 1.03
    spectrum = {name: np.abs(np.fft.rfft(x)) for name, x in heard.items()}
    high = np.fft.rfftfreq(len(heard["stock"]), 1 / rate) > ANCHOR_HZ + 600
    share = {name: float((s[high] ** 2).sum() / (s**2).sum()) for name, s in spectrum.items()}
    assert share[ANCHOR] < 0.01 * share[REFERENCE]


@pytest.mark.parametrize(
    ("records", "says"),
    [
        ([], "no trial that can be heard"),
        ([record()], "only 'stock'"),
        ([record(audio=""), record("naive", audio="")], "kept no audio"),
        ([replace(record(), status="failed"), replace(record("naive"), status="failed")], "no trial that can be heard"),
        ([record(seed=1), record("naive", seed=2)], "share no text and seed"),
        ([record(text=SHORT), record("naive")], "share no text and seed"),
    ],
)
def test_a_run_with_nothing_to_compare_is_a_sentence(tmp_path, records, says):
    with pytest.raises(ValueError, match=says):
        plan(stored(tmp_path / "run", records))


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"conditions": ["stock"]}, "two different contenders"),
        ({"conditions": ["stock", "stock"]}, "two different contenders"),
        ({"conditions": ["stock", "seemless"]}, "Did you mean 'seamless'"),
        ({"kind": "abc"}, "abx"),
        ({"trials": 0}, "trials is 0"),
        ({"seconds": 4000}, "milliseconds"),
    ],
)
def test_arguments_that_do_not_fit_are_a_sentence(run, how, says):
    with pytest.raises(ValueError, match=says):
        plan(run, **how)


def test_a_folder_that_is_no_run_and_a_newer_one_say_so(tmp_path, run):
    with pytest.raises(ValueError, match="is not a run"):
        plan(tmp_path / "nothing")
    meta = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(meta | {"schema": 99}))
    with pytest.raises(ValueError, match="schema 99"):
        plan(run)


# keeping


def test_an_answer_is_a_line_that_says_all(run):
    test = plan(run, listener="Ada")
    answer = append(run, test, test.questions[0], choice="B")
    (line,) = (run / FILE).read_text().splitlines()
    data = json.loads(line)
    assert data["schema"] == listening.SCHEMA and data["choice"] == "B" and data["listener"] == "Ada"
    assert data["order"] == list(test.questions[0].order) and data["planned"] == 20
    assert read(run) == [answer]


def test_a_half_done_test_goes_on_where_it_stopped_for_each_listener(run):
    test = plan(run, trials=4)
    for q in test.questions[:3]:
        append(run, test, q, choice="A")
    assert left(run, plan(run, trials=4)) == [test.questions[3]]
    assert len(left(run, plan(run, trials=4, listener="Ada"))) == 4
    assert len(left(run, plan(run, trials=4, seed=1))) == 4


def test_a_torn_last_line_is_passed_over_and_mended(run):
    test = plan(run)
    append(run, test, test.questions[0], choice="A")
    with open(run / FILE, "ab") as f:
        f.write(b'{"schema": 1, "test": "ab')
    assert len(read(run)) == 1
    append(run, test, test.questions[1], choice="A")
    assert [a.question for a in read(run)] == [0, 1]
    assert all(json.loads(line) for line in (run / FILE).read_text().splitlines())


def test_a_question_answered_twice_counts_once(run):
    test = plan(run)
    append(run, test, test.questions[0], choice="A")
    append(run, test, test.questions[0], choice="B")
    assert [a.choice for a in read(run)] == ["A"]


def test_a_newer_or_broken_line_is_a_sentence(run):
    (run / FILE).write_text('{"schema": 2, "test": "x"}\n')
    with pytest.raises(ValueError, match="schema 2, this xttsbench reads up to 1"):
        read(run)
    (run / FILE).write_text('{"schema": 1}\n')
    with pytest.raises(ValueError, match="not an answer"):
        read(run)


def test_what_is_no_answer_is_refused_and_not_kept(run):
    abx, mushra = plan(run), plan(run, "mushra")
    many = len(mushra.questions[0].order)
    with pytest.raises(ValueError, match="'A' or 'B'"):
        append(run, abx, abx.questions[0], choice="X")
    for ratings in ([], [50] * (many - 1), [101] + [50] * (many - 1)):
        with pytest.raises(ValueError, match="one a sample"):
            append(run, mushra, mushra.questions[0], ratings=ratings)
    assert not (run / FILE).exists()


def test_a_run_that_cannot_be_written_is_a_sentence(run):
    test = plan(run)
    (run / FILE).mkdir()
    with pytest.raises(ValueError, match="the answer was not kept"):
        append(run, test, test.questions[0], choice="A")


def test_two_listeners_at_once_lose_nothing(run):
    def answer_all(listener):
        test = plan(run, listener=listener)
        for q in test.questions:
            append(run, test, q, choice="A")

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(answer_all, ["Ada", "Bob"]))
    assert len((run / FILE).read_text().splitlines()) == 40
    assert Counter(a.listener for a in read(run)) == {"Ada": 20, "Bob": 20}


# judging


def test_twenty_of_twenty_is_told_apart(run):
    test = plan(run, conditions=["stock", "seamless"])
    abx_answers(test, 20, run)
    (row,) = results(run).to_dict("records")
    assert (row["condition"], row["n"], row["correct"], row["planned"]) == ("stock / seamless", 20, 20, 20)
    assert row["p"] == pytest.approx(2**-20) and row["share"] == 1
    assert row["share_lo"] == pytest.approx(0.025 ** (1 / 20)) and row["share_hi"] == 1
    assert np.isnan(row["rating"])
    assert said(run)[0].startswith("stock / seamless: told apart, 20 of 20 right")


def test_half_right_is_not_told_apart_and_a_half_done_test_says_so(run):
    test = plan(run)
    abx_answers(replace(test, questions=test.questions[:10]), 5, run)
    lines = (run / FILE).read_text().replace('"planned": 10', '"planned": 20')
    (run / FILE).write_text(lines)
    (row,) = results(run).to_dict("records")
    assert row["p"] == pytest.approx(float(binom.sf(4, 10, 0.5)))
    assert "not told apart" in said(run)[0] and "10 answers are still to come" in said(run)[0]


def test_guessing_is_told_apart_in_at_most_one_of_twenty_tests_and_the_interval_covers_half(run):
    answers = [append(run, plan(run), q, choice="A") for q in plan(run).questions]
    right = ["A" if a.order[2] == a.order[0] else "B" for a in answers]
    alarms = covered = 0.0
    for k in range(21):
        guessed = [
            replace(a, choice=good if i < k else "BA"["AB".index(good)])
            for i, (a, good) in enumerate(zip(answers, right, strict=True))
        ]
        (row,) = results(guessed).to_dict("records")
        chance = float(binom.pmf(k, 20, 0.5))
        assert row["correct"] == k
        alarms += chance * (row["p"] < 0.05)
        covered += chance * (row["share_lo"] <= 0.5 <= row["share_hi"])
    assert 0.01 < alarms <= 0.05 and 0.95 <= covered < 0.99


def rated(run, listener="", *, reference=100, **ratings):
    test = plan(run, "mushra", conditions=["stock", "naive/pause"], listener=listener)
    given = {"stock": 70, "naive/pause": 40, ANCHOR: 10, REFERENCE: reference} | ratings
    for q in test.questions:
        append(run, test, q, ratings=[given[name] for name in q.order])


def test_ratings_find_their_way_back_to_their_conditions(run):
    rated(run)
    rated(run, "Ada", stock=80)
    rows = results(run).set_index("condition")
    assert rows["rating"].to_dict() == {"stock": 75, "naive/pause": 40, ANCHOR: 10, REFERENCE: 100}
    assert rows.loc["stock", ["rating_lo", "rating_hi"]].tolist() == [70, 80]
    assert (rows["n"] == 4).all() and (rows["listeners"] == 2).all() and rows["p"].isna().all()
    assert "stock: median rating 75 [70, 80] of 100, 4 answers" in said(run)


def test_a_listener_who_does_not_know_the_reference_is_named(run):
    rated(run)
    rated(run, "Bob", reference=89)
    rows = listeners(run).set_index("listener")
    assert rows["reliable"].to_dict() == {"": True, "Bob": False} and rows.loc["Bob", "low_share"] == 1
    (careful,) = [s for s in said(run) if s.startswith("careful")]
    assert careful.startswith("careful: Bob rated the hidden reference under 90 in 100% of 2 answers")


def test_without_a_whole_decode_there_is_no_reference_and_nobody_is_called_reliable(run):
    lines = (run / "trials.jsonl").read_text().splitlines(keepends=True)
    kept = [line for line in lines if f'"stream_chunk_size": {ONE_CHUNK}' not in line]
    assert 0 < len(kept) < len(lines)
    (run / "trials.jsonl").write_text("".join(kept))
    test = plan(run, "mushra", conditions=["stock", "naive/pause"])
    assert all(sorted(q.order) == sorted(["stock", "naive/pause", ANCHOR]) for q in test.questions)
    assert "no reference" in test.notes[-1]
    heard, _ = clips(run, test, test.questions[0])
    assert set(heard) == {"stock", "naive/pause", ANCHOR}
    append(run, test, test.questions[0], ratings=[90, 50, 10])
    (row,) = listeners(run).to_dict("records")
    assert np.isnan(row["low_share"]) and not row["reliable"]
    assert not any(s.startswith("careful") for s in said(run))


def test_no_answer_is_an_empty_table_with_its_columns(run):
    assert not len(results(run)) and "share_lo" in results(run) and not len(listeners(run)) and said(run) == []
