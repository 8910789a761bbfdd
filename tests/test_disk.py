"""A disk that is full, at any moment of writing a photo: no half file, and a sentence that names the disk."""

import errno
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from limits import full_disk

from lwr.images import disk
from lwr.images.files import DiskFullError, ImageError, save

PHOTO = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
CODES = [errno.ENOSPC, errno.EDQUOT, errno.EFBIG]


class FailingFile:
    """A new file whose writing or closing fails."""

    def __init__(self, path: Path, error: OSError, moment: str) -> None:
        self.file, self.error, self.moment = path.open("xb", buffering=0), error, moment

    def __enter__(self) -> "FailingFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        if self.moment == "close":
            raise self.error

    def write(self, data: bytes) -> None:
        self.file.write(data[: len(data) // 2])
        if self.moment == "write":
            raise self.error

    def flush(self) -> None:
        if self.moment == "flush":
            raise self.error

    def fileno(self) -> int:
        return self.file.fileno()


def failing(error: OSError) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize("code", CODES, ids=errno.errorcode.get)
@pytest.mark.parametrize("moment", ["open", "write", "flush", "fsync", "close", "link", "replace", "claimed"])
def test_a_full_disk_leaves_no_half_file(
    tmp_path: Path, code: int, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = OSError(code, os.strerror(code))
    old = tmp_path / "old.png"
    save(PHOTO, old)
    before = old.read_bytes()
    overwrite = moment == "replace"
    target = old if overwrite else tmp_path / "new.png"
    real_open = Path.open
    if moment in ("open", "write", "flush", "close"):

        def open_failing(path: Path, mode: str = "r", *rest: object) -> FailingFile:
            if mode != "xb":
                return real_open(path, mode, *rest)
            if moment == "open":
                raise error
            monkeypatch.setattr(Path, "open", real_open)
            return FailingFile(path, error, moment)

        monkeypatch.setattr(Path, "open", open_failing)
    elif moment == "claimed":  # a disk without links
        monkeypatch.setattr(os, "link", failing(OSError(errno.EPERM, "no links here")))
        monkeypatch.setattr(os, "replace", failing(error))
    else:
        monkeypatch.setattr(os, moment, failing(error))
    with pytest.raises(DiskFullError) as caught:
        save(1 - PHOTO, target, overwrite=overwrite)
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == [old] and old.read_bytes() == before
    text = str(caught.value)
    mount = next(str(one) for one in tmp_path.resolve().parents if os.path.ismount(one))
    assert f"the disk at {mount}" in text and text.count("\n") == 0 and text.endswith(".")
    assert re.search("free space there|raise the limit", text) and "folder on another disk" in text


def test_a_disk_that_cannot_sync_is_no_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", failing(OSError(errno.EINVAL, "no such thing")))
    assert save(PHOTO, tmp_path / "a.png").stat().st_size > 0
    monkeypatch.setattr(os, "fsync", failing(OSError(errno.EIO, "Input/output error")))
    with pytest.raises(ImageError, match="Input/output error") as caught:
        save(PHOTO, tmp_path / "b.png")
    assert not isinstance(caught.value, DiskFullError) and len(list(tmp_path.iterdir())) == 1


def test_what_still_fits_is_known(tmp_path: Path) -> None:
    with full_disk(10_000):
        assert disk.refusal(tmp_path / "a.png", 9_000) is None
        assert "ulimit -f" in disk.refusal(tmp_path / "a.png", 11_000)
        with pytest.raises(DiskFullError) as caught:
            save(PHOTO, tmp_path / "a.png")
        assert "ulimit -f" in str(caught.value) and caught.value.needed > 10_000
    assert not list(tmp_path.iterdir())
