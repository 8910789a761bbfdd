"""Kinds of files that are no finished photos: found out by their first bytes and their names.

A camera's raw file looks like a TIFF to Pillow, which would read the small preview in it: it is refused
before. Everything else that cannot be read is named, with how to get a photo from it.
"""

from pathlib import Path
from typing import BinaryIO

from lwr.images.errors import ImageError
from lwr.images.tiff import Tiff

_RAW_SUFFIXES = {
    ".3fr": "Hasselblad 3FR", ".ari": "ARRIRAW", ".arq": "Sony ARQ", ".arw": "Sony ARW",
    ".bay": "Casio BAY", ".cap": "Phase One CAP", ".cr2": "Canon CR2", ".cr3": "Canon CR3",
    ".crw": "Canon CRW", ".dcr": "Kodak DCR", ".dcs": "Kodak DCS", ".dng": "DNG", ".eip": "Phase One EIP",
    ".erf": "Epson ERF", ".fff": "Hasselblad FFF", ".gpr": "GoPro GPR", ".iiq": "Phase One IIQ",
    ".k25": "Kodak K25", ".kdc": "Kodak KDC", ".mdc": "Minolta MDC", ".mef": "Mamiya MEF",
    ".mos": "Leaf MOS", ".mrw": "Minolta MRW", ".nef": "Nikon NEF", ".nrw": "Nikon NRW",
    ".orf": "Olympus ORF", ".ori": "Olympus ORI", ".pef": "Pentax PEF", ".ptx": "Pentax PTX",
    ".pxn": "Logitech PXN", ".r3d": "RED R3D", ".raf": "Fujifilm RAF", ".raw": "RAW",
    ".rw2": "Panasonic RW2", ".rwl": "Leica RWL", ".rwz": "Rawzor RWZ", ".sr2": "Sony SR2",
    ".srf": "Sony SRF", ".srw": "Samsung SRW", ".x3f": "Sigma X3F",
}  # fmt: skip
_RAW_HEADS = (  # (place, bytes, name)
    (0, b"FUJIFILMCCD-RAW", "Fujifilm RAF"),
    (0, b"IIU\0", "Panasonic RW2"),
    (0, b"IIRO", "Olympus ORF"),
    (0, b"IIRS", "Olympus ORF"),
    (0, b"MMOR", "Olympus ORF"),
    (0, b"FOVb", "Sigma X3F"),
    (0, b"\0MRM", "Minolta MRW"),
    (4, b"ftypcrx ", "Canon CR3"),
    (4, b"RED1", "RED R3D"),
    (4, b"RED2", "RED R3D"),
    (6, b"HEAPCCDR", "Canon CRW"),
    (8, b"CR\2\0", "Canon CR2"),
    (8, b"IIII", "Phase One IIQ"),
    (8, b"MMMM", "Phase One IIQ"),
)
_DNG_VERSION, _PHOTOMETRIC, _CFA_PATTERN, _LEAF = 50706, 262, (33421, 33422), 34310
_OF_THE_SENSOR = (32803, 34892)  # photometric interpretations: colour filter array, linear raw

_EXPORT = "export it as PNG, TIFF or JPEG from the program that made it"
_UNREAD: tuple[tuple[str, str, str], ...] = (  # what it is, suffixes, what to do
    ("a JPEG XL photo", ".jxl", "convert it to PNG or JPEG, for example with GIMP or djxl"),
    ("a JPEG XR photo", ".jxr .wdp .hdp", "convert it to PNG or JPEG, as Windows Photos can"),
    ("a BPG or FLIF photo", ".bpg .flif", "convert it to PNG or JPEG with its own decoder"),
    ("a Photoshop document", ".psd .psb", "export it as PNG or JPEG from Photoshop, GIMP or Photopea"),
    ("a GIMP document", ".xcf", "export it as PNG or JPEG from GIMP"),
    ("a Krita, Affinity or Clip Studio document", ".kra .ora .afphoto .af .clip", _EXPORT),
    ("an SVG drawing", ".svg .svgz", "export it as PNG, for example from Inkscape or a browser"),
    ("a PDF document", ".pdf", "export the page as PNG, or save the photo in it by itself"),
    ("a PostScript drawing", ".eps .ps .ai", "export it as PNG, for example from Inkscape"),
    ("a video", ".mp4 .mov .m4v .avi .mkv .webm .wmv .flv .mpg .mpeg .3gp .mts .m2ts .ogv",
     "save one of its frames as PNG or JPEG first"),
    ("a sound recording", ".mp3 .wav .flac .m4a .ogg .aac", "name a photo"),
    ("a high dynamic range picture (OpenEXR or Radiance)", ".exr .hdr", _EXPORT),
    ("a web page", ".html .htm .mhtml", "save the photo itself from the page instead"),
    ("an archive or office document",
     ".zip .rar .7z .gz .tar .docx .pptx .xlsx .odt .livp",
     "unpack it, or save the photo in it by itself"),
    ("an icon", ".ico .cur .icns", "save it as PNG first"),
    ("a picture of a rarely used kind",
     ".tga .pcx .dds .sgi .xpm .xbm .djvu .cdr .wmf .emf .pict .qoi", "save it as PNG first"),
    ("a scan in DICOM or FITS format", ".dcm .fits .fit", _EXPORT),
    ("what macOS keeps beside a file, without the photo", "", "name the file without the leading ._"),
    ("a placeholder of Git LFS, without the photo", "", "fetch the file with git lfs pull"),
)  # fmt: skip
_UNREAD_HEADS = (  # (place, bytes, suffix of the kind)
    (0, b"\xff\x0a", ".jxl"), (4, b"JXL ", ".jxl"), (4, b"ftypjxl", ".jxl"), (0, b"II\xbc", ".jxr"),
    (0, b"BPG\xfb", ".bpg"), (0, b"FLIF", ".flif"), (0, b"8BPS", ".psd"), (0, b"gimp xcf", ".xcf"),
    (0, b"%PDF", ".pdf"), (0, b"%!PS", ".eps"), (0, b"\xc5\xd0\xd3\xc6", ".eps"),
    (0, b"\x1aE\xdf\xa3", ".mkv"), (8, b"AVI ", ".avi"), (0, b"FLV\1", ".flv"),
    (0, b"\0\0\1\xba", ".mpg"), (0, b"\0\0\1\xb3", ".mpg"), (0, b"0&\xb2u\x8ef\xcf\x11", ".wmv"),
    (4, b"ftypM4A", ".mp3"), (4, b"ftyp", ".mp4"), (4, b"moov", ".mov"), (4, b"mdat", ".mov"),
    (4, b"wide", ".mov"), (0, b"OggS", ".ogg"), (0, b"ID3", ".mp3"), (0, b"fLaC", ".flac"),
    (8, b"WAVE", ".wav"), (0, b"v/1\1", ".exr"), (0, b"#?RADIANCE", ".hdr"), (0, b"#?RGBE", ".hdr"),
    (0, b"PK\3\4", ".zip"), (0, b"PK\5\6", ".zip"), (0, b"Rar!", ".rar"), (0, b"7z\xbc\xaf", ".7z"),
    (0, b"\x1f\x8b", ".gz"), (257, b"ustar", ".tar"), (0, b"\xd0\xcf\x11\xe0", ".docx"),
    (0, b"\0\0\1\0", ".ico"), (0, b"\0\0\2\0", ".ico"), (0, b"icns", ".ico"), (0, b"DDS ", ".dds"),
    (0, b"qoif", ".qoi"), (0, b"AT&TFORM", ".djvu"), (128, b"DICM", ".dcm"), (0, b"SIMPLE  =", ".fits"),
)  # fmt: skip
_READ_HEADS = (
    (0, b"\x89PNG", "PNG"), (0, b"\xff\xd8\xff", "JPEG"), (0, b"GIF8", "GIF"), (8, b"WEBP", "WebP"),
    (0, b"II*\0", "TIFF"), (0, b"MM\0*", "TIFF"), (0, b"II+\0", "TIFF"), (0, b"MM\0+", "TIFF"),
    (0, b"\0\0\0\x0cjP  ", "JPEG 2000"), (0, b"\xff\x4f\xff\x51", "JPEG 2000"), (4, b"ftypavi", "AVIF"),
    *((4, b"ftyp" + brand, "HEIC") for brand in (b"hei", b"hev", b"mif1", b"msf1")),
)  # fmt: skip
_HEAD = 1024  # bytes that are looked at


def refuse_raw(path: Path, label: str) -> str | None:
    """ImageError if this is a camera's raw file, by content or by name.

    Returns a note when a finished photo only bears the name of a raw file, else None.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
        name = _found(_RAW_HEADS, head) or _raw_tiff(file)
    named = _RAW_SUFFIXES.get(path.suffix.lower())
    read = _found(_READ_HEADS, head)
    if name is None and named and read and read != "TIFF":
        return f"the file is named as a raw file ({named}) but is a {read} photo, which was used"
    if name or named:
        raise ImageError(
            f"{label} is a camera's raw file ({name or named}), not a finished photo; export it as TIFF, PNG "
            "or JPEG first, for example with darktable or the camera maker's program."
        )
    return None


def unknown(path: Path, label: str, formats: str, samples: str) -> ImageError:
    """The sentence for a file that no reader accepts: what it is, as far as one can see, and what to do."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if read := _found(_READ_HEADS, head):
        kind = f"of a kind that is not read ({samples})" if samples else "of an unusual kind"
        article = "an" if read == "AVIF" else "a"
        return ImageError(
            f"{label} is {article} {read} file that is damaged, cut short or {kind}; copy it again or export "
            "it as 8-bit PNG or JPEG."
        )
    by_content = _found(_UNREAD_HEADS, head) or _by_text(head)
    for what, suffixes, remedy in _UNREAD:
        if by_content and (by_content in suffixes.split() or by_content == what):
            return ImageError(f"{label} is {what}, not an image of a known kind; {remedy}.")
    for what, suffixes, remedy in _UNREAD:
        if path.suffix and path.suffix.lower() in suffixes.split():
            return ImageError(
                f"{label} is not an image of a known kind; if it is {what}, as its name says, {remedy}."
            )
    return ImageError(f"{label} is not an image of a known kind; save it as one of {formats}.")


def _found(heads: tuple[tuple[int, bytes, str], ...], head: bytes) -> str | None:
    return next((name for place, data, name in heads if head.startswith(data, place)), None)


def _by_text(head: bytes) -> str | None:
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith(b"\0\5\x16\7"):
        return "what macOS keeps beside a file, without the photo"
    if text.startswith(b"version https://git-lfs"):
        return "a placeholder of Git LFS, without the photo"
    if b"<svg" in text:
        return ".svg"
    if text.startswith((b"<!doctype html", b"<html")):
        return ".html"
    return ".pdf" if b"%pdf-" in text else None


def _raw_tiff(file: BinaryIO) -> str | None:
    """Does a TIFF hold what the sensor saw, in any of its directories?"""
    try:
        tiff = Tiff(file)
    except ValueError:
        return None
    for directory in tiff.directories():
        if _DNG_VERSION in directory.entries:
            return "DNG"
        if tiff.number(directory, _PHOTOMETRIC) in _OF_THE_SENSOR or _LEAF in directory.entries:
            return "TIFF with sensor data"
        if any(tag in directory.entries for tag in _CFA_PATTERN):
            return "TIFF with sensor data"
    return None
