"""The GPU side against a stand-in for pynvml whose every function and constant is checked against the real module."""

import math
import os
import sys
from types import SimpleNamespace

import pynvml
import pytest

from xttsbench import gpu


class FakeNvml(SimpleNamespace):
    """An H100-like device; set an attribute to None to have it answer 'Not Supported'."""

    NVMLError = pynvml.NVMLError
    NVML_CLOCK_SM = pynvml.NVML_CLOCK_SM
    NVML_CLOCK_MEM = pynvml.NVML_CLOCK_MEM
    NVML_TEMPERATURE_GPU = pynvml.NVML_TEMPERATURE_GPU

    def __init__(self, **changes):
        answers = {
            "nvmlInit": None,
            "nvmlSystemGetDriverVersion": "550.54.15",
            "nvmlSystemGetCudaDriverVersion": 12040,
            "nvmlDeviceGetHandleByIndex": "handle",
            "nvmlDeviceGetHandleByUUID": "handle by uuid",
            "nvmlDeviceGetName": "NVIDIA H100 80GB HBM3",
            "nvmlDeviceGetMemoryInfo": SimpleNamespace(total=80 * 2**30, free=0, used=0),
            "nvmlDeviceGetCudaComputeCapability": (9, 0),
            "nvmlDeviceGetClockInfo": {pynvml.NVML_CLOCK_SM: 1980, pynvml.NVML_CLOCK_MEM: 2619},
            "nvmlDeviceGetTemperature": 54,
            "nvmlDeviceGetPowerUsage": 310_500,
            "nvmlDeviceGetCurrentClocksEventReasons": 0,
            "nvmlDeviceGetCurrentClocksThrottleReasons": 0,
            "nvmlDeviceGetComputeRunningProcesses": [SimpleNamespace(pid=os.getpid(), usedGpuMemory=None)],
            "nvmlDeviceGetTotalEnergyConsumption": 7_000_000,
        }
        assert set(changes) <= set(answers)
        self.asked = []
        for name, value in (answers | changes).items():
            assert callable(getattr(pynvml, name)), "the real module has no such function"
            setattr(self, name, self.answer(name, value))

    def answer(self, name, value):
        def function(*args):
            self.asked.append((name, *args))
            if isinstance(value, Exception):
                raise value
            return value[args[1]] if isinstance(value, dict) else value

        return function


UNSUPPORTED = pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)


@pytest.fixture
def nvml(monkeypatch):
    def install(**changes):
        fake = FakeNvml(**changes)
        monkeypatch.setitem(sys.modules, "pynvml", fake)
        gpu.find_gpu.cache_clear()
        return fake

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    yield install
    gpu.find_gpu.cache_clear()


def test_identity(nvml):
    nvml()
    assert gpu.identity(gpu.find_gpu()) == {
        "gpu": "NVIDIA H100 80GB HBM3",
        "gpu_memory_bytes": 80 * 2**30,
        "driver": "550.54.15",
        "driver_cuda": "12.4",
        "capability": "9.0",
    }


def test_readings_are_in_base_units(nvml):
    nvml()
    assert gpu.readings(gpu.find_gpu()) == {
        "gpu_sm_hz": 1.98e9,
        "gpu_memory_hz": 2.619e9,
        "gpu_temperature_c": 54.0,
        "gpu_power_w": 310.5,
        "gpu_throttled": (),
        "gpu_others": 0,
        "gpu_energy_j": 7000.0,
    }


def test_what_a_device_cannot_tell_is_nan(nvml):
    nvml(
        nvmlDeviceGetTotalEnergyConsumption=UNSUPPORTED,
        nvmlDeviceGetPowerUsage=UNSUPPORTED,
        nvmlDeviceGetMemoryInfo=UNSUPPORTED,
        nvmlDeviceGetCudaComputeCapability=UNSUPPORTED,
        nvmlDeviceGetComputeRunningProcesses=UNSUPPORTED,
        nvmlSystemGetCudaDriverVersion=UNSUPPORTED,
    )
    read = gpu.readings(gpu.find_gpu())
    assert math.isnan(read["gpu_energy_j"]) and math.isnan(read["gpu_power_w"])
    assert read["gpu_others"] == 0 and read["gpu_temperature_c"] == 54.0
    named = gpu.identity(gpu.find_gpu())
    assert math.isnan(named["gpu_memory_bytes"])
    assert (named["capability"], named["driver_cuda"]) == ("none", "none")


@pytest.mark.parametrize("name", sorted(gpu.THROTTLES.values()))
def test_each_throttle_is_named(nvml, name):
    constant = "".join(part.capitalize() for part in name.split("_"))
    nvml(nvmlDeviceGetCurrentClocksEventReasons=getattr(pynvml, f"nvmlClocksThrottleReason{constant}"))
    assert gpu.readings(gpu.find_gpu())["gpu_throttled"] == (name,)


def test_idle_and_locked_clocks_are_no_throttle(nvml):
    nvml(
        nvmlDeviceGetCurrentClocksEventReasons=pynvml.nvmlClocksEventReasonGpuIdle
        | pynvml.nvmlClocksEventReasonApplicationsClocksSetting
        | pynvml.nvmlClocksEventReasonDisplayClockSetting
    )
    assert gpu.readings(gpu.find_gpu())["gpu_throttled"] == ()


def test_an_older_driver_is_asked_by_the_older_name(nvml):
    nvml(
        nvmlDeviceGetCurrentClocksEventReasons=pynvml.NVMLError(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND),
        nvmlDeviceGetCurrentClocksThrottleReasons=pynvml.nvmlClocksThrottleReasonSwPowerCap,
    )
    assert gpu.readings(gpu.find_gpu())["gpu_throttled"] == ("sw_power_cap",)


@pytest.mark.parametrize(
    ("pids", "computing", "others"),
    [
        ([], False, 0),
        ([os.getpid()], True, 0),
        ([os.getpid(), 1], True, 1),
        ([1], False, 1),
        ([1], True, 0),  # a container hides our number: the one listed is ours
        ([1, 2], True, 1),
    ],
)
def test_others_are_counted_without_us(nvml, monkeypatch, pids, computing, others):
    nvml(nvmlDeviceGetComputeRunningProcesses=[SimpleNamespace(pid=pid) for pid in pids])
    torch = SimpleNamespace(cuda=SimpleNamespace(is_initialized=lambda: computing))
    monkeypatch.setitem(sys.modules, "torch", torch)
    assert gpu.readings(gpu.find_gpu())["gpu_others"] == others


@pytest.mark.parametrize(
    ("visible", "asked"),
    [
        ("2,0", ("nvmlDeviceGetHandleByIndex", 2)),
        (" 1", ("nvmlDeviceGetHandleByIndex", 1)),
        ("GPU-8932f937", ("nvmlDeviceGetHandleByUUID", "GPU-8932f937")),
    ],
)
def test_the_device_that_cuda_sees_first(nvml, monkeypatch, visible, asked):
    fake = nvml()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpu.find_gpu() is not None
    assert fake.asked[-1] == asked


@pytest.mark.parametrize("visible", ["", "-1"])
def test_a_hidden_gpu_is_no_gpu(nvml, monkeypatch, visible):
    nvml()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpu.find_gpu() is None


@pytest.mark.parametrize(
    "error", [pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED, pynvml.NVML_ERROR_NO_PERMISSION]
)
def test_without_a_driver(nvml, error):
    nvml(nvmlInit=pynvml.NVMLError(error))
    assert gpu.find_gpu() is None
    assert gpu.driver_cuda() == "none"
    assert gpu.readings(None) == {}
    assert gpu.identity(None)["gpu"] == "none"


def test_without_the_package(nvml, monkeypatch):
    nvml()
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert gpu.find_gpu() is None
