"""XMP packets: title, keywords, rating and history stay, what is false for the new photo goes.

Done on the text and not by an XML reader, so that everything else stays byte by byte, and because packets are
not always well-formed.
"""

import re
from xml.sax.saxutils import escape, unescape

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


# ---- a property of our own

_ENTITIES = {"&quot;": '"', "&apos;": "'", "&#34;": '"', "&#39;": "'"}
_PREFIX, _SPACE = "lwr:Settings", "urn:lwr:settings"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_NEW = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    f'<rdf:RDF xmlns:rdf="{_RDF}"></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)
_OURS = re.compile(
    rf'<rdf:Description rdf:about="" xmlns:lwr="{_SPACE}" xmlns:rdf="{_RDF}"><{_PREFIX}>[^<]*</{_PREFIX}>'
    "</rdf:Description>"
)
_VALUE = re.compile(rf"<{_PREFIX}[^>]*>([^<]*)</|{_PREFIX}\s*=\s*\"([^\"<]*)\"|{_PREFIX}\s*=\s*'([^'<]*)'")


def with_settings(packet: bytes | None, text: str) -> bytes:
    """A packet with `text` as its settings, instead of those that it had; the rest stays byte by byte."""
    whole = (without_settings(packet) if packet else b"").decode("utf-8", "replace") or _NEW
    ours = (
        f'<rdf:Description rdf:about="" xmlns:lwr="{_SPACE}" xmlns:rdf="{_RDF}"><{_PREFIX}>{escape(text)}'
        f"</{_PREFIX}></rdf:Description>"
    )
    place = [*re.finditer(r"</\w+:RDF\s*>", whole)][-1:]
    return (whole[: place[0].start()] + ours + whole[place[0].start() :] if place else whole).encode()


def without_settings(packet: bytes) -> bytes:
    """The packet as it was before it got settings; another program may have written them otherwise since."""
    text = _OURS.sub("", packet.decode("utf-8", "replace"))
    text = _without_element(text, _PREFIX) or text
    return re.sub(rf"\s{_PREFIX}\s*=\s*(?:\"[^\"<]*\"|'[^'<]*')", "", text).encode()


def settings_of(packet: bytes) -> str | None:
    """The settings in a packet, else None."""
    found = _VALUE.search(packet.decode("utf-8", "replace"))
    return unescape(found[1] or found[2] or found[3] or "", _ENTITIES) if found else None
