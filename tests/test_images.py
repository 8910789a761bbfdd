"""Whatever photo a user brings is read right or refused in a sentence, and no file is ever damaged."""

import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps

from lwr.images import disk
from lwr.images.files import ImageError, Loaded, crop, load, pad_to_multiple, resize, save, to_pil, to_tensor


def gradient(height: int = 24, width: int = 36) -> Image.Image:
    """A smooth RGB photo without symmetry, so that turns, flips and swapped channels show."""
    y, x = np.mgrid[0:height, 0:width]
    red, green, blue = 255 * x / width, 255 * y / height, 60 + 100 * x * y / (height * width)
    return Image.fromarray(np.stack([red, green, blue], -1).astype(np.uint8))


def levels(tensor: torch.Tensor) -> np.ndarray:
    return np.asarray(to_pil(tensor)).astype(int)


def encoded(file_format: str) -> bytes:
    buffer = io.BytesIO()
    gradient(80, 90).save(buffer, file_format)
    return buffer.getvalue()


JPEG, PNG = encoded("JPEG"), encoded("PNG")


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def deep_png(path: Path, values: np.ndarray, color_type: int) -> Path:
    """A 16-bit PNG written by hand, since Pillow cannot write 16-bit colour."""
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, color_type, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(PNG[:8] + body)
    return path


def test_every_mode_looks_as_pillow_shows_it(subtests: pytest.Subtests) -> None:
    for mode in ("RGB", "L", "1", "P", "CMYK", "YCbCr", "HSV", "RGBA", "LA", "RGBX"):
        with subtests.test(mode=mode):
            photo = gradient().convert(mode)
            loaded = load(photo)
            assert loaded.rgb.shape == (1, 3, 24, 36) and loaded.rgb.dtype == torch.float32
            assert loaded.rgb.is_contiguous() and loaded.rgb.min() >= 0 and loaded.rgb.max() <= 1
            assert np.abs(levels(loaded.rgb) - np.asarray(photo.convert("RGB"))).max() <= 1
            assert (loaded.alpha is not None) == (mode in ("RGBA", "LA"))


def test_deep_grey_is_scaled_and_not_clipped_to_white(subtests: pytest.Subtests) -> None:
    for mode in ("I;16", "I;16B", "I", "F"):
        with subtests.test(mode=mode):
            ramp = np.linspace(0, 65535, 600).reshape(20, 30).round()
            dtype = {"I;16": "<u2", "I;16B": ">u2", "I": "<i4", "F": "<f4"}[mode]
            photo = Image.frombytes(mode, (30, 20), ramp.astype(dtype).tobytes())
            loaded = load(photo)
            assert torch.allclose(
                loaded.rgb[0, 1], torch.tensor(ramp / 65535, dtype=torch.float32), atol=1e-4
            )


def test_float_photo_within_one_keeps_its_values_and_nan_becomes_black() -> None:
    values = np.array([[0.25, 0.5], [np.nan, -1.0]], dtype=np.float32)
    assert load(Image.fromarray(values)).rgb[0, 0].tolist() == [[0.25, 0.5], [0.0, 0.0]]


def test_16_bit_png_keeps_brightness(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for color_type, channels in ((0, 1), (2, 3), (6, 4), (4, 2)):
        with subtests.test(color_type=color_type, channels=channels):
            values = np.random.default_rng(0).integers(0, 65536, (6, 9, channels))
            loaded = load(deep_png(tmp_path / "deep.png", values, color_type))
            colors = values[..., :3] if channels > 2 else values[..., :1].repeat(3, -1)
            shown = values[..., -1] >= 2560 if channels in (2, 4) else np.full((6, 9), True)
            off = np.abs(loaded.rgb[0].permute(1, 2, 0).numpy() - colors / 65535)
            assert off[shown].max() < 1 / 255
            assert any("16 bits" in note for note in loaded.notes)
            assert (loaded.alpha is not None) == (channels in (2, 4))


def test_cmyk_jpeg_from_a_file_is_not_inverted(tmp_path: Path) -> None:
    gradient().convert("CMYK").save(tmp_path / "scan.jpg", quality=100)
    loaded = load(tmp_path / "scan.jpg")
    assert np.abs(levels(loaded.rgb) - np.asarray(gradient())).mean() < 4
    assert "CMYK" in loaded.notes[0]


def test_transparency_of_a_palette_or_key_colour_becomes_alpha(tmp_path: Path) -> None:
    palette = Image.fromarray(np.array([[0, 1], [1, 0]], dtype=np.uint8)).convert("P")
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.save(tmp_path / "palette.png", transparency=0)
    loaded = load(tmp_path / "palette.png")
    assert loaded.alpha is not None and loaded.alpha[0, 0].tolist() == [[0, 1], [1, 0]]
    assert loaded.rgb[0, :, 0, 1].tolist() == [0, 0, 1]
    keyed = Image.fromarray(np.array([[[1, 2, 3], [9, 9, 9]]], dtype=np.uint8))
    keyed.save(tmp_path / "key.png", transparency=(1, 2, 3))
    alpha = load(tmp_path / "key.png").alpha
    assert alpha is not None and alpha.flatten().tolist() == [0, 1]


def test_orientation_is_applied_once_and_removed(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for suffix in ("jpg", "png", "webp", "tif"):
        for orientation in range(1, 9):
            with subtests.test(suffix=suffix, orientation=orientation):
                exif = Image.Exif()
                exif[274], exif[271] = orientation, "Maker"
                gradient().save(tmp_path / f"turned.{suffix}", exif=exif.tobytes(), quality=100)
                loaded = load(tmp_path / f"turned.{suffix}")
                stub = gradient()
                stub.getexif()[274] = orientation
                upright = np.asarray(ImageOps.exif_transpose(stub))
                assert (
                    levels(loaded.rgb).shape == upright.shape
                    and np.abs(levels(loaded.rgb) - upright).mean() < 3
                )
                kept = Image.Exif()
                kept.load(loaded.exif)
                assert kept[271] == "Maker" and 274 not in kept
                saved = Image.open(save(loaded, tmp_path / f"out-{orientation}-{suffix}.jpg"))
                assert saved.getexif().get(274, 1) == 1 and saved.getexif()[271] == "Maker"


def test_dates_and_place_survive_and_stale_sizes_do_not(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x8769] = {0x9003: "2020:01:02 03:04:05", 0xA002: 36, 0xA003: 24}
    exif[0x8825] = {1: "N", 2: (48.0, 8.0, 0.0)}
    gradient().save(tmp_path / "phone.jpg", exif=exif.tobytes())
    loaded = load(tmp_path / "phone.jpg")
    for suffix in ("jpg", "png", "webp", "tif"):
        saved = Image.open(save(loaded, tmp_path / f"out.{suffix}")).getexif()
        assert saved.get_ifd(0x8769) == {0x9003: "2020:01:02 03:04:05"}
        assert saved.get_ifd(0x8825)[1] == "N"


def test_broken_exif_costs_the_exif_and_not_the_photo() -> None:
    photo = gradient()
    photo.info["exif"] = b"Exif\0\0II*\0\xff\xff\xff\xff garbage"
    loaded = load(photo)
    assert loaded.exif is None and np.array_equal(levels(loaded.rgb), np.asarray(photo))


# Columns: XYZ (D50) of red, green and blue of Adobe RGB.
ADOBE = np.array([[0.6097, 0.2053, 0.1492], [0.3111, 0.6257, 0.0632], [0.0195, 0.0609, 0.7446]])


def wide_gamut_profile() -> bytes:
    """Pillow's sRGB profile with the primaries of Adobe RGB."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    wide = dict(zip((b"rXYZ", b"gXYZ", b"bXYZ"), ADOBE.T, strict=True))
    for index in range(struct.unpack(">I", data[128:132])[0]):
        name, offset, _ = struct.unpack(">4sII", data[132 + 12 * index : 144 + 12 * index])
        if name in wide:
            numbers = (round(value * 65536) for value in wide[name])
            data[offset + 8 : offset + 20] = struct.pack(">iii", *numbers)
    return bytes(data)


def test_wide_gamut_photo_is_converted_to_srgb_and_saved_as_such(tmp_path: Path) -> None:
    colour = (100, 160, 90)
    Image.new("RGB", (8, 8), colour).save(tmp_path / "wide.png", icc_profile=wide_gamut_profile())
    loaded = load(tmp_path / "wide.png")
    # Adobe RGB primaries with the sRGB curve, by the matrices: greens get stronger in sRGB.
    srgb = np.array([[0.4361, 0.3851, 0.1431], [0.2225, 0.7169, 0.0606], [0.0139, 0.0971, 0.7141]])
    linear = ((np.array(colour) / 255 + 0.055) / 1.055) ** 2.4
    expected = 255 * (1.055 * np.linalg.solve(srgb, ADOBE @ linear) ** (1 / 2.4) - 0.055)
    assert np.abs(levels(loaded.rgb)[4, 4] - expected).max() <= 2
    assert np.abs(levels(loaded.rgb)[4, 4] - colour).max() > 10
    again = load(save(loaded, tmp_path / "out.png"))
    assert torch.equal(again.rgb, loaded.rgb) and again.icc_profile == loaded.icc_profile and not again.notes


def test_srgb_profile_changes_no_pixel() -> None:
    photo = gradient()
    photo.info["icc_profile"] = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    loaded = load(photo)
    assert np.array_equal(levels(loaded.rgb), np.asarray(photo)) and loaded.icc_profile and not loaded.notes


def test_unusable_profile_is_noted_and_the_numbers_are_kept(subtests: pytest.Subtests) -> None:
    for mode, profile in (("RGB", b"nonsense"), ("CMYK", None), ("I;16", b"nonsense")):
        with subtests.test(mode=mode, profile=profile):
            photo = gradient().convert("L").convert(mode) if mode == "I;16" else gradient().convert(mode)
            photo.info["icc_profile"] = profile or wide_gamut_profile()
            loaded = load(photo)
            assert loaded.icc_profile is None and "profile" in loaded.notes[0]
            if mode != "I;16":
                assert np.array_equal(levels(loaded.rgb), np.asarray(photo.convert("RGB")))


def test_first_frame_of_an_animation_is_used_and_noted(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for suffix in ("gif", "webp", "png", "tif"):
        with subtests.test(suffix=suffix):
            frames = [Image.new("RGB", (16, 16), color) for color in ("red", "blue", "lime")]
            frames[0].save(tmp_path / f"moving.{suffix}", save_all=True, append_images=frames[1:])
            loaded = load(tmp_path / f"moving.{suffix}")
            assert "only the first of 3" in loaded.notes[0]
            assert np.abs(levels(loaded.rgb)[8, 8] - (255, 0, 0)).max() < 5


def test_extreme_sizes_survive_reading_padding_and_writing(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for size in ((1, 1), (3000, 7), (7, 3000)):
        with subtests.test(size=size):
            photo = gradient(size[1], size[0])
            photo.save(tmp_path / "in.png")
            loaded = load(tmp_path / "in.png")
            padded, before = pad_to_multiple(loaded.rgb, 64)
            assert padded.shape[-2] % 64 == padded.shape[-1] % 64 == 0
            path = save(loaded.with_rgb(crop(padded, before)), tmp_path / f"{size}.png")
            assert np.array_equal(np.asarray(Image.open(path)), np.asarray(photo))


def test_names_with_spaces_accents_and_capitals_work(tmp_path: Path) -> None:
    folder = tmp_path / "mes photos été 写真"
    folder.mkdir()
    path = save(torch.rand(1, 3, 4, 4), folder / "Ünïcode photo (1).JPG")
    assert path.exists() and Image.open(path).format == "JPEG" and load(str(path)).rgb.shape == (1, 3, 4, 4)


BAD_FILES: dict[str, tuple[str, bytes, str]] = {
    "zero bytes": ("photo.jpg", b"", "empty"),
    "text": ("photo.jpg", b"not a photo at all, just text", "not an image"),
    "postscript": ("photo.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
    "half a jpeg": ("photo.jpg", JPEG[: len(JPEG) // 2], "cut short"),
    "half a png": ("photo.png", PNG[: len(PNG) // 2], "cut short"),
    "damaged png": ("photo.png", PNG[:60] + b"\0" * 50 + PNG[110:], "damaged"),
}


def test_bad_files_are_refused_in_a_sentence(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for case in BAD_FILES:
        with subtests.test(case=case):
            name, data, words = BAD_FILES[case]
            (tmp_path / name).write_bytes(data)
            with pytest.raises(ImageError, match=words) as caught:
                load(tmp_path / name)
            assert (
                name in str(caught.value)
                and str(caught.value).endswith(".")
                and "\n" not in str(caught.value)
            )


def test_what_is_no_photo_is_refused(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for make, words in (
        (lambda folder: folder / "missing.jpg", "does not exist"),
        (lambda folder: folder / "no folder" / "missing.jpg", "does not exist"),
        (lambda folder: folder, "is a folder"),
        (lambda folder: "/dev/null", "not a regular file"),
        (lambda folder: "x" * 5000, "cannot be read"),
        (lambda folder: "nul\0byte.jpg", "cannot be read"),
        (lambda folder: None, "got NoneType"),
        (lambda folder: [1, 2], "got list"),
        (lambda folder: Image.new("RGB", (0, 5)), "0x5"),
    ):
        with subtests.test(make=make, words=words), pytest.raises(ImageError, match=words):
            load(make(tmp_path))


def test_too_many_pixels_are_refused_before_decoding_and_without_warning(
    tmp_path: Path, subtests: pytest.Subtests
) -> None:
    for side in (8200, 10_000, 20_000):
        with subtests.test(side=side):
            header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
            (tmp_path / "huge.png").write_bytes(PNG[:8] + chunk(b"IHDR", header) + chunk(b"IDAT", b""))
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                with pytest.raises(
                    ImageError, match=f"{side * side / 1e6:.1f} megapixels, the limit is 64; make it"
                ):
                    load(tmp_path / "huge.png")


def test_the_pixel_limit_holds_for_pil_images() -> None:
    with pytest.raises(ImageError, match="limit is 9.9e-05"):
        load(gradient(10, 10), max_pixels=99)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_damage_raises_anything_but_image_error(tmp_path_factory: pytest.TempPathFactory, data) -> None:
    whole = bytearray(data.draw(st.sampled_from([JPEG, PNG])))
    for place in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=8)):
        whole[place] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "fuzzed"
    path.write_bytes(whole)
    try:
        assert load(path, max_pixels=100_000).rgb.isfinite().all()
    except ImageError as error:
        assert "fuzzed" in str(error)


def test_transparency_is_kept(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for suffix in (".png", ".webp", ".tif", ".tiff"):
        with subtests.test(suffix=suffix):
            alpha = torch.linspace(0, 1, 64).view(1, 1, 8, 8)
            path = save(Loaded(torch.rand(1, 3, 8, 8), alpha), tmp_path / f"out{suffix}")
            kept = load(path).alpha
            assert kept is not None and (kept - alpha).abs().max() < 0.5 / 255 + 1e-6


def test_jpeg_lays_transparency_on_white_and_says_so(tmp_path: Path) -> None:
    notes: list[str] = []
    photo = Loaded(torch.zeros(1, 3, 8, 8), torch.zeros(1, 1, 8, 8))
    path = save(photo, tmp_path / "out.jpg", notes=notes)
    assert load(path).rgb.min() > 0.99 and "white" in notes[0]


def test_alpha_follows_the_pixels_to_a_new_size(tmp_path: Path) -> None:
    photo = Loaded(torch.rand(1, 3, 8, 8), torch.ones(1, 1, 8, 8), notes=("kept",))
    larger = photo.with_rgb(torch.rand(1, 3, 32, 16))
    assert larger.notes == ("kept",)
    assert load(save(larger, tmp_path / "out")).alpha.shape == (1, 1, 32, 16)
    with pytest.raises(ImageError, match="Alpha"):
        save(Loaded(torch.rand(1, 3, 9, 9), torch.ones(1, 1, 8, 8)), tmp_path / "wrong.jpg")


def test_an_existing_file_is_never_touched_unless_asked(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(b"precious")
    with pytest.raises(ImageError, match="already exists"):
        save(torch.rand(1, 3, 4, 4), path)
    assert path.read_bytes() == b"precious"
    save(torch.rand(1, 3, 4, 4), path, overwrite=True)
    assert Image.open(path).size == (4, 4)
    assert [entry.name for entry in tmp_path.iterdir()] == ["photo.png"]


def test_a_file_that_appears_during_the_work_is_not_clobbered(tmp_path: Path) -> None:
    path = tmp_path / "late.png"
    path.write_bytes(b"precious")  # as if made after save() looked
    with pytest.raises(FileExistsError):
        disk.write_whole(b"new", path, overwrite=False)
    assert path.read_bytes() == b"precious" and len(list(tmp_path.iterdir())) == 1


def test_places_that_cannot_be_written_are_named(tmp_path: Path, subtests: pytest.Subtests) -> None:
    (tmp_path / "file").write_text("a file, no folder")
    (tmp_path / "folder.png").mkdir()
    for name, words in (
        ("out.bmp", r"unknown suffix '.bmp'; use one of .png, .jpg"),
        ("nowhere/out.png", "create it first"),
        ("file/out.png", "create it first"),
        ("x" * 300 + ".png", "too long"),
        ("nul\0.png", "null byte"),
        ("folder.png", "check name"),
    ):
        with subtests.test(name=name, words=words):
            with pytest.raises(ImageError, match=words):
                save(torch.rand(1, 3, 4, 4), tmp_path / name, overwrite=True)
            assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "folder.png"]


def test_what_a_format_cannot_hold_is_said_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="use .png"):
        save(torch.zeros(1, 3, 1, 17_000), tmp_path / "wide.webp")
    notes: list[str] = []
    exif = Image.Exif()
    exif[270] = "x" * 70_000
    save(Loaded(torch.rand(1, 3, 4, 4), exif=exif.tobytes()), tmp_path / "long.jpg", notes=notes)
    assert "too long" in notes[0] and [entry.name for entry in tmp_path.iterdir()] == ["long.jpg"]


def test_saved_file_has_ordinary_permissions(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch()
    assert save(torch.rand(1, 3, 4, 4), tmp_path / "out.png").stat().st_mode == plain.stat().st_mode


def test_nan_is_refused_and_out_of_range_is_clamped_and_rounded() -> None:
    with pytest.raises(ImageError, match="NaN"):
        to_pil(torch.full((1, 3, 2, 2), float("nan")))
    with pytest.raises(ImageError, match="one at a time"):
        to_pil(torch.zeros(2, 3, 2, 2))
    values = torch.tensor([-1.0, 0.6 / 255, 2.4 / 255, 7.0]).view(1, 1, 1, 4).expand(1, 3, 1, 4)
    assert np.asarray(to_pil(values))[0, :, 0].tolist() == [0, 1, 2, 255]


def test_resize_agrees_with_pillow(subtests: pytest.Subtests) -> None:
    for size in ((9, 13), (48, 72), (1, 1), (24, 36)):
        with subtests.test(size=size):
            photo = gradient()
            expected = np.asarray(photo.resize(size[::-1], Image.Resampling.BICUBIC))
            assert np.abs(levels(resize(to_tensor(photo), size)) - expected).max() <= 1


def test_resize_stays_in_range_at_hard_edges() -> None:
    edge = torch.cat([torch.zeros(1, 3, 8, 8), torch.ones(1, 3, 8, 8)], -1)
    assert resize(edge, (32, 64)).aminmax() == (0, 1)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 70))
def test_padding_mirrors_and_crop_undoes_it(height: int, width: int, multiple: int) -> None:
    x = torch.rand(1, 2, height, width)
    padded, before = pad_to_multiple(x, multiple)
    assert all(side % multiple == 0 for side in padded.shape[-2:]) and before == (height, width)
    assert torch.equal(crop(padded, before), x)
    mode = {"pad_width": [(0, new - old) for new, old in zip(padded.shape, x.shape, strict=True)]}
    assert np.array_equal(padded.numpy(), np.pad(x.numpy(), **mode, mode="reflect"))
