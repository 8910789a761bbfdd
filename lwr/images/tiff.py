"""The structure of TIFF: directories of tagged entries, as in TIFF files, EXIF blocks and most raw files."""

import io
import struct
from collections.abc import Iterable, Iterator
from typing import BinaryIO, NamedTuple

# bytes of one value, by the kind of an entry: BYTE, ASCII, SHORT, LONG, RATIONAL, ... IFD, ... UTF-8
SIZES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
    129: 1,
}
_INTEGERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}
_MOST_DIRECTORIES = 64  # a chain that is longer runs in a circle or is made to keep readers busy
_MOST_ENTRIES = 4096
SUB_DIRECTORIES = 330


class Entry(NamedTuple):
    """A tag's values, by where they lie in the file."""

    tag: int
    kind: int
    count: int
    place: int  # offset of the values
    record: int  # offset of the entry itself
    size: int  # bytes of the values; -1: the kind is unknown


class Directory(NamedTuple):
    """The entries of one directory, in file order."""

    offset: int
    entries: dict[int, Entry]
    following: int  # offset of the next directory, 0: there is none


class Tiff:
    """A TIFF file or EXIF block that is open for reading; places beyond its end read as nothing."""

    def __init__(self, file: BinaryIO) -> None:
        """Raises ValueError when this is no TIFF."""
        self.file, self.length = file, file.seek(0, io.SEEK_END)
        head = self.bytes(0, 16)
        if head[:4] not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            raise ValueError("no TIFF header")
        self.order = "<" if head[:2] == b"II" else ">"
        self.big = b"+" in head[2:4]  # BigTIFF has offsets of 64 bits
        where, form = (8, "Q") if self.big else (4, "I")
        self.first = self._number(where, form)

    def bytes(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes at `offset`."""
        if not 0 <= offset < self.length:
            return b""
        self.file.seek(offset)
        return self.file.read(min(size, self.length - offset))

    def directory(self, offset: int) -> Directory:
        """The directory at `offset`; what lies beyond the end of the file is left out."""
        head, step, link = (8, 20, "Q") if self.big else (2, 12, "I")
        count = min(self._number(offset, "Q" if self.big else "H"), _MOST_ENTRIES)
        data, start = self.bytes(offset + head, count * step), offset + head
        entries = {}
        for position in range(0, len(data) - step + 1, step):
            entry = self._entry(data[position : position + step], start + position)
            entries.setdefault(entry.tag, entry)
        return Directory(offset, entries, self._number(start + count * step, link))

    def directories(self) -> Iterator[Directory]:
        """The main directories (pages) and all below them (SubIFDs), each once."""
        waiting, seen = [self.first], {0}
        while waiting and len(seen) < _MOST_DIRECTORIES:
            offset = waiting.pop(0)
            if offset not in seen:
                seen.add(offset)
                directory = self.directory(offset)
                yield directory
                waiting += [directory.following, *self.numbers(directory, SUB_DIRECTORIES)[:16]]

    def values(self, entry: Entry) -> bytes:
        """An entry's values as they lie in the file; fewer than `entry.size` when the file ends before."""
        return self.bytes(entry.place, max(entry.size, 0))

    def numbers(self, directory: Directory, tag: int) -> tuple[int, ...]:
        """The values of a tag of whole numbers, at most 1024; none when it is missing or of another kind."""
        entry = directory.entries.get(tag)
        if entry is None or entry.kind not in _INTEGERS:
            return ()
        size = SIZES[entry.kind]
        data = self.bytes(entry.place, size * min(entry.count, 1024))
        return struct.unpack(
            f"{self.order}{len(data) // size}{_INTEGERS[entry.kind]}", data[: len(data) // size * size]
        )

    def number(self, directory: Directory, tag: int, default: int = 0) -> int:
        """The first value of a tag of whole numbers."""
        return next(iter(self.numbers(directory, tag)), default)

    def _number(self, offset: int, form: str) -> int:
        size = struct.calcsize(form)
        data = self.bytes(offset, size)
        return struct.unpack(self.order + form, data)[0] if len(data) == size else 0

    def _entry(self, data: bytes, record: int) -> Entry:
        tag, kind, count = struct.unpack_from(self.order + ("HHQ" if self.big else "HHI"), data)
        size = count * SIZES[kind] if kind in SIZES else -1
        inside = len(data) - (8 if self.big else 4)
        if size <= len(data) - inside:
            return Entry(tag, kind, count, record + inside, record, size)
        place = struct.unpack_from(self.order + ("Q" if self.big else "I"), data, inside)[0]
        return Entry(tag, kind, count, place, record, size)


def packed(order: str, entries: Iterable[tuple[int, int, int, bytes]], offset: int) -> bytes:
    """A directory that will lie at `offset`, and its values behind it.

    Args:
        order: "<" or ">".
        entries: (tag, kind, count, values as bytes in this order).
    """
    listed = sorted(entries)
    head, tail = struct.pack(order + "H", len(listed)), b""
    end = offset + 2 + 12 * len(listed) + 4
    for tag, kind, count, values in listed:
        head += struct.pack(order + "HHI", tag, kind, count)
        if len(values) <= 4:
            head += values.ljust(4, b"\0")
        else:
            head += struct.pack(order + "I", end + len(tail))
            tail += values + bytes(len(values) % 2)  # values begin at even places
    return head + bytes(4) + tail
