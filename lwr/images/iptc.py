"""IPTC data (captions and keywords of press photos) and the Photoshop resources in which files keep it."""

import struct

_SIGNATURE = b"8BIM"
NUMBER = 0x0404  # of the resource that holds IPTC data
HEADER = b"Photoshop 3.0\0"
_FIRST = b"\x1c"  # of each IPTC dataset


def of_resources(data: bytes) -> bytes | None:
    """The IPTC data in a block of Photoshop resources, or in one that is nothing else."""
    data = data.removeprefix(HEADER)
    if data.startswith(_FIRST):
        return data
    place = 0
    while data.startswith(_SIGNATURE, place) and place + 12 <= len(data):
        number, name = struct.unpack_from(">HB", data, place + 4)
        place += 7 + name + (name + 1) % 2
        size = int.from_bytes(data[place : place + 4], "big")
        place += 4
        if number == NUMBER:
            return checked(data[place : place + size])
        place += size + size % 2
    return None


def checked(data: object) -> bytes | None:
    """The data if it is IPTC's."""
    return bytes(data) if isinstance(data, bytes) and data.startswith(_FIRST) else None


def resources(data: bytes) -> bytes:
    """IPTC data as a block of Photoshop resources."""
    return _SIGNATURE + struct.pack(">HHI", NUMBER, 0, len(data)) + data + bytes(len(data) % 2)
