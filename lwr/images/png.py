"""PNG files whose pixels are whole but whose comments are not: read without the comments."""

import io
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_LONGEST = (
    1_000_000  # bytes of an unpacked text or profile; Pillow refuses the photo above its own limit of 2**20
)
_LONGEST_PLAIN = 8_000_000  # of a text that is not packed, such as XMP with its history
_MOST_TEXT = 24_000_000  # of all texts when unpacked; Pillow refuses the photo above its own limit of 2**26
_PACKED = {b"zTXt": 1, b"iCCP": 1, b"iTXt": 1}
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")


def readable(path: Path, notes: list[str]) -> Path | BinaryIO:
    """The file, or its bytes without the texts and profiles that would keep Pillow from reading the photo."""
    with path.open("rb") as file:
        if file.read(8) != _SIGNATURE:
            return path
        bad = _bad_chunks(file, notes)
        if not bad:
            return path
        whole, done = io.BytesIO(), 0
        for start, end in bad:
            file.seek(done)
            whole.write(file.read(start - done))
            done = end
        file.seek(done)
        whole.write(file.read())
    whole.seek(0)
    return whole


def _bad_chunks(file: BinaryIO, notes: list[str]) -> list[tuple[int, int]]:
    """(start, end) of each chunk to leave out."""
    bad, place, texts, size = [], 8, 0, file.seek(0, io.SEEK_END)
    while place + 12 <= size:
        file.seek(place)
        length, name = struct.unpack(">I4s", file.read(8))
        end = place + 12 + length
        if end > size:
            break
        if not name[0] & 0x20 or name in (b"fcTL", b"fdAT"):  # the picture itself
            place = end
            continue
        reason, unpacked = "too long", 0
        if name not in _TEXTS or (length <= _LONGEST_PLAIN and texts < _MOST_TEXT):
            reason, unpacked = _judged(name, file.read(length), file.read(4))
        if name in _TEXTS and texts + unpacked > _MOST_TEXT:
            reason = reason or "too long"
        texts += unpacked if name in _TEXTS else 0
        if reason:
            bad.append((place, end))
            notes.append(_note(name, reason))
        place = end
    notes[:] = dict.fromkeys(notes)
    return bad


def _judged(name: bytes, data: bytes, check: bytes) -> tuple[str | None, int]:
    """Why a chunk beside the picture is left out (None: it is good), and its bytes when unpacked."""
    if zlib.crc32(name + data) != int.from_bytes(check, "big"):
        return "damaged", 0
    keyword, _, rest = data.partition(b"\0")
    if name not in _PACKED or (name == b"iTXt" and rest[:1] != b"\1"):
        return None, len(data)
    rest = rest[2:].partition(b"\0")[2].partition(b"\0")[2] if name == b"iTXt" else rest[1:]
    try:
        unpacker = zlib.decompressobj()
        unpacked = len(unpacker.decompress(rest, _LONGEST))
    except zlib.error:
        return "damaged", 0
    return None if unpacker.eof else "too long" if unpacker.unconsumed_tail else "damaged", unpacked


def _note(name: bytes, reason: str) -> str:
    what = {b"iCCP": "colour profile", b"eXIf": "EXIF data"}.get(name)
    what = what or ("text (comment)" if name in _TEXTS else f"chunk {name.decode('latin-1')!r}")
    return f"a {what} of the PNG file is {reason} and was dropped"
