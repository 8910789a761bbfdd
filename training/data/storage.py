"""Where files lie: on this machine, or at an address of object storage such as s3://bucket/folder.

Addresses go through fsspec, so each kind of storage needs its own package (s3fs, gcsfs, adlfs), which also
says where its keys come from. Files appear under their name only when they are whole.
"""

import hashlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class StorageError(OSError):
    """An address that cannot be used, with a sentence that says why."""


def place(text: str | Path) -> Path:
    """`text` as a path; an address (with "://") becomes a `UPath`, which reads, writes and lists as paths do.

    Raises StorageError when the package for that kind of address is not installed.
    """
    if "://" not in str(text):
        return Path(text)
    from upath import UPath  # here: local folders need no fsspec

    try:
        path = UPath(text)
        path.fs  # noqa: B018  finds out whether the package is there
    except (ImportError, ValueError) as error:
        raise StorageError(f"{text} cannot be used: {str(error).rstrip('.')}.") from error
    return path


def is_local(path: Path) -> bool:
    """Whether `path` is on this machine's file system."""
    return isinstance(path, Path)


def files_below(folder: Path) -> Iterator[Path]:
    """All that lies in a folder and those below it, in no order; links are followed, never in a circle."""
    if is_local(folder):
        yield from _below(folder, frozenset())
    else:
        yield from folder.rglob("*")


def _below(folder: Path, above: frozenset[str]) -> Iterator[Path]:
    above |= {os.path.realpath(folder)}
    try:
        inside = list(folder.iterdir())
    except PermissionError:
        return
    for path in inside:
        yield path
        if os.path.isdir(path) and not (path.is_symlink() and os.path.realpath(path) in above):
            yield from _below(path, above)


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """A temporary local path to write to; it becomes `target` when the block ends well, and goes if not."""
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = target.parent if is_local(target) else Path(tempfile.gettempdir())
    temporary = folder / f".{target.name}.{uuid.uuid4().hex}.part"
    try:
        yield temporary
        if is_local(target):
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(target)
        else:
            target.fs.put_file(str(temporary), target.path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(target: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with whole_file(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove(folder: Path) -> None:
    """Delete a folder and all in it, if it is there."""
    if not folder.exists():
        return
    if is_local(folder):
        shutil.rmtree(folder)
    else:
        folder.fs.rm(folder.path, recursive=True)


def sweep(folder: Path) -> None:
    """Delete what `whole_file` left under `folder` when it was killed."""
    for path in folder.rglob(".*.part") if folder.exists() else ():
        path.unlink(missing_ok=True)
