"""What commands say: a line for each photo on stdout, remarks on stderr, a bar on a terminal."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lwr.batch.bar import Bar

Line = dict[str, Any]
KINDS = ("restored", "skipped", "failed")


class Report:
    """Counts and shows how a batch goes. Lines come from one thread, progress may come from another."""

    def __init__(self, as_json: bool = False) -> None:
        self.as_json, self.total, self.counts = as_json, 0, dict.fromkeys(KINDS, 0)
        self._bar: Bar | None = None

    @property
    def is_watched(self) -> bool:
        """Is stderr a terminal on which a bar can move?"""
        return sys.stderr.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")

    @contextmanager
    def showing(self, weights: Sequence[int]) -> Iterator[None]:
        """Show a bar in here. `weights`: how much work each photo is, in any unit; without any, no bar."""
        if not weights:
            yield
            return
        from lwr.batch.bar import Bar

        with Bar(weights) as self._bar:
            yield
        if len(weights) > 1:
            print(f"{self.summary().capitalize()}.", file=sys.stderr)

    def photo(self, number: int, path: str) -> Callable[[int, int, str], None] | None:
        """What the progress of this photo is given to; None: nobody looks."""
        return self._bar.photo(number, path) if self._bar else None

    def line(self, number: int, line: Line, remarks: Sequence[str] = ()) -> None:
        """Count and print how a photo went."""
        kind = "failed" if "error" in line else "skipped" if "skipped" in line else "restored"
        self.counts[kind] += 1
        with self._bar.aside() if self._bar else nullcontext():
            for remark in remarks:
                print(f"{line['input']}: {remark}", file=sys.stderr)
            show(line, self.as_json)
        if self._bar:
            self._bar.finish(number, worked=kind == "restored")

    def summary(self) -> str:
        """ "10 of 12 photos restored, 1 skipped, 1 failed"."""
        parts = [f"{self.counts['restored']} of {self.total} photo{'s' * (self.total != 1)} restored"]
        parts += [f"{self.counts[kind]} {kind}" for kind in KINDS[1:] if self.counts[kind]]
        return ", ".join(parts)


def show(line: Line, as_json: bool) -> None:
    """Print what happened to one file: for a program on stdout, for a person on stdout or, errors, stderr."""
    if as_json:
        print(json.dumps(line), flush=True)
    elif "error" in line:
        print(f"{line['input']}: {line['error']}", file=sys.stderr)
    elif "skipped" in line:
        print(f"{line['input']} -> {line['output']} (skipped: it is there)", flush=True)
    elif "seconds" in line:
        tasks = [name for name, strength in line["tasks"].items() if strength > 0] or ["no task"]
        made = f"{', '.join(tasks)}, {line['width']}x{line['height']}, {line['seconds']} s"
        print(f"{line['input']} -> {line['output']} ({made})", flush=True)
    else:
        print(f"{line['input']} -> {line['output']}", flush=True)
