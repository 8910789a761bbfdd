"""What a photo carries beside its pixels survives byte by byte, except of what is false for the new photo."""

import io
import itertools
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, PngImagePlugin

from lwr.images.exif import PREFIX
from lwr.images.files import load, save
from tests.test_images import gradient
from tests.test_reading import heic

Entries = list[tuple[int, int, int, bytes]]
SUFFIXES = (".jpg", ".png", ".webp", ".tif")
MAKER_NOTE = b"MAKER\0" + bytes(range(256)) * 3
XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description xmp:Rating="5" '
    'tiff:Orientation="6" exif:PixelXDimension="64"><tiff:ImageWidth>64</tiff:ImageWidth>'
    "<xmp:Thumbnails><rdf:Alt><rdf:li>AAAA</rdf:li></rdf:Alt></xmp:Thumbnails>"
    "<dc:subject><rdf:Bag><rdf:li>Großmutter 写真</rdf:li></rdf:Bag></dc:subject>"
    '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
).encode()
IPTC = b"\x1c\2\x19\0\x07grandma\x1c\2x\0\x05a cat"


def block(order: str, main: Entries, exif: Entries = (), gps: Entries = (), thumbnail: bytes = b"") -> bytes:
    """EXIF by hand: directories behind each other, each with its values, and a thumbnail in a second one."""

    def directory(entries: Entries, place: int, following: int = 0) -> bytes:
        head, tail = struct.pack(order + "H", len(entries)), b""
        end = place + 2 + 12 * len(entries) + 4
        for tag, kind, count, raw in sorted(entries):
            inline = raw if len(raw) <= 4 else struct.pack(order + "I", end + len(tail))
            head += struct.pack(order + "HHI", tag, kind, count) + inline.ljust(4, b"\0")
            tail += raw if len(raw) > 4 else b""
        return head + struct.pack(order + "I", following) + tail

    pointers = {0x8769: list(exif), 0x8825: list(gps)}
    places = dict.fromkeys(pointers, 0)
    following = 0
    for _ in range(2):
        links = [
            (tag, 4, 1, struct.pack(order + "I", places[tag])) for tag, below in pointers.items() if below
        ]
        data = directory([*main, *links], 8, following)
        for tag, below in pointers.items():
            places[tag] = 8 + len(data)
            data += directory(below, places[tag]) if below else b""
        if thumbnail:
            following = 8 + len(data)
            start = following + 2 + 2 * 12 + 4
            last = [
                (513, 4, 1, struct.pack(order + "I", start)),
                (514, 4, 1, struct.pack(order + "I", len(thumbnail))),
            ]
            data += directory(last, following) + thumbnail
    return PREFIX + (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8) + data


def phone(order: str = "<") -> bytes:
    """What a phone writes, with a thumbnail, a maker note, an unknown tag and names in UTF-8."""

    def numbers(form: str, *values: int) -> bytes:
        return struct.pack(order + form, *values)

    main = [
        (256, 4, 1, numbers("I", 64)), (271, 2, 6, b"Maker\0"), (274, 3, 1, numbers("H", 6)),
        (282, 5, 1, numbers("II", 300, 1)), (283, 5, 1, numbers("II", 300, 1)), (296, 3, 1, numbers("H", 2)),
        (315, 2, 25, "Übergröße 写真é\0".encode().ljust(25, b"\0")), (50000, 7, 9, b"something"),
    ]  # fmt: skip
    exif = [
        (0x9003, 2, 20, b"2001:02:03 04:05:06\0"), (0x927C, 7, len(MAKER_NOTE), MAKER_NOTE),
        (0x829A, 5, 1, numbers("II", 1, 250)), (0xA002, 4, 1, numbers("I", 64)),
        (0xA003, 4, 1, numbers("I", 48)),
    ]  # fmt: skip
    gps = [(1, 2, 2, b"N\0"), (2, 5, 3, numbers("6I", 52, 1, 30, 1, 0, 1))]
    return block(order, main, exif, gps, thumbnail())


def thumbnail() -> bytes:
    buffer = io.BytesIO()
    gradient(12, 16).save(buffer, "JPEG")
    return buffer.getvalue()


def jpeg(path: Path, **options: object) -> Path:
    gradient(48, 64).save(path, "JPEG", quality=95, **options)
    return path


def exif_of(path: Path) -> bytes:
    """The EXIF of a written file; of a TIFF, the file."""
    data = path.read_bytes() if path.suffix == ".tif" else Image.open(path).info["exif"]
    return data.removeprefix(PREFIX)


def read(path: Path) -> dict[str, object]:
    """All entries by name, as a reader other than Pillow sees them."""
    with tifffile.TiffFile(io.BytesIO(exif_of(path))) as file:
        found = {tag.name: tag.value for tag in file.pages[0].tags}
    return found | found.get("ExifTag", {}) | found.get("GPSTag", {})


def test_everything_a_phone_writes_survives(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for order, suffix in itertools.product("<>", SUFFIXES):
        with subtests.test(order=order, suffix=suffix):
            source = jpeg(tmp_path / "in.jpg", exif=phone(order))
            loaded = load(source)
            assert loaded.rgb.shape == (1, 3, 64, 48) and not loaded.notes  # turned
            notes: list[str] = []
            path = save(loaded, tmp_path / f"out{'<>'.index(order)}{suffix}", notes=notes)
            assert not notes
            data, found = exif_of(path), read(path)
            assert "Übergröße 写真é".encode() in data and MAKER_NOTE in data and b"something" in data
            assert found["DateTimeOriginal"] == "2001:02:03 04:05:06" and found["Make"] == "Maker"
            assert found["ExposureTime"] == (1, 250) and found["GPSLatitude"] == (52, 1, 30, 1, 0, 1)
            assert found["XResolution"] == (300, 1)
            assert not {"Orientation", "PixelXDimension", "PixelYDimension"} & found.keys()
            assert thumbnail() not in data
            again = load(path)
            assert again.rgb.shape == loaded.rgb.shape and torch.equal(load(path).rgb, again.rgb)


def test_offsets_in_a_maker_note_stay_true() -> None:
    before = phone()
    photo = gradient()
    photo.info["exif"] = before
    after = load(photo).exif
    assert after.index(MAKER_NOTE) == before.index(MAKER_NOTE)
    changed = [a != b for a, b in zip(before, after, strict=False)]
    # directories of main and Exif, each shorter by two entries; the rest is equal up to the thumbnail
    assert len(after) < len(before) and sum(changed) < 2 + 12 * 12 + 2 + 12 * 5 + 16


def test_a_bad_entry_loses_only_itself(tmp_path: Path, subtests: pytest.Subtests) -> None:
    date = (0x9003, 2, 20, b"2001:02:03 04:05:06\0")
    maker = (271, 2, 6, b"Maker\0")
    beyond = struct.pack("<I", 1 << 30)
    cases: dict[str, bytes] = {
        "GPSLatitude": block("<", [maker], [date], [(1, 2, 2, b"N\0"), (2, 2, 6, b"52.30\0")]),
        "GPSAltitude": block(">", [maker], [date], [(6, 2, 6, b"123 m\0")]),
        "ExposureTime": block("<", [maker], [date, (0x829A, 2, 6, b"1/250\0")]),
        "XResolution": block("<", [maker, (282, 2, 4, b"300\0")], [date]),
        "YResolution": block("<", [maker, (283, 2, 2, b"3\0")], [date]),
        "Software": block("<", [maker, (305, 3, 1, b"\1\0")], [date]),
        "50001": block("<", [maker, (50001, 99, 1, b"\1\0")], [date]),
        "ImageDescription": block("<", [maker, (270, 2, 1 << 31, beyond)], [date]),
        "MakerNote": block("<", [maker], [date, (0x927C, 7, 9999, beyond)]),
        "GPSInfo": block("<", [maker, (0x8825, 4, 1, beyond)], [date]),
    }
    for name, data in cases.items():
        with subtests.test(name=name):
            photo = load(jpeg(tmp_path / "in.jpg", exif=data))
            assert photo.notes == (f"damaged entries of the photo's EXIF data were dropped: {name}",)
            for suffix in SUFFIXES:
                found = read(save(photo, tmp_path / f"out{suffix}", overwrite=True))
                assert found["DateTimeOriginal"] == "2001:02:03 04:05:06" and found["Make"] == "Maker"
                assert name not in found


def test_broken_blocks_cost_the_block_and_are_noted(tmp_path: Path, subtests: pytest.Subtests) -> None:
    own = block("<", [(0x8769, 4, 1, struct.pack("<I", 8))])  # the Exif directory is the main one
    for data in (b"Exif\0\0", b"Exif\0\0II*\0", b"Exif\0\0junk" * 9, b"Exif\0\0MM\0*\xff\xff\xff\xff", own):
        with subtests.test(data=data):
            photo = load(jpeg(tmp_path / "in.jpg", exif=data))
            assert photo.exif is None and photo.rgb.shape == (1, 3, 48, 64)
            assert data == b"Exif\0\0" or "EXIF" in photo.notes[0]


def test_an_avif_with_broken_exif_is_read(tmp_path: Path) -> None:
    gradient(48, 64).save(tmp_path / "in.avif", exif=phone())
    data = (tmp_path / "in.avif").read_bytes()
    (tmp_path / "in.avif").write_bytes(data.replace(b"II*\0", b"junk"))
    photo = load(tmp_path / "in.avif")
    assert photo.exif is None and "EXIF" in photo.notes[0]


def density(path: Path) -> tuple[float, ...]:
    if path.suffix == ".webp":
        found = read(path)
        return tuple(found[name][0] / found[name][1] for name in ("XResolution", "YResolution"))
    return tuple(float(value) for value in Image.open(path).info["dpi"])


def test_density_survives_from_any_format_to_any(tmp_path: Path, subtests: pytest.Subtests) -> None:
    sources = {name: tmp_path / f"in.{name}" for name in ("jpg", "png", "tif", "bmp")}
    for path in sources.values():
        gradient(48, 64).save(path, dpi=(300, 300))
    exif = struct.pack("<II", 300, 1)
    main = [(282, 5, 1, exif), (283, 5, 1, exif), (296, 3, 1, b"\2\0")]
    sources["exif"] = jpeg(tmp_path / "exif.jpg", exif=block("<", main))
    sources["no density in EXIF"] = jpeg(
        tmp_path / "e.jpg", exif=block("<", [(271, 2, 6, b"Maker\0")]), dpi=(300, 300)
    )
    for (name, source), suffix in itertools.product(sources.items(), SUFFIXES):
        with subtests.test(source=name, suffix=suffix):
            path = save(load(source), tmp_path / f"out{suffix}", overwrite=True)
            assert density(path) == pytest.approx((300, 300), abs=0.2)
    jpeg(tmp_path / "none.jpg", exif=block("<", [(271, 2, 6, b"Maker\0")]))
    assert load(tmp_path / "none.jpg").density is None


def test_density_turns_with_the_photo(tmp_path: Path) -> None:
    turned = block("<", [(274, 3, 1, b"\6\0")])
    assert load(jpeg(tmp_path / "fax.jpg", exif=turned, dpi=(204, 98))).density == (98, 204)


def resources(data: bytes) -> bytes:
    other = b"8BIM" + struct.pack(">HHI", 0x0425, 0, 3) + b"abc\0"
    data = other + b"8BIM" + struct.pack(">HHI", 0x0404, 0, len(data)) + data + bytes(len(data) % 2)
    return b"\xff\xed" + struct.pack(">H", len(data) + 16) + b"Photoshop 3.0\0" + data


def xmp_of(path: Path) -> bytes:
    info = Image.open(path).info
    data = info.get("xmp") or info["XML:com.adobe.xmp"]
    return data if isinstance(data, bytes) else data.encode()


def test_xmp_and_iptc_survive_where_the_format_can(tmp_path: Path, subtests: pytest.Subtests) -> None:
    first = jpeg(tmp_path / "in.jpg", xmp=XMP, extra=resources(IPTC))
    for source, target in itertools.product((None, *SUFFIXES), SUFFIXES):
        with subtests.test(source=source, target=target):
            middle = first if source is None else save(load(first), tmp_path / f"mid{source}", overwrite=True)
            photo = load(middle)
            notes: list[str] = []
            path = save(photo, tmp_path / f"out{target}", overwrite=True, notes=notes)
            kept = xmp_of(path).decode()
            assert 'Rating="5"' in kept and "Großmutter 写真" in kept
            assert "Orientation" not in kept and "64" not in kept and "Thumbnails" not in kept
            assert load(path).rgb.shape == (1, 3, 64, 48)
            has_iptc = ".webp" not in (source, target)
            assert (load(path).iptc == IPTC) == has_iptc
            assert any("IPTC" in note for note in notes) == (target == ".webp" and source != ".webp")
            if has_iptc and target == ".jpg":
                assert Image.open(path).info["photoshop"][0x0404] == IPTC
            if has_iptc and target == ".tif":
                with tifffile.TiffFile(path) as file:
                    assert bytes(file.pages[0].tags[33723].value) == IPTC


def test_xmp_that_is_too_long_or_broken_is_noted(tmp_path: Path) -> None:
    long = (
        XMP.replace(b"AAAA", b"")
        .replace(b"grand", b"x")
        .replace(b"</rdf:RDF>", b" " * 70_000 + b"</rdf:RDF>")
    )
    buffer = PngImagePlugin.PngInfo()
    buffer.add_itxt("XML:com.adobe.xmp", long.decode())
    gradient().save(tmp_path / "long.png", pnginfo=buffer)
    notes: list[str] = []
    save(load(tmp_path / "long.png"), tmp_path / "out.jpg", notes=notes)
    assert notes == ["the XMP data is too long for JPEG and was dropped"]
    for broken in (b"\xff\xfe<\0x\0", b"no mark-up", XMP.replace(b"</xmp:Thumbnails>", b"")):
        photo = load(jpeg(tmp_path / "in.jpg", xmp=broken))
        assert photo.xmp is None and "XMP" in photo.notes[0]


def test_exif_that_is_too_long_for_jpeg_loses_its_largest_entries(
    tmp_path: Path, subtests: pytest.Subtests
) -> None:
    maker, date = (271, 2, 6, b"Maker\0"), (0x9003, 2, 20, b"2001:02:03 04:05:06\0")
    long, note = b"x" * 70_000, (0x927C, 7, len(MAKER_NOTE), MAKER_NOTE)
    gps = [(1, 2, 2, b"N\0")]
    cases = {
        "MakerNote": ([maker], [date, (0x927C, 7, len(long), long)]),
        "MakerNote, UserComment": ([maker], [date, note, (0x9286, 7, len(long), long)]),
        "MakerNote, Artist": ([maker, (315, 2, len(long), long)], [date, (0x927C, 7, 60_000, long[:60_000])]),
    }
    for (names, (main, below)), order, suffix in itertools.product(cases.items(), "<>", SUFFIXES[1:]):
        with subtests.test(names=names, order=order, suffix=suffix):
            photo = Image.new("RGB", (8, 8))
            photo.info["exif"] = block(order, main, below, gps)
            source = save(load(photo), tmp_path / f"in{suffix}", overwrite=True)
            notes: list[str] = []
            path = save(load(source), tmp_path / "out.jpg", overwrite=True, notes=notes)
            assert notes == [f"the EXIF data is too long for JPEG: {names} dropped"]
            found = read(path)
            assert found["Make"] == "Maker" and found["GPSLatitudeRef"] == "N"
            assert found["DateTimeOriginal"] == "2001:02:03 04:05:06"
            assert not found.keys() & set(names.split(", "))
            again = save(load(path), tmp_path / "again.jpg", overwrite=True, notes=notes)
            assert read(again)["Make"] == "Maker" and len(notes) == 1


def test_exif_just_as_long_as_a_jpeg_holds_is_kept(tmp_path: Path) -> None:
    for size, lost in ((65_400, False), (65_533, True)):
        note = bytes(size)
        photo = Image.new("RGB", (8, 8))
        photo.info["exif"] = block("<", [(271, 2, 6, b"Maker\0")], [(0x927C, 7, size, note)])
        notes: list[str] = []
        path = save(load(photo), tmp_path / f"{size}.jpg", notes=notes)
        assert read(path)["Make"] == "Maker" and bool(notes) == lost


def test_what_referred_to_the_old_file_is_noted(tmp_path: Path) -> None:
    packet = XMP.replace(b"xmp:Rating", b'hdrgm:Version="1.0" GCamera:MicroVideoOffset="9" xmp:Rating')
    photo = load(jpeg(tmp_path / "in.jpg", xmp=packet))
    assert b"hdrgm" not in photo.xmp and b"MicroVideo" not in photo.xmp and b"Rating" in photo.xmp
    assert "beside the photo" in photo.notes[0]


def test_texts_survive_where_the_format_can(tmp_path: Path, subtests: pytest.Subtests) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "a cat")
    info.add_itxt("Title", "写真")
    info.add_text("parameters", "x" * 3000, zip=True)
    gradient().save(tmp_path / "in.png", pnginfo=info)
    photo = load(tmp_path / "in.png")
    for suffix in SUFFIXES:
        with subtests.test(suffix=suffix):
            notes: list[str] = []
            path = save(photo, tmp_path / f"out{suffix}", notes=notes)
            if suffix == ".png":
                assert not notes and dict(load(path).texts) == dict(photo.texts) and len(photo.texts) == 3
            else:
                assert len(notes) == 1 and "Title" in notes[0] and "dropped" in notes[0]
            if suffix == ".jpg":
                assert Image.open(path).info["comment"] == b"a cat"
    commented = load(jpeg(tmp_path / "in.jpg", comment="Café".encode("latin-1")))
    assert dict(load(save(commented, tmp_path / "comment.png")).texts) == {"Comment": "Café"}


def test_png_profiles_of_other_programs_are_read(tmp_path: Path) -> None:
    def hexed(name: str, data: bytes) -> str:
        return f"\n{name}\n{len(data):8}\n{data.hex()}\n"

    info = PngImagePlugin.PngInfo()
    info.add_text("Raw profile type exif", hexed("exif", phone()), zip=True)
    info.add_text("Raw profile type iptc", hexed("iptc", resources(IPTC)[4:]), zip=True)
    gradient(48, 64).save(tmp_path / "magick.png", pnginfo=info)
    photo = load(tmp_path / "magick.png")
    assert photo.rgb.shape == (1, 3, 64, 48) and photo.iptc == IPTC and not photo.texts
    assert MAKER_NOTE in photo.exif


def test_a_heic_keeps_what_it_carries(tmp_path: Path) -> None:
    photo = load(heic(tmp_path / "in.heic", exif=phone(), xmp=XMP))
    found = read(save(photo, tmp_path / "out.png"))
    assert found["DateTimeOriginal"] == "2001:02:03 04:05:06" and MAKER_NOTE in photo.exif
    assert b"Rating" in photo.xmp and b"Orientation" not in photo.xmp


def test_a_tiff_keeps_its_own_entries_and_not_its_layout(tmp_path: Path) -> None:
    tags = {270: "Sunday", 315: "Ünal", 700: XMP, 33723: IPTC, 274: 6, 40091: b"T\0i\0\0\0"}
    gradient(48, 64).save(tmp_path / "in.tif", tiffinfo=tags, dpi=(300, 300), compression="tiff_lzw")
    photo = load(tmp_path / "in.tif")
    assert photo.rgb.shape == (1, 3, 64, 48) and photo.iptc == IPTC and b"Rating" in photo.xmp
    for suffix in (".png", ".tif"):
        found = read(save(photo, tmp_path / f"out{suffix}"))
        assert found["ImageDescription"] == "Sunday" and "Orientation" not in found
        if suffix == ".png":
            assert not {"StripOffsets", "ImageWidth", "Compression"} & found.keys()
    saved = tifffile.imread(tmp_path / "out.tif")
    assert np.array_equal(saved, np.asarray(Image.open(tmp_path / "out.png")))
