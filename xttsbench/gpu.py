"""What does the NVIDIA driver say of the GPU? Everything through NVML, opened once, every call guarded.

Without a driver the same functions answer "none", NaN or nothing; torch is not imported.
"""

from __future__ import annotations

import math
import os
import sys
from dataclasses import dataclass
from functools import cache
from typing import Any

NAN = math.nan
# Bits of nvmlDeviceGetCurrentClocksEventReasons that lower the clock. Idle, locked clocks and display settings don't.
THROTTLES = {
    0x004: "sw_power_cap",
    0x008: "hw_slowdown",
    0x010: "sync_boost",
    0x020: "sw_thermal_slowdown",
    0x040: "hw_thermal_slowdown",
    0x080: "hw_power_brake_slowdown",
    0x200: "board_limit",
    0x400: "reliability",
}


@dataclass(frozen=True)
class Gpu:
    """An NVML device; `read` calls one of NVML's functions on it."""

    nvml: Any
    handle: Any

    def read(self, function: str, *args: Any, default: Any = NAN) -> Any:
        """Return what `nvmlDeviceGet<function>` says, or `default` where device or driver can't."""
        return self._call(f"nvmlDeviceGet{function}", self.handle, *args, default=default)

    def system(self, function: str, *, default: Any) -> Any:
        """Return what `nvmlSystemGet<function>` says, or `default` where the driver can't."""
        return self._call(f"nvmlSystemGet{function}", default=default)

    def _call(self, name: str, *args: Any, default: Any) -> Any:
        try:
            return getattr(self.nvml, name)(*args)
        except (self.nvml.NVMLError, AttributeError):
            return default


@cache
def find_gpu() -> Gpu | None:
    """Return the first GPU that CUDA would see, by NVML, or None without one."""
    try:
        import pynvml
    except ImportError:
        return None
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
    try:
        pynvml.nvmlInit()
        if first.startswith(("GPU-", "MIG-")):
            return Gpu(pynvml, pynvml.nvmlDeviceGetHandleByUUID(first))
        return Gpu(pynvml, pynvml.nvmlDeviceGetHandleByIndex(int(first))) if first.isdigit() else None
    except pynvml.NVMLError:
        return None


def driver_cuda() -> str:
    """Return the newest CUDA version that the NVIDIA driver supports, e.g. '12.4', or 'none' without a driver."""
    gpu = find_gpu()
    number = gpu.system("CudaDriverVersion", default=0) if gpu else 0
    return f"{number // 1000}.{number % 1000 // 10}" if number else "none"


def identity(gpu: Gpu | None) -> dict[str, Any]:
    """Return name, memory, driver, the driver's newest CUDA and compute capability; 'none' and NaN without a GPU."""
    if gpu is None:
        return {"gpu": "none", "gpu_memory_bytes": NAN, "driver": "none", "driver_cuda": "none", "capability": "none"}
    memory = gpu.read("MemoryInfo", default=None)
    capability = gpu.read("CudaComputeCapability", default=None)
    return {
        "gpu": gpu.read("Name", default="unknown"),
        "gpu_memory_bytes": memory.total if memory else NAN,
        "driver": gpu.system("DriverVersion", default="unknown"),
        "driver_cuda": driver_cuda(),
        "capability": f"{capability[0]}.{capability[1]}" if capability else "none",
    }


def readings(gpu: Gpu | None) -> dict[str, Any]:
    """Return clocks, temperature, power, throttles, other processes and the energy counter; empty without a GPU."""
    if gpu is None:
        return {}
    nvml = gpu.nvml
    # Older drivers know the reasons under their older name.
    reasons = gpu.read("CurrentClocksEventReasons", default=None)
    if reasons is None:
        reasons = gpu.read("CurrentClocksThrottleReasons", default=0)
    return {
        "gpu_sm_hz": gpu.read("ClockInfo", nvml.NVML_CLOCK_SM) * 1e6,
        "gpu_memory_hz": gpu.read("ClockInfo", nvml.NVML_CLOCK_MEM) * 1e6,
        "gpu_temperature_c": float(gpu.read("Temperature", nvml.NVML_TEMPERATURE_GPU)),
        "gpu_power_w": gpu.read("PowerUsage") / 1e3,
        "gpu_throttled": tuple(name for bit, name in THROTTLES.items() if reasons & bit),
        "gpu_others": _others([process.pid for process in gpu.read("ComputeRunningProcesses", default=[])]),
        "gpu_energy_j": gpu.read("TotalEnergyConsumption") / 1e3,
    }


def _others(pids: list[int]) -> int:
    """Count the processes that are not this one, also where a container hides this one's number."""
    if os.getpid() in pids:
        return len(pids) - 1
    # Outside numbers mean nothing in here: if this process computes on the GPU, one of them is its own.
    computing = "torch" in sys.modules and sys.modules["torch"].cuda.is_initialized()
    return max(len(pids) - int(computing), 0)
