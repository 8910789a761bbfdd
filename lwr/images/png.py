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
_MOST_TEXT = 24_000_000  # of all texts
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
        reason = "too long" if name in _TEXTS and length > _LONGEST_PLAIN else None
        if reason is None:
            data = file.read(length)
            texts += length if name in _TEXTS else 0
            reason = _reason(name, data, file.read(4), texts)
        if reason:
            bad.append((place, end))
            notes.append(_note(name, reason))
        place = end
    notes[:] = dict.fromkeys(notes)
    return bad


def _reason(name: bytes, data: bytes, check: bytes, texts: int) -> str | None:
    """Why a chunk beside the picture is left out; None: it is good."""
    if zlib.crc32(name + data) != int.from_bytes(check, "big"):
        return "damaged"
    if texts > _MOST_TEXT:
        return "too long"
    if name not in _PACKED:
        return None
    keyword, _, rest = data.partition(b"\0")
    if name == b"iTXt":
        if rest[:1] != b"\1":
            return None
        rest = rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    else:
        rest = rest[1:]
    try:
        unpacker = zlib.decompressobj()
        unpacker.decompress(rest, _LONGEST)
    except zlib.error:
        return "damaged"
    return None if unpacker.eof else "too long" if unpacker.unconsumed_tail else "damaged"


def _note(name: bytes, reason: str) -> str:
    what = {b"iCCP": "colour profile", b"eXIf": "EXIF data"}.get(name)
    what = what or ("text (comment)" if name in _TEXTS else f"chunk {name.decode('latin-1')!r}")
    return f"a {what} of the PNG file is {reason} and was dropped"
