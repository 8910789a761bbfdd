"""What a run trains on, told apart by names and pixels and not by where they lie: folders may move."""

import hashlib
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from training.data.built_set import CLEAN
from training.data.parts import Part
from training.data.photos import Photo
from training.data.views import Views

LOOKED_AT = 8  # photos of a source that are decoded for their pixels, wherever they are kept
PIECES, PIECE = 4, 4096  # stretches of a file, evenly spread, that count beside its size; bytes of each
CONTENTS = "contents"  # which checkpoints of earlier versions do not know


def identity(parts: Sequence[Part]) -> list[dict[str, Any]]:
    """Of each source its share of the batches, tasks, number of photos, and hashes of what they are.

    `names` and `contents` are of all photos: the pixels of those in memory, and of pairs of files, which may
    stay on the disk, size and stretches of both files. `pixels` are of a few, and of both sides.
    """
    total = sum(part.weight for part in parts)
    return [
        {
            "share": round(part.weight / total, 6),
            "tasks": ", ".join(part.tasks) or "clean photos",
            "photos": len(part.photos),
            "names": _hash(f"{photo.id}\0{photo.photo}" for photo in part.photos),
            "pixels": _hash(_sampled(part)),
            CONTENTS: _hash(map(_content, part.photos)),
        }
        for part in parts
    ]


def difference(there: Sequence[Mapping[str, Any]], here: Sequence[Mapping[str, Any]]) -> str | None:
    """In which way the data of two runs differ; None: they are the same."""
    if len(there) != len(here):
        return f"{len(there)} sources there, {len(here)} here"
    for number, (old, new) in enumerate(zip(there, here, strict=True), 1):
        known = [key for key in new if key != CONTENTS or key in old]
        for key in (key for key in known if old.get(key) != new[key]):
            if key in ("names", "pixels", CONTENTS):
                return f"source {number} has other {key} there"
            return f"{key} of source {number}: {old.get(key)} there, {new[key]} here"
    return None


def _hash(texts: Iterable[str]) -> str:
    whole = hashlib.sha256()
    for text in texts:
        whole.update(text.encode(errors="surrogateescape") + b"\n")  # file names need not be valid Unicode
    return whole.hexdigest()[:16]


def _sampled(part: Part) -> Iterator[str]:
    """A checksum of each picture of a few photos, taken from the whole of a source."""
    step = max(1, len(part.photos) // LOOKED_AT)
    for photo in part.photos[::step][:LOOKED_AT]:
        try:
            pixels = {CLEAN: photo.pixels} if isinstance(photo, Photo) else photo.read()
        except Exception as error:  # on damaged bytes decoders raise anything; training passes it over, too
            pixels = {}
            yield type(error).__name__
        yield from (f"{name} {zlib.crc32(picture.numpy())}" for name, picture in sorted(pixels.items()))


def _content(photo: Photo | Views) -> str:
    """What tells a photo from another one that was put in its place."""
    if isinstance(photo, Photo):
        return f"{tuple(photo.pixels.shape)} {zlib.crc32(photo.pixels.numpy())}"
    if photo.pair is not None:
        return f"{_stretches(photo.pair.degraded)} {_stretches(photo.pair.clean)}"
    return " ".join(f"{name} {zlib.crc32(picture.numpy())}" for name, picture in sorted(photo.read().items()))


def _stretches(path: Path) -> str:
    """Size and checksum of parts of a file: of a compressed one the size alone says most, of others not."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        checksum = 0
        for number in range(PIECES):
            file.seek(max(0, size - PIECE) * number // (PIECES - 1))
            checksum = zlib.crc32(file.read(PIECE), checksum)
    return f"{size} {checksum}"
