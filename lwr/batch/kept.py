"""Files that stay, whatever `--overwrite` allows: the photos, the mask, the file to be like."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

Files: TypeAlias = frozenset[tuple[int, int]]  # by what they are on their disks, whatever they are called


def files(names: Iterable[str | Path | None]) -> Files:
    """The files by these names, those that exist: "a.png", "./a.png" and a link to it are one."""
    found = set()
    for name in names:
        try:
            status = os.stat(name or "")
        except (OSError, ValueError):
            continue
        found.add((status.st_dev, status.st_ino))
    return frozenset(found)


def replaced(targets: Iterable[str | Path], kept: Files) -> Path | None:
    """The first of `targets` that is one of the files `kept`."""
    return next((Path(one) for one in targets if kept and files([one]) & kept), None)
