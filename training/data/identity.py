"""What a run trains on, told apart by names and pixels and not by where they lie: folders may move."""

import hashlib
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from training.data.built_set import CLEAN
from training.data.parts import Part
from training.data.photos import Photo

LOOKED_AT = 8  # photos of a source whose pixels count too; of all of them their names


def identity(parts: Sequence[Part]) -> list[dict[str, Any]]:
    """Of each source its share of the batches, tasks, number of photos, and hashes of names and pixels."""
    total = sum(part.weight for part in parts)
    return [
        {
            "share": round(part.weight / total, 6),
            "tasks": ", ".join(part.tasks) or "clean photos",
            "photos": len(part.photos),
            "names": _hash(f"{photo.id}\0{photo.photo}" for photo in part.photos),
            "pixels": _hash(_sampled(part)),
        }
        for part in parts
    ]


def difference(there: Sequence[Mapping[str, Any]], here: Sequence[Mapping[str, Any]]) -> str | None:
    """In which way the data of two runs differ; None: they are the same."""
    if len(there) != len(here):
        return f"{len(there)} sources there, {len(here)} here"
    for number, (old, new) in enumerate(zip(there, here, strict=True), 1):
        for key in (key for key in new if old.get(key) != new[key]):
            if key in ("names", "pixels"):
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
