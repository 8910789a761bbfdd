"""The bar of a batch on a terminal: photos done, the one at work, and the time left for the batch."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskProgressColumn, TextColumn
from rich.text import Text

SHOWN_NAME = 28  # characters of a photo's name


class TimeLeft(ProgressColumn):
    """By the work that is done and the time it took."""

    def render(self, task: Task) -> Text:
        """ "0:01:20 left"; nothing before some work is done."""
        if not task.completed or not task.elapsed:
            return Text("")
        seconds = task.elapsed * max(0.0, task.total - task.completed) / task.completed
        return Text(f"{timedelta(seconds=round(seconds))} left")


class Bar:
    """One bar for all photos, each as long as its weight."""

    def __init__(self, weights: Sequence[int]) -> None:
        """`weights`: how much work each photo is, in any unit; 0 for none."""
        self._weights, self._done = list(weights), [0.0] * len(weights)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TimeLeft(),
            console=Console(stderr=True),
            transient=True,
            redirect_stdout=False,  # results go where they are sent, not into the bar's stream
            redirect_stderr=False,
            refresh_per_second=4,
        )
        self._task = self._progress.add_task("", total=max(1, sum(weights)))
        self._lock = threading.Lock()

    def __enter__(self) -> "Bar":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def photo(self, number: int, path: str) -> Callable[[int, int, str], None]:
        """Show that this photo is at work; returns what its progress is given to."""
        name = Path(path).name
        name = name if len(name) <= SHOWN_NAME else f"{name[: SHOWN_NAME - 3]}..."
        shown = f"{number + 1} of {len(self._weights)} {name}"
        self._progress.update(self._task, description=shown)

        def progress(done: int, total: int, what: str) -> None:
            self._reach(number, done / max(1, total))

        return progress

    def finish(self, number: int, worked: bool) -> None:
        """This photo is done; without work it counts no more, as it says nothing about the time left."""
        if not worked:
            self._weights[number] = 0
            self._progress.update(self._task, total=max(1, sum(self._weights)))
        self._reach(number, 1.0)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Lines may be printed in here; the bar goes on below them."""
        with self._lock:
            self._progress.stop()
            try:
                yield
            finally:
                self._progress.start()

    def _reach(self, number: int, share: float) -> None:
        self._done[number] = share * self._weights[number]
        self._progress.update(self._task, completed=sum(self._done))
