"""Who is next: photos are restored one at a time, in the order in which they came."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any

from lwr.request import RestoreError
from page.errors import CancelledError
from page.stops import Signals

INTERVAL = 0.25  # seconds between two looks at a job
FEW = 8  # parts by which the estimate counts beside the pace of those that are done
WAITING = 20  # photos that may wait
FULL = f"{WAITING} photos are waiting already: try again in a minute."


@dataclass(frozen=True)
class State:
    """How a photo stands that is not finished."""

    ahead: int = 0  # photos before it; 0: it is being restored
    wait: float = 0.0  # seconds, about, until it is its turn
    left: float = 0.0  # seconds, about, that its own work takes, or still takes
    done: int = 0  # parts of it
    total: int = 0  # all parts; 0: not known yet
    stopping: bool = False
    remark: str = ""  # what there is to say about how it is done


class Job:
    """The work on one photo; `seconds` is an estimate of what it takes."""

    def __init__(self, seconds: float, signals: Signals, work: Callable[[], Any], remark: str = "") -> None:
        self.seconds, self.signals, self.remark = seconds, signals, remark
        self.future: Future[Any] = Future()
        self.started: float | None = None
        self._context, self._work = copy_context(), work  # Gradio knows by the context whom it serves
        self._first: tuple[int, float] | None = None  # (parts done, when) as seen first and last
        self._last = (0, 0.0)
        signals.start()

    def run(self) -> None:
        """Do it, unless somebody has stopped it; the result is in `future`."""
        try:
            self.signals.check()
            self.future.set_result(self._context.run(self._work))
        except BaseException as error:
            self.future.set_exception(error)

    def left(self, done: int, total: int) -> float:
        """Seconds, about, that it still takes, when `done` of `total` parts are."""
        now = time.monotonic()
        if self.started is None:
            return self.seconds
        if done > self._last[0]:
            self._last = (done, now)
            self._first = self._first or self._last
        parts, since = self._last
        if total < FEW or self._first is None:
            return max(0.0, self.seconds - (now - self.started))
        seen = parts - self._first[0]  # the first part also took what comes before it
        pace = (since - self._first[1] + FEW * self.seconds / total) / (seen + FEW)
        return max(0.0, pace * (total - parts) - (now - since))


class Line:
    """A thread that does one job after the other."""

    def __init__(self) -> None:
        self._jobs: list[Job] = []  # the running one and those that wait
        self._changed = threading.Condition()
        threading.Thread(target=self._serve, daemon=True).start()

    def join(self, job: Job, always: bool = False) -> None:
        """Put a job at the end; RestoreError when too many wait, unless it is to be taken `always`."""
        with self._changed:
            if len(self._jobs) > WAITING and not always:
                raise RestoreError(FULL)
            self._jobs.append(job)
            self._changed.notify()

    def follow(self, job: Job) -> Iterator[State]:
        """Says how a job stands until it is finished; who closes this stops the job."""
        try:
            yield self.state(job)
            while not wait([job.future], INTERVAL).done:
                if job.signals.stopped:
                    self._leave(job)
                yield self.state(job)
        finally:
            if not job.future.done():
                job.signals.stop()
                self._leave(job)

    def state(self, job: Job) -> State:
        """How a job stands."""
        with self._changed:
            before = self._jobs[: self._jobs.index(job)] if job in self._jobs else []
        done, total = job.signals.progress()
        waits = sum(one.left(*one.signals.progress()) for one in before)
        left, stopping = job.left(done, total), job.signals.stopped
        return State(len(before), waits, left, done, total, stopping, job.remark)

    def _leave(self, job: Job) -> None:
        """Take out a job that has not started."""
        with self._changed:
            if job.started is None and job in self._jobs:
                self._jobs.remove(job)
                job.future.set_exception(CancelledError())

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._jobs)
                job = self._jobs[0]
                job.started = time.monotonic()
            job.run()
            with self._changed:
                self._jobs.remove(job)
            del job
