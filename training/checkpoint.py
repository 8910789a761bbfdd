"""Folders that are whole or not there: a run that is killed at any moment finds its last checkpoint again."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError


class TrainingError(ValueError):
    """A run that cannot start or go on; one sentence: what is wrong, and what would work."""


def write_folder(
    target: Path,
    write: Callable[[Path], object],
    main: bool = True,
    barrier: Callable[[], object] = lambda: None,
) -> None:
    """`write(folder)` into a new folder that then takes the place of `target`.

    Several processes may write together: all call this, one as `main`, with a `barrier` to meet at.
    Raises TrainingError when writing fails, a full disk for example; `target` is then as it was.
    """
    fresh, old = target.with_name(target.name + ".new"), target.with_name(target.name + ".old")
    try:
        if main:
            recover(target)
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir(parents=True)
        barrier()
        write(fresh)
        barrier()
        if main:
            _sync(fresh)
    except (OSError, RuntimeError, SafetensorError) as error:  # torch reports a full disk as RuntimeError
        shutil.rmtree(fresh, ignore_errors=True)
        kept = "the one before is intact" if target.exists() else "there was none before"
        reason = str(error).partition("\n")[0]
        raise TrainingError(
            f"{target} could not be written ({reason}): make room on the disk and start again; {kept}."
        ) from error
    if main:
        if target.exists():
            os.replace(target, old)
        os.replace(fresh, target)
        shutil.rmtree(old, ignore_errors=True)


def recover(target: Path) -> None:
    """Undo a replacement that was killed between its two renames."""
    old = target.with_name(target.name + ".old")
    if old.exists() and not target.exists():
        os.replace(old, target)
    shutil.rmtree(old, ignore_errors=True)


def _sync(folder: Path) -> None:
    """Files reach the disk before their new name does; a full disk shows here at the latest."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
