"""Small files of every kind that is read, and ways of damaging them: what the tests of reading start from."""

import io
import random
import struct
import zlib
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import pillow_heif
from PIL import Image, ImageCms, PngImagePlugin

WIDTH, HEIGHT = 20, 14
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6" xmp:Rating="5">'
    b"<dc:title>A cat</dc:title></rdf:Description></x:xmpmeta>"
)
RESOURCES = b"Photoshop 3.0\0" + b"8BIM\4\4\0\0\0\0\0\x09\x1c\2\x19\0\4word\0"


def picture(mode: str = "RGB", width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    """A gradient; with transparency a step in it."""
    y, x = np.mgrid[0:height, 0:width]
    rgb = np.stack([255 * x / width, 255 * y / height, 99 + 0 * x], -1).astype(np.uint8)
    image = Image.fromarray(rgb)
    if mode in ("I;16", "I", "F"):
        deep = np.asarray(image.convert("L")).astype(np.float32)
        values = {"I;16": (deep * 257).astype(np.uint16), "I": (deep * 257).astype(np.int32), "F": deep / 255}
        return Image.fromarray(values[mode])
    if mode in ("RGBA", "LA"):
        image = image.convert("RGBA")
        image.putalpha(Image.fromarray(np.where(x < width // 2, 0, 255).astype(np.uint8)))
    return image.convert(mode)


def exif(orientation: int = 6) -> bytes:
    """A block with texts, date, place, maker note and a second directory."""
    block = Image.Exif()
    block[271], block[274], block[282], block[283], block[296] = "Maker", orientation, 300.0, 300.0, 2
    block[0x8769] = {0x9003: "2001:02:03 04:05:06", 0x927C: b"MAKER" * 9, 0xA002: WIDTH}
    block[0x8825] = {1: "N", 2: (52.0, 30.0, 0.0)}
    return block.tobytes()


@lru_cache(maxsize=8)
def profile(space: str) -> bytes:
    """An sRGB profile, or one that says to be for another space."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    data[16:20] = space.ljust(4).encode()
    return bytes(data)


def written(image: Image.Image, file_format: str, **options: object) -> bytes:
    """The bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def _texts() -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "a cat", zip=True)
    info.add_itxt("XML:com.adobe.xmp", XMP.decode(), zip=True)
    return info


@lru_cache(maxsize=1)
def seeds() -> dict[str, bytes]:
    """Twenty files, by name."""
    pillow_heif.register_heif_opener()
    iptc = b"\xff\xed" + (len(RESOURCES) + 2).to_bytes(2, "big") + RESOURCES
    frames = [picture(), picture().rotate(180)]
    everything = {"exif": exif(), "icc_profile": profile("RGB")}
    more = {"xmp": XMP, "extra": iptc, "dpi": (300, 300), "comment": "a cat"}
    palette = picture("P")
    return {
        "plain.jpg": written(picture(), "JPEG"),
        "full.jpg": written(picture(), "JPEG", **everything, **more),
        "progressive.jpg": written(picture("L"), "JPEG", progressive=True, icc_profile=profile("GRAY")),
        "cmyk.jpg": written(picture("CMYK"), "JPEG", icc_profile=profile("CMYK")),
        "pair.mpo": written(picture(), "MPO", save_all=True, append_images=frames[1:]),
        "full.png": written(picture("RGBA"), "PNG", **everything, pnginfo=_texts(), dpi=(300, 300)),
        "palette.png": written(palette, "PNG", transparency=bytes(range(0, 256, 2))),
        "deep.png": written(picture("I;16"), "PNG"),
        "moving.png": written(frames[0], "PNG", save_all=True, append_images=frames[1:]),
        "full.webp": written(picture(), "WEBP", **everything, xmp=XMP),
        "clear.webp": written(picture("RGBA"), "WEBP", lossless=True),
        "lzw.tif": written(picture(), "TIFF", compression="tiff_lzw", tiffinfo={700: XMP, 274: 8}),
        "plain.tif": written(picture("RGBA"), "TIFF", **everything),
        "float.tif": number_tiff(np.asarray(picture()) / np.float32(255), 3, predictor=3),
        "moving.gif": written(frames[0], "GIF", save_all=True, append_images=frames[1:], comment=b"cat"),
        "plain.bmp": written(picture(), "BMP", dpi=(300, 300)),
        "deep.ppm": b"P6 20 14 65535\n" + bytes(range(240)) * 7,
        "plain.jp2": written(picture(), "JPEG2000"),
        "full.avif": written(picture(), "AVIF", **everything, xmp=XMP),
        "full.heic": written(picture(), "HEIF", exif=exif(), xmp=XMP),
    }  # fmt: skip


def tiff(tags: list[tuple[int, int, int, bytes]], data: bytes, order: str = "<", big: bool = False) -> bytes:
    """A TIFF by hand; values that say `DATA` become the offset of `data`."""
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "H", 43 if big else 42)
    step, link, counted = (20, "Q", "HHQ") if big else (12, "I", "HHI")
    head += struct.pack(order + "HHQ", 8, 0, 16) if big else struct.pack(order + "I", 8)
    table = struct.pack(order + ("Q" if big else "H"), len(tags))
    tail, inside = b"", struct.calcsize(link)
    end = len(head) + len(table) + step * len(tags) + inside
    longer = sum(len(value) for *_, value in tags if len(value) > inside)
    for tag, kind, count, value in sorted(tags):
        if value == b"DATA":
            value = struct.pack(order + "I", end + longer)
        if len(value) > inside:
            value, tail = struct.pack(order + link, end + len(tail)), tail + value
        table += struct.pack(order + counted, tag, kind, count) + value.ljust(inside, b"\0")
    return head + table + bytes(inside) + tail + data


def number_tiff(
    values: np.ndarray, form: int, order: str = "<", predictor: int = 1, big: bool = False
) -> bytes:
    """A TIFF of (H,W,C) numbers of any type, deflated, with the predictors of libtiff."""
    height, width, samples = values.shape
    values = values.astype(values.dtype.newbyteorder(order))
    if predictor == 2:
        whole = values.view(f"{order}u{values.itemsize}")
        raw = np.diff(whole, axis=1, prepend=whole[:, :1] * 0).astype(whole.dtype).tobytes()
    elif predictor == 3:
        planes = values.astype(values.dtype.newbyteorder(">")).view(np.uint8)
        planes = planes.reshape(height, -1, values.itemsize).swapaxes(1, 2).reshape(height, -1, samples)
        raw = np.diff(planes, axis=1, prepend=planes[:, :1] * 0).tobytes()
    else:
        raw = values.tobytes()
    data = zlib.compress(raw)

    def shorts(*numbers: int) -> bytes:
        return struct.pack(f"{order}{len(numbers)}H", *numbers)

    tags = [
        (256, 3, 1, shorts(width)), (257, 3, 1, shorts(height)),
        (258, 3, samples, shorts(*[8 * values.itemsize] * samples)), (259, 3, 1, shorts(8)),
        (262, 3, 1, shorts(2 if samples > 2 else 1)), (273, 4, 1, b"DATA"), (277, 3, 1, shorts(samples)),
        (278, 3, 1, shorts(height)), (279, 4, 1, struct.pack(order + "I", len(data))),
        (317, 3, 1, shorts(predictor)), (339, 3, samples, shorts(*[form] * samples)),
    ]  # fmt: skip
    if samples in (2, 4):
        tags.append((338, 3, 1, shorts(2)))
    return tiff(tags, data, order, big)


def _flip(data: bytearray, rng: random.Random) -> None:
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _byte(data: bytearray, rng: random.Random) -> None:
    data[rng.randrange(len(data))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))


def _number(data: bytearray, rng: random.Random) -> None:
    size, place = rng.choice((2, 4, 8)), rng.randrange(len(data))
    value = rng.choice((0, 1, 2, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 31, rng.randrange(1 << 16)))
    data[place : place + size] = (value % (1 << 8 * size)).to_bytes(size, rng.choice(("big", "little")))


def _cut(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(1, len(data) + 1) :]


def _remove(data: bytearray, rng: random.Random) -> None:
    place = rng.randrange(len(data))
    del data[place : place + rng.randrange(1, 30)]


def _insert(data: bytearray, rng: random.Random) -> None:
    place = rng.randrange(len(data))
    data[place:place] = rng.randbytes(rng.randrange(1, 30))


def _repeat(data: bytearray, rng: random.Random) -> None:
    place = rng.randrange(len(data))
    data[place:place] = data[place : place + rng.randrange(1, 200)]


DAMAGES: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _flip, _byte, _number, _cut, _remove, _insert, _repeat,
)  # fmt: skip


def damaged(data: bytes, rng: random.Random, times: int) -> bytes:
    """The file after some accidents; half of them in its head, where the format stands."""
    changed = bytearray(data)
    for _ in range(times):
        damage = rng.choice(DAMAGES)
        head = bytearray(changed[:64])
        if rng.random() < 0.4 and damage is not _cut:
            damage(head, rng)
            changed[:64] = head
        else:
            damage(changed, rng)
        changed = changed or bytearray(b"\0")
    return bytes(changed)
