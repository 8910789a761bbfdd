"""AVIF files whose pixels are whole but whose EXIF data is not: libavif refuses them with it."""

import io
import re
from pathlib import Path

# ISO 14496-12, 8.11.6: version and flags, number of the item (2 or 4 bytes), protection, then its type
_EXIF_ITEM = re.compile(rb"(infe.{8}(?:..)?)Exif", re.DOTALL)


def without_exif(path: Path) -> io.BytesIO | None:
    """The file with its EXIF items under a type that nobody reads; None: it is no AVIF with such items."""
    with path.open("rb") as file:
        if file.read(12)[4:11] not in (b"ftypavi", b"ftypmif"):
            return None
        file.seek(0)
        data, count = _EXIF_ITEM.subn(rb"\1none", file.read())
    return io.BytesIO(data) if count else None
