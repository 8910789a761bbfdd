"""Files on disks that may be full: written whole or not at all, and errors that say which disk it is."""

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from lwr.images.errors import ImageError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NOT_SYNCED = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS)  # by file systems that cannot


class DiskFullError(ImageError):
    """A file does not fit where it should go; the sentence names the disk, and what to free."""

    def __init__(self, text: str, folder: Path, needed: int) -> None:
        """`needed`: bytes that did not fit into `folder`."""
        super().__init__(text)
        self.folder, self.needed = folder, needed


class Stream:
    """A new file that says why it failed to Pillow too, which hides it where there is a descriptor."""

    def __init__(self, file: BinaryIO) -> None:
        self.write, self.read, self.seek, self.tell = file.write, file.read, file.seek, file.tell
        self.flush = file.flush


def write_whole(data: bytes | Callable[[Stream], None], path: Path, overwrite: bool) -> None:
    """Write beside the target under another name, then put it in place in one step.

    `data`: the bytes, or what writes them, for more than memory should hold.
    Raises FileExistsError, DiskFullError, or OSError for all else; then nothing is left behind.
    """
    temporary = path.parent / f".lwr-{secrets.token_hex(8)}.tmp"
    needed = 0 if callable(data) else len(data)
    try:
        with _removed(temporary):
            with temporary.open("x+b" if callable(data) else "xb") as file:
                if callable(data):
                    try:
                        data(Stream(file))
                    finally:
                        needed = file.tell()  # or more, where it did not fit
                else:
                    file.write(data)
                file.flush()
                _sync(file)  # some disks say only now that they are full
            _put_in_place(temporary, path, overwrite)
    except OSError as error:
        if error.errno in FULL:
            raise DiskFullError(why_full(error, path, needed), path.parent, needed) from error
        raise


def why_full(error: OSError, path: Path, needed: int = 0) -> str:
    """The sentence for an error in FULL that came while `path`, a file or folder, was made."""
    folder = _existing(path.parent)
    disk = next(one for one in (folder, *folder.parents) if os.path.ismount(one) or one == one.parent)
    size = f"a file of {_megabytes(needed)}" if needed else "more"
    if error.errno == errno.EFBIG:
        return (
            f"Cannot write {path}: {size} is larger than a file may be on the disk at {disk} or by this "
            f"session's limit (ulimit -f): raise the limit, or choose a folder on another disk."
        )
    if error.errno == errno.EDQUOT:
        why = f"your quota on the disk at {disk} is used up"
    else:
        why = f"the disk at {disk} is full ({_megabytes(free_bytes(folder))} free)"
    what = f", and {size} should go into {folder}" if needed else f", where {folder} is"
    return f"Cannot write {path}: {why}{what}: free space there, or choose a folder on another disk."


def free_bytes(folder: Path) -> int:
    """Bytes free on the disk of a folder, which need not be there yet."""
    return shutil.disk_usage(_existing(folder)).free


def refusal(path: Path, size: int) -> str | None:
    """Why a file of `size` bytes cannot be written to `path` now, a sentence; None: it fits.

    That is tried, as no figure knows quotas and limits.
    """
    if not hasattr(os, "posix_fallocate"):
        room = free_bytes(path.parent) >= size
        return None if room else why_full(OSError(errno.ENOSPC, ""), path, size)
    temporary = path.parent / f".lwr-{secrets.token_hex(8)}.tmp"
    try:
        with _removed(temporary), temporary.open("xb") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, size))
    except OSError as error:
        return why_full(error, path, size) if error.errno in FULL else None
    return None


@contextlib.contextmanager
def _removed(temporary: Path) -> Iterator[None]:
    """Remove a file in the end, whatever happens."""
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _put_in_place(temporary: Path, path: Path, overwrite: bool) -> None:
    if overwrite:
        os.replace(temporary, path)
        return
    try:
        os.link(temporary, path)  # unlike a rename, refuses when someone else made the file meanwhile
        return
    except FileExistsError:
        raise
    except OSError as error:  # FAT and some network drives have no links
        if error.errno in FULL:
            raise
    path.open("xb").close()  # claims the name, or raises FileExistsError
    try:
        os.replace(temporary, path)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _sync(file: BinaryIO) -> None:
    try:
        os.fsync(file.fileno())
    except OSError as error:
        if error.errno not in _NOT_SYNCED:
            raise


def _existing(folder: Path) -> Path:
    """The folder in full, or the nearest one above it that exists."""
    folder = Path(os.path.abspath(folder))
    return next((one for one in (folder, *folder.parents) if one.is_dir()), folder)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"
