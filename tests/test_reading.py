"""Awkward files: what can be read is read, what cannot is named with the way out, losses are noted."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms

from lwr.images.files import ImageError, Loaded, load, to_pil, upright_size
from lwr.images.formats import readable_formats
from tests.awkward_files import exif, number_tiff, tiff
from tests.test_images import JPEG, PNG, chunk, deep_png, gradient, wide_gamut_profile

PHOTO = np.asarray(gradient(48, 64))


def shown(loaded: Loaded) -> np.ndarray:
    return np.asarray(to_pil(loaded.rgb)).astype(int)


def heic(path: Path, image: Image.Image | None = None, **options) -> Path:
    image = image or gradient(48, 64)
    pillow_heif.register_heif_opener()
    image.save(path, "HEIF", quality=95, **options)
    return path


def test_heic_is_read_with_its_orientation_once(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for orientation in range(1, 9):
        with subtests.test(orientation=orientation):
            exif = Image.Exif()
            exif[274], exif[271] = orientation, "Maker"
            path = heic(tmp_path / f"turned{orientation}.heic", exif=exif.tobytes())
            turned = Image.new("RGB", (64, 48))
            turned.putdata(list(gradient(48, 64).getdata()))
            turned.getexif()[274] = orientation
            expected = shown(load(turned))
            loaded = load(path)
            assert shown(loaded).shape == expected.shape and abs(shown(loaded) - expected).mean() < 4
            kept = Image.Exif()
            kept.load(loaded.exif)
            assert kept[271] == "Maker" and kept.get(274, 1) == 1


def test_heic_of_ten_bits_with_transparency_and_profile(tmp_path: Path) -> None:
    deep = (PHOTO.astype(np.uint16) * 257).tobytes()
    pillow_heif.encode("RGB;16", (64, 48), deep, tmp_path / "deep.heif", quality=95)
    loaded = load(tmp_path / "deep.heif")
    assert "10 bits per channel were reduced to 8" in loaded.notes and abs(shown(loaded) - PHOTO).mean() < 3
    clear = gradient(48, 64).convert("RGBA")
    clear.putalpha(Image.fromarray(np.tile(np.linspace(0, 255, 64).astype(np.uint8), (48, 1))))
    alpha = load(heic(tmp_path / "clear.heic", clear)).alpha
    assert alpha is not None and alpha[..., 0].max() < 0.1 and alpha[..., -1].min() > 0.9
    wide = load(heic(tmp_path / "wide.heic", icc_profile=wide_gamut_profile()))
    assert wide.icc_profile and abs(shown(wide) - PHOTO).max() > 10  # colours became sRGB


def test_broken_heic_is_one_sentence(tmp_path: Path, subtests: pytest.Subtests) -> None:
    whole = heic(tmp_path / "whole.heic").read_bytes()
    for size in (12, 40, 200, len(whole) // 2, len(whole) - 40):
        with (
            subtests.test(size=size),
            pytest.raises(ImageError, match="damaged, cut short|damaged or cut short"),
        ):
            (tmp_path / "broken.heic").write_bytes(whole[:size])
            load(tmp_path / "broken.heic")


UNREAD = {
    "photo.jxl": (b"\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x14ftypjxl \0\0\0\0jxl ", "JPEG XL.*convert"),
    "naked.jxl": (b"\xff\x0a" + bytes(50), "JPEG XL"),
    "layers.psd": (b"8BPS\0\1" + bytes(50), "Photoshop.*export"),
    "picture.png": (b"8BPS\0\1" + bytes(50), "Photoshop.*export"),  # whatever its name
    "drawing.svg": (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG.*export"),
    "scan.pdf": (b"%PDF-1.7\n", "PDF.*export"),
    "clip.mp4": (b"\0\0\0\x18ftypisom\0\0\2\0isomiso2", "video.*frame"),
    "clip.mov": (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", "video.*frame"),
    "clip.avi": (b"RIFF\0\0\0\0AVI LIST", "video.*frame"),
    "clip.webm": (b"\x1aE\xdf\xa3" + bytes(40), "video.*frame"),
    "layers.xcf": (b"gimp xcf v011", "GIMP"),
    "light.exr": (b"v/1\1" + bytes(40), "OpenEXR"),
    "photos.zip": (b"PK\3\4" + bytes(40), "archive.*unpack"),
    "saved.jpg": (b"<!DOCTYPE html><html></html>", "web page.*save"),
    "._photo.jpg": (b"\0\5\x16\7\0\2\0\0Mac OS X", "macOS"),
    "pointer.png": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    "old.tga": (bytes(60), "save it as PNG"),
    "noise.png": (bytes(range(60)), "not an image"),
    "head.png": (PNG[:30], "PNG file that is damaged"),
}  # fmt: skip


def test_what_is_not_read_is_named_with_the_way_out(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for name, (data, words) in UNREAD.items():
        with subtests.test(name=name):
            (tmp_path / name).write_bytes(data)
            with pytest.raises(ImageError, match=words) as caught:
                load(tmp_path / name)
            assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


def raw_tiff(path: Path, *tags: tuple[int, int, int, bytes], order: str = "<") -> Path:
    """A TIFF with a whole small picture, as in the thumbnail of a raw file, and more tags."""

    def short(value: int) -> bytes:
        return struct.pack(order + "H", value)

    plain = [
        (256, 3, 1, short(8)), (257, 3, 1, short(8)), (258, 3, 1, short(8)), (259, 3, 1, short(1)),
        (262, 3, 1, short(1)), (273, 4, 1, b"DATA"), (277, 3, 1, short(1)), (278, 3, 1, short(8)),
        (279, 4, 1, struct.pack(order + "I", 64)),
    ]  # fmt: skip
    own = {tag for tag, *_ in tags}
    path.write_bytes(tiff([*(tag for tag in plain if tag[0] not in own), *tags], bytes(range(64)), order))
    return path


def test_raw_files_are_refused_by_name_and_by_content(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for suffix in (
        "dng",
        "nef",
        "nrw",
        "cr2",
        "arw",
        "sr2",
        "raf",
        "orf",
        "rw2",
        "pef",
        "srw",
        "3fr",
        "raw",
        "NEF",
    ):
        with subtests.test(suffix=suffix), pytest.raises(ImageError, match="raw file.*export"):
            load(raw_tiff(tmp_path / f"photo.{suffix}"))
    heads = {
        b"FUJIFILMCCD-RAW 0201": "RAF", b"IIU\0\x18\0\0\0": "RW2", b"IIRO\x08\0\0\0": "ORF",
        b"\0\0\0\x18ftypcrx \0\0\0\1": "CR3", b"II*\0\x10\0\0\0CR\2\0": "CR2",
        b"FOVb": "X3F", b"\0MRM": "MRW",
    }  # fmt: skip
    for head, kind in heads.items():
        with subtests.test(kind=kind), pytest.raises(ImageError, match=f"raw file .*{kind}.*export"):
            (tmp_path / "renamed.tif").write_bytes(head + bytes(100))
            load(tmp_path / "renamed.tif")
    for order in "<>":
        color_filter = struct.pack(order + "H", 32803)
        for tag in ((50706, 1, 4, b"\1\4\0\0"), (262, 3, 1, color_filter), (33422, 1, 4, b"\0\1\1\2")):
            with subtests.test(tag=tag, order=order), pytest.raises(ImageError, match="raw file.*export"):
                load(raw_tiff(tmp_path / "renamed.tif", tag, order=order))


def test_a_raw_file_that_is_open_already_is_refused(tmp_path: Path) -> None:
    path = raw_tiff(tmp_path / "renamed.tif", (50706, 1, 4, b"\1\4\0\0"))
    with Image.open(path) as image, pytest.raises(ImageError, match="the image is a camera's raw file"):
        load(image)


def test_raw_data_in_a_directory_below_is_found(tmp_path: Path) -> None:
    path = raw_tiff(tmp_path / "a.tif", (330, 4, 1, struct.pack("<I", 0)), (254, 4, 1, struct.pack("<I", 1)))
    data = bytearray(path.read_bytes())
    place = data.index(struct.pack("<HHI", 330, 4, 1)) + 8
    data[place : place + 4] = struct.pack("<I", len(data))
    below = struct.pack("<HHHIHH", 1, 262, 3, 1, 32803, 0) + bytes(4)
    path.write_bytes(bytes(data) + below)
    with pytest.raises(ImageError, match="raw file"):
        load(path)


def test_a_plain_tiff_and_a_photo_named_as_raw_are_read(tmp_path: Path) -> None:
    assert load(raw_tiff(tmp_path / "plain.tif")).rgb.shape == (1, 3, 8, 8)
    (tmp_path / "photo.dng").write_bytes(JPEG)
    loaded = load(tmp_path / "photo.dng")
    assert loaded.rgb.shape == (1, 3, 80, 90) and "JPEG" in loaded.notes[0]


def test_numbers_beyond_16_bits_are_read(tmp_path: Path, subtests: pytest.Subtests) -> None:
    ramp = np.dstack([PHOTO, PHOTO[..., :1]]) / 255
    for samples in (1, 3, 4):
        for kind, form in (("f2", 3), ("f4", 3), ("f8", 3), ("u4", 1)):
            for order in "<>":
                for predictor in (1, 2, 3) if form == 3 else (1, 2):
                    with subtests.test(samples=samples, kind=kind, order=order, predictor=predictor):
                        values = ramp[..., :samples]
                        values = (values * (2**32 - 1) if form == 1 else values).astype(kind)
                        (tmp_path / "deep.tif").write_bytes(number_tiff(values, form, order, predictor))
                        loaded = load(tmp_path / "deep.tif")
                        assert upright_size(tmp_path / "deep.tif") == loaded.size
                        own = ramp[..., : min(samples, 3)]
                        expected = own / own.max() if form == 1 else own
                        got = loaded.rgb[0].permute(1, 2, 0).numpy()
                        visible = ramp[..., 3] > 0.04 if samples == 4 else np.full(PHOTO.shape[:2], True)
                        assert abs(got - expected)[visible].max() < 1e-3
                        assert (loaded.alpha is not None) == (samples == 4)
                        assert "to 8" in loaded.notes[-1]


def test_big_tiff_and_what_no_reader_takes(tmp_path: Path) -> None:
    values = (PHOTO / 255).astype(np.float32)
    (tmp_path / "big.tif").write_bytes(number_tiff(values, 3, big=True))
    assert abs(shown(load(tmp_path / "big.tif")) - PHOTO).max() <= 1
    (tmp_path / "signed.tif").write_bytes(number_tiff(values.astype(np.int32), 2))
    with pytest.raises(ImageError, match=r"3 x 32-bit signed.*export"):
        load(tmp_path / "signed.tif")


def test_nan_and_infinity_are_seen_and_noted(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for samples in (1, 3, 4):
        for kind in ("f2", "f4", "f8"):
            with subtests.test(samples=samples, kind=kind):
                values = np.full((6, 9, samples), 0.5, kind)
                values[..., 3:] = 1
                values[0, :4, :3], values[1, :2, :3], values[2, 0, :3] = np.nan, np.inf, -np.inf
                (tmp_path / "wild.tif").write_bytes(number_tiff(values, 3))
                loaded = load(tmp_path / "wild.tif")
                expected = np.full((6, 9), 0.5)
                expected[0, :4], expected[1, :2], expected[2, 0] = 0, 1, 0
                assert abs(loaded.rgb[0].numpy() - expected).max() < 1e-3
                assert "NaN or minus infinity became black in 5 pixels" in loaded.notes
                assert "infinity became white in 2 pixels" in loaded.notes
    loaded = load(Image.fromarray(np.array([[np.inf, 0.5, 4.0]], np.float32)))
    assert loaded.rgb[0, 0, 0].tolist() == [1, 0.125, 1]
    assert loaded.notes[0] == "infinity became white in 1 pixel"


def test_depth_that_is_lost_is_noted(tmp_path: Path, subtests: pytest.Subtests) -> None:
    rng = np.random.default_rng(0)
    deep_png(tmp_path / "gray.png", rng.integers(0, 65536, (6, 9, 1)), 0)
    Image.fromarray(rng.integers(0, 65536, (6, 9)).astype(np.uint16)).save(tmp_path / "gray.tif")
    Image.fromarray(rng.integers(0, 65536, (6, 9)).astype(np.uint16)).save(tmp_path / "gray.jp2")
    (tmp_path / "deep.ppm").write_bytes(b"P6 9 6 65535\n" + rng.bytes(6 * 9 * 6))
    (tmp_path / "deep.pgm").write_bytes(b"P5 9 6 65535\n" + rng.bytes(6 * 9 * 2))
    for name in ("gray.png", "gray.tif", "gray.jp2", "deep.ppm", "deep.pgm"):
        with subtests.test(name=name):
            assert "16 bits per channel were reduced to 8" in load(tmp_path / name).notes
    gradient().save(tmp_path / "plain.jp2")
    gradient().save(tmp_path / "plain.avif")
    gradient().save(tmp_path / "plain.ppm")
    for name in ("plain.jp2", "plain.avif", "plain.ppm"):
        with subtests.test(name=name):
            assert not load(tmp_path / name).notes


def profile(space: str) -> bytes:
    if space == "Lab":
        return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    data[16:20] = space.ljust(4).encode()
    return bytes(data)


def test_a_profile_of_another_space_is_ignored_with_a_note(subtests: pytest.Subtests) -> None:
    pairs = [("RGB", "GRAY"), ("RGB", "CMYK"), ("RGB", "Lab"), ("L", "RGB"), ("L", "CMYK"), ("CMYK", "RGB")]
    pairs += [("CMYK", "GRAY"), ("RGBA", "GRAY"), ("LA", "RGB"), ("P", "GRAY"), ("I;16", "RGB")]
    for mode, space in pairs:
        with subtests.test(mode=mode, space=space):
            photo = gradient().convert("L").convert(mode) if mode == "I;16" else gradient().convert(mode)
            plain = shown(load(photo))
            photo.info["icc_profile"] = profile(space)
            loaded = load(photo)
            assert np.array_equal(shown(loaded), plain) and loaded.icc_profile is None
            assert "profile" in loaded.notes[0] and "ignored" in loaded.notes[0]


def test_a_gray_profile_is_applied_to_gray_of_any_depth_and_keeps_it_gray() -> None:
    data = bytearray(profile("GRAY"))  # linear light: much brighter in sRGB
    tags = {
        bytes(data[132 + 12 * i : 136 + 12 * i]): 132 + 12 * i
        for i in range(struct.unpack(">I", data[128:132])[0])
    }
    data[tags[b"rTRC"] : tags[b"rTRC"] + 4] = b"kTRC"
    curve = struct.unpack(">I", data[tags[b"rTRC"] + 4 : tags[b"rTRC"] + 8])[0]
    data[curve : curve + 12] = b"curv" + bytes(8)
    for mode in ("L", "LA", "I;16"):
        photo = gradient().convert("L")
        photo = (
            Image.fromarray(np.asarray(photo).astype(np.uint16) * 257)
            if mode == "I;16"
            else photo.convert(mode)
        )
        photo.info["icc_profile"] = bytes(data)
        loaded, before = load(photo), np.asarray(gradient().convert("L")) / 255
        expected = np.where(before <= 0.0031308, 12.92 * before, 1.055 * before ** (1 / 2.4) - 0.055)
        assert abs(loaded.rgb[0, 1].numpy() - expected).max() < 0.02 and not loaded.rgb.diff(dim=1).any()


def test_lab_tiff_is_read(tmp_path: Path) -> None:
    to_lab = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
    )
    ImageCms.applyTransform(gradient(), to_lab).save(tmp_path / "lab.tif")
    assert abs(shown(load(tmp_path / "lab.tif")) - np.asarray(gradient())).mean() < 3


def test_comments_never_cost_the_photo(tmp_path: Path, subtests: pytest.Subtests) -> None:
    long, bomb = b"x" * 3_000_000, zlib.compress(b"0" * 20_000_000)
    bad = {
        "zTXt": chunk(b"zTXt", b"Comment\0\0" + zlib.compress(long)),
        "zTXt bomb": chunk(b"zTXt", b"Comment\0\0" + bomb),
        "iTXt": chunk(b"iTXt", b"Comment\0\1\0\0\0" + zlib.compress(long)),
        "iCCP bomb": chunk(b"iCCP", b"name\0\0" + bomb),
        "tEXt": chunk(b"tEXt", b"Comment\0" + long * 4),
        "many": b"".join(chunk(b"tEXt", b"Comment\0" + long) for _ in range(24)),
        "many packed": chunk(b"zTXt", b"Comment\0\0" + zlib.compress(long[:30_000])) * 3000,
        "many iTXt": chunk(b"iTXt", b"Comment\0\1\0\0\0" + zlib.compress(long[:30_000])) * 3000,
        "not packed": chunk(b"zTXt", b"Comment\0\0 no zlib"),
        "wrong check": chunk(b"tEXt", b"Comment\0abc")[:-1] + b"?",
        "damaged EXIF": chunk(b"eXIf", b"MM\0*")[:-1] + b"?",
    }
    end = PNG.index(b"IEND") - 4
    for name, data in bad.items():
        for place in (33, end):
            with subtests.test(name=name, place=place):
                (tmp_path / "a.png").write_bytes(PNG[:place] + data + PNG[place:])
                loaded = load(tmp_path / "a.png")
                assert np.array_equal(shown(loaded), np.asarray(Image.open(io.BytesIO(PNG))))
                assert "dropped" in loaded.notes[0]


def test_the_size_is_known_before_the_pixels_are_read(tmp_path: Path) -> None:
    for kind in ("JPEG", "TIFF", "PNG", "WEBP", "HEIF", "AVIF"):
        readable_formats()  # lets Pillow write HEIC
        Image.new("RGB", (48, 32)).save(tmp_path / "photo", kind, exif=exif(6))
        assert upright_size(tmp_path / "photo") == load(tmp_path / "photo").size, kind
    (tmp_path / "photo").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(ImageError, match="is a JPEG file that is damaged"):
        upright_size(tmp_path / "photo")
