"""Cancel: a file for each run, since ZeroGPU's process shares no memory with the page's."""

import atexit
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from page.errors import CancelledError

Progress = Callable[..., Any]  # gr.Progress, or what is called like it


class Stops:
    """The stop files of all runs; a run ends at its next step or tile once its file exists."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="lwr-stop-"))
        atexit.register(shutil.rmtree, self._folder, ignore_errors=True)
        self._running: set[tuple[str, str, Path]] = set()  # (visitor, kind of run, stop file)

    @contextmanager
    def run(self, visitor: str, kind: str = "photo") -> Iterator[str]:
        """The stop file of one run; `visitor` is a name that the client chooses, so no part of the path."""
        run = (visitor, kind, self._folder / uuid.uuid4().hex)
        self._running.add(run)
        try:
            yield str(run[2])
        finally:
            self._running.discard(run)
            run[2].unlink(missing_ok=True)

    def stop(self, visitor: str, kind: str = "photo") -> None:
        """Stop all runs of this kind that this visitor has started; later ones are not affected."""
        for one, other, file in list(self._running):
            if (one, other) == (visitor, kind):
                file.touch()


def stopping(stop: str, progress: Progress) -> Callable[[int, int, str], None]:
    """The restorer's progress: shows each step or tile; raises CancelledError once the stop file exists."""

    def report(done: int, total: int, what: str) -> None:
        if Path(stop).exists():
            raise CancelledError
        progress((done, total), desc=what.capitalize(), unit="parts")

    return report


def no_progress(*_: Any, **__: Any) -> None:
    """Progress that is not shown; a function of this module, so that it pickles."""
