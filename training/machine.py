"""What a measurement was made with: the processor, the commit, versions, weights, and the memory it took."""

import os
import platform
import resource
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).parents[1]


def processor() -> str:
    """The model of the CPU, as the system names it."""
    return _of_processor("model name") or platform.processor() or platform.machine()


def processor_flags() -> set[str]:
    """Instructions that the CPU has, by Linux's names, such as "avx2"; none where the system says nothing."""
    return set(_of_processor("flags").split())


def _of_processor(name: str) -> str:
    """A line of what Linux says about the first core; "" where it does not."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == name)
    return next(named, "")


def machine() -> str:
    """Cores and processor, such as "2 cores, AMD EPYC 7763, x86_64"."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return ", ".join(dict.fromkeys((f"{cores} cores", processor(), platform.machine())))


def commit() -> str | None:
    """The commit of the code, or None where it is in no git repository."""
    git = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
    try:
        return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def versions(packages: Iterable[str]) -> dict[str, str]:
    """{package: version} of those that are installed."""
    found = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # optional ones
            continue
    return found


def peak_gb() -> float:
    """The most memory that this process has held so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e9 if sys.platform == "darwin" else 1e6)  # macOS counts bytes, Linux kilobytes
