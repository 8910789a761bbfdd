"""Good pictures that the diagnosis is trained on: made ones of every kind, and other looks of good photos."""

import random

import pytest
import torch
from skimage.data import astronaut

from lwr.degrade.depth import random_depth
from lwr.degrade.light import luminance
from lwr.models.statistics import dark_statistics, streak_statistics
from training.data.photos import Photo
from training.diagnosis.examples import DARK, HAZE, RAIN, _distant, draw_picture
from training.diagnosis.fit import BATCH, Chance
from training.diagnosis.looks import LOOKS
from training.diagnosis.made_pictures import KINDS
from training.diagnosis.textures import TEXTURES

CRISP = ("snow", "night", "wall", "bokeh", "texture", "art")


def sharpest(picture: torch.Tensor) -> float:
    """The step between neighbours that one pixel in 500 passes."""
    steps = torch.cat([luminance(picture).diff(dim=dim).abs().flatten() for dim in (-1, -2)])
    return steps.quantile(0.998).item()


def photo() -> torch.Tensor:
    return KINDS["texture"](random.Random(5), (96, 128))


@pytest.mark.parametrize("kind", KINDS)
def test_made_pictures_vary_and_follow_from_the_seed(kind: str) -> None:
    for size in ((97, 130), (130, 97)):
        pictures = [KINDS[kind](random.Random(seed), size) for seed in (*range(6), 0)]
        assert all(one.shape == (1, 3, *size) and one.dtype == torch.float32 for one in pictures)
        assert all(one.min() >= 0 and one.max() <= 1 for one in pictures)
        assert torch.equal(pictures[0], pictures[-1])
        apart = [(a - b).abs().mean() for a in pictures[:6] for b in pictures[:6] if a is not b]
        assert min(apart) > 1 / 255 and max(apart) > 0.1


def test_made_photos_are_what_they_are_called() -> None:
    made = {kind: [KINDS[kind](random.Random(seed), (128, 128)) for seed in range(12)] for kind in CRISP}
    for kind, pictures in made.items():
        assert sum(sharpest(one) > 0.06 for one in pictures) >= 9, f"{kind} is blurred"
    assert all(one.median() < 0.2 for one in made["night"])
    assert sum(one.median() > 0.6 for one in made["snow"]) >= 10
    assert sum(one.std() < 0.2 for one in made["wall"]) >= 9


@pytest.mark.parametrize("kind", TEXTURES)
def test_textures_are_no_noise(kind: str) -> None:
    """A tenth of the frequencies holds half of it; of white noise, a third."""
    for seed in range(3):
        light = torch.from_numpy(TEXTURES[kind](random.Random(seed), (64, 96))).mean(-1)
        assert light.shape == (64, 96)
        power = torch.fft.rfft2(light - light.mean()).abs().square().flatten().sort().values
        assert power[-len(power) // 10 :].sum() > 0.45 * power.sum()


@pytest.mark.parametrize("look", LOOKS)
def test_looks_change_a_photo_and_leave_it_good(look: str) -> None:
    good = photo()
    first, again, other = (LOOKS[look](random.Random(seed), good) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert first.shape == good.shape and first.dtype == good.dtype
    assert first.min() >= 0 and first.max() <= 1 and not torch.equal(first, good)
    assert sharpest(first) > 0.25 * sharpest(good)


def test_looks_do_what_they_are_called() -> None:
    good, seeds = photo(), [random.Random(seed) for seed in range(8)]
    for stream in seeds:
        assert LOOKS["pale"](stream, good).mean() > good.mean() > LOOKS["dusk"](stream, good).mean()
        stage = LOOKS["low_key"](stream, good)
        assert stage.mean() < 0.95 * good.mean() and stage.max() > 0.7 * good.max()
        assert (LOOKS["film_grain"](stream, good) - good).std() * 255 < 2.8
        assert sharpest(LOOKS["sharpened"](stream, good)) > sharpest(good)
        left = (LOOKS["bokeh_photo"](stream, good) - good).abs().mean(1) < 1e-4
        assert 0.02 < left.float().mean() < 0.95, "part of it is in focus"


def test_a_photo_without_detail_is_not_put_out_of_focus() -> None:
    plain = torch.full((1, 3, 64, 64), 0.5)
    assert torch.equal(LOOKS["bokeh_photo"](random.Random(0), plain), plain)


def test_each_dark_and_rainy_picture_has_its_label() -> None:
    shades = torch.rand(300, 300, 3, generator=torch.Generator().manual_seed(0)).mul(180).add(60)
    photos = [Photo("a", "a", shades.to(torch.uint8), clear=True)]
    drawn = [draw_picture(photos, 0, place) for place in range(120)]
    dark, rainy = ([one for one in drawn if one.severities[name] > 0] for name in (DARK, RAIN))
    assert 8 < len(dark) < 40 and 8 < len(rainy) < 40
    bright = [one for one in drawn if one.kind == "photo" and not one.severities[DARK]]
    low = [one.pixels.mean().item() for one in dark if one.severities[DARK] > 0.5 and one.kind == "photo"]
    assert low and max(low) < min(one.pixels.mean().item() for one in bright)
    veiled = [one for one in rainy if HAZE in one.unknown]
    assert veiled and all((one.maps[HAZE] < 0).all() for one in veiled)
    nights = [one for one in drawn if one.kind == "night"]
    assert nights and not any(one.severities[DARK] for one in nights)
    assert any(DARK not in one.unknown for one in nights)


def test_statistics_tell_the_dark_and_streaks() -> None:
    scene = KINDS["scene"](random.Random(4), (128, 160))
    dim = dark_statistics(scene * 0.2) - dark_statistics(scene)
    assert dim[3] > 0, "more of it is black"
    assert (dim[-7:] < 0).all() and torch.allclose(dim[-3:], torch.tensor(0.2).log().expand(3), atol=0.2)
    streaks = torch.zeros(1, 1, 128, 160)
    streaks[..., 30:90, 20::24] = 0.3
    rainy = (scene + streaks).clamp(0, 1)
    before, after = streak_statistics(scene), streak_statistics(rainy)
    turned = streak_statistics(rainy.transpose(-1, -2))
    assert after[6] > before[6] + 0.1, "there are more upright lines"
    assert turned[6] < after[6] - 0.1 and turned[0] > 0.1
    assert after[15] > before[15] and after[15] > turned[15], "bright lines across the rows"
    for size in ((1, 5), (7, 1), (2, 3), (3, 700), (600, 500)):
        found = torch.cat(
            [streak_statistics(torch.rand(1, 3, *size)), dark_statistics(torch.rand(1, 3, *size))]
        )
        assert found.shape == (51,) and found.isfinite().all(), size


def test_what_is_dropped_in_training_keeps_the_mean() -> None:
    chance = Chance.drawn(4000, 48, 30, torch.device("cpu"))
    for kept in chance.kept:
        assert kept.unique().tolist() == pytest.approx([0, 1 / 0.9])
        assert kept.mean().item() == pytest.approx(1, abs=0.02)
    some = chance.part(64, BATCH)
    assert torch.equal(some.noise, chance.noise[64 : 64 + BATCH]) and len(some.kept[0]) == BATCH


def test_haze_in_the_distance_leaves_the_near_part_clear() -> None:
    clean = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    for seed in range(8):
        depth, usual = (
            one(clean, torch.Generator().manual_seed(seed))[0] for one in (_distant(0.4), random_depth)
        )
        nearness = (usual - usual.min()) / (1 - usual.min())
        assert (depth[nearness < 0.4] == 0).all() and depth.max() > 0.99
        assert (depth[nearness > 0.5] > 0).all()


def test_the_veil_of_rain_is_thin_haze_in_training_and_no_haze_that_scores_count() -> None:
    photos = [Photo("a", "a", torch.from_numpy(astronaut()), clear=True)]
    drawn = [[draw_picture(photos, 3, place, hard) for place in range(70)] for hard in (False, True)]
    scored, trained = ([one for one in each if one.severities[RAIN] > 0] for each in drawn)
    assert len(scored) > 5 and len(trained) > 5
    unknown = [one for one in scored if HAZE in one.unknown]
    assert unknown, "whether such a photo is hazy is not known"
    assert not any(HAZE in one.unknown for one in trained)
    veils = sorted(one.severities[HAZE] for one in trained)
    assert veils[0] < 0.1 < veils[-1] <= 1, "as thin as it is, with the haze before it"
    assert all((one.maps[HAZE] == -1).all() or one.maps[HAZE].min() >= 0 for one in trained)
