"""The command line as a user meets it: real sweeps with nano, and bad input as one sentence with exit code 2."""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile as sf

from xttsbench import cli, store
from xttsbench.cli import main
from xttsbench.grid import Sweep
from xttsbench.presets import PRESETS
from xttsbench.settings import SETTINGS, settings_of

TINY = ["--engines", "stock", "whole", "--texts", "short", "--stream-chunk-size", "20", "--overlap-wav-len", "1024"]
TINY += ["--repeats", "1", "--model", "nano", "--device", "cpu"]


@pytest.fixture(scope="module")
def run(tmp_path_factory, homes):
    """A finished run of the real command."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    assert main(["sweep", *TINY, "--out", str(folder)]) == 0
    return folder


def test_a_run_is_the_files_it_promises(run):
    meta = store.read_meta(run)
    assert meta["schema"] == 2 and meta["sweep"]["repeats"] == 1
    assert meta["machine"]["versions"]["coqui-tts"] == "0.28.0" and len(meta["model"]["weights_sha256"]) == 64
    records = list(store.read(run))
    assert [r.trial.phase for r in records] == ["cold", "warmup", "warmup", "timed", "timed", "stages", "stages"]
    for r in records:
        assert sf.info(str(run / r.audio)).subtype == "PCM_24"
    assert sorted(p.name for p in run.iterdir() if p.name != ".lock") == [
        "audio",
        "run.json",
        "summary.csv",
        "trials.jsonl",
    ]


def test_the_summary_has_a_row_a_setting_with_every_setting_and_interval(run):
    rows = pd.read_csv(run / "summary.csv")
    assert len(rows) == 2 and set(rows["engine"]) == {"stock", "whole"}
    assert {"model", "device", "n", *SETTINGS} <= set(rows.columns)
    for metric in ("ttfc_s", "rtf", "prebuffer_s", "stalls"):
        assert {metric, f"{metric}_lo", f"{metric}_hi"} <= set(rows.columns)
        assert rows[metric].notna().all()
    whole = rows.set_index("engine").loc["whole"]
    assert np.isnan(whole["stream_chunk_size"]) and np.isnan(whole["overlap_wav_len"])


def test_show_prints_the_table_again(run, capsys):
    assert main(["show", str(run)]) == 0
    out = capsys.readouterr().out
    assert "median [95 % bootstrap interval]" in out and "stock" in out and "whole" in out
    assert "careful: 2 of 2 settings have under 5 repeats" in out
    assert "nano is a small stand-in" in out and "--like" in out


def test_a_line_of_progress_is_about_the_trial_that_it_counts_and_gives_one_estimate(in_tmp, capsys):
    assert main(["sweep", *TINY, "--engines", "stock", "--out", "one"]) == 0
    lines = re.findall(r"(\d)/4 \[([^\]]*)\]", capsys.readouterr().err)
    phases = ["", "cold", "warmup", "timed", "stages"]
    assert {n for n, _ in lines} >= {"0", "4"}
    for n, said in lines:
        assert f"{phases[int(n)]}, " in said if int(n) else "," not in said
        assert "<" not in said and said.count(" left") == (n != "0")


def test_like_takes_what_is_not_given_from_the_run(run, capsys):
    assert main(["sweep", "--like", str(run), "--repeats", "3", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert out.count(" timed ") == 6 and "stream_chunk_size=20" in out and "short" in out


def test_resume_of_a_finished_run_has_nothing_to_do(run, capsys):
    assert main(["sweep", "--resume", str(run)]) == 0
    assert "nothing left to run" in capsys.readouterr().out


def test_resume_under_other_conditions_is_refused(run, tmp_path, capsys):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    lines = (copy / "trials.jsonl").read_text().splitlines(keepends=True)
    (copy / "trials.jsonl").write_text("".join(lines[:-1]))
    meta = json.loads((copy / "run.json").read_text())
    meta["machine"]["cpu"] = "another"
    (copy / "run.json").write_text(json.dumps(meta))
    assert main(["sweep", "--resume", str(copy)]) == 2
    assert "unlike runs are not mixed" in capsys.readouterr().err
    assert len((copy / "trials.jsonl").read_text().splitlines()) == len(lines) - 1


def test_a_voice_file_that_changed_is_not_taken_for_the_old_one(in_tmp, capsys):
    rate = 24000
    speech = np.sin(np.arange(2 * rate) / 9) * np.sin(np.arange(2 * rate) / 4000)
    sf.write("a.wav", speech, rate)
    assert main(["sweep", *TINY, "--voice", "a.wav", "--out", "one", "--max-seconds", "0.001"]) in (0, 1)
    sf.write("a.wav", speech * 0.5, rate)
    capsys.readouterr()
    for argv in (["--like", "one"], ["--resume", "one"]):
        assert main(["sweep", *argv]) == 2
        assert "is no longer the one of that run" in capsys.readouterr().err


def test_resumed_requests_are_warm(in_tmp, monkeypatch):
    """A resumed run loads anew, so it warms up again before it times, without writing that down twice."""
    from xttsbench import runner

    assert main(["sweep", *TINY, "--out", "one"]) == 0
    lines = Path("one/trials.jsonl").read_text().splitlines(keepends=True)
    Path("one/trials.jsonl").write_text("".join(lines[:-2]))
    made, execute = [], runner.execute
    monkeypatch.setattr(
        runner, "execute", lambda session, trial, **k: (made.append(trial.phase), execute(session, trial, **k))[1]
    )
    assert main(["sweep", "--resume", "one"]) == 0
    assert made == ["warmup", "warmup", "stages", "stages"]
    assert len(Path("one/trials.jsonl").read_text().splitlines()) == len(lines)


def test_a_value_given_twice_counts_once(capsys):
    argv = [
        "sweep",
        "--dry-run",
        "--device",
        "cpu",
        "--model",
        "nano",
        "--threads",
        "1",
        "1",
        "--precision",
        "fp32",
        "fp32",
    ]
    assert main(argv) == 0
    twice = capsys.readouterr().out
    assert main(["sweep", "--dry-run", "--device", "cpu", "--model", "nano", "--threads", "1"]) == 0
    assert twice == capsys.readouterr().out


def test_dry_run_prints_the_trials_and_an_estimate_and_writes_nothing(in_tmp, capsys):
    assert main(["sweep", "--dry-run", "--device", "cpu"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("model: nano")
    assert "trials; roughly" in lines[-1]
    assert len(lines) - 2 == int(lines[-1].split()[0])
    assert list(in_tmp.iterdir()) == []


@pytest.mark.parametrize("preset", ["quick", "latency", "seams", "sampling", "full"])
def test_every_preset_resolves(preset, capsys, in_tmp):
    assert main(["sweep", "--preset", preset, "--dry-run", "--model", "nano"]) == 0
    assert (" replay " if preset == "seams" else " timed ") in capsys.readouterr().out


def test_the_sampling_preset_goes_through_one_setting_at_a_time(capsys, in_tmp):
    argv = ["sweep", "--preset", "sampling", "--dry-run", "--model", "nano", "--texts", "short", "--repeats", "1"]
    assert main(argv) == 0
    others = sum(len(values) - 1 for values in PRESETS["sampling"].grid.values())
    assert capsys.readouterr().out.count(" timed ") == 1 + others


def test_every_setting_takes_several_values_booleans_too(in_tmp, capsys):
    argv = ["sweep", "--dry-run", "--engines", "stock", "--texts", "short", "--repeats", "1", "--model", "nano"]
    argv += ["--enable-text-splitting", "True", "False", "--temperature", "0.5", "1", "--stream-chunk-size", "20"]
    assert main([*argv, "--overlap-wav-len", "1024"]) == 0
    assert capsys.readouterr().out.count(" timed ") == 4
    options = {o for a in cli.parser().commands()["sweep"]._actions for o in a.option_strings}
    assert {f"--{name.replace('_', '-')}" for name in SETTINGS if name != "language"} | {"--languages"} <= options


BAD = {
    "unknown preset": (["sweep", "--preset", "quik"], "Did you mean 'quick'"),
    "unknown engine": (["sweep", "--engines", "stok"], "known: stock"),
    "unknown text": (["sweep", "--texts", "tall"], "known: short, medium, long"),
    "empty text": (["say", "", "--out", "f.wav"], "is empty"),
    "10,000 characters": (["say", "x" * 10_000, "--out", "f.wav"], "10,000 characters"),
    "unsupported language": (["sweep", "--languages", "xx"], "unknown language 'xx'"),
    "a language the model lacks": (["sweep", "--model", "nano", "--languages", "de", "--texts", "short"], "speaks en"),
    "chunk size 0": (["sweep", "--stream-chunk-size", "0"], "stream_chunk_size is 0; it takes 1 to 600"),
    "negative overlap": (["sweep", "--overlap-wav-len", "-5"], "overlap_wav_len is -5; it takes 1 to 48000"),
    "overlap 0": (["sweep", "--overlap-wav-len", "0"], "overlap_wav_len is 0"),
    "not a number": (["sweep", "--temperature", "warm"], "invalid float value: 'warm'"),
    "not a boolean": (["sweep", "--do-sample", "maybe"], "'maybe' is not True or False"),
    "missing voice": (["sweep", "--voice", "no.wav"], "is not there"),
    "short voice": (["sweep", "--voice", "short.wav"], "lasts 0.10 s"),
    "silent voice": (["sweep", "--voice", "silent.wav"], "silent"),
    "NaN voice": (["sweep", "--voice", "nan.wav"], "NaN"),
    "unknown speaker": (["sweep", "--speaker", "Claribel"], "known: nano"),
    "CUDA absent": (["sweep", "--device", "cuda"], "torch sees none"),
    "unwritable": (["sweep", "--out", "/proc/runs/x"], "can't write"),
    "a taken folder": (["sweep", "--out", "taken"], "holds something already"),
    "unknown setting": (["sweep", "--stream-chunk", "20"], "did you mean --stream-chunk-size?"),
    "unknown model": (["sweep", "--model", "xtts_v3"], "auto, nano, random, xtts_v2 or a checkpoint folder"),
    "no licence": (["sweep", "--model", "xtts_v2"], "non-commercial"),
    "not a run": (["sweep", "--resume", "taken"], "not a run"),
    "not a run to show": (["show", "nowhere"], "not a run"),
    "repeats 0": (["sweep", "--repeats", "0"], "repeats is 0"),
    "texts file missing": (["sweep", "--texts-file", "no.txt"], "can't be read"),
    "texts file empty": (["sweep", "--texts-file", "empty.txt"], "is empty"),
    "nothing to say to": (["say", "hello"], "--out F.wav, --play, or both"),
    "no command": ([], "COMMAND"),
    "an option of another command": (["say", "hi", "--repeats", "3"], "say has no option --repeats"),
    "a seed too long": (["sweep", "--seed", "99999999999999999999"], "seed is 99999999999999999999"),
    "no time at all": (["sweep", "--max-seconds", "nan"], "--max-seconds is nan"),
    "resume with other wishes": (["sweep", "--resume", "taken", "--repeats", "9"], "leave out --repeats"),
    "resume under another seed": (["sweep", "--resume", "taken", "--seed", "0"], "leave out --seed"),
    "not a wav": (["say", "hi", "--out", "f.xyz"], "does not end in .wav"),
    "unwritable wav": (["say", "hi", "--out", "/proc/f.wav"], "can't be written"),
    "a file to export to": (["export-checkpoint", "short.wav"], "not an empty folder"),
    "tf32 on a CPU": (["sweep", "--precision", "tf32", "--device", "cpu"], "only a CUDA device has it"),
    "a replay without sound": (["sweep", "--preset", "seams", "--no-audio"], "nothing to hear"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence_on_stderr_and_writes_nothing(case, in_tmp, capsys, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    rate = 24000
    sf.write("short.wav", np.sin(np.arange(rate // 10) / 5), rate)
    sf.write("silent.wav", np.zeros(rate), rate)
    sf.write("nan.wav", np.full(rate, np.nan), rate, subtype="FLOAT")
    Path("empty.txt").write_text("\n")
    Path("taken").mkdir()
    Path("taken/x").write_text("x")
    before = sorted(p for p in in_tmp.rglob("*"))
    argv, says = BAD[case]
    try:
        code = main(argv)
    except SystemExit as stop:
        code = stop.code
    err = capsys.readouterr().err
    assert code == 2, err
    assert says in err and "Traceback" not in err
    assert len(err.strip().splitlines()) == 1, err
    assert sorted(p for p in in_tmp.rglob("*")) == before


def test_say_writes_a_file_and_prints_ttfc(in_tmp, capsys):
    assert main(["say", "Hello there, how are you?", "--out", "f.wav", "--model", "nano", "--top-k", "1"]) == 0
    out = capsys.readouterr().out
    assert "ttfc" in out and "-> f.wav" in out
    audio, rate = sf.read("f.wav")
    assert rate == 24000 and np.abs(audio).max() > 0.05
    assert main(["say", "Again.", "--out", "f.wav"]) == 2
    assert "nothing is overwritten" in capsys.readouterr().err


def test_export_checkpoint_writes_a_folder_that_is_a_model(in_tmp, capsys):
    assert main(["export-checkpoint", "copy"]) == 0
    assert main(["sweep", "--dry-run", "--model", "copy"]) == 0
    assert main(["export-checkpoint", "copy"]) == 2


def test_params_names_every_setting_and_its_three_defaults(capsys):
    assert main(["params"]) == 0
    out = capsys.readouterr().out
    assert all(f"{name}  [" in out for name in SETTINGS)
    assert "defaults: here 0.75, signature 0.75, XttsConfig 0.85, config.json 0.5" in out


def test_the_page_of_parameters_is_the_one_the_command_prints(capsys):
    assert main(["params", "--markdown"]) == 0
    page = Path(__file__).parent.parent / "docs" / "parameters.md"
    assert page.read_text(encoding="utf-8") == capsys.readouterr().out


def test_help_needs_no_torch():
    code = "import sys; from xttsbench.cli import parser; parser().format_help(); print('torch' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_options_and_settings_cannot_drift_apart():
    actions = {a.dest: a for a in cli.parser().commands()["say"]._actions}
    assert isinstance(actions["stream_chunk_size"], argparse.Action)
    for name in settings_of("stock"):
        assert str(SETTINGS[name].default) in actions[name].help


KILLED = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background inherits that it is ignored
from xttsbench import store
from xttsbench.cli import main
append, written = store.Run.append, []
def counting(self, record):
    append(self, record)
    written.append(record)
    if len(written) == 4:
        os.kill(os.getpid(), {how})
store.Run.append = counting
sys.exit(main({argv!r}))
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_and_resumed_is_the_unbroken_run(in_tmp, how, capsys):
    """Ctrl-C and kill -9 in a real process, after the fourth trial of nine."""
    code = KILLED.format(how=int(how), argv=["sweep", *TINY, "--repeats", "2", "--out", "broken"])
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert len(list(store.read(Path("broken")))) == 4, done.stderr
    if how == signal.SIGINT:
        assert done.returncode == 130, done.stderr
        assert "go on with: python -m xttsbench sweep --resume broken" in done.stdout
    else:
        assert done.returncode == -signal.SIGKILL
    assert main(["sweep", "--resume", "broken"]) == 0
    records = list(store.read(Path("broken")))
    wanted = Sweep.from_json(store.read_meta(Path("broken"))["sweep"]).trials()
    assert [r.trial.id for r in records] == [t.id for t in wanted]
    assert len(records) == 9
    assert all((Path("broken") / r.audio).is_file() for r in records)


def test_own_words_are_texts_and_exclude_other_texts(in_tmp, capsys):
    argv = ["sweep", "--model", "nano", "--device", "cpu", "--dry-run", "--engines", "stock", "--repeats", "1"]
    assert main([*argv, "--text", "How soon?", "Does it keep up?"]) == 0
    out = capsys.readouterr().out
    assert "en/own-01" in out and "en/own-02" in out
    for other in (["--texts", "short"], ["--texts-file", "f"], ["--languages", "en", "de"]):
        assert main([*argv, "--text", "How soon?", *other]) == 2
        assert "--text is what is spoken" in capsys.readouterr().err
