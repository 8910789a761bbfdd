"""A photo's metadata into each format: what it can hold, and notes on what it cannot."""

import io
import struct

from PIL import PngImagePlugin

from lwr.images import exif, iptc, xmp
from lwr.images.photo import Loaded
from lwr.images.tiff import Tiff

_LONGEST_SEGMENT = 65533  # bytes of a JPEG's segment
_XMP_HEAD = len(b"http://ns.adobe.com/xap/1.0/\0")
_TIFF_XMP, _TIFF_IPTC = 700, 33723


def options(photo: Loaded, file_format: str, notes: list[str]) -> dict[str, object]:
    """What Pillow's `save` is to be given, None where there is nothing; notes get what cannot be kept."""
    if file_format == "JPEG":
        return _in_jpeg(photo, notes)
    if file_format == "PNG":
        return {"exif": photo.exif, "dpi": photo.density, "pnginfo": _png_texts(photo)}
    if photo.texts:
        notes.append(f"{file_format} has no place for the photo's texts: {_names(photo.texts)} dropped")
    if file_format == "TIFF":
        return {}
    if photo.iptc:
        notes.append(f"{file_format} has no place for IPTC data: captions and keywords were dropped")
    block = photo.exif if photo.density is None else exif.with_density(photo.exif, photo.density)
    return {"exif": block, "xmp": photo.xmp}


def into_tiff(file: io.BytesIO, photo: Loaded) -> None:
    """Give a TIFF that Pillow has written the photo's metadata, in a directory at its end."""
    if not (photo.exif or photo.xmp or photo.iptc or photo.density):
        return
    tiff = Tiff(file)
    main = tiff.directory(tiff.first)
    parts = exif.parts_of(photo.exif, tiff.order) if photo.exif else {0: []}
    if photo.density and not any(tag == exif.X_DENSITY for tag, *_ in parts[0]):
        parts[0] += exif.density_entries(tiff.order, photo.density)
    parts[0] += [(tag, 1, len(data), data) for tag, data in ((_TIFF_XMP, photo.xmp),) if data]
    parts[0] += [(tag, 7, len(data), data) for tag, data in ((_TIFF_IPTC, photo.iptc),) if data]
    new = {tag for tag, *_ in parts[0]}
    own = [(one.tag, one.kind, one.count, tiff.values(one)) for one in main.entries.values()]
    parts[0] += [entry for entry in own if entry[0] not in new]
    place = tiff.length + tiff.length % 2
    file.seek(0, io.SEEK_END)
    file.write(bytes(place - tiff.length) + exif.block(tiff.order, parts, place))
    file.seek(4)
    file.write(struct.pack(tiff.order + "I", place))


def _in_jpeg(photo: Loaded, notes: list[str]) -> dict[str, object]:
    comments = [value for key, value in photo.texts if key.lower() == "comment"][:1]
    others = [(key, value) for key, value in photo.texts if key.lower() != "comment"]
    if others:
        notes.append(f"JPEG has no place for the photo's texts: {_names(others)} dropped")
    block, lost = exif.shortened(photo.exif, _LONGEST_SEGMENT) if photo.exif else (None, [])
    if lost:
        names = ", ".join(lost[:5]) + (", ..." if len(lost) > 5 else "")
        notes.append(f"the EXIF data is too long for JPEG: {names} dropped")
    packet = photo.xmp
    if packet and len(packet) + _XMP_HEAD > _LONGEST_SEGMENT and xmp.settings_of(packet):
        packet = xmp.without_settings(packet)  # what the photo came with counts more
        notes.append("the XMP data leaves no room for the settings in JPEG: they were left out")
    segments = {
        "exif": (block, "EXIF data", 0),
        "xmp": (packet, "XMP data", _XMP_HEAD),
        "extra": (photo.iptc and iptc.HEADER + iptc.resources(photo.iptc), "IPTC data", 0),
        "comment": (comments[0].encode("utf-8", "replace") if comments else None, "comment", 0),
    }
    kept: dict[str, object] = {"dpi": photo.density}
    for name, (data, what, head) in segments.items():
        if data and len(data) + head > _LONGEST_SEGMENT:
            notes.append(f"the {what} is too long for JPEG and was dropped")
        elif data:
            kept[name] = data
    if "extra" in kept:
        data = kept["extra"]
        kept["extra"] = b"\xff\xed" + struct.pack(">H", len(data) + 2) + data
    return kept


def _png_texts(photo: Loaded) -> PngImagePlugin.PngInfo | None:
    info = PngImagePlugin.PngInfo()
    for key, value in photo.texts:
        info.add_text(key, value) if _is_latin(value) else info.add_itxt(key, value)
    if photo.xmp:
        info.add_itxt("XML:com.adobe.xmp", photo.xmp.decode("utf-8", "replace"))
    if photo.iptc:  # as ImageMagick and ExifTool do; PNG has no place of its own
        data = iptc.resources(photo.iptc)
        digits = data.hex()
        lines = [digits[start : start + 72] for start in range(0, len(digits), 72)]
        info.add_text(
            "Raw profile type iptc", "\n".join(["", "iptc", f"{len(data):8}", *lines, ""]), zip=True
        )
    return info if info.chunks else None


def _is_latin(text: str) -> bool:
    return all(ord(letter) < 256 for letter in text)


def _names(texts: list[tuple[str, str]] | tuple[tuple[str, str], ...]) -> str:
    return ", ".join(key for key, _ in texts[:5]) + (", ..." if len(texts) > 5 else "")
