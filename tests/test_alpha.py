"""Transparency: what it hides never reaches the visible edge, and it is itself kept as it was."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFilter

from lwr.images import alpha as alpha_file
from lwr.images.alpha import fill_hidden
from lwr.images.files import load, save, to_pil
from lwr.restore import Restorer
from tests.test_images import PNG, chunk, deep_png

COLOUR = (200, 30, 40)


def logo(hidden: str, width: int = 96, height: int = 72) -> Image.Image:
    """A smooth shape and a thin line of one colour; what transparency hides is black, white or noise."""
    large = Image.new("L", (8 * width, 8 * height))
    draw = ImageDraw.Draw(large)
    draw.ellipse((80, 80, 420, 400), fill=255)
    draw.line((60, 540, 740, 60), fill=255, width=14)
    alpha = np.asarray(large.resize((width, height), Image.Resampling.BOX))
    rgb = np.full((height, width, 3), COLOUR, np.uint8)
    noise = np.random.default_rng(0).integers(0, 256, rgb.shape)
    rgb[alpha == 0] = (
        {"black": 0, "white": 255, "noise": noise}[hidden] if hidden != "noise" else noise[alpha == 0]
    )
    return Image.fromarray(np.dstack([rgb, alpha]))


def test_edges_of_logos_stay_clean_in_all_tasks_at_all_scales(
    restorer: Restorer, subtests: pytest.Subtests
) -> None:
    before = np.asarray(logo("noise").getchannel("A"))
    for task, scale, hidden in (
        ("deblur", 1, "noise"), ("deblur", 4, "white"), ("super-resolution", 1.5, "noise"),
        ("super-resolution", 4, "noise"), ("dehaze", 1, "black"), ("dehaze", 2, "noise"),
    ):  # fmt: skip
        with subtests.test(task=task, scale=scale, hidden=hidden):
            result = np.asarray(restorer(logo(hidden), task=task, scale=scale).image).astype(float)
            colours, alpha = result[..., :3], result[..., 3:]
            inside = np.median(colours[alpha[..., 0] == 255], axis=0)
            for background in (0, 255, np.array((30, 90, 250))):  # as it looks there, as if it had one colour
                laid = (colours * alpha + background * (255 - alpha)) / 255
                expected = (inside * alpha + background * (255 - alpha)) / 255
                assert abs(laid - expected).max() < 8
            if scale == 1:
                assert np.array_equal(alpha[..., 0], before)
            # bicubic looks two pixels far
            flat = {0: ImageFilter.MaxFilter(5), 255: ImageFilter.MinFilter(5)}
            for level, around in flat.items():
                same = (
                    Image.fromarray(before)
                    .filter(around)
                    .resize(alpha.shape[1::-1], Image.Resampling.NEAREST)
                )
                assert set(alpha[..., 0][np.asarray(same) == level]) == {level}


def hidden_photo(height: int, width: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    rgb = torch.rand(1, 3, height, width, generator=generator)
    alpha = torch.rand(1, 1, height, width, generator=generator).sub(0.5).mul(3).clamp(0, 1)
    return rgb, alpha


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 70), st.integers(1, 70), st.integers(0, 99))
def test_what_is_visible_never_changes_and_what_is_not_never_matters(
    height: int, width: int, seed: int
) -> None:
    rgb, alpha = hidden_photo(height, width, seed)
    filled = rgb.clone()
    fill_hidden(filled, alpha)
    shown = (alpha >= 8 / 255).expand_as(rgb)
    assert torch.equal(filled[shown], rgb[shown])
    if alpha.any():
        other = torch.where(alpha == 0, torch.rand_like(rgb), rgb)
        fill_hidden(other, alpha)
        assert torch.equal(other, filled)
        seen = rgb[(alpha > 0).expand_as(rgb)]
        assert filled.min() >= seen.min() - 1e-4 and filled.max() <= seen.max() + 1e-4
    else:
        assert torch.equal(filled, rgb)


def test_strips_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    rgb, alpha = hidden_photo(100, 60, 0)
    alpha = (alpha > 0.9).float()
    whole, strips = rgb.clone(), rgb.clone()
    fill_hidden(whole, alpha)
    monkeypatch.setattr(alpha_file, "_STRIP", 16)
    fill_hidden(strips, alpha)
    assert (whole - strips).abs().max() < 1e-5
    levels = (rgb * 255).round().to(torch.uint8)
    fill_hidden(levels, alpha)
    assert (levels.float() / 255 - whole).abs().max() < 1.5 / 255


def test_a_fully_transparent_photo_is_kept_and_noted(tmp_path: Path) -> None:
    rgba = np.dstack([np.asarray(Image.new("RGB", (9, 7), COLOUR)), np.zeros((7, 9), np.uint8)])
    loaded = load(Image.fromarray(rgba))
    assert "fully transparent" in loaded.notes[0] and np.array_equal(
        np.asarray(to_pil(loaded.rgb)), rgba[..., :3]
    )
    assert load(save(loaded, tmp_path / "out.png")).alpha.max() == 0


def packed_png(path: Path, levels: list[int], depth: int, kind: int, key: bytes) -> Path:
    """One row of gray or RGB numbers of `depth` bits with one of them transparent."""
    bits = "".join(f"{level:0{depth}b}" for level in levels)
    row = int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")
    head = struct.pack(">IIBBBBB", len(levels) // (3 if kind == 2 else 1), 1, depth, kind, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"tRNS", key) + chunk(b"IDAT", zlib.compress(b"\0" + row))
    path.write_bytes(PNG[:8] + body + chunk(b"IEND", b""))
    return path


def test_a_transparent_colour_is_found_at_every_depth(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for depth in (1, 2, 4, 8, 16):
        with subtests.test(depth=depth):
            levels = [0, 1, 1, 0] if depth == 1 else [0, 2, 3, 1]
            key = 1 if depth == 1 else 2
            path = packed_png(tmp_path / "key.png", levels, depth, 0, struct.pack(">H", key))
            assert load(path).alpha[0, 0, 0].tolist() == [float(level != key) for level in levels]
    for depth, top in ((8, 255), (16, 65535)):
        with subtests.test(depth=depth, kind="RGB"):
            colours = [top, 0, 0, 0, top, 0]
            path = packed_png(tmp_path / "key.png", colours, depth, 2, struct.pack(">3H", top, 0, 0))
            loaded = load(path)
            assert loaded.alpha[0, 0, 0].tolist() == [0, 1]
            assert loaded.rgb[0, :, 0, 0].tolist() == [0, 1, 0]  # the hidden red is gone


def test_every_kind_of_transparency_hides_its_colours(tmp_path: Path, subtests: pytest.Subtests) -> None:
    picture = Image.new("P", (8, 8), 1)
    picture.putpalette([255, 0, 255, 10, 120, 30])
    picture.paste(0, (0, 0, 4, 8))
    picture.save(tmp_path / "a.png", transparency=b"\0\xff")
    picture.save(tmp_path / "a.gif", transparency=0)
    rgba = np.zeros((8, 8, 4), np.uint16)
    rgba[:, :4], rgba[:, 4:] = (65535, 0, 65535, 0), (2570, 30840, 7710, 65535)
    deep_png(tmp_path / "deep.png", rgba, 6)
    deep_png(tmp_path / "gray.png", rgba[..., [1, 3]], 4)
    Image.fromarray((rgba // 257).astype(np.uint8)).save(tmp_path / "a.webp", lossless=True, exact=True)
    Image.fromarray((rgba // 257).astype(np.uint8)).save(tmp_path / "a.tif")
    for path in sorted(tmp_path.iterdir()):
        with subtests.test(name=path.name):
            loaded = load(path)
            assert loaded.alpha[0, 0, :, :4].max() == 0 and loaded.alpha[0, 0, :, 4:].min() == 1
            assert (loaded.rgb - loaded.rgb[..., -1:, -1:]).abs().max() < 1.5 / 255
