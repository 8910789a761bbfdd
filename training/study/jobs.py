"""The work of a study as files that are there or not: what was stopped goes on where it was.

A job makes one path from others. Whatever is missing is made as soon as all that it needs is there, in
`jobs` processes at once.
"""

import signal
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any

POLL_SECONDS = 1.0  # between looks for what a running job has left for others


@dataclass(frozen=True)
class Job:
    """`work()` makes `makes` once all of `needs` exist; it can be sent to another process."""

    makes: Path
    needs: tuple[Path, ...]
    work: "partial[Any]"
    leaves: tuple[Path, ...] = ()  # other paths, made on the way

    @property
    def ready(self) -> bool:
        """Whether it can start."""
        return all(path.exists() for path in self.needs)


def run_all(jobs: Sequence[Job], wanted: Sequence[Path], processes: int = 1) -> None:
    """Make what is missing of `wanted`, and what that needs; the first error ends all and is raised.

    Where a job leaves other things than `makes`, what needs them waits until they are there.
    """
    left = missing(jobs, wanted)
    if processes > 1:
        _side_by_side(left, processes)
        return
    while left:
        job = _first_ready(left)
        left.remove(job)
        job.work()
        print(f"{job.makes}: done, {len(left)} left", flush=True)


def _side_by_side(left: list[Job], processes: int) -> None:
    pool = ProcessPoolExecutor(
        processes, get_context("spawn"), signal.signal, (signal.SIGINT, signal.SIG_IGN)
    )
    running: dict[Future[Any], Job] = {}
    try:
        while left or running:
            if not running:
                _first_ready(left)
            for job in [job for job in left if job.ready][: processes - len(running)]:
                left.remove(job)
                running[pool.submit(job.work)] = job
            for future in wait(running, POLL_SECONDS, FIRST_COMPLETED).done:
                job = running.pop(future)
                future.result()
                print(f"{job.makes}: done, {len(left) + len(running)} left", flush=True)
    except BaseException:  # without this it would wait for all that still train
        pool.shutdown(wait=False, cancel_futures=True)
        for child in active_children():
            child.terminate()
        raise
    pool.shutdown()


def _first_ready(left: Sequence[Job]) -> Job:
    job = next((job for job in left if job.ready), None)
    if job is None:
        need = next(path for path in left[0].needs if not path.exists())
        raise RuntimeError(f"{left[0].makes} needs {need}, which the job that should leave it did not.")
    return job


def missing(jobs: Sequence[Job], wanted: Sequence[Path]) -> list[Job]:
    """The jobs to run, in the order of `jobs`: those of wanted paths that are missing, and of their needs."""
    makers = {path: job for job in jobs for path in (job.makes, *job.leaves)}
    found: set[Path] = set()
    open_ = [path for path in wanted if not path.exists()]
    while open_:
        job = makers[open_.pop()]
        if job.makes not in found:
            found.add(job.makes)
            open_ += [path for path in job.needs if not path.exists()]
    return [job for job in jobs if job.makes in found]
