"""Every command that README.md tells a reader to type is executed, here or by .ci/run."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BLOCKS = re.findall(r"^```bash\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
STEPS = [step.strip() for block in BLOCKS for step in block.replace("\\\n", " ").replace("&&", "\n").splitlines()]
OWN = ".venv/bin/python -m xttsbench "
COMMANDS = sorted({step for step in STEPS if step.startswith(OWN)})
# What .ci/run executes: the block with the tests, as it stands.
IN_CI = {step for block in BLOCKS if "-m pytest" in block for step in block.replace("&&", "\n").split("\n")}
# Commands over a run that are named within a sentence.
IN_PROSE = sorted(set(re.findall(r"`((?:show|report) RUN[^`]*)`", (ROOT / "README.md").read_text())))
# What keeps a command short here, by subcommand; it must leave its meaning.
SHORTER = {"sweep": ["--dry-run"], "compare": ["--dry-run"], "doctor": ["--quick"]}


def test_every_step_is_known():
    known = {step.strip() for step in IN_CI} | set(COMMANDS)
    assert [step for step in STEPS if step and step not in known] == []


def test_ci_runs_the_test_block_word_for_word():
    assert len([block for block in BLOCKS if "-m pytest" in block]) == 1
    script = (ROOT / ".ci" / "run").read_text()
    assert "README.md" in script and '"-m pytest" in block' in script
    # Nothing of the command is written a second time.
    assert "pip install" not in script and "-m pytest\n" not in script


def test_each_quick_start_command_is_complete_in_itself():
    complete = [block for block in BLOCKS if block.startswith("python3 -m venv .venv")]
    assert len(complete) == 2
    ends = [block.strip().splitlines()[-1] for block in complete]
    assert ends == [".venv/bin/python -m xttsbench sweep", ".venv/bin/python -m pytest"]
    assert len({tuple(block.strip().splitlines()[:-1]) for block in complete}) == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_readme_runs(command, tmp_path, monkeypatch, capsys):
    from xttsbench.cli import main

    monkeypatch.chdir(tmp_path)
    argv = shlex.split(command.removeprefix(OWN))
    assert main([*argv, *SHORTER.get(argv[0], [])]) == 0, capsys.readouterr().err


@pytest.mark.parametrize("command", IN_PROSE)
def test_a_command_over_a_run_runs(command, tmp_path, monkeypatch, capsys):
    from xttsbench.cli import main

    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "tests" / "data" / "schema_2", "RUN")
    assert main(shlex.split(command)) == 0, capsys.readouterr().err


def test_the_commands_over_a_run_are_found():
    assert {command.split()[0] for command in IN_PROSE} == {"show", "report"}
