"""Standard output and error that may be full, closed, or missing: said once, and no reason to stop.

Results go to stdout. Where it takes no more of them, one sentence goes to stderr, the work goes on, and the
exit status is 1. What stderr does not take is lost, as there is no other place to say it.
"""

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

from typer import Exit
from typer.core import TyperGroup


class Commands(TyperGroup):
    """A group of commands with guarded streams; Ctrl-C is no traceback in any of them."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        """As the group's own; status 1 where stdout did not take everything."""
        with guarded() as out:
            try:
                return super().main(*arguments, **options)
            except SystemExit as end:
                out.flush()
                if out.failed and not end.code:
                    raise SystemExit(1) from None
                raise

    def invoke(self, ctx: Any) -> Any:
        """As the group's own; a command that has more to say about Ctrl-C catches it first."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            print("Stopped.", file=sys.stderr)
            raise Exit(130) from None


class Guarded:
    """A text stream that raises nothing: its first failure is said on `report`, and then it swallows all."""

    def __init__(self, stream: TextIO | None, report: "Guarded | None" = None) -> None:
        """`stream`: None is one that was closed before the program started."""
        self._stream, self._report, self.failed = stream, report, False

    def write(self, text: str) -> int:
        """Write what the stream takes."""
        if self._stream is None:
            self._fails("it is closed")
        else:
            with self._watched():
                self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """As the stream's own."""
        if self._stream is not None:
            with self._watched():
                self._stream.flush()

    def isatty(self) -> bool:
        """Is it a terminal that takes text?"""
        return self._stream is not None and not self.failed and self._stream.isatty()

    def __getattr__(self, name: str) -> Any:
        """All else is the stream's own."""
        return getattr(self._stream, name)

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:  # ValueError: somebody has closed the stream
            self._fails(getattr(error, "strerror", None) or str(error))

    def _fails(self, why: str) -> None:
        if self.failed:
            return
        self.failed = True
        with contextlib.suppress(OSError, ValueError, AttributeError):  # what waits in buffers goes nowhere
            number, nowhere = self._stream.fileno(), os.open(os.devnull, os.O_WRONLY)  # type: ignore[union-attr]
            os.dup2(nowhere, number)
            os.close(nowhere)
        if self._report is not None:
            self._report.write(
                f"Standard output takes no more text ({why}): the rest is not shown there; files are still "
                "written.\n"
            )
            self._report.flush()


@contextlib.contextmanager
def guarded() -> Iterator[Guarded]:
    """Guard sys.stdout and sys.stderr in here."""
    before = sys.stdout, sys.stderr
    _open_missing()
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file can have a name that the terminal cannot show
        sys.stdout.reconfigure(errors="backslashreplace")
    err = Guarded(sys.stderr)
    out = Guarded(sys.stdout, report=err)
    sys.stdout, sys.stderr = out, err  # type: ignore[assignment]
    try:
        yield out
    finally:
        out.flush()
        err.flush()
        sys.stdout, sys.stderr = before


def _open_missing() -> None:
    """Open what a caller has closed (`>&-`): else the next file that opens gets its number, and its text."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
