"""Fingerprint and snapshot of the real machine; flags by construction."""

import json
import math
import subprocess
import sys
from dataclasses import replace

import pytest

from xttsbench import __version__, machine
from xttsbench.machine import Snapshot, energy_j, flags, state

BEFORE = Snapshot(at_s=100.0, busy_s=50.0, own_s=10.0, steal_s=1.0, cpu_hz=3e9, load=0.5, gpu_energy_j=1000.0)


def after(window_s=2.0, own=1.0, others=0.0, stolen=0.0, **changes):
    """A snapshot `window_s` later; the rest are cores busy meanwhile."""
    return replace(
        BEFORE,
        at_s=BEFORE.at_s + window_s,
        busy_s=BEFORE.busy_s + (own + others) * window_s,
        own_s=BEFORE.own_s + own * window_s,
        steal_s=BEFORE.steal_s + stolen * window_s,
        **changes,
    )


def test_fingerprint_is_json_and_names_what_is_installed():
    found = machine.fingerprint()
    assert json.loads(json.dumps(found)).keys() == found.keys()
    assert found["versions"]["xttsbench"] == __version__
    assert found["versions"]["torch"][0].isdigit()
    assert found["threads"] >= 1 and found["ram_bytes"] > 1e8
    assert len(found["cpu"]) > 2


def test_an_absent_package_is_none():
    assert machine.versions(("no-such-package",)) == {"no-such-package": "none"}


def test_fingerprint_and_snapshot_do_not_import_torch():
    code = (
        "import sys; from xttsbench import machine; machine.fingerprint(); machine.snapshot();"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_torch_cuda_agrees_with_torch():
    import torch

    assert machine.torch_cuda() == (torch.version.cuda or "none")


def test_counters_do_not_run_backwards():
    first = machine.snapshot()
    sum(i * i for i in range(200_000))
    second = machine.snapshot()
    assert second.at_s > first.at_s
    assert second.own_s > first.own_s
    assert second.busy_s >= first.busy_s and second.steal_s >= first.steal_s


def test_alone_is_no_cause():
    assert flags(BEFORE, after(own=2.0), cores=2) == ()


@pytest.mark.parametrize(
    ("window_s", "others", "cores", "shared"),
    [
        (2.0, 0.24, 2, False),
        (2.0, 0.26, 2, True),
        (2.0, 2.0, 64, False),  # 5 % of 64 cores are 3.2
        (2.0, 3.3, 64, True),
        (0.1, 0.4, 2, False),  # 40 ms: four ticks of the kernel's clock
        (0.1, 0.6, 2, True),
    ],
)
def test_cpu_shared(window_s, others, cores, shared):
    assert ("cpu_shared" in flags(BEFORE, after(window_s, others=others), cores=cores)) is shared


@pytest.mark.parametrize(("stolen", "flagged"), [(0.04, False), (0.06, True)])
def test_cpu_stolen(stolen, flagged):
    assert ("cpu_stolen" in flags(BEFORE, after(stolen=stolen), cores=2)) is flagged


def test_gpu_causes_come_from_either_snapshot():
    first = replace(BEFORE, gpu_throttled=("sw_power_cap",), gpu_others=1)
    last = after(gpu_throttled=("hw_slowdown", "sw_power_cap"))
    assert flags(first, last, cores=2) == ("gpu_throttled:hw_slowdown", "gpu_throttled:sw_power_cap", "gpu_shared")


def test_own_time_beyond_the_kernels_count_is_not_others():
    last = replace(after(), own_s=BEFORE.own_s + 2.1)
    assert machine.others_cores(BEFORE, last) == 0.0


def test_two_snapshots_of_one_moment_say_nothing():
    assert flags(BEFORE, BEFORE, cores=2) == ()
    assert math.isnan(state(BEFORE, BEFORE)["others_cores"])


@pytest.mark.parametrize(
    ("window_s", "counter", "expected"),
    [(5.0, 2500.0, 1500.0), (4.99, 2500.0, math.nan), (60.0, math.nan, math.nan)],
)
def test_energy_needs_five_seconds_and_a_counter(window_s, counter, expected):
    assert energy_j(BEFORE, after(window_s, gpu_energy_j=counter)) == pytest.approx(expected, nan_ok=True)


def test_state_keeps_differences_not_counters():
    kept = state(BEFORE, after(4.0, own=1.5, others=0.5, stolen=0.25, gpu_throttled=("hw_slowdown",)))
    assert kept["window_s"] == 4.0
    assert kept["own_cores"] == pytest.approx(1.5)
    assert kept["others_cores"] == pytest.approx(0.5)
    assert kept["stolen_cores"] == pytest.approx(0.25)
    assert kept["gpu_throttled"] == ["hw_slowdown"]
    assert not {"at_s", "busy_s", "own_s", "steal_s", "gpu_energy_j"} & set(kept)
    assert json.loads(json.dumps(kept)).keys() == kept.keys()


def git(folder, *args):
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    done = subprocess.run(["git", "-C", str(folder), *who, *args], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_commit_of_a_checkout(tmp_path):
    assert machine._commit(tmp_path) == {"commit": "none", "dirty": False}
    git(tmp_path, "init", "-q")
    (tmp_path / "pyproject.toml").write_text("")
    git(tmp_path, "add", "pyproject.toml")
    git(tmp_path, "commit", "-qm", "first", "--no-verify")
    head = git(tmp_path, "rev-parse", "HEAD")
    (tmp_path / "results").write_text("untracked files leave it clean")
    assert machine._commit(tmp_path) == {"commit": head, "dirty": False}
    (tmp_path / "pyproject.toml").write_text("changed")
    assert machine._commit(tmp_path) == {"commit": head, "dirty": True}
