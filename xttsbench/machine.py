"""On what machine, and in what state of it: a fingerprint for a run, a snapshot around a trial, causes for doubt.

No torch here, and no NVIDIA driver needed: what is absent reads "none" or NaN.
"""

from __future__ import annotations

import math
import platform
import re
import subprocess
import time
from dataclasses import asdict, dataclass
from importlib import metadata, util
from pathlib import Path
from typing import Any

import psutil

from xttsbench import __version__, gpu

NAN = math.nan
PACKAGES = ("torch", "torchaudio", "torchcodec", "transformers", "coqui-tts", "numpy", "triton")
# Others disturb a trial when they take more than this many cores, or this share of a large machine.
SHARED_CORES, SHARED_PART = 0.25, 0.05
STOLEN_CORES = 0.05
# The kernel counts busy time in ticks of 10 ms: less than this is not evidence.
TICKS_S = 0.05
# NVML's energy counter moves every 20-100 ms: 5 s keep that below 2 %.
ENERGY_WINDOW_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The machine at one moment; counters count from an arbitrary start, so only differences mean anything.

    Attributes
    ----------
    at_s
        `time.perf_counter` when it was taken.
    busy_s, own_s, steal_s
        CPU seconds used by everybody, used by this process, taken by the hypervisor.
    cpu_hz, load
        Mean CPU clock; processes waiting to run, mean of a minute.
    gpu_sm_hz, gpu_memory_hz, gpu_temperature_c, gpu_power_w
        NaN without a GPU.
    gpu_throttled
        Names of what lowers the clock.
    gpu_others
        Processes computing on the GPU that are not this one.
    gpu_energy_j
        NVML's counter.
    """

    at_s: float
    busy_s: float
    own_s: float
    steal_s: float
    cpu_hz: float
    load: float
    gpu_sm_hz: float = NAN
    gpu_memory_hz: float = NAN
    gpu_temperature_c: float = NAN
    gpu_power_w: float = NAN
    gpu_throttled: tuple[str, ...] = ()
    gpu_others: int = 0
    gpu_energy_j: float = NAN


def versions(packages: tuple[str, ...] = PACKAGES) -> dict[str, str]:
    """Return the installed version of each package, 'none' if it is absent; nothing is imported."""
    found = {}
    for name in packages:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "none"
    return found


def torch_cuda() -> str:
    """Return the CUDA version that torch was built for, e.g. '13.0', or 'none'; torch is not imported."""
    spec = util.find_spec("torch")
    path = Path(spec.origin).parent / "version.py" if spec and spec.origin else Path()
    found = re.search(r"^cuda\b.*?=\s*'([\d.]+)'", path.read_text(), re.MULTILINE) if path.is_file() else None
    return found.group(1) if found else "none"


def fingerprint() -> dict[str, Any]:
    """Return what a run must agree in before its times may be compared with another's.

    Absent is "none" for a name and NaN for a number. Times below are fixed by hardware, driver and
    versions; what varies within a run is in `snapshot`.
    """
    return {
        "cpu": _cpu_name(),
        "cores": psutil.cpu_count(logical=False) or NAN,
        "threads": psutil.cpu_count() or NAN,
        "ram_bytes": psutil.virtual_memory().total,
        "os": platform.platform(),
        "python": platform.python_version(),
        **gpu.identity(gpu.find_gpu()),
        "torch_cuda": torch_cuda(),
        "versions": versions() | {"xttsbench": __version__},
        **_commit(Path(__file__).parent.parent),
    }


def snapshot() -> Snapshot:
    """Return the machine's state now; take one before and one after a trial."""
    cpu = psutil.cpu_times()
    # `user` holds guest time already, on Linux.
    busy = sum(getattr(cpu, name, 0.0) for name in ("user", "nice", "system", "irq", "softirq"))
    return Snapshot(
        at_s=time.perf_counter(),
        busy_s=busy,
        own_s=time.process_time(),
        steal_s=getattr(cpu, "steal", 0.0),
        cpu_hz=_cpu_hz(),
        load=psutil.getloadavg()[0],
        **gpu.readings(gpu.find_gpu()),
    )


def others_cores(before: Snapshot, after: Snapshot) -> float:
    """Return how many cores other processes kept busy between two snapshots; NaN if no time passed."""
    window = after.at_s - before.at_s
    used = (after.busy_s - before.busy_s) - (after.own_s - before.own_s)
    return max(used, 0.0) / window if window > 0 else NAN


def flags(before: Snapshot, after: Snapshot, *, cores: int | None = None) -> tuple[str, ...]:
    """Return the causes to doubt what was timed between two snapshots, by name; empty is good.

    'cpu_shared': others kept more than 0.25 of a core busy, or 5 % of the machine where that is more.
    'cpu_stolen': the hypervisor took more than 0.05 of a core. 'gpu_throttled:<reason>': NVML named it in
    either snapshot. 'gpu_shared': another process computes on the GPU. Of CPU time, less than 50 ms is
    not counted: the kernel's ticks are 10 ms.
    """
    window = after.at_s - before.at_s
    cores = cores or psutil.cpu_count() or 1
    causes = []
    if others_cores(before, after) * window > max(TICKS_S, window * max(SHARED_CORES, SHARED_PART * cores)):
        causes.append("cpu_shared")
    if after.steal_s - before.steal_s > max(TICKS_S, window * STOLEN_CORES):
        causes.append("cpu_stolen")
    causes += [f"gpu_throttled:{name}" for name in sorted({*before.gpu_throttled, *after.gpu_throttled})]
    if max(before.gpu_others, after.gpu_others) > 0:
        causes.append("gpu_shared")
    return tuple(causes)


def energy_j(before: Snapshot, after: Snapshot) -> float:
    """Return what the GPU used between two snapshots, joules; NaN under 5 s or without a counter."""
    return after.gpu_energy_j - before.gpu_energy_j if after.at_s - before.at_s >= ENERGY_WINDOW_S else NAN


def state(before: Snapshot, after: Snapshot) -> dict[str, Any]:
    """Return what a record keeps of two snapshots: the later one's readings and the differences of counters."""
    kept = {k: v for k, v in asdict(after).items() if k not in ("at_s", "busy_s", "own_s", "steal_s", "gpu_energy_j")}
    window = after.at_s - before.at_s
    per_s = 1 / window if window > 0 else NAN
    return kept | {
        "window_s": window,
        "own_cores": (after.own_s - before.own_s) * per_s,
        "others_cores": others_cores(before, after),
        "stolen_cores": (after.steal_s - before.steal_s) * per_s,
        "gpu_throttled": sorted({*before.gpu_throttled, *after.gpu_throttled}),
    }


def process_rss_bytes() -> float:
    """Return the memory this process holds now, bytes."""
    return float(psutil.Process().memory_info().rss)


def _cpu_hz() -> float:
    try:
        clock = psutil.cpu_freq()
    except (AttributeError, NotImplementedError, OSError):  # some systems don't tell
        clock = None
    return clock.current * 1e6 if clock else NAN


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*:\s*(.+)$", info.read_text(), re.MULTILINE) if info.is_file() else None
    return found.group(1).strip() if found else platform.processor() or platform.machine()


def _commit(root: Path) -> dict[str, Any]:
    """Return commit and whether tracked files differ from it; 'none' where the package is not a checkout."""
    nothing = {"commit": "none", "dirty": False}
    if not (root / ".git").exists() or not (root / "pyproject.toml").is_file():
        return nothing
    asked = (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
    try:
        head, changes = (
            subprocess.run(["git", "-C", str(root), *what], capture_output=True, text=True, check=True).stdout
            for what in asked
        )
    except (OSError, subprocess.CalledProcessError):
        return nothing
    return {"commit": head.strip(), "dirty": bool(changes.strip())}
