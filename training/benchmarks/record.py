"""What the benchmarks share: a new process for each figure, and the file that says what was measured."""

import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from lwr.loading.priors import EMBEDDED, read_prior_config
from training.machine import ROOT, machine, versions

RESULTS = ROOT / "training" / "results"
T = TypeVar("T")


def fresh(function: Callable[..., T], *arguments: object) -> T:
    """What a function returns in a new process, so that peaks of memory and first loads do not mix."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def run(*words: str) -> dict[str, float]:
    """Seconds and peak memory of `python WORDS...`; SystemExit when it fails."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(words)} ended with status {process.returncode}.")
    return {
        "seconds": round(time.perf_counter() - start, 2),
        "peak_gb": round(usage.ru_maxrss / 1e6, 2),
    }


def made_with(command: str, packages: Sequence[str] = ("torch", "diffusers")) -> dict[str, Any]:
    """How figures came about, which goes before them in a results file."""
    return {
        "command": command,
        "machine": machine(),
        "weights": read_prior_config(EMBEDDED).name,
        "versions": versions(packages),
    }


def write(results: dict[str, Any], path: Path) -> None:
    """Write a results file and print it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=2) + "\n")
    print(path.read_text())
