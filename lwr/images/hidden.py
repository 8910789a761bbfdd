"""Photos whose metadata makes Pillow or libavif refuse them, though their pixels are whole."""

import io
import re
from pathlib import Path

from PIL import Image

from lwr.images import iptc
from lwr.images.exif import PREFIX
from lwr.images.metadata import DAMAGED_EXIF

# ISO 14496-12, 8.11.6: version and flags, number of the item (2 or 4 bytes), protection, then its type
_AVIF_EXIF = re.compile(rb"(infe.{8}(?:..)?)Exif", re.DOTALL)
_JPEG_SEGMENT = re.compile(rb"(\xff[\xe1\xed]..)(" + PREFIX + b"|" + re.escape(iptc.HEADER) + b")", re.DOTALL)


def reopened(path: Path, notes: list[str]) -> Image.Image | None:
    """The photo, opened while its metadata is hidden from Pillow; None: it has none."""
    with path.open("rb") as file:
        head = file.read(12)
        if head[:3] != b"\xff\xd8\xff" and head[4:11] not in (b"ftypavi", b"ftypmif"):
            return None
        file.seek(0)
        data = file.read()
    return _jpeg(data, notes) if data[:2] == b"\xff\xd8" else _avif(data, notes)


def _jpeg(data: bytes, notes: list[str]) -> Image.Image | None:
    data, count = _JPEG_SEGMENT.subn(lambda found: found[1] + b"\0" + found[2][1:], data)
    if not count:
        return None
    image = Image.open(io.BytesIO(data), formats=("JPEG",))
    block, captions = (
        b"".join(data[len(head) :] for _, data in image.applist if data.startswith(b"\0" + head[1:]))
        for head in (PREFIX, iptc.HEADER)
    )
    if block:
        image.info["exif"] = PREFIX + block
    if captions:
        image.info["photoshop"] = {iptc.NUMBER: iptc.of_resources(captions)}
        if iptc.of_resources(captions) is None:
            notes.append("the photo's IPTC data is damaged and was dropped")
    return image


def _avif(data: bytes, notes: list[str]) -> Image.Image | None:
    data, count = _AVIF_EXIF.subn(rb"\1none", data)
    if not count:
        return None
    image = Image.open(io.BytesIO(data), formats=("AVIF",))
    notes.append(DAMAGED_EXIF)
    return image
