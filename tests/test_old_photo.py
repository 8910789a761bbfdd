"""Old photos: scratches and dust are found and filled, faded colours corrected, and what is good stays."""

import json
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from small_photos import seeded
from typer.testing import CliRunner

from lwr.cli import app
from lwr.degrade.worn import fade, scratch
from lwr.fit import NO_MORE_STRENGTH, NO_STRENGTH
from lwr.images.files import load, save, to_pil
from lwr.images.metrics import psnr
from lwr.prompt import route
from lwr.prompt.old import REPAIRS
from lwr.record import like
from lwr.repair import scratches
from lwr.repair.fading import find_fading
from lwr.repair.photo import HAZY, INTACT, NOT_FADED, TOO_SMALL, repair
from lwr.repair.scratches import find_scratches
from lwr.request import PASSED_OVER, Request, RestoreError
from lwr.restore import Restorer
from lwr.tasks import TASKS

CLEAN = load(Image.fromarray(skimage.data.astronaut())).rgb
CAT = load(Image.fromarray(skimage.data.chelsea())).rgb
OLD = (
    "restore this old photo",
    "old faded photograph with scratches",
    "scan from the 1950s",
    "grandmother's wedding picture is yellowed and torn",
    "old photo",
    "Old print, dusty and scratched.",
    "fix my grandfather's portrait",
)
PARTS = {
    "remove the scratches": ("scratches",),
    "sharpen and remove the scratches": ("scratches",),
    "fix the faded colours": ("fading",),
    "it has yellowed": ("fading",),
    "it is scratched and has yellowed": ("scratches", "fading"),
    "restore the old photo but keep the scratches": ("fading",),
    "restore this old photo, don't change the colours": ("scratches",),
    "enhance it, but leave the scratches": (),
}
NOT_OLD = (
    "it's an old photo",
    "remove the haze from this old photo",
    "don't remove the scratches, only the haze",
    "enhance it, but leave the scratches",
    "a picture of scratches on a car",
    "this picture is old and low quality",
    "an old man",
    "a dusty road",
    "it is not faded",
)


@pytest.fixture(scope="module")
def worn() -> tuple[torch.Tensor, torch.Tensor]:
    """(faded and scratched (1,3,H,W) levels, (H,W) where it is scratched)."""
    scratched, where = scratch(fade(CLEAN, seeded(5)), seeded(5), lines=8)
    return scratched.mul(255).round().to(torch.uint8), where


def test_sentences_about_old_photos_ask_for_it_and_others_do_not() -> None:
    for text in OLD:
        found = route(text)
        assert found.general and found.json()["repairs"] == [*REPAIRS], text
    for text in NOT_OLD:
        assert not route(text).repairs, text


def test_repairs_are_named_apart_in_sentences_and_options() -> None:
    for text, repairs in PARTS.items():
        found = route(text)
        assert found.repairs == repairs and found.understood, text
        assert found.general == ("restore" in text or "enhance" in text), text
        assert not found.general or set(found.spared) | {*repairs, "fading"} == {*REPAIRS}, text
    for name in REPAIRS:
        asked = Request(**{name: True}).asked()
        assert asked.repairs == (name,) and not asked.general and not asked.tasks
        beside = Request("remove the haze", **{name: True}).asked()
        assert beside.repairs == (name,) and list(beside.tasks) == ["dehaze"]
    beside = Request("remove the creases", scratches=True).asked()
    assert beside.repairs == ("scratches",) and beside.ignored == ("creases",) and not beside.general
    left = Request("don't remove the scratches", old=True).asked()
    assert left.repairs == ("fading",) and left.general and not left.notes
    with pytest.raises(RestoreError, match="The option fading is 'yes'"):
        Request(fading="yes").asked()


def test_scratches_are_found_and_a_clean_photo_loses_nothing(
    worn: tuple[torch.Tensor, torch.Tensor],
) -> None:
    photo, where = worn
    found = find_scratches(photo)
    near = torch.nn.functional.max_pool2d(where[None, None].float(), 5, 1, 2)[0, 0] > 0
    assert (found & where).sum() / where.sum() > 0.5
    assert (found & near).sum() / found.sum() > 0.8
    for clean in (CLEAN, CAT, CLEAN.flip(-1)):
        assert find_scratches(clean).float().mean() < 0.0005


def test_a_drawn_line_is_found_at_any_angle_and_in_a_large_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    down, across = torch.meshgrid(torch.arange(300.0), torch.arange(300.0), indexing="ij")
    plain = 0.4 + 0.1 * torch.sin(across / 30) * torch.cos(down / 40)
    for angle in (0.0, 0.3, 0.8, 1.2, 1.6, 2.1, 2.9):
        away = ((across - 150) * np.sin(angle) - (down - 150) * np.cos(angle)).abs()
        line = (away <= 1) & ((across - 150) ** 2 + (down - 150) ** 2 < 120**2)
        photo = torch.where(line, 0.95, plain).expand(1, 3, -1, -1)
        found = find_scratches(photo)
        assert (found & line).sum() / line.sum() > 0.7, angle
    monkeypatch.setattr(scratches, "DETAIL", 90_000)
    large = [
        torch.nn.functional.interpolate(each, scale_factor=3)[..., :-1]
        for each in (photo, 1.0 * line[None, None])
    ]
    found = find_scratches(large[0])
    assert found.shape == (900, 899) and found[large[1][0, 0] > 0].float().mean() > 0.7
    assert not find_scratches(torch.full((1, 3, 20, 400), 0.5)).any(), "too small to have lines"


def test_fading_is_undone_and_what_is_not_faded_stays() -> None:
    gains = []
    for seed in range(6):
        faded = fade(CLEAN, seeded(seed))
        found = find_fading(faded)
        gains.append(psnr(found.undone(faded), CLEAN) - psnr(faded, CLEAN))
    assert min(gains) >= 0 and sum(gains) / 6 > 10  # what faded least stays
    assert find_fading(CLEAN).strength == find_fading(CAT).strength == 0


def test_gray_and_sepia_keep_their_hue() -> None:
    gray = CLEAN.mean(1, keepdim=True).expand(-1, 3, -1, -1) * 0.5 + 0.25
    corrected = find_fading(gray).undone(gray)
    assert (corrected[:, 0] == corrected[:, 1]).all() and (corrected[:, 0] == corrected[:, 2]).all()
    assert corrected.amax() - corrected.amin() > 0.9
    sepia = gray * torch.tensor([1.0, 0.9, 0.75]).view(1, 3, 1, 1)
    corrected = find_fading(sepia).undone(sepia)
    assert ((corrected[:, 0] - corrected[:, 2]).mean() > 0.05) and find_fading(sepia).strength > 0


def test_an_old_photo_is_repaired_said_and_made_again(
    restorer: Restorer, worn: tuple[torch.Tensor, torch.Tensor]
) -> None:
    photo = to_pil(worn[0])
    before = np.asarray(photo)
    restored = restorer(photo, "restore this old photo, it is from 1950", scale=1)
    s = restored.settings
    assert (
        set(s.repairs) == set(REPAIRS)
        and s.filled > 1000
        and s.faded > 0.5
        and (np.asarray(photo) == before).all()
    )
    assert restored.notes[0].startswith(f"Scratches and dust filled: {s.filled:,} pixels")
    assert restored.notes[1] == f"Faded colours corrected (strength {s.faded:g})."
    assert psnr(restored.loaded.rgb, CLEAN) > psnr(load(photo).rgb, CLEAN) + 4
    again = restorer(
        photo, task=s.tasks, scale=s.scale, fidelity=s.fidelity, **dict.fromkeys(s.repairs, True)
    )
    assert (np.asarray(again.image) == np.asarray(restored.image)).all()
    assert not restorer(photo, task={}).settings.repairs


def test_one_repair_alone_is_done_said_and_asked_again(
    restorer: Restorer, worn: tuple[torch.Tensor, torch.Tensor], tmp_path: Path
) -> None:
    photo = to_pil(worn[0])
    filled = restorer(photo, "remove the scratches")
    assert filled.settings.filled > 1000 and filled.settings.faded == 0 and not filled.settings.tasks
    assert len(filled.notes) == 1 and filled.notes[0].startswith("Scratches and dust filled: ")
    corrected = restorer(photo, "it has yellowed")
    assert corrected.settings.filled == 0 and corrected.settings.faded > 0.5
    assert len(corrected.notes) == 1 and corrected.notes[0].startswith("Faded colours corrected")
    save(restorer(photo, scratches=True).loaded, tmp_path / "result.png")
    again = like(tmp_path / "result.png", Request())
    assert again.scratches and not again.fading and again.asked().repairs == ("scratches",)
    kept = restorer(photo, "restore the old photo but keep the scratches", scale=1)
    assert kept.settings.filled == 0 and kept.settings.faded > 0.5
    assert not any("Scratches" in note for note in kept.notes)


def test_a_good_photo_that_is_called_old_stays(restorer: Restorer) -> None:
    restored = restorer(to_pil(CLEAN), task={}, old=True)
    assert restored.settings.faded == 0 and restored.settings.filled < 0.0005 * CLEAN[0, 0].numel()
    assert restored.notes[1] == NOT_FADED and psnr(restored.loaded.rgb, CLEAN) > 40
    plain = Image.linear_gradient("L")
    restored = restorer(plain, task={}, old=True)
    assert restored.notes == (INTACT, NOT_FADED)
    assert (np.asarray(restored.image) == np.asarray(plain.convert("RGB"))).all()


def test_what_is_painted_and_what_is_found_are_filled_together(
    worn: tuple[torch.Tensor, torch.Tensor],
) -> None:
    loaded = load(to_pil(worn[0]))
    mask = Image.fromarray(worn[1].numpy())
    repaired = repair(loaded, mask, REPAIRS)
    assert repaired.changed and len(repaired.notes) == 3 and repaired.filled >= worn[1].sum()
    assert psnr(repaired.photo.rgb, CLEAN) > psnr(repair(loaded, None, REPAIRS).photo.rgb, CLEAN)


def test_the_command_line_says_what_was_repaired(
    worn: tuple[torch.Tensor, torch.Tensor], tmp_path: Path
) -> None:
    to_pil(worn[0]).reduce(2).save(tmp_path / "old.png")
    done = CliRunner().invoke(app, ["restore", str(tmp_path / "old.png"), "--old", "--json", "--scale", "1"])
    line = json.loads(done.stdout)
    assert done.exit_code == 0 and set(line["repairs"]) == set(REPAIRS) and line["faded"] > 0.5
    assert any("Faded colours corrected" in note for note in line["notes"])


def test_strength_counts_for_old_photos_too(
    restorer: Restorer, worn: tuple[torch.Tensor, torch.Tensor]
) -> None:
    photo = to_pil(worn[0])
    whole = restorer(photo, old=True, scale=1).settings.faded
    part = restorer(photo, old=True, scale=1, strength=0.5)
    assert part.settings.faded == pytest.approx(whole / 2, abs=0.01) and part.settings.filled > 1000
    assert f"Faded colours corrected (strength {part.settings.faded:g})." in part.notes
    nothing = restorer(photo, old=True, scale=1, strength=0)
    assert not nothing.settings.repairs and nothing.settings.filled == 0 and NO_STRENGTH in nothing.notes
    assert (np.asarray(nothing.image) == np.asarray(photo)).all()
    painted = restorer(photo, mask=Image.fromarray(worn[1].numpy()), strength=0)
    assert painted.settings.filled == worn[1].sum() and NO_MORE_STRENGTH in painted.notes


@pytest.mark.parametrize("sentence", ["xyzzy", "make it hazy"])
def test_a_sentence_that_is_passed_over_is_said_to_be(sentence: str) -> None:
    assert Request(sentence, old=True).asked().notes == (PASSED_OVER,)
    left = Request("leave the haze", old=True).asked()
    assert left.spared == ("dehaze",) and not left.notes


def test_haze_and_thumbnails_are_not_called_faded(restorer: Restorer) -> None:
    hazy = TASKS["dehaze"].degrade(CLEAN, seeded(3))[0]
    assert find_fading(hazy).strength > 0, "or it shows nothing"
    for asked in ({"fading": True}, {"old": True, "task": {}}):
        restored = restorer(to_pil(hazy), **asked)
        assert restored.settings.faded == 0 and HAZY in restored.notes
    tiny = to_pil(fade(CLEAN, seeded(5))).resize((8, 8))
    restored = restorer(tiny, fading=True)
    assert restored.settings.faded == 0 and restored.notes == (TOO_SMALL,)


def test_what_faded_by_a_trifle_stays() -> None:
    assert find_fading(CLEAN * 0.8 + 0.118).strength == 0
    assert find_fading(CLEAN * 0.75 + 0.15).strength > 0.5


def test_the_command_line_says_how_an_old_photo_is_read() -> None:
    said = CliRunner().invoke(app, ["route", "remove the scratches, but leave the haze"]).stdout.splitlines()
    assert said == ["left out: remove haze", "repair: fill scratches and dust"]
    said = CliRunner().invoke(app, ["route", "old photo, keep the scratches"]).stdout.splitlines()
    assert said == [
        "general: what the photo needs",
        "left out: fill scratches and dust",
        "repair: correct faded colours",
    ]
