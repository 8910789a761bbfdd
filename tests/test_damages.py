"""Noise and compression: what each damage is made of, and how often it is mild or strong."""

import io
import json
import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from lwr.degrade.camera import Sensor, sample_sensor, take
from lwr.degrade.draw import Degraded, single_precision
from lwr.degrade.filtering import gaussian_each, smooth_flat
from lwr.degrade.grainy import KINDS, Grain, add_any_noise, add_grain, sample_noisy
from lwr.degrade.jpeg import jpeg
from lwr.degrade.recompress import Save, recompress, sample_quality, sample_saved, save_each, webp_like

DAMAGES = {"noise": add_any_noise, "compression": recompress}
QUIET = Sensor(100.0, 0.0, 0.0, 0.0, 2.0, 1.6, 0.5, True, 1.0, 2.0, 1.0, 0.5)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def photo(batch: int = 1, height: int = 64, width: int = 64) -> torch.Tensor:
    """Smooth colours and a hard edge, (B,3,H,W) in [0,1], double, 8-bit."""
    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    image = torch.stack([0.2 + 0.6 * x, 0.5 + 0.3 * torch.sin(9 * y + 4 * x), 0.8 - 0.6 * y]).double()
    image[:, height // 4 : height // 2, width // 4 : width // 2] *= 0.3
    return image.mul(255).round().div(255).expand(batch, -1, -1, -1).clone()


def psnr(first: torch.Tensor, second: torch.Tensor) -> float:
    return -10 * torch.log10((first - second).square().mean()).item()


def spread(deviations: list[float]) -> tuple[float, float]:
    ordered = sorted(deviations)
    return ordered[len(ordered) // 5], ordered[-len(ordered) // 5]


every_damage = pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)


@every_damage
def test_a_fifth_is_mild_and_a_fifth_strong(damage: Callable[..., Degraded]) -> None:
    with single_precision():
        clean = photo(60).float()
        bad, _ = damage(clean, seeded(3))
    strong, mild = spread([psnr(one, good) for one, good in zip(bad, clean, strict=True)])
    assert mild - strong > (5 if damage is add_any_noise else 2.5), (strong, mild)


@every_damage
def test_params_of_a_photo_do_not_depend_on_its_neighbours(damage: Callable[..., Degraded]) -> None:
    """The same parameters alone and in a batch; single precision, as workers have it, draws the same ones."""
    _, several = damage(photo(3).float(), seeded(2))
    with single_precision():
        pixels, again = damage(photo(3).float() * 0.5, seeded(2))
        alone = [damage(photo().float(), seeded(9), [one])[1][0] for one in several]
    assert several == again == alone and pixels.dtype == torch.float32


@every_damage
def test_a_damage_is_8_bit_json_and_made_again_from_its_params(damage: Callable[..., Degraded]) -> None:
    clean = photo(8, 37, 51).float()
    bad, params = damage(clean, seeded(1))
    again, kept = damage(clean, seeded(1), json.loads(json.dumps(params)))
    assert torch.equal(bad, again) and params == kept
    assert bad.shape == clean.shape and bad.min() >= 0 and bad.max() <= 1
    assert torch.allclose(bad * 255, (bad * 255).round(), atol=1e-4)
    assert not torch.equal(bad, damage(clean, seeded(2))[0])
    with pytest.raises(ValueError, match="kind of a .*: Field required"):
        damage(photo(1), seeded(), [{}])


# ---- noise ----


def test_a_sensor_without_noise_leaves_the_photo_as_it_is() -> None:
    clean = photo(2)
    assert torch.allclose(
        take(clean, [replace(QUIET, smear=0.0), replace(QUIET, smear=0.0, curve=False)], seeded()),
        clean,
        atol=1e-6,
    )


def test_camera_noise_grows_with_iso_and_is_least_in_reduced_photos() -> None:
    def level(**values: float) -> float:
        sensor = replace(QUIET, color_share=0.0, smear=0.0, **values)
        grey = torch.full((1, 3, 96, 96), 0.5, dtype=torch.float64)
        return (take(grey, [sensor], seeded()) - grey).std().item()

    low, high = level(shot=0.02), level(shot=0.08)
    assert high / low == pytest.approx(4, rel=0.1)
    assert level(shot=0.08, pixels=0.5) < high
    assert level(shot=0.02, read=0.02) > 1.2 * low


def test_noise_reduction_leaves_less_noise_and_mostly_blotches_of_colour() -> None:
    grey = torch.full((1, 3, 96, 96), 0.5, dtype=torch.float64)
    loud = replace(QUIET, shot=0.1, color_share=0.0, smear=0.0)
    plain, reduced = (
        take(grey, [one], seeded()) for one in (loud, replace(loud, color_share=1.0, smear=0.8))
    )
    assert (reduced - grey).std() < 0.7 * (plain - grey).std()
    color = [(one - one.mean(1, keepdim=True)) for one in (plain, reduced)]
    rough = [(one[..., 1:] - one[..., :-1]).std() / one.std() for one in color]
    assert rough[1] < 0.6 * rough[0], "smoother from pixel to pixel"


def test_sensors_are_of_the_stated_range_and_every_kind_of_noise_comes() -> None:
    stream = random.Random(0)
    sensors = [sample_sensor(stream) for _ in range(300)]
    assert all(400 <= one.iso <= 25600 and 0 < one.shot < 0.15 and 0 < one.read < 0.1 for one in sensors)
    assert sum(one.iso < 800 for one in sensors) > 25 and sum(one.iso > 12800 for one in sensors) > 25
    kinds = [sample_noisy(stream).kind for _ in range(300)]
    assert all(abs(kinds.count(kind) / 300 - share) < 0.1 for kind, share in KINDS.items())


def test_grain_has_its_deviation_and_is_colourless_where_it_should_be() -> None:
    grey = torch.full((2, 3, 96, 96), 0.5, dtype=torch.float64)
    grains = [Grain(0.05, 0.8, 0.0, 0.5), Grain(0.05, 0.8, 1.0, 0.5)]
    black, color = add_grain(grey, grains, seeded()) - grey
    assert black.std().item() == pytest.approx(0.05, rel=0.02)
    assert torch.allclose(black[0], black[1]) and not torch.allclose(color[0], color[1])
    dark = add_grain(0 * grey, grains, seeded())
    assert dark[0].std().item() == pytest.approx(0.025, rel=0.02), "half of it in the shadows"


def test_small_gaussians_are_gaussians_and_flat_areas_alone_are_smoothed() -> None:
    point = torch.zeros(2, 1, 31, 31, dtype=torch.float64)
    point[..., 15, 15] = 1
    spot, same = gaussian_each(point, [2.0, 0.0])
    axis = torch.arange(31) - 15.0
    assert spot.sum().item() == pytest.approx(1) and torch.allclose(same, point[1])
    assert (spot[0].sum(0) * axis.square()).sum().sqrt().item() == pytest.approx(2, rel=0.08)
    step = photo()[:, :1].round() + 0.01 * torch.randn(1, 1, 64, 64, dtype=torch.float64, generator=seeded())
    smooth = smooth_flat(step, 1.5, torch.full((1, 1, 1, 1), 0.02**2))
    assert (smooth - step.round()).std() < 0.7 * (step - step.round()).std()


# ---- compression ----


@pytest.mark.parametrize("subsampling", ["4:2:0", "4:4:4"])
@pytest.mark.parametrize("quality", [5, 30, 75])
def test_both_kinds_of_colour_are_pillows(subsampling: str, quality: int) -> None:
    clean = photo(1, 48, 64)
    pixels = clean[0].permute(1, 2, 0).mul(255).round().byte().numpy()
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling=subsampling)
    real = torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1).double().div(255)
    assert psnr(jpeg(clean, [quality], 2 if subsampling == "4:2:0" else 1)[0], real) >= 38


def test_shifted_blocks_are_those_of_a_photo_cut_from_a_larger_one() -> None:
    large = photo(1, 64, 64)
    large[..., :3, :] = large[..., 3:4, :].clone()
    large[..., :5] = large[..., 5:6].clone()
    cut = large[..., 3:, 5:]
    assert torch.allclose(
        jpeg(cut, [20], 2, [(3, 5)])[..., :40, :40], jpeg(large, [20])[..., 3:43, 5:45], atol=1e-9
    )
    assert not torch.equal(jpeg(cut, [20]), jpeg(cut, [20], 2, [(3, 5)]))


def test_qualities_are_5_to_60_with_both_ends_often() -> None:
    stream = random.Random(0)
    qualities = [sample_quality(stream) for _ in range(500)]
    assert min(qualities) >= 5 and max(qualities) <= 60
    assert sum(q <= 11 for q in qualities) > 80 and sum(q >= 45 for q in qualities) > 70
    saved = [sample_saved(stream) for _ in range(300)]
    assert {one.kind for one in saved} == {"once", "again", "chat", "webp-like"}
    assert any(any(save.full_color for save in one.saves) for one in saved)
    assert all((one.side < 1) == (one.kind == "chat") for one in saved)


def test_each_photo_goes_through_its_own_file() -> None:
    clean = photo(3)
    saves = [
        Save("jpeg", 30, True, (0, 0)),
        Save("webp-like", 30, False, (0, 0)),
        Save("jpeg", 30, False, (2, 1)),
    ]
    together = save_each(clean, saves)
    for i, save in enumerate(saves):
        assert torch.equal(together[i : i + 1], save_each(clean[i : i + 1], [save]))
    better = webp_like(clean, [10, 40, 90])
    assert psnr(better[0], clean[0]) < psnr(better[1], clean[1]) < psnr(better[2], clean[2])


def test_compression_made_again_from_params_draws_nothing() -> None:
    bad, params = recompress(photo(8).float(), seeded(1))
    again, _ = recompress(photo(8).float(), seeded(77), params)
    assert torch.equal(bad, again)
