"""What does the work: processes on this machine, or Ray on one machine or many.

Both run the same jobs and promise nothing about their order. A job leaves a report when it is done; a job
whose report is there is not done again.
"""

import json
import logging
import multiprocessing
import os
import pickle
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.data.shards import reason
from training.data.storage import write_text
from training.dataset.errors import DatasetError

_PRELOADED = ("training.dataset.block", "imagehash", "skimage.measure", "scipy.ndimage")


@dataclass(frozen=True)
class Job:
    """Something to compute that is plain data, and the file in which it is kept."""

    report: Path
    work: Callable[[], Any]  # can be pickled; its result can be JSON


def finish(job: Job) -> dict[str, Any]:
    """Do a job: {"result": ...}, or {"stopped": why nothing could be written}."""
    try:
        result = job.work()
        write_text(job.report, json.dumps(result))
    except OSError as error:
        return {"stopped": reason(error)}
    return {"result": result}


class Engine(ABC):
    """Something that does jobs; a context, as its workers must be let go."""

    def run(self, jobs: Sequence[Job]) -> Iterator[Any]:
        """The results of all jobs, in any order. Raises DatasetError at the first that could not be kept."""
        left = []
        for job in jobs:
            if job.report.exists():
                yield json.loads(job.report.read_text())
            else:
                left.append(job)
        for outcome in self._do(left):
            if "stopped" in outcome:
                raise DatasetError(
                    f"Stopped: a file could not be written ({outcome['stopped']}). Finished shards are "
                    "whole; free some space or repair the folder, and the same command continues from there."
                )
            yield outcome["result"]

    @abstractmethod
    def _do(self, jobs: Sequence[Job]) -> Iterable[dict[str, Any]]:
        """What `finish` gives for each job."""

    def __enter__(self) -> "Engine":
        return self

    @abstractmethod
    def __exit__(self, *failure: object) -> None:
        """Let the workers go."""


class Local(Engine):
    """This process, or `workers` of them."""

    def __init__(self, workers: int) -> None:
        self._pool: ProcessPoolExecutor | None = None
        if workers > 1:
            # Not plain forks: of a process that has used torch's threads a fork may hang.
            here = multiprocessing.get_all_start_methods()
            context = multiprocessing.get_context("forkserver" if "forkserver" in here else "spawn")
            if "forkserver" in here:
                context.set_forkserver_preload(list(_PRELOADED))
            self._pool = ProcessPoolExecutor(workers, context)
            self._pool.submit(int)  # the workers import while the caller still lists the photos

    def _do(self, jobs: Sequence[Job]) -> Iterable[dict[str, Any]]:
        if self._pool is None:
            yield from map(finish, jobs)
            return
        futures = [self._pool.submit(finish, job) for job in jobs]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool as error:
            raise DatasetError(
                "A worker was killed, perhaps for want of memory; the same command continues, with fewer "
                "--workers if need be."
            ) from error

    def __exit__(self, *failure: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


class Ray(Engine):
    """Ray Data on a running cluster (`address`) or, without one, on `workers` processes started here."""

    def __init__(self, workers: int, address: str | None) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else it starts a dashboard for them
        try:
            import ray
            import ray.data
        except ImportError as error:
            raise DatasetError("--engine ray needs Ray: pip install -e .[ray].") from error
        import lwr
        import training

        if address:
            _reach(address)
        # Workers elsewhere get this code; what it imports must be installed there.
        code = {"py_modules": [lwr, training]} if address else {}
        start = {"address": address} if address else {"num_cpus": workers, "include_dashboard": False}
        try:
            ray.init(runtime_env=code, log_to_driver=False, logging_level="ERROR", **start)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise DatasetError(f"There is no Ray cluster at {address}: {reason(error)}.") from error
        ray.data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        self._ray = ray

    def _do(self, jobs: Sequence[Job]) -> Iterable[dict[str, Any]]:
        if not jobs:
            return
        rows = [{"job": pickle.dumps(job)} for job in jobs]
        done = self._ray.data.from_items(rows, override_num_blocks=len(rows)).map(_finish_row, num_cpus=1)
        for row in done.iter_rows():
            yield json.loads(row["outcome"])

    def __exit__(self, *failure: object) -> None:
        self._ray.shutdown()


def _reach(address: str) -> None:
    """DatasetError unless something answers at HOST:PORT; Ray itself would try for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdigit():
        return  # "auto", which Ray resolves by itself
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except OSError as error:
        raise DatasetError(f"There is no Ray cluster at {address}: {reason(error)}.") from error


def _finish_row(row: dict[str, bytes]) -> dict[str, str]:
    return {"outcome": json.dumps(finish(pickle.loads(row["job"])))}
