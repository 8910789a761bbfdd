"""What is painted is filled, and nothing else changes: masks of every kind, holes of every width."""

import json
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from lwr.batch.output_names import Output
from lwr.batch.plan import plan
from lwr.cli import app
from lwr.images.errors import ImageError
from lwr.images.files import load, save
from lwr.record import recorded
from lwr.repair import fill as filling
from lwr.repair.fill import fill
from lwr.repair.mask import MOST, beyond, read_mask
from lwr.repair.photo import EMPTY
from lwr.restore import RestoreError, Restorer

ASTRONAUT = Image.fromarray(skimage.data.astronaut())
LINES = (((20, 20), (400, 180), 1), ((40, 480), (300, 60), 6), ((350, 400), (480, 300), 24))


def painted(size: tuple[int, int] = ASTRONAUT.size, color: object = 255, mode: str = "L") -> Image.Image:
    """A mask with three strokes, of 1 to 24 pixels."""
    mask = Image.new(mode, size)
    draw = ImageDraw.Draw(mask)
    for start, end, width in LINES:
        draw.line([start, end], fill=color, width=width)
    return mask


def psnr(one: np.ndarray, other: np.ndarray, where: np.ndarray) -> float:
    difference = (one.astype(float) - other)[where]
    return float(20 * np.log10(255 / np.sqrt((difference**2).mean())))


def test_what_is_painted_is_filled_and_all_else_stays_bit_for_bit(restorer: Restorer) -> None:
    photo, hole = np.asarray(ASTRONAUT), np.asarray(painted()) > 0
    scratched = photo.copy()
    scratched[hole] = 255
    restored = restorer(Image.fromarray(scratched), mask=painted())
    made = np.asarray(restored.image)
    assert (made[~hole] == photo[~hole]).all()
    mean = np.where(hole[..., None], photo[~hole].mean(0), photo)
    assert psnr(made, photo, hole) > psnr(mean, photo, hole) + 8
    assert restored.tasks == {} and restored.settings.filled == hole.sum()
    assert restored.notes[0] == f"Filled as painted: {hole.sum():,} pixels ({hole.mean():.2%})."


def test_edges_go_on_through_a_hole_and_slopes_too() -> None:
    down, across = torch.meshgrid(torch.arange(120.0), torch.arange(120.0), indexing="ij")
    slope = (0.2 + 0.004 * across + 0.001 * down).expand(1, 3, -1, -1)
    edge = ((across * 0.8 + down * 0.6 - 80) / 2).sigmoid().expand(1, 3, -1, -1)
    hole = torch.zeros(120, 120, dtype=torch.bool)
    hole[40:56, 10:110] = True
    assert (fill(slope, hole) - slope).abs().max() < 0.004
    filled = fill(edge, hole)
    assert (filled - edge)[..., hole].square().mean().sqrt() < 0.08  # 0.2 where the hole is plainly blurred
    gray = fill(edge.mul(255).round().to(torch.uint8), hole)
    assert gray.dtype == torch.uint8 and (gray[:, 0] == gray[:, 1]).all() and (gray[:, 0] == gray[:, 2]).all()


def test_parts_of_a_large_photo_meet_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    photo = load(ASTRONAUT).rgb
    hole = torch.zeros(512, 512, dtype=torch.bool)
    hole[:, 244:268] = hole[250:260] = True
    whole = fill(photo, hole)
    monkeypatch.setattr(filling, "CORE", 256)
    difference = (fill(photo, hole) - whole).abs()
    assert 0 < difference.max() < 0.02 and difference[..., hole].mean() < 0.002


def test_layers_and_gray_pictures_are_read_alike(tmp_path: Path) -> None:
    size = ASTRONAUT.size[::-1]
    want = torch.from_numpy(np.asarray(painted()) > 0)
    layer = painted(color=(200, 0, 0, 255), mode="RGBA")  # red on a transparent layer
    flat = Image.merge("RGBA", [painted()] * 3 + [Image.new("L", ASTRONAUT.size, 255)])
    for mask in (painted(), painted(color=1, mode="1"), painted(color="white", mode="RGB"), layer, flat):
        assert read_mask(mask, size).equal(want)
    painted().save(tmp_path / "mask.png")
    assert read_mask(tmp_path / "mask.png", size).equal(want)


def test_the_width_of_a_hole_is_measured_exactly() -> None:
    for width, refused in ((MOST, False), (MOST + 1, True)):
        mask = Image.new("L", (200, 100))
        ImageDraw.Draw(mask).rectangle([60, 0, 60 + width - 1, 99], fill=255)
        if refused:
            with pytest.raises(ImageError, match="wider than 32 pixels .around"):
                read_mask(mask, (100, 200))
        else:
            assert read_mask(mask, (100, 200)).sum() == width * 100
    hole = torch.zeros(60, 60, dtype=torch.bool)
    hole[10:51, 10:51] = True
    far = beyond(hole, 16).nonzero().tolist()
    known = [(y, x) for y in range(60) for x in range(60) if not hole[y, x]]
    want = [
        [y, x]
        for y in range(10, 51)
        for x in range(10, 51)
        if all((y - v) ** 2 + (x - u) ** 2 > 256 for v, u in known)
    ]
    assert far == want and beyond(torch.ones(5, 7, dtype=torch.bool), 16).all()


def test_a_mask_that_cannot_be_used_is_one_sentence(restorer: Restorer, tmp_path: Path) -> None:
    text = tmp_path / "mask.png"
    text.write_text("no picture")
    bad = {
        "100x80 pixels and the photo 512x512": Image.new("L", (100, 80), 255),
        "wider than 32 pixels": Image.new("L", (512, 512), 255),
        "The mask cannot be used: it": text,
    }
    for reason, mask in bad.items():
        with pytest.raises(ImageError, match=reason) as raised:
            restorer(ASTRONAUT, mask=mask)
        assert str(tmp_path) not in str(raised.value)
    with pytest.raises(RestoreError, match="There is no mask"):
        restorer.resolve(mask=str(tmp_path / "none.png"))


def test_an_empty_mask_says_so(restorer: Restorer) -> None:
    restored = restorer(ASTRONAUT, mask=Image.new("L", ASTRONAUT.size))
    assert (np.asarray(restored.image) == np.asarray(ASTRONAUT)).all()
    assert restored.notes == (EMPTY,) and restored.settings.filled == 0


def test_beside_a_prompt_it_is_filled_first(restorer: Restorer) -> None:
    scratched = np.asarray(ASTRONAUT).copy()
    hole = np.asarray(painted()) > 0
    scratched[hole] = 255
    filled = restorer(Image.fromarray(scratched), mask=painted()).image
    both = restorer(Image.fromarray(scratched), "strongly remove the haze", mask=painted())
    assert (np.asarray(both.image) == np.asarray(restorer(filled, "strongly remove the haze").image)).all()
    assert both.tasks == {"dehaze": 1.0} and both.settings.filled == hole.sum()


def test_transparency_and_metadata_stay_and_16_bits_are_filled(restorer: Restorer, tmp_path: Path) -> None:
    small = ASTRONAUT.resize((160, 120))
    small.putalpha(Image.linear_gradient("L").resize((160, 120)))
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    small.save(tmp_path / "photo.png", exif=exif)
    mask = Image.new("L", (160, 120))
    ImageDraw.Draw(mask).line([(10, 10), (150, 110)], fill=255, width=5)
    mask.save(tmp_path / "mask.png")
    restored = restorer(str(tmp_path / "photo.png"), mask=tmp_path / "mask.png")
    path = save(restored.loaded, tmp_path / "out.png")
    with Image.open(path) as out, Image.open(tmp_path / "photo.png") as before:
        assert out.getexif()[0x010F] == "Maker"
        assert (np.asarray(out)[..., 3] == np.asarray(before)[..., 3]).all()
    request = recorded(path).request
    assert request.mask is None and request.task == {}, "a mask is of one photo"
    deep = np.linspace(0, 65535, 160 * 120).reshape(120, 160).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    loaded = load(tmp_path / "deep.png")
    pixels = restorer(loaded, mask=tmp_path / "mask.png").loaded.pixels
    hole = torch.from_numpy(np.asarray(mask) > 0)
    assert pixels.dtype == torch.float32 and (pixels - loaded.pixels)[..., ~hole].abs().max() == 0
    assert 0 < (pixels - loaded.pixels)[..., hole].abs().max() < 0.02


def test_the_command_line_fills_and_refuses(tmp_path: Path) -> None:
    ASTRONAUT.crop((0, 0, 200, 160)).save(tmp_path / "photo.png")
    painted((200, 160)).save(tmp_path / "mask.png")
    painted((100, 160)).save(tmp_path / "other.png")
    photo, run = str(tmp_path / "photo.png"), CliRunner()
    done = run.invoke(app, ["restore", photo, "--mask", str(tmp_path / "mask.png"), "--json"])
    line = json.loads(done.stdout)
    assert done.exit_code == 0 and line["tasks"] == {} and line["filled"] > 100 and line["scale"] == 1
    done = run.invoke(app, ["restore", photo, "--mask", str(tmp_path / "other.png"), "--json", "--overwrite"])
    assert done.exit_code == 1 and "100x160 pixels" in json.loads(done.stdout)["error"]
    done = run.invoke(app, ["restore", photo, "--mask", str(tmp_path / "none.png"), "--json"])
    assert done.exit_code == 2 and "There is no mask" in json.loads(done.stdout)["error"]


def test_a_mask_is_no_photo_and_no_result_replaces_it(tmp_path: Path) -> None:
    album = tmp_path / "album"
    album.mkdir()
    Image.new("RGB", (32, 32), "gray").save(album / "photo.png")
    mask = album / "painted.png"
    Image.new("L", (32, 32)).save(mask)
    before = mask.read_bytes()
    every = sorted(map(str, album.iterdir()))
    for photos in ([str(album)], every):  # a folder, and what a shell's * names
        planned = plan(photos, Output(out=str(tmp_path / "out")), mask=str(mask))
        assert [Path(job.photo.path).name for job in planned.jobs] == ["photo.png"]
        assert planned.remarks == [f"Left out {mask}, as it is the mask."]
    assert len(plan([str(mask)], Output(), mask=str(mask)).jobs) == 1  # who names it alone means it
    options = ["--mask", str(mask), "--out", str(mask), "--overwrite"]
    done = CliRunner().invoke(app, ["restore", str(album / "photo.png"), *options])
    assert done.exit_code == 2 and "would replace the mask" in done.stderr and mask.read_bytes() == before
