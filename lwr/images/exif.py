"""EXIF blocks, edited in place: every byte stays where it is, except of what is false for the new photo.

That goes: orientation, sizes, the thumbnail, where the old file had its pixels. Entries that are damaged go,
one by one. So maker notes, which hold offsets, unknown entries and text in any encoding stay as they are.
"""

import io
import struct
from typing import NamedTuple

import numpy as np
from PIL import ExifTags

from lwr.images.tiff import SIZES, Directory, Entry, Tiff, packed

PREFIX = b"Exif\0\0"
ORIENTATION, X_DENSITY, Y_DENSITY, DENSITY_UNIT = 274, 282, 283, 296
_EXIF, _GPS, _INTEROP = 0x8769, 0x8825, 0xA005
_MAKER_NOTE = 0x927C
_FRAME = len(PREFIX) + 8 + 3 * 6 + 2 * 12  # bytes of a block at most that are no entry of `parts_of`
# Tags that describe where and how the old file keeps its pixels. 531, where chroma is taken, harms nobody.
_LAYOUT = frozenset((
    254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 274, 277, 278, 279, 280, 281, 284, 288,
    289, 290, 291, 292, 293, 297, 301, 317, 318, 319, 320, 321, 322, 323, 324, 325, 330, 332, 334, 336,
    338, 339, 340, 341, 342, 347, 512, 513, 514, 515, 517, 518, 519, 520, 521, 529, 530, 532, 700, 33723,
    34377, 34675, 37724,
))  # fmt: skip
_DROPPED = {
    0: _LAYOUT,
    _EXIF: frozenset((0xA002, 0xA003)),
    _GPS: frozenset(),
    _INTEROP: frozenset((0x1000, 0x1001, 0x1002)),  # the size again
}
# What of a TIFF file's own directory describes the photo: texts, density, date, rating, copyright, titles
_DESCRIPTIVE = (270, 271, 272, 282, 283, 296, 305, 306, 315, 316, 18246, 18249, 33432, *range(40091, 40096))
_TEXT, _NUMBER = frozenset((1, 2, 7, 129)), frozenset((1, 3, 4, 5, 6, 8, 9, 10, 11, 12))
_KINDS = {  # of the tags that others rely on; a number that is stored as text, or the reverse, is damaged
    0: {
        **dict.fromkeys((270, 271, 272, 305, 306, 315, 33432), _TEXT),
        **dict.fromkeys((274, 282, 283, 296, 531), _NUMBER),
    },
    _EXIF: {
        **dict.fromkeys((36867, 36868, *range(36880, 36883), *range(37520, 37523)), _TEXT),
        **dict.fromkeys((42032, 42033, 42035, 42036), _TEXT),
        **dict.fromkeys((33434, 33437, 34850, 34855, 40961), _NUMBER),
        **dict.fromkeys((*range(37377, 37387), *range(41986, 41995), 41996), _NUMBER),
    },
    _GPS: {
        **dict.fromkeys((1, 3, 8, 9, 10, 12, 14, 16, 18, 19, 21, 23, 25, 29), _TEXT),
        **dict.fromkeys((2, 4, 6, 7, 11, 13, 15, 17, 20, 22, 24, 26, 30, 31), _NUMBER),
    },
    _INTEROP: {1: _TEXT},
}
_MOST_PASSES = 4


class Exif(NamedTuple):
    """What a block says."""

    block: bytes | None  # with `PREFIX`; None: nothing is left
    orientation: int = 0  # 1 to 8, 0: none is given
    density: tuple[float, float] | None = None  # dots per inch, across and down
    damaged: tuple[str, ...] = ()  # names of entries that were dropped


def cleaned(data: bytes) -> Exif:
    """An EXIF block without what is false in another file. Raises ValueError if it is none at all."""
    while data.startswith(PREFIX):
        data = data[len(PREFIX) :]
    first = once = _cleaned_once(data)
    damaged = list(first.damaged)
    for _ in range(
        _MOST_PASSES
    ):  # of a block whose parts lie over each other, a pass may damage another part
        if once.block is None or once.block == PREFIX + data:
            return first._replace(block=once.block, damaged=tuple(dict.fromkeys(damaged)))
        data = once.block.removeprefix(PREFIX)
        once = _cleaned_once(data)
        damaged += once.damaged
    raise ValueError("directories lie over each other")


def _cleaned_once(data: bytes) -> Exif:
    tiff = Tiff(io.BytesIO(data))
    main = tiff.directory(tiff.first)
    if tiff.big or not main.entries or main.offset < 8:
        raise ValueError("no entries")
    work = _Cleaning(tiff, bytearray(data))
    kept = work.clean(main, 0)
    if main.following:
        work.remove_thumbnail(tiff.directory(main.following))
    whole = PREFIX + bytes(work.block) if kept else None
    return Exif(whole, _orientation(tiff, main), _density(tiff, main), tuple(work.damaged))


def of_tiff(tiff: Tiff) -> Exif:
    """The descriptive entries of a TIFF file's first directory, with those below, as an EXIF block."""
    main, damaged = tiff.directory(tiff.first), []
    parts: dict[int, list[tuple[int, int, int, bytes]]] = {0: [], _EXIF: [], _GPS: []}
    for name, entries in parts.items():
        directory = tiff.directory(tiff.number(main, name)) if name else main
        if name and name not in main.entries:
            continue
        for entry in directory.entries.values():
            if (entry.tag not in _DESCRIPTIVE) if not name else (entry.tag in (*_DROPPED[name], _INTEROP)):
                continue
            if _is_whole(tiff, entry, name) and entry.kind not in (16, 17, 18):
                entries.append((entry.tag, entry.kind, entry.count, tiff.values(entry)))
            else:
                damaged.append(_name(entry.tag, name))
    whole = PREFIX + block(tiff.order, parts) if any(parts.values()) else None
    return Exif(whole, _orientation(tiff, main), _density(tiff, main), tuple(damaged))


def block(order: str, parts: dict[int, list[tuple[int, int, int, bytes]]], offset: int = 8) -> bytes:
    """Main directory (0) and those below as one block, behind a header of 8 bytes if it begins at 8."""
    below = {name: entries for name, entries in parts.items() if name and entries}
    pointers = {name: 0 for name in below}
    for _ in range(2):  # the first time only to learn the lengths
        main = [
            *parts[0],
            *((name, 4, 1, struct.pack(order + "I", place)) for name, place in pointers.items()),
        ]
        data = packed(order, main, offset)
        for name, entries in below.items():
            data += bytes(len(data) % 2)
            pointers[name] = offset + len(data)
            data += packed(order, entries, pointers[name])
    header = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    return header + data if offset == 8 else data


def parts_of(data: bytes, order: str) -> dict[int, list[tuple[int, int, int, bytes]]]:
    """The entries of a cleaned block by directory, their values in the given byte order, for `block`."""
    tiff = Tiff(io.BytesIO(data.removeprefix(PREFIX)))
    return _with_values(tiff, _by_directory(tiff), order)


def shortened(data: bytes, most: int) -> tuple[bytes | None, list[str]]:
    """A cleaned block in at most `most` bytes, and names of what it loses for that.

    Maker notes go first, which seldom survive a move, then the largest entries.
    """
    if len(data) <= most:
        return data, []
    tiff = Tiff(io.BytesIO(data.removeprefix(PREFIX)))
    parts, lost = _by_directory(tiff), []
    listed = [(name, one) for name, entries in parts.items() for one in entries]
    listed.sort(key=lambda pair: (pair[1].tag == _MAKER_NOTE, pair[1].size))
    size = _FRAME + sum(_bytes_in_block(one) for _, one in listed)
    while size > most and listed:
        name, one = listed.pop()
        parts[name].remove(one)
        lost.append(_name(one.tag, name))
        size -= _bytes_in_block(one)
    whole = PREFIX + block(tiff.order, _with_values(tiff, parts, tiff.order)) if listed else None
    return whole, lost


def with_density(data: bytes | None, density: tuple[float, float]) -> bytes:
    """A block, cleaned or None, that gives the density; what it holds already stays where it is."""
    order = ">"
    if data is None:
        return PREFIX + block(order, {0: density_entries(order, density)})
    tiff = Tiff(io.BytesIO(data.removeprefix(PREFIX)))
    main = tiff.directory(tiff.first)
    if X_DENSITY in main.entries:
        return data
    entries = [(one.tag, one.kind, one.count, tiff.values(one)) for one in main.entries.values()]
    names = (X_DENSITY, Y_DENSITY, DENSITY_UNIT)
    entries = [one for one in entries if one[0] not in names] + density_entries(tiff.order, density)
    whole = tiff.bytes(0, tiff.length)
    whole += bytes(len(whole) % 2)
    moved = packed(tiff.order, entries, len(whole))
    return PREFIX + whole[:4] + struct.pack(tiff.order + "I", len(whole)) + whole[8:] + moved


def density_entries(order: str, density: tuple[float, float]) -> list[tuple[int, int, int, bytes]]:
    rational = [struct.pack(order + "II", round(value * 1000), 1000) for value in density]
    inch = struct.pack(order + "H", 2)
    return [(X_DENSITY, 5, 1, rational[0]), (Y_DENSITY, 5, 1, rational[1]), (DENSITY_UNIT, 3, 1, inch)]


class _Cleaning:
    """One pass over a block: `block` is rewritten while `tiff` shows what it was."""

    def __init__(self, tiff: Tiff, block: bytearray) -> None:
        self.tiff, self.block = tiff, block
        self.damaged: list[str] = []
        self.seen = {tiff.first}  # directories
        self.needed = [(0, 8)]  # from where to where something lies that is kept

    def clean(self, directory: Directory, name: int) -> bool:
        """Rewrite a directory where it lies, shorter by what goes; is anything left?"""
        kept, below = [], {0: (_EXIF, _GPS), _EXIF: (_INTEROP,)}.get(name, ())
        for entry in directory.entries.values():
            if entry.tag in _DROPPED[name]:
                continue
            good = _is_whole(self.tiff, entry, name)
            if good and entry.tag in below:
                inner = self._below(directory, entry.tag)
                good = inner is not None
                if inner is not None and not self.clean(inner, entry.tag):
                    continue
            if good:
                kept.append(bytes(self.block[entry.record : entry.record + 12]))
                self.needed.append((entry.place, entry.place + entry.size))
            else:
                self.damaged.append(_name(entry.tag, name))
        self._rewrite(directory, kept, name)
        return bool(kept)

    def _below(self, directory: Directory, tag: int) -> Directory | None:
        offset = self.tiff.number(directory, tag)
        if offset < 8 or offset in self.seen:
            return None
        self.seen.add(offset)
        return inner if (inner := self.tiff.directory(offset)).entries else None

    def _rewrite(self, directory: Directory, kept: list[bytes], name: int) -> None:
        start, order = directory.offset, self.tiff.order
        count = int.from_bytes(self.tiff.bytes(start, 2), "little" if order == "<" else "big")
        self.needed.append((start, start + 2 + 12 * len(kept) + 4))
        if len(kept) == count and name:
            return  # nothing changes; some writers leave out the link to a next directory
        table = struct.pack(order + "H", len(kept)) + b"".join(kept) + bytes(4)
        size = max(min(2 + 12 * count, len(self.block) - start), len(table))
        self.block[start : start + size] = table.ljust(size, b"\0")

    def remove_thumbnail(self, directory: Directory) -> None:
        """Wipe the small picture of the second directory; to be called last."""
        for where, long in ((513, 514), (273, 279)):
            start, size = self.tiff.number(directory, where), self.tiff.number(directory, long)
            there = (
                8 <= start < start + size <= len(self.block) and self.block[start : start + 2] == b"\xff\xd8"
            )
            if not there or any(first < start + size and start < end for first, end in self.needed):
                continue
            self.block[start : start + size] = bytes(size)
            if start >= max(end for _, end in self.needed):
                del self.block[start:]


def _is_whole(tiff: Tiff, entry: Entry, directory: int) -> bool:
    """Does an entry lie within the file, with values of a kind that its tag may have?"""
    if entry.size < 0 or not entry.count or entry.place + entry.size > tiff.length:
        return False
    return entry.kind in _KINDS[directory].get(entry.tag, SIZES)


def _orientation(tiff: Tiff, main: Directory) -> int:
    value = tiff.number(main, ORIENTATION)
    return value if 1 <= value <= 8 else 0


def _density(tiff: Tiff, main: Directory) -> tuple[float, float] | None:
    values = []
    for tag in (X_DENSITY, Y_DENSITY):
        entry = main.entries.get(tag)
        data = tiff.values(entry) if entry and entry.kind == 5 else b""
        above, below = struct.unpack(tiff.order + "II", data[:8]) if len(data) >= 8 else (0, 0)
        values.append(above / below if below else 0.0)
    scale = {2: 1.0, 3: 2.54}.get(tiff.number(main, DENSITY_UNIT, 2), 0.0)
    return plausible(values[0] * scale, values[1] * scale)


def plausible(across: float, down: float) -> tuple[float, float] | None:
    """A density in dots per inch, None if it is none of a photo or scan."""
    good = 2 <= across <= 60_000 and 2 <= down <= 60_000  # 1 is what writers put who know none
    return (float(across), float(down)) if good else None


def _by_directory(tiff: Tiff) -> dict[int, list[Entry]]:
    main, parts = tiff.directory(tiff.first), {}
    for name in (0, _EXIF, _GPS):
        directory = tiff.directory(tiff.number(main, name)) if name else main
        there = directory.entries.values() if not name or name in main.entries else ()
        parts[name] = [one for one in there if one.tag not in (_EXIF, _GPS, _INTEROP)]
    return parts


def _with_values(
    tiff: Tiff, parts: dict[int, list[Entry]], order: str
) -> dict[int, list[tuple[int, int, int, bytes]]]:
    return {
        name: [(one.tag, one.kind, one.count, _ordered(tiff, one, order)) for one in entries]
        for name, entries in parts.items()
    }


def _bytes_in_block(entry: Entry) -> int:
    return 12 + (entry.size + entry.size % 2 if entry.size > 4 else 0)


def _ordered(tiff: Tiff, entry: Entry, order: str) -> bytes:
    data = tiff.values(entry)
    unit = {5: 4, 10: 4}.get(entry.kind, SIZES.get(entry.kind, 1))
    return data if order == tiff.order or unit == 1 else np.frombuffer(data, f"u{unit}").byteswap().tobytes()


def _name(tag: int, directory: int) -> str:
    names = {0: ExifTags.TAGS, _EXIF: ExifTags.TAGS, _GPS: ExifTags.GPSTAGS}.get(directory, {})
    return names.get(tag, str(tag))
