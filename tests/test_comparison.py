"""`compare`: the real command on nano, and its judgements by construction."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
from samples import NANO, SHORT, TWO

from xttsbench import comparison, readable, store
from xttsbench.cli import main
from xttsbench.comparison import Heard, is_reference, notes, variant, verdict, worst_seams
from xttsbench.metrics.seams import METRICS, measure_seams
from xttsbench.record import Chunk, Record
from xttsbench.settings import ONE_CHUNK, PAUSE_SAMPLES, Settings
from xttsbench.spec import Trial
from xttsbench.table import seams as seams_table

RATE = 24000


@pytest.fixture(scope="module")
def compared(tmp_path_factory, homes):
    """A finished comparison by the real command."""
    folder = tmp_path_factory.mktemp("runs") / "compared"
    argv = [
        "compare",
        "--model",
        "nano",
        "--device",
        "cpu",
        "--repeats",
        "1",
        "--texts",
        "medium",
        "--out",
        str(folder),
    ]
    assert main([*argv, "--engines", "stock", "naive", "seamless"]) == 0
    return folder


def test_a_comparison_is_a_run_with_a_table_a_figure_and_clips(compared):
    rows = pd.read_csv(compared / "compare.csv")
    assert set(zip(rows["variant"], rows["kind"], strict=True)) == {
        ("stock", "chunk"),
        ("stock", "sentence"),
        ("seamless", "chunk"),
        ("seamless", "sentence"),
        ("naive/none", "sentence"),
        ("naive/pause", "sentence"),
        ("naive/trimmed", "sentence"),
    }
    assert set(rows["order"]) == {"all", "first", "later"}
    for metric in METRICS:
        assert {f"{metric}_excess", f"{metric}_excess_lo", f"{metric}_audible_share", f"{metric}_p"} <= set(
            rows.columns
        )
    once = rows[rows["order"] == "all"]
    assert (once["ttfc_s"] > 0).all() and (once["safe_start_s"] >= once["ttfc_s"]).all()
    for name in ("compare", "worst-chunk-seam", "worst-sentence-seam"):
        image = (compared / f"{name}.png").read_bytes()
        assert image[:4] == b"\x89PNG" and len(image) > 20_000
    for clip in (compared / "clips").iterdir():
        assert sf.info(str(clip)).duration == pytest.approx(1.0, abs=0.5)
    assert len(list(store.read(compared))) > 0 and (compared / "run.json").is_file()


def test_stock_is_not_exact_and_seamless_is(compared):
    rows = pd.read_csv(compared / "compare.csv").drop_duplicates("variant").set_index("variant")
    assert rows.loc["stock", "snr_db"] < 40
    assert rows.loc["seamless", "snr_db"] > 100
    assert math.isnan(rows.loc["naive/none", "snr_db"]), "streamed and one-shot audio are not comparable by sample"


def test_a_comparison_without_audio_still_tells_its_times(compared, tmp_path, capsys):
    records = [replace(r, audio="") for r in store.read(compared)]
    with store.Run.create(tmp_path / "mute", store.read_meta(compared)) as run:
        for r in records:
            run.append(r)
    assert main(["show", str(tmp_path / "mute")]) == 0
    out = capsys.readouterr().out
    assert "no trial kept its audio" in out and "ttfc ms" in out and "seamless" in out
    with store.Run.create(tmp_path / "begun", store.read_meta(compared)) as run:
        run.append(next(r for r in records if r.trial.phase == "cold"))
    assert main(["show", str(tmp_path / "begun")]) == 1
    out = capsys.readouterr().out
    assert "no timed request has succeeded yet" in out and "audio" not in out.split("note:")[0]


def test_joins_of_naive_are_of_one_synthesis_and_have_times_of_their_own(compared):
    rows = pd.read_csv(compared / "compare.csv").drop_duplicates("variant").set_index("variant")
    none, pause = rows.loc["naive/none"], rows.loc["naive/pause"]
    sentences = 3
    assert pause["audio_s"] == pytest.approx(none["audio_s"] + sentences * PAUSE_SAMPLES / RATE)
    assert pause["ttfc_s"] > 0 and pause["rtf"] > 0
    heard = comparison.hear(compared, store.read(compared))
    (said,) = [n for n in notes(heard) if "joined anew" in n]
    assert said.startswith("naive/pause and naive/trimmed: sentences synthesised once")


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--engines", "stock"], "two or more of stock"),
        (["--engines", "stock", "stock"], "two or more"),
        (["--engines", "stock", "nive"], "Did you mean 'naive'"),
        (["--engines", "stok"], "Did you mean 'stock'"),
        (["--stream-chunk-size", str(ONE_CHUNK)], "give a smaller one"),
        (["--texts", "tall"], "known: short, medium, long"),
        (["--text", "So soon?", "--texts", "short"], "one of --text, --texts and --texts-file"),
        (["--repeats", "0"], "repeats is 0"),
        (["--overlap-wav-len", "0"], "overlap_wav_len is 0"),
    ],
)
def test_bad_input_is_a_sentence_and_writes_nothing(argv, says, in_tmp, capsys):
    assert main(["compare", "--model", "nano", *argv]) == 2
    assert says in capsys.readouterr().err
    assert list(in_tmp.iterdir()) == []


def test_own_words_are_compared(in_tmp, capsys):
    assert (
        main(
            ["compare", "--model", "nano", "--device", "cpu", "--repeats", "1", "--dry-run", "--text", "So soon? Yes."]
        )
        == 0
    )
    out = capsys.readouterr().out
    assert "en/own-01" in out and "en/medium" not in out


def record(engine="stock", text=TWO, chunks=None, **settings) -> Record:
    trial = Trial(engine=engine, config=NANO, settings=Settings(**settings), text=text)
    chunks = chunks or (Chunk(0.1, 0.1, RATE, 0, 20), Chunk(0.2, 0.2, RATE, 1, 40))
    return Record(trial=trial, chunks=chunks, end_s=0.3, audio="x", first_audible_sample=0)


def noise(seconds, seed=0):
    return (0.1 * np.random.default_rng(seed).normal(size=int(seconds * RATE))).astype(np.float32)


def heard(r: Record, audio) -> Heard:
    seams = seams_table([r])
    inside = seams[seams["sample"] < len(audio)].reset_index(drop=True)
    measures = measure_seams(
        audio, inside["sample"].to_numpy(), sample_rate=RATE, overlap_samples=inside["overlap_samples"].to_numpy()
    )
    return Heard(r, audio, inside, measures if len(inside) else None)


def test_variants_and_references():
    assert variant(record("naive", join="trimmed")) == "naive/trimmed"
    assert variant(record()) == "stock"
    assert is_reference(record(stream_chunk_size=ONE_CHUNK))
    assert not is_reference(record("whole"))


def test_the_pause_of_naive_is_a_region_that_starts_with_its_zeros():
    (row,) = seams_table([record("naive", join="pause")]).to_dict("records")
    assert (row["sample"], row["overlap_samples"], row["kind"]) == (RATE - PAUSE_SAMPLES, PAUSE_SAMPLES, "sentence")


def test_a_level_step_at_the_seams_is_found_and_said():
    many = []
    for seed in range(8):
        audio = noise(2.0, seed)
        audio[RATE:] *= 2.0
        many.append(heard(replace(record(), trial=replace(record().trial, seed=seed)), audio))
    (row,) = [r for _, r in comparison.compare(many).iterrows()]
    assert row["kind"] == "sentence" and row["seams"] == 8
    assert row["level_step_db_excess_lo"] > 3
    said = verdict(row, kind="sentence")
    assert "level steps" in said and "dB" in said and "100% stand out" in said


def test_first_and_later_seams_are_judged_apart():
    """Noise that doubles at each first seam of a sentence and at no later one."""
    chunks = tuple(Chunk(0.1, 0.1, RATE, 0, 20 * k) for k in range(1, 4))
    many = []
    for seed in range(8):
        audio = noise(3.0, seed)
        audio[RATE:] *= 2.0
        many.append(heard(replace(record(chunks=chunks), trial=replace(record().trial, seed=seed)), audio))
    rows = comparison.by_order(many)
    assert rows[["kind", "order", "seams"]].values.tolist() == [["chunk", "first", 8], ["chunk", "later", 8]]
    first, later = rows.iloc[0], rows.iloc[1]
    assert first["level_step_db_excess_lo"] > 3 and first["level_step_db_p"] < 0.05
    assert not later["level_step_db_p"] < 0.05
    both = comparison.compare(many).iloc[0]
    assert both["seams"] == 16 and first["level_step_db"] > both["level_step_db"] > later["level_step_db"]
    shown = readable.orders(rows)
    assert shown["order"].tolist() == ["first", "later"] and shown["level"].str.startswith("100%").tolist() == [
        True,
        False,
    ]
    said = readable.verdicts(rows)
    assert said[0].startswith("stock, first chunk seams: ") and "level steps" in said[0]
    assert said[1] == "stock, later chunk seams: no difference found between seams and controls"
    assert not len(readable.orders(comparison.by_order(many[:2]))), "two seams are too few"


def test_without_a_seam_there_is_no_order():
    one = record("whole", chunks=(Chunk(0.1, 0.1, 2 * RATE, 0, 40),))
    rows = comparison.by_order([Heard(one, noise(2.0), seams_table([one]), None)])
    assert not len(rows) and not len(readable.orders(rows)) and readable.verdicts(rows) == []


def test_nothing_at_the_seams_is_no_difference_found():
    many = [heard(replace(record(), trial=replace(record().trial, seed=s)), noise(2.0, s)) for s in range(8)]
    (row,) = [r for _, r in comparison.compare(many).iterrows()]
    assert verdict(row, kind="sentence") == "no difference found between seams and controls"


def test_too_few_seams_are_said():
    (row,) = [r for _, r in comparison.compare([heard(record(), noise(2.0))]).iterrows()]
    assert verdict(row, kind="sentence") == "only 1 seams: too few for an interval"


def test_an_engine_without_a_seam_is_a_row_all_the_same():
    one = record("whole", chunks=(Chunk(0.1, 0.1, 2 * RATE, 0, 40),))
    (row,) = [r for _, r in comparison.compare([Heard(one, noise(2.0), seams_table([one]), None)]).iterrows()]
    assert row["kind"] == "-" and verdict(row, kind="-") == "no seam" and row["ttfc_s"] == 0.1


def test_a_single_sentence_and_a_short_utterance_are_noted():
    one = record("naive", text=SHORT, chunks=(Chunk(0.1, 0.1, 2400, 0, 2),))
    said = " | ".join(notes([Heard(one, noise(0.1), seams_table([one]), None)]))
    assert "single sentence: naive chunking has no seam" in said and "shorter than 0.5 s" in said


def test_a_difference_that_the_correction_takes_away_is_named_and_so_is_exactness():
    row = pd.Series({"seams": 30, "snr_db": 20.2, "worst_seam_snr_db": -0.7})
    for metric in comparison.WORDS:
        row[f"{metric}_excess"], row[f"{metric}_excess_lo"], row[f"{metric}_excess_hi"] = 0.1, -0.2, 0.4
        row[f"{metric}_p"], row[f"{metric}_audible_share"] = 1.0, 0.0
    exact = "; 20 dB from one decode of the same tokens, -1 dB in the worst 25 ms"
    assert verdict(row, kind="chunk") == f"no difference found between seams and controls{exact}"
    row["click_excess"], row["click_excess_lo"], row["click_excess_hi"], row["click_p"] = 0.65, 0.2, 1.29, 0.057
    nearest = "no difference found, corrected for 8 metrics (nearest: clicks +0.65 [0.2, 1.29], p 0.057)"
    assert verdict(row, kind="chunk") == nearest + exact
    assert verdict(row.drop(["snr_db", "worst_seam_snr_db"]), kind="chunk") == nearest, "as rows by order have it"
    row["click_p"] = 0.04
    assert verdict(row, kind="chunk") == f"clicks +0.65 [0.2, 1.29] over controls (0% stand out){exact}"


def test_lost_samples_spoil_exactness_and_other_tokens_are_not_compared():
    whole = record("stock", stream_chunk_size=ONE_CHUNK, chunks=(Chunk(0.1, 0.1, 2 * RATE, 0, 40),))
    audio = noise(2.0)
    good = Heard(record(), audio, seams_table([record()]), None)
    reference = Heard(whole, audio, seams_table([whole]), None)
    assert comparison.compare([good, reference])["snr_db"].iloc[0] > 100
    rough = Heard(record(), audio + noise(2.0, 9) * 0.1, seams_table([record()]), None)
    assert comparison.compare([rough, reference])["snr_db"].iloc[0] == pytest.approx(20, abs=1)
    other = replace(whole, chunks=(Chunk(0.1, 0.1, 2 * RATE, 0, 39),))
    assert math.isnan(comparison.compare([good, replace(reference, record=other)])["snr_db"].iloc[0])


def test_what_ran_on_beyond_the_longest_chunk_is_no_whole_to_hold_others_against():
    chunks = (Chunk(0.1, 0.1, 2 * RATE - 3072, 0, ONE_CHUNK), Chunk(0.2, 0.2, 3072, 0, ONE_CHUNK + 2))
    long = record("stock", chunks=(Chunk(0.1, 0.1, RATE, 0, 20), Chunk(0.2, 0.2, RATE, 0, ONE_CHUNK + 2)))
    whole = record("stock", stream_chunk_size=ONE_CHUNK, chunks=chunks)
    audio = noise(2.0)
    pair = [Heard(r, audio, seams_table([r]), None) for r in (long, whole)]
    assert math.isnan(comparison.compare(pair)["snr_db"].iloc[0])
    one = replace(whole, chunks=(Chunk(0.1, 0.1, 2 * RATE, 0, ONE_CHUNK + 2),))
    assert comparison.compare([pair[0], replace(pair[1], record=one)])["snr_db"].iloc[0] > 100


def test_other_settings_are_other_contenders_and_have_their_own_whole():
    fast = record(stream_chunk_size=10, speed=1.25)
    slow, whole = record(stream_chunk_size=10), record(stream_chunk_size=ONE_CHUNK)
    assert comparison.variants([fast, slow]) == ["stock speed=1.25", "stock speed=1.0"]
    assert comparison.variants([slow, slow]) == ["stock", "stock"]
    audio = noise(2.0)
    rows = comparison.compare([Heard(r, audio, seams_table([r]), None) for r in (fast, slow, whole)]).set_index(
        "variant"
    )
    assert rows.loc["stock speed=1.0", "snr_db"] > 100
    assert math.isnan(rows.loc["stock speed=1.25", "snr_db"])


def test_the_worst_seam_comes_first():
    click = noise(2.0, 1)
    click[RATE : RATE + 2] += 0.9
    mild, bad = heard(record(), noise(2.0)), heard(replace(record(), trial=replace(record().trial, seed=1)), click)
    worst = worst_seams([mild, bad])
    assert worst[0][0] is bad and worst[0][2] == "click"
    scored = comparison.scored_seams([mild, bad])
    assert [item[1:] for item in scored][:6] == worst
    assert [item[0] for item in scored] == sorted((item[0] for item in scored), reverse=True)
    assert len({(h.record.trial.id, seam) for _, h, seam, _ in scored}) == len(scored)


def test_a_replayed_grid_says_which_overlap_is_enough(tmp_path, capsys):
    argv = ["sweep", "--preset", "seams", "--model", "nano", "--device", "cpu", "--repeats", "1", "--texts", "short"]
    argv += ["--stream-chunk-size", "10", "--overlap-wav-len", "256", "4096", "--out", str(tmp_path / "grid")]
    assert main(argv) == 0
    rows = pd.read_csv(tmp_path / "grid" / "compare.csv")
    rows = rows[rows["order"] == "all"].set_index("variant")
    assert set(rows.index) == {"10/256", "10/4096"}
    assert rows.loc["10/4096", "snr_db"] > rows.loc["10/256", "snr_db"] + 6
    assert rows["ttfc_s"].isna().all() and rows["rtf"].isna().all(), "a replay has no times"
    assert "replayed: times are not measured" in capsys.readouterr().out


def test_seams_like_nothing_else_are_not_judged_but_their_pauses_are_said():
    row = pd.Series({"seams": 10, "pause_s": 0.61, "pause_ratio": 3.7})
    said = verdict(row, kind="sentence")
    assert said == "not judged: nothing in this audio is like these seams; its pauses last 0.61 s, 3.7 times its own"
