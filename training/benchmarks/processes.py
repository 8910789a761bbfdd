"""Processes of their own for benchmarks of a start or of threads: their seconds, and a busy neighbour.

On a machine that others use, `priority` (-20 to 19, of Linux's autogroup; below 0 as root) takes the cores
for the time of a measurement.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE

from training.machine import ROOT


@dataclass(frozen=True)
class Ran:
    """One process from its start to its end."""

    wall: float  # seconds
    cpu: float  # seconds, of user and system together
    output: str  # on stdout


def ran(words: Sequence[str], environment: Mapping[str, str], folder: Path = ROOT, priority: int = 0) -> Ran:
    """`python WORDS...` in a folder; SystemExit when it fails."""
    with tempfile.TemporaryFile("w+") as output:
        start = time.perf_counter()
        process = _start(words, environment, folder, priority, output.fileno())
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{' '.join(words)[:80]} ended with status {process.returncode}.")
        output.seek(0)
        return Ran(wall, usage.ru_utime + usage.ru_stime, output.read())


class Worker:
    """A process that answers each line with one; within `with` it runs."""

    def __init__(self, words: Sequence[str], environment: Mapping[str, str], folder: Path = ROOT) -> None:
        command = [sys.executable, *words]
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=PIPE, stdout=PIPE, text=True, start_new_session=True
        )

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def ask(self) -> str:
        """The line with which it answers; SystemExit when it has ended."""
        print(file=self.process.stdin, flush=True)
        if not (answer := self.process.stdout.readline()):
            raise SystemExit("A process of the benchmark has ended.")
        return answer.strip()

    def prioritise(self, priority: int) -> None:
        """Give it another share of the cores, see above."""
        _prioritise(self.process.pid, priority)


@contextmanager
def neighbour(busy: bool, priority: int = 0) -> Iterator[None]:
    """Within it, where it is `busy`, another program keeps one core busy."""
    if not busy:
        yield
        return
    process = _start(["-c", "while True: pass"], os.environ, ROOT, priority, subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _start(
    words: Sequence[str], environment: Mapping[str, str], folder: Path, priority: int, output: int
) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, *words], cwd=folder, env=environment, stdout=output, start_new_session=True
    )
    _prioritise(process.pid, priority)
    return process


def _prioritise(process: int, priority: int) -> None:
    if priority:
        Path(f"/proc/{process}/autogroup").write_text(str(priority))


def clean_environment(*without: str) -> dict[str, str]:
    """This process's, less the variables named; Python keeps what it compiles, as on a user's machine."""
    environment = {name: value for name, value in os.environ.items() if name not in without}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    environment.pop("PYTHONPATH", None)
    return environment
