"""Cancel and progress: two files for each run, since ZeroGPU's process shares no memory with the page's."""

import atexit
import contextlib
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from page.errors import CancelledError

OLD = 3600  # seconds after which nobody looks at a file any more


@dataclass(frozen=True)
class Signals:
    """Between a run and those who wait for it, in whatever process each of them is."""

    file: str  # exists once the run is to stop; how far it is stands in a file beside it

    def stop(self) -> None:
        """The run ends at its next step or tile."""
        Path(self.file).touch()

    @property
    def stopped(self) -> bool:
        """Whether somebody wants it to stop."""
        return Path(self.file).exists()

    def check(self) -> None:
        """Raise CancelledError once the run is to stop."""
        if self.stopped:
            raise CancelledError

    def report(self, done: int, total: int, _what: str = "") -> None:
        """The restorer's progress: keeps how many parts are done; CancelledError when it is to stop."""
        self.check()
        with contextlib.suppress(OSError):  # a full disk stops no work
            fresh = Path(f"{self.file}.new")
            fresh.write_text(f"{done} {total}")
            os.replace(fresh, f"{self.file}.progress")

    def progress(self) -> tuple[int, int]:
        """(parts done, all parts) as reported last; (0, 0) before that."""
        try:
            done, total = Path(f"{self.file}.progress").read_text().split()
        except OSError:
            return 0, 0
        return int(done), int(total)

    def start(self) -> None:
        """Forget how far an earlier photo of the same run was."""
        Path(f"{self.file}.progress").unlink(missing_ok=True)


class Stops:
    """The signals of all runs."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="lwr-stop-"))
        atexit.register(shutil.rmtree, self._folder, ignore_errors=True)
        self._running: set[tuple[str, str, Signals]] = set()  # (visitor, kind of run, its signals)

    @contextmanager
    def run(self, visitor: str, kind: str = "photo") -> Iterator[Signals]:
        """The signals of one run; `visitor` is a name that the client chooses, so no part of a path."""
        self._remove_old()
        run = (visitor, kind, Signals(str(self._folder / uuid.uuid4().hex)))
        self._running.add(run)
        try:
            yield run[2]
        finally:
            self._running.discard(run)
            run[2].start()  # the stop file stays: the work may not have seen it yet

    def stop(self, visitor: str, kind: str = "photo") -> None:
        """Stop all runs of this kind that this visitor has started; later ones are not affected."""
        for one, other, signals in list(self._running):
            if (one, other) == (visitor, kind):
                signals.stop()

    def _remove_old(self) -> None:
        for file in self._folder.iterdir():
            with contextlib.suppress(OSError):
                if time.time() - file.stat().st_mtime > OLD:
                    file.unlink()
