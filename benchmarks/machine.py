"""The machine that a benchmark ran on, in one line, and the peak of a process's memory."""

import os
import platform
from pathlib import Path

import torch

STATUS, CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")
RESET_PEAK = "5"
"""Written to clear_refs, it sets the peak of resident memory to the present value."""


def describe_machine() -> str:
    blas = "MKL" if torch.backends.mkl.is_available() else "no MKL"  # type: ignore[no-untyped-call]
    one_dnn = "oneDNN" if torch.backends.mkldnn.is_available() else "no oneDNN"  # type: ignore[no-untyped-call]
    vectors = torch.backends.cpu.get_cpu_capability()
    return f"{_cpu_model()}, {_num_cores()} cores, {vectors}; PyTorch {torch.__version__} with {blas} and {one_dnn}"


def _num_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu_model() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    fields = dict(line.split(":", 1) for line in text.split("\n\n")[0].splitlines() if ":" in line)
    names = {key.strip(): value.strip() for key, value in fields.items()}
    return (
        f"{names.get('model name', platform.machine())} (family {names.get('cpu family')}, model {names.get('model')})"
    )


def reset_peak_memory() -> None:
    CLEAR_REFS.write_text(RESET_PEAK, encoding="ascii")


def memory_mb() -> tuple[float, float]:
    """Resident memory of this process and its peak since the reset. Linux only."""
    fields = dict(line.split(":", 1) for line in STATUS.read_text(encoding="utf-8").splitlines())
    resident, peak = (float(fields[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
    return resident, peak
