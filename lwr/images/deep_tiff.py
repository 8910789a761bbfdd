"""TIFFs with more bits than Pillow reads: colours in floating point or 32-bit numbers, half precision.

Pillow's own decoders still unpack the file, as rows of plain bytes; what the bytes mean is settled here.
"""

import io
import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import TiffImagePlugin

from lwr.images.tiff import Directory, Tiff

_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _SAMPLES, _ROWS, _PLANAR = 256, 257, 258, 262, 277, 278, 284
_PREDICTOR, _TILE_WIDTH, _TILE_HEIGHT, _EXTRA, _FORMAT = 317, 322, 323, 338, 339
_TAKEN = (
    256,
    257,
    259,
    266,
    273,
    277,
    278,
    279,
    322,
    323,
    324,
    325,
    34675,
)  # tags that unpacking needs, profile
_PLACES = (273, 279, 324, 325)  # where strips and tiles lie, and how long they are
# sample format and bits -> NumPy's type
_NUMBERS = {(1, 16): "u2", (1, 32): "u4", (3, 16): "f2", (3, 32): "f4", (3, 64): "f8"}


class Layout(NamedTuple):
    """How the numbers lie in the file."""

    width: int
    height: int
    samples: int
    colours: int  # 1 or 3 of the samples
    dtype: np.dtype
    predictor: int  # 1 none, 2 differences, 3 differences of the bytes
    planes: bool  # the samples lie apart, each in a picture of its own, instead of pixel by pixel
    tile: tuple[int, int]  # height and width; of a file in strips: height of a strip and width of the photo
    tiled: bool
    extra: int  # 1: alpha, colours are multiplied by it; 2: alpha; 0: something else


class DeepTiff(TiffImagePlugin.TiffImageFile):
    """A TIFF that Pillow sees as gray bytes, without orientation and metadata."""

    layout: Layout
    others: tuple[TiffImagePlugin.TiffImageFile, ...] = ()  # further samples, when they lie apart

    def numbers(self) -> np.ndarray:
        """(H,W,C) float64, as in the file, with its NaN and infinity."""
        values = np.concatenate(
            [_unpacked(np.asarray(part), self.layout) for part in (self, *self.others)], -1
        )
        return values.astype(np.float64)


def _unpacked(raw: np.ndarray, one: Layout) -> np.ndarray:
    """Rows of bytes (h,w) as in the file -> numbers (H,W,C)."""
    size, per_pixel = one.dtype.itemsize, 1 if one.planes else one.samples
    across = raw.shape[1] // (one.tile[1] * per_pixel * size)
    rows = raw.reshape(
        raw.shape[0], across, -1
    )  # differences begin again with each tile: (rows, tiles, bytes)
    if one.predictor == 3:
        rows = rows.reshape(*rows.shape[:2], -1, per_pixel).cumsum(2, np.uint8)
        rows = rows.reshape(*rows.shape[:2], size, -1).swapaxes(2, 3)  # most significant bytes first
        values = np.ascontiguousarray(rows).view(one.dtype.newbyteorder(">"))
    else:
        values = np.ascontiguousarray(rows).view(one.dtype)
        if one.predictor == 2:
            whole = values.view(one.dtype.str.replace("f", "u")).reshape(*rows.shape[:2], -1, per_pixel)
            whole = whole.cumsum(2, whole.dtype.newbyteorder("=")).astype(whole.dtype)
            values = whole.view(one.dtype)
    return values.reshape(raw.shape[0], -1, per_pixel)[: one.height, : one.width]


def open_deep(path: Path, most_pixels: int) -> DeepTiff | None:
    """The file if it is a TIFF of a kind that is read here, else None: Pillow then reads or refuses it."""
    with path.open("rb") as file:
        try:
            tiff = Tiff(file)
        except ValueError:
            return None
        directory = tiff.directory(tiff.first)
        layout = _layout(tiff, directory)
        if layout is None or layout.width * layout.height > most_pixels:
            return None
        planes = range(layout.samples if layout.planes else 1)
        files = [io.BytesIO(_as_bytes(tiff, directory, layout, plane)) for plane in planes]
    image = DeepTiff(files[0])
    image.others = tuple(TiffImagePlugin.TiffImageFile(file) for file in files[1:])
    image.layout = layout
    return image


def described(path: Path) -> str:
    """ "3 x 24-bit floating point" for the samples of a TIFF's first picture, "" when they cannot be told."""
    with path.open("rb") as file:
        try:
            tiff = Tiff(file)
        except ValueError:
            return ""
        directory = tiff.directory(tiff.first)
        bits, samples = tiff.number(directory, _BITS), tiff.number(directory, _SAMPLES, 1)
        kind = {2: "signed ", 3: "floating point ", 5: "complex ", 6: "complex "}
        name = kind.get(tiff.number(directory, _FORMAT, 1), "")
    return f"{samples} x {bits}-bit {name}".strip() if bits else ""


def _layout(tiff: Tiff, directory: Directory) -> Layout | None:
    def number(tag: int, default: int) -> int:
        return tiff.number(directory, tag, default)

    width, height, samples = number(_WIDTH, 0), number(_HEIGHT, 0), number(_SAMPLES, 1)
    bits, form = set(tiff.numbers(directory, _BITS)), number(_FORMAT, 1)
    colours = {0: 1, 1: 1, 2: 3}.get(number(_PHOTOMETRIC, -1), 0)
    kind = _NUMBERS.get((form, bits.pop())) if len(bits) == 1 else None
    planes = number(_PLANAR, 1) == 2 and samples > 1
    read_by_pillow = kind == "u2" and not planes
    if kind is None or read_by_pillow or not colours <= samples <= 8 or not colours or 0 in (width, height):
        return None
    tiled = _TILE_WIDTH in directory.entries
    tile = (
        (number(_TILE_HEIGHT, 0), number(_TILE_WIDTH, 0))
        if tiled
        else (min(number(_ROWS, height), height), width)
    )
    if not all(0 < side <= 1 << 16 for side in tile):
        return None
    dtype = np.dtype(tiff.order + kind)
    extra = number(_EXTRA, 0) if samples > colours else 0
    predictor = number(_PREDICTOR, 1)
    return Layout(width, height, samples, colours, dtype, predictor, planes, tile, tiled, extra)


def _as_bytes(tiff: Tiff, directory: Directory, one: Layout, plane: int) -> bytes:
    """The file with a new first directory, by which it is a gray picture of 8 bits: whole, or one plane."""
    per_pixel = (1 if one.planes else one.samples) * one.dtype.itemsize
    across = -(-one.width // one.tile[1]) * one.tile[1]
    changed = {_WIDTH: across * per_pixel, _HEIGHT: one.height, _BITS: 8, _PHOTOMETRIC: 1, _SAMPLES: 1}
    changed |= {_PLANAR: 1, _PREDICTOR: 1, _FORMAT: 1}
    changed |= {_TILE_WIDTH: one.tile[1] * per_pixel} if one.tiled else {_ROWS: one.tile[0]}
    step, counted, link = (20, "HHQ", "Q") if tiff.big else (12, "HHI", "I")
    inside = struct.calcsize(link)
    records = {
        tag: tiff.bytes(entry.record, step) for tag, entry in directory.entries.items() if tag in _TAKEN
    }
    for tag, value in changed.items():
        inline = struct.pack(tiff.order + "I", value).ljust(inside, b"\0")
        records[tag] = struct.pack(tiff.order + counted, tag, 4, 1) + inline
    for tag in _PLACES:
        entry = directory.entries.get(tag)
        if entry and one.planes:
            count = entry.count // one.samples
            size = count * (entry.size // max(entry.count, 1))
            place = entry.place + plane * size
            value = struct.pack(tiff.order + link, place) if size > inside else tiff.bytes(place, size)
            records[tag] = struct.pack(tiff.order + counted, tag, entry.kind, count) + value.ljust(
                inside, b"\0"
            )
    data = tiff.bytes(0, tiff.length)
    data += bytes(len(data) % 2)
    table = struct.pack(tiff.order + ("Q" if tiff.big else "H"), len(records))
    table += b"".join(records[tag] for tag in sorted(records))
    table += struct.pack(tiff.order + link, directory.following)
    where = struct.pack(tiff.order + link, len(data))
    return data[:8] + where + data[16:] + table if tiff.big else data[:4] + where + data[8:] + table
