"""XMP packets: title, keywords, rating and history stay, what is false for the new photo goes.

Done on the text and not by an XML reader, so that everything else stays byte by byte, and because packets are
not always well-formed.
"""

import re

# Orientation, sizes, thumbnails, and what refers to other parts of the old file: gain map, video, depth
_FALSE = (
    "tiff:Orientation", "tiff:ImageWidth", "tiff:ImageLength", "exif:PixelXDimension", "exif:PixelYDimension",
    "exifEX:PixelXDimension", "exifEX:PixelYDimension", "xmp:Thumbnails", "xap:Thumbnails",
    "xmpNote:HasExtendedXMP", "Container:Directory", "GContainer:Directory", "hdrgm:Version",
    "HDRGainMap:Version",
    "GCamera:MotionPhoto", "GCamera:MotionPhotoVersion", "GCamera:MotionPhotoPresentationTimestampUs",
    "GCamera:MicroVideo", "GCamera:MicroVideoVersion", "GCamera:MicroVideoOffset",
    "GCamera:MicroVideoPresentationTimestampUs", "GDepth:Data", "GImage:Data",
)  # fmt: skip
_ATTRIBUTES = re.compile(rf"\s(?:{'|'.join(_FALSE)})\s*=\s*(?:\"[^\"<]*\"|'[^'<]*')")
_ORIENTATION = re.compile(r"tiff:Orientation\s*(?:=\s*[\"']|>)\s*([1-8])\b")


def cleaned(packet: bytes) -> tuple[bytes | None, int, bool]:
    """-> the packet without what is false in another file, None if it cannot be read; orientation or 0; is
    something lost that lay in another part of the file (a gain map, a video, an extension)?
    """
    try:
        text = packet.rstrip(b"\0").decode("utf-8-sig")
    except UnicodeDecodeError:
        return None, 0, False
    if "<" not in text or "\0" in text:
        return None, 0, False
    found = _ORIENTATION.search(text)
    refers = any(name in text for name in _FALSE[9:])
    text = _ATTRIBUTES.sub("", text)
    for name in _FALSE:
        shorter = _without_element(text, name)
        if shorter is None:
            return None, int(found[1]) if found else 0, refers
        text = shorter
    return text.encode(), int(found[1]) if found else 0, refers


def _without_element(text: str, name: str) -> str | None:
    """The text without all elements of a name; None: one of them does not end."""
    parts, done = [], 0
    while (start := text.find(f"<{name}", done)) >= 0:
        opened = text.find(">", start)
        if opened < 0:
            return None
        if text[start + len(name) + 1] not in " \t\r\n/>":  # a longer name
            parts.append(text[done:opened])
            done = opened
            continue
        closed = opened if text[opened - 1] == "/" else text.find(f"</{name}", opened)
        end = text.find(">", closed)
        if closed < 0 or end < 0:
            return None
        parts.append(text[done:start])
        done = end + 1
    return "".join(parts) + text[done:]
