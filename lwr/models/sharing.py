"""Fewer threads while other programs keep cores busy.

Threads that share an operation wait for the last of them. When another program takes the core of one, all
wait: beside one busy program a single thread is quicker than two, alone two are. The convolutions of a pass
show which it is: threads that have a core each use as many seconds of processor time in a second as there are
threads, and fewer where somebody else computes (training.benchmarks.threads). What is computed does not
depend on it, not even in the last bits.

Only programs of ours switch it on; in somebody else's the number of threads is theirs.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

import torch

USUAL = 0.85  # of the processor time that threads can use; alone they get some 0.98 on average
MISSED = 0.03  # seconds of processor time that threads may miss in a pass; a moment's interruption costs less
NUMBERED_BY = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")  # variables by which a user names the number of threads
MOST_THREADS = 4  # with more, some have nothing to do in a small convolution
Out = TypeVar("Out")
_threads: int | None = None  # of a pass that has the cores for itself; None: nothing is switched on


class _Watch:
    """How much processor time the convolutions of one pass get."""

    def __init__(self, threads: int) -> None:
        self.all = self.threads = threads
        self.missed = 0.0

    def run(self, convolution: Callable[[], Out]) -> Out:
        """Its result; where the threads keep missing processor time, there is one less from now on."""
        began, used = time.perf_counter(), time.process_time()
        result = convolution()
        usual = USUAL * self.threads * (time.perf_counter() - began)
        self.missed = max(0.0, self.missed + usual - (time.process_time() - used))
        if self.missed > MISSED:
            self.threads, self.missed = self.threads - 1, 0.0
            torch.set_num_threads(self.threads)
        return result


class _Mine(threading.local):
    """The pass of a thread."""

    watch: _Watch | None = None


_mine = _Mine()


def watch_passes(environment: Mapping[str, str]) -> None:
    """From now on a pass takes fewer threads than torch has now, while others keep cores busy.

    Not where the user has named a number; and only on Linux, as elsewhere processor time is too coarse.
    """
    global _threads
    threads = torch.get_num_threads()
    named = any(name in environment for name in NUMBERED_BY)
    if sys.platform == "linux" and not named and 1 < threads <= MOST_THREADS:
        _threads = threads


@contextmanager
def sharing() -> Iterator[None]:
    """A pass, which begins with all threads."""
    if _threads is None or _mine.watch is not None:
        yield
        return
    _mine.watch = _Watch(_threads)
    torch.set_num_threads(_threads)
    try:
        yield
    finally:
        _mine.watch = None
        torch.set_num_threads(_threads)


def planned_threads() -> int:
    """In how many parts to cut what threads share; fewer may do them."""
    return torch.get_num_threads() if _mine.watch is None else _mine.watch.all


def watched(convolution: Callable[[], Out], device: torch.device) -> Out:
    """Its result; within `sharing` it shows whether there are cores for all threads."""
    watch = _mine.watch
    if watch is None or watch.threads == 1 or device.type != "cpu":
        return convolution()
    return watch.run(convolution)
