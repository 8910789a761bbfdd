"""What a photo carries beside its pixels, gathered from wherever its format keeps it."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from lwr.images import exif, iptc, xmp
from lwr.images.deep_tiff import DeepTiff
from lwr.images.formats import readable_formats
from lwr.images.tiff import Tiff

DAMAGED_EXIF = "the photo's EXIF data is damaged and was dropped"
_TURNED_BY_BOXES = ("HEIF", "AVIF")  # orientation stands in the container; in XMP it is only a remark
_LONGEST = 16_000_000  # bytes of any part; none of a photo is so long
_TIFF_XMP, _TIFF_IPTC, _TIFF_RESOURCES = 700, 33723, 34377
_RAW_PROFILES = (
    "Raw profile type exif",
    "Raw profile type APP1",
    "Raw profile type iptc",
    "Raw profile type xmp",
)
_OF_THE_FILE = ("exif:", "tiff:", "png:", "Thumb::")  # texts in which programs repeat what the old file was
_NOT_TEXT = ("XML:com.adobe.xmp", "xmp", *_RAW_PROFILES)


@dataclass(frozen=True)
class Metadata:
    """Kept as the bytes that they are, without what would be false in another file."""

    exif: bytes | None = None  # a block with its prefix
    xmp: bytes | None = None  # a packet
    iptc: bytes | None = None  # datasets, not wrapped
    density: tuple[float, float] | None = None  # dots per inch, across and down
    texts: tuple[tuple[str, str], ...] = ()  # a PNG's texts, or ("Comment", ...)


def gather(image: Image.Image, path: Path | None, notes: list[str]) -> tuple[Metadata, int]:
    """What a loaded photo carries, and its orientation (1 to 8). Damage costs what is damaged, never more."""
    with _tiff(image, path) as tiff:
        block = _exif(image, tiff, notes)
        packet, turned = _xmp(image, tiff, notes)
        captions = _iptc(image, tiff)
    orientation = block.orientation or (0 if image.format in _TURNED_BY_BOXES else turned) or 1
    density = _density(image) or block.density
    if density and orientation in (5, 6, 7, 8):
        density = density[::-1]
    if image.format == "TIFF" and not isinstance(image, DeepTiff):
        orientation = 1  # Pillow has turned it
    return Metadata(block.block, packet, captions, density, _texts(image)), orientation


def settings_in(path: Path) -> str | None:
    """The settings that a result's XMP holds, without reading its pixels; None: none, or no photo."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a large photo is no news here
            with Image.open(path, formats=readable_formats()) as image, _tiff(image, path) as tiff:
                packet = _tiff_bytes(tiff, _TIFF_XMP) if tiff else _xmp_bytes(image)
    except Exception:  # on damaged bytes decoders raise anything
        return None
    return xmp.settings_of(packet) if packet and len(packet) <= _LONGEST else None


@contextmanager
def _tiff(image: Image.Image, path: Path | None) -> Iterator[Tiff | None]:
    if path is None or image.format != "TIFF":
        yield None
        return
    with path.open("rb") as file:
        try:
            tiff = Tiff(file)
        except ValueError:  # one of the swapped headers that Pillow puts up with
            tiff = None
        yield tiff


def _exif(image: Image.Image, tiff: Tiff | None, notes: list[str]) -> exif.Exif:
    try:
        if tiff is not None:
            found = exif.of_tiff(tiff)
        else:
            data = _exif_bytes(image)
            found = exif.cleaned(data) if data else exif.Exif(None)
    except Exception:  # what Pillow's EXIF reader raises on broken blocks of images that are open already
        notes.append(DAMAGED_EXIF)
        return exif.Exif(None)
    if found.damaged:
        names = ", ".join(found.damaged[:5]) + (", ..." if len(found.damaged) > 5 else "")
        notes.append(f"damaged entries of the photo's EXIF data were dropped: {names}")
    return found


def _exif_bytes(image: Image.Image) -> bytes | None:
    data = image.info.get("exif")
    for name in _RAW_PROFILES[:2]:
        if not data and isinstance(image.info.get(name), str):
            data = _unhexed(image.info[name])
    if not data and (block := image.getexif()):
        if list(block) == [exif.ORIENTATION] and _xmp_bytes(image):
            return None  # Pillow's reading of the XMP, which is read here by itself
        data = block.tobytes()
    return data if isinstance(data, bytes) and len(data) <= _LONGEST else None


def _xmp_bytes(image: Image.Image) -> bytes | None:
    data = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    if not data and isinstance(image.info.get(_RAW_PROFILES[3]), str):
        data = _unhexed(image.info[_RAW_PROFILES[3]])
    data = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    return data if isinstance(data, bytes) else None


def _xmp(image: Image.Image, tiff: Tiff | None, notes: list[str]) -> tuple[bytes | None, int]:
    data = _tiff_bytes(tiff, _TIFF_XMP) if tiff else _xmp_bytes(image)
    if not data:
        return None, 0
    packet, orientation, refers = xmp.cleaned(data) if len(data) <= _LONGEST else (None, 0, False)
    if packet is None:
        notes.append("the photo's XMP data is damaged and was dropped")
    if refers:
        notes.append(
            "a part of the file beside the photo (gain map, video, depth or further XMP) was dropped"
        )
    return packet, orientation


def _iptc(image: Image.Image, tiff: Tiff | None) -> bytes | None:
    if tiff:
        own = iptc.checked(_tiff_bytes(tiff, _TIFF_IPTC))
        return own or iptc.of_resources(_tiff_bytes(tiff, _TIFF_RESOURCES))
    photoshop = image.info.get("photoshop")
    if isinstance(photoshop, Mapping):
        return iptc.checked(photoshop.get(iptc.NUMBER))
    raw = image.info.get(_RAW_PROFILES[2])
    return iptc.of_resources(_unhexed(raw)) if isinstance(raw, str) else None


def _density(image: Image.Image) -> tuple[float, float] | None:
    """What the format itself says; Pillow fills in 72 where a JPEG is silent."""
    info = image.info
    if image.format in ("JPEG", "MPO"):
        scale = {1: 1.0, 2: 2.54}.get(info.get("jfif_unit"), 0.0)
        pair = tuple(value * scale for value in info.get("jfif_density", (0, 0)))
    else:
        pair = info.get("dpi")
    try:
        return exif.plausible(*(float(value) for value in pair)) if pair else None
    except (TypeError, ValueError, ZeroDivisionError):
        return None


def _texts(image: Image.Image) -> tuple[tuple[str, str], ...]:
    if image.format == "PNG":
        pairs = [(key, str(value)) for key, value in image.info.items() if isinstance(value, str) and value]
        return tuple(
            pair for pair in pairs if pair[0] not in _NOT_TEXT and not pair[0].startswith(_OF_THE_FILE)
        )
    comment = image.info.get("comment") if image.format in ("JPEG", "MPO", "GIF") else None
    if not isinstance(comment, bytes) or not comment.strip(b"\0 "):
        return ()
    try:
        return (("Comment", comment.decode()),)
    except UnicodeDecodeError:
        return (("Comment", comment.decode("latin-1")),)


def _tiff_bytes(tiff: Tiff, tag: int) -> bytes:
    entry = tiff.directory(tiff.first).entries.get(tag)
    return tiff.values(entry) if entry and entry.size <= _LONGEST else b""


def _unhexed(text: str) -> bytes:
    """ImageMagick's way of keeping bytes in a PNG's text: a name, their number, hexadecimal digits."""
    try:
        return bytes.fromhex("".join(text.strip("\n").split("\n")[2:]))
    except ValueError:
        return b""
