"""Too little light and rain: that they are as described, and that their parameters say all of it."""

import json
import math
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from statistics import mean, median

import pytest
import torch
from small_photos import photo as textured
from small_photos import psnr, seeded

from lwr.degrade import streaks as streaks_module
from lwr.degrade.camera import Sensor
from lwr.degrade.dark import CASTS, LAMPS, Dark, Lights, darken, lamp_color, relit, sample_dark
from lwr.degrade.depth import sample_mix
from lwr.degrade.draw import Degraded, single_precision
from lwr.degrade.drops import Drops, each_drop, sample_drops, see_through
from lwr.degrade.filtering import gaussian_each
from lwr.degrade.finish import Finish
from lwr.degrade.light import luminance, to_display, to_linear
from lwr.degrade.noise import Noise
from lwr.degrade.rain import KINDS, Rain, fall, rain_photos, sample_rain
from lwr.degrade.severity import dark_severity, rain_severity
from lwr.degrade.streaks import Layer, Streaks, draw_streaks, layer_at, sample_streaks

DAMAGES = {"darkness": darken, "rain": rain_photos}
MEASURED = ("mean_stops", "streak_cover", "drop_cover", "mean_transmission")  # on the pixels
every_damage = pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)

WHITE = (1.0, 1.0, 1.0)
QUIET = Sensor(100.0, 0.0, 0.0, 0.0, 2.0, 1.6, 0.5, False, 1.0, 0.0, 0.0, 0.0)
EVENING = Dark(-4.0, "none", WHITE, WHITE, (0.0, 0.0), 0.0, 0.0, None, 0.0, QUIET, 1)
LAMP = Lights(kept=1.0, sky=0.0, glow=1.0, reach=0.08, bloom=0.01, color=lamp_color("tungsten", 0.6))
SHOWER = Streaks(0.0, 0.0, 0.0, 0.0, 3, (Layer(4.0, 24.0, 0.8, 0.4, 0.0),))
DRIPPING = Drops(12, 0.05, 0.09, 0.3, 4.0, 0.1, 0.3, 0.1, 3)
DEPTH = asdict(sample_mix(random.Random(1)))
RAIN = Rain("streaks", SHOWER, None, 0.0, 1.0, 0.0, Noise(), 1)


photo = partial(textured, texture=0)  # with a white spot


def flat(value: float, side: int = 96) -> torch.Tensor:
    return torch.full((1, 3, side, side), value, dtype=torch.float64)


def opacity(streaks: Streaks, side: int = 128) -> torch.Tensor:
    return draw_streaks(streaks, side, side, "cpu", torch.float64)


def only(**values: object) -> Streaks:
    """SHOWER with other values in its one layer."""
    return replace(SHOWER, layers=(replace(SHOWER.layers[0], **values),))


# ---- what both promise ----


@every_damage
def test_params_alone_make_the_photo_again_in_a_batch_or_by_itself(damage: Callable[..., Degraded]) -> None:
    clean = photo(9, 37, 51)
    bad, params = damage(clean, seeded(1))
    stored = json.loads(json.dumps(params, allow_nan=False))
    again, kept = damage(clean, seeded(77), stored)
    assert torch.equal(bad, again) and params == kept
    for i in range(9):
        alone, same = damage(clean[i : i + 1], seeded(i), stored[i : i + 1])
        assert torch.equal(alone, bad[i : i + 1]) and same == params[i : i + 1]
    assert len({one.numpy().tobytes() for one in bad}) == 9


@every_damage
def test_the_generator_decides_and_a_record_of_something_else_is_refused(
    damage: Callable[..., Degraded],
) -> None:
    before = torch.random.get_rng_state(), random.getstate()
    first, same, other = (damage(photo(2), seeded(seed))[0] for seed in (1, 1, 2))
    assert torch.equal(first, same) and not torch.equal(first, other)
    assert torch.equal(before[0], torch.random.get_rng_state()) and before[1] == random.getstate()
    with pytest.raises(ValueError, match="(ev|kind) of a .*: Field required"):
        damage(photo(1), seeded(), [{}])
    with pytest.raises(ValueError, match="0 sets of parameters for 2 photos"):
        damage(photo(2), seeded(), [])


@every_damage
@pytest.mark.parametrize("size", [(16, 16), (17, 40), (130, 61)])
def test_any_size_keeps_shape_range_and_8_bit(damage: Callable[..., Degraded], size: tuple[int, int]) -> None:
    for seed in range(3):
        for clean in (photo(4, *size), torch.zeros(4, 3, *size), torch.ones(4, 3, *size)):
            untouched = clean.clone()
            bad, _ = damage(clean, seeded(seed))
            assert bad.shape == clean.shape and bad.dtype == torch.float32 and bad.isfinite().all()
            assert bad.min() >= 0 and bad.max() <= 1 and torch.equal(clean, untouched)
            assert torch.allclose(bad * 255, (bad * 255).round(), atol=1e-4)


@every_damage
def test_single_precision_draws_the_same_and_nearly_the_same_pixels(damage: Callable[..., Degraded]) -> None:
    # Without a drawn finish: JPEG may round the last bit to another coefficient.
    params = [entry | {"finish": asdict(Finish())} for entry in damage(photo(6), seeded(2))[1]]
    exact, _ = damage(photo(6), seeded(), params)
    with single_precision():
        drawn = damage(photo(6), seeded(2))[1]
    for one, other in zip(params, drawn, strict=True):
        parts = {key for key in one if key not in (*MEASURED, "finish")}
        assert all(one[key] == other[key] for key in parts)
    # Noise of either precision is another one, so it is left out.
    silent = [
        entry | ({"noise": asdict(Noise())} if "noise" in entry else {"sensor": asdict(QUIET)})
        for entry in params
    ]
    dry = [entry for entry in silent if not entry.get("depth")]  # so is the noise of a depth
    exact, _ = damage(photo(len(dry)), seeded(), dry)
    with single_precision():
        quick, _ = damage(photo(len(dry)), seeded(), dry)
    assert len(dry) >= 1 and (exact - quick).abs().max() < 1.5 / 255


@every_damage
def test_a_fifth_is_mild_and_a_fifth_strong(damage: Callable[..., Degraded]) -> None:
    with single_precision():
        clean = photo(60)
        bad, _ = damage(clean, seeded(3))
    values = sorted(psnr(one, good) for one, good in zip(bad, clean, strict=True))
    # The error of this photo hardly grows where it is nearly black: black is 5.6 dB.
    assert values[-12] - values[12] > (5 if damage is rain_photos else 1.5), (values[12], values[-12])


@contextmanager
def default_device(name: str) -> Iterator[None]:
    torch.set_default_device(name)
    try:
        yield
    finally:
        torch.set_default_device("cpu")


@every_damage
def test_every_tensor_is_made_where_the_photo_is(damage: Callable[..., Degraded]) -> None:
    """One that is not would be made on the default device and could not be added to the photo's."""
    clean, generator, params = photo(3, 40, 40), seeded(), damage(photo(3), seeded())[1]
    if damage is darken:
        params = [asdict(replace(EVENING, lights=LAMP, second=LAMP.color, fall=1.0))] * 3
    else:
        params = [entry | {"finish": asdict(Finish()), "drops": asdict(DRIPPING)} for entry in params]
    expected, _ = damage(clean, seeded(), params)
    with default_device("meta"):
        bad, _ = damage(clean, generator, params)
    assert bad.device.type == "cpu" and torch.equal(bad, expected)


# ---- too little light ----


def test_a_photo_without_lamps_gets_its_stops_less_of_the_light_in_its_colour() -> None:
    clean = photo().double()
    warm = replace(EVENING, color=lamp_color("sodium", 0.5), second=lamp_color("sodium", 0.5))
    plain, tinted = (relit(clean, [one])[0] for one in (EVENING, warm))
    assert torch.allclose(plain, to_linear(clean) / 16)
    ratio = tinted.sum((0, 2, 3)) / plain.sum((0, 2, 3))
    assert torch.allclose(ratio, ratio.new_tensor(warm.color))
    dim, params = darken(clean, seeded(), [asdict(EVENING)])
    assert psnr(dim, to_display(to_linear(clean) / 16)) > 50 and params[0]["mean_stops"] == 4


def test_lamps_have_their_colours_at_the_brightness_of_daylight() -> None:
    for name in LAMPS:
        red, green, blue = lamp_color(name, 0.5)
        assert 0.299 * red + 0.587 * green + 0.114 * blue == pytest.approx(1)
        assert (red > green > blue) == (name in ("tungsten", "sodium"))
        assert (blue > green > red) == (name == "moon") and (green > max(red, blue)) == (
            name == "fluorescent"
        )
        assert lamp_color(name, 0.0) == pytest.approx(WHITE)


def test_a_lamp_stays_bright_and_what_is_near_gets_its_light_and_colour() -> None:
    wall = flat(0.45, 128)
    wall[..., 60:68, 60:68] = 1
    lit, stops = relit(wall, [replace(EVENING, lights=LAMP)])
    light = to_linear(wall)
    lamp, near, far = (luminance(lit / light)[0, 0, 64, x].item() for x in (64, 76, 124))
    assert lamp > 0.85 and far < 0.08, "a lamp keeps its light, the wall far from it is 4 stops darker"
    assert near > 1.5 * far
    color = lit[0, 0] / lit[0, 2]
    assert color[64, 76] > 1.3 * color[64, 124], "more red beside the lamp"
    assert lit[0, :, 64, 64].max() / lit[0, :, 64, 64].min() < 2, "the lamp itself is nearly white"
    kept, _ = relit(wall, [replace(EVENING, lights=None)])
    assert kept[0, 0, 64, 64] == pytest.approx(1 / 16) and stops[0, 0, 64, 64] > -0.5


def test_a_bright_sky_is_no_lamp_unless_it_should_be() -> None:
    view = flat(0.3)
    view[..., :48, :] = 0.97
    dark, bright = (
        relit(view, [replace(EVENING, lights=replace(LAMP, sky=sky))])[0][0, 1] for sky in (0.0, 0.8)
    )
    assert dark[10, 48] < 0.1 and bright[10, 48] > 0.3
    assert bright[90, 48] < 1.6 * dark[90, 48], "the ground stays about as dark"


def test_white_all_over_a_picture_is_no_lamp() -> None:
    stripes = flat(0.02)
    stripes[..., ::8] = stripes[..., 1::8] = stripes[..., 2::8] = stripes[..., 3::8] = 1.0
    lit, _ = relit(stripes, [replace(EVENING, lights=replace(LAMP, glow=0.0, bloom=0.0))])
    assert lit[0, 1, 48, 48:80].max() < 0.3


def test_light_falls_off_from_its_place_and_into_the_corners() -> None:
    grey = flat(0.5)
    pool, _ = relit(grey, [replace(EVENING, place=(-1.0, 0.0), fall=2.0)])
    assert pool[0, 0, 48, 0] > 2 * pool[0, 0, 48, 95]
    corners, _ = relit(grey, [replace(EVENING, vignette=0.6)])
    assert corners[0, 0, 0, 0] / corners[0, 0, 48, 48] == pytest.approx(0.4, rel=0.02)
    two = replace(EVENING, cast="mixed", place=(-1.0, 0.0), second=lamp_color("sodium", 0.6))
    mixed, _ = relit(grey, [two])
    assert mixed[0, 0, 48, 95] / mixed[0, 2, 48, 95] > 1.5 * mixed[0, 0, 48, 0] / mixed[0, 2, 48, 0]


def test_the_darker_the_more_of_what_is_left_is_noise_and_black() -> None:
    def taken(**values: object) -> torch.Tensor:
        sensor = replace(QUIET, iso=1600.0, shot=0.02, read=0.0005)
        one = replace(EVENING, **{"sensor": sensor, **values})
        return to_linear(darken(flat(0.5), seeded(), [asdict(one)])[0].double())

    ratios = [(light.mean() / light.std()).item() for light in (taken(ev=ev) for ev in (-1.0, -3.0, -5.0))]
    assert ratios[0] > 1.5 * ratios[1] > 2 * ratios[2]
    blacks = [(taken(ev=-5.0, black=black) == 0).double().mean().item() for black in (0.0, 0.05, 0.12)]
    assert blacks[0] < 0.01 and blacks[0] < blacks[1] < blacks[2]


def test_exposures_casts_and_lights_are_those_of_the_ranges() -> None:
    stream = random.Random(0)
    photos = [sample_dark(stream) for _ in range(400)]
    assert all(-5 <= one.ev <= -1 and 100 <= one.sensor.iso <= 3200 for one in photos)
    assert -3.7 < mean(one.ev for one in photos) < -3.3
    assert sum(one.ev > -2 for one in photos) > 30 and sum(one.ev < -4.5 for one in photos) > 10
    for cast, share in CASTS.items():
        assert abs(sum(one.cast == cast for one in photos) / 400 - share) < 0.08
    assert all((one.color == one.second) == (one.cast != "mixed") for one in photos)
    assert 0.5 < mean(one.lights is not None for one in photos) < 0.8


# ---- streaks ----


def main_direction(image: torch.Tensor) -> float:
    """Radians from straight down, to the right, of the lines of (H,W): by the structure tensor."""
    image = gaussian_each(image[None, None], [1.5])[0, 0]  # so that differences are slopes in all directions
    across, down = image[1:-1, 2:] - image[1:-1, :-2], image[2:, 1:-1] - image[:-2, 1:-1]
    xx, yy, xy = (across * across).sum(), (down * down).sum(), (across * down).sum()
    return -0.5 * math.atan2(2 * xy, xx - yy)


@pytest.mark.parametrize("angle", [-0.7, -0.3, 0.0, 0.2, 0.6])
def test_streaks_run_in_their_direction(angle: float) -> None:
    shower = replace(only(density=10.0), angle=angle, scatter=0.03)
    assert main_direction(opacity(shower)[0, 0]) == pytest.approx(angle, abs=0.04)
    record = asdict(replace(RAIN, streaks=shower, shine=2.0)) | {"depth": DEPTH}
    rainy, _ = rain_photos(flat(0.3, 128), seeded(), [record])
    assert main_direction(luminance(rainy)[0, 0]) == pytest.approx(angle, abs=0.04)


def test_fanned_streaks_lean_apart_and_scattered_ones_differ() -> None:
    drawn = opacity(replace(SHOWER, fan=0.8), 192)[0, 0]
    left, right = main_direction(drawn[:, :64]), main_direction(drawn[:, 128:])
    assert left < -0.1 and right > 0.1
    straight, scattered = (opacity(replace(SHOWER, scatter=s))[0, 0] for s in (0.0, 0.3))
    assert (straight[1:] - straight[:-1]).std() < 0.7 * (scattered[1:] - scattered[:-1]).std()


def single(seed: int, **values: object) -> torch.Tensor:
    """(160,160): the one streak of a layer, wherever it is."""
    alone = only(**{"density": 1e-9, "length": 30.0, "width": 2.0, "opacity": 0.4, **values})
    return opacity(replace(alone, seed=seed), 160)[0, 0]


def test_a_streak_hides_its_opacity_and_is_as_wide_and_as_long_as_asked() -> None:
    inside = [drawn for drawn in map(single, range(60)) if drawn[[0, -1]].max() == 0 < drawn[80].max() < 1]
    assert len(inside) >= 10
    row = -torch.log1p(-inside[0][80])
    axis = torch.arange(160) - (row * torch.arange(160)).sum() / row.sum()
    assert ((row * axis.square()).sum() / row.sum()).sqrt().item() == pytest.approx(2, rel=0.1)
    # Along it light swings by up to 1.3 about its opacity
    assert 0.38 < median(drawn.max().item() for drawn in inside) < 0.5
    assert 24 < median((drawn.amax(1) > 0.02).sum().item() for drawn in inside) < 40
    strengths = [opacity(only(opacity=value)).mean().item() for value in (0.1, 0.2)]
    assert strengths[1] / strengths[0] == pytest.approx(2, rel=0.15)


def test_the_farther_a_layer_the_finer_and_fainter_it_is_and_the_denser() -> None:
    far, middle, near = (layer_at(distance, 0.5, 60.0, 1.5, 0.6) for distance in (8.0, 4.0, 2.0))
    assert far.density > middle.density > near.density and far.length < middle.length < near.length
    assert far.width <= middle.width < near.width and far.opacity < middle.opacity < near.opacity
    assert far.depth > middle.depth > near.depth > 0
    stream = random.Random(0)
    drawn = [sample_streaks(stream) for _ in range(200)]
    assert {len(one.layers) for one in drawn} == {2, 3, 4} and all(abs(one.angle) <= 0.8 for one in drawn)


def test_gusts_leave_out_streaks_in_some_places() -> None:
    def unevenness(gusts: float) -> float:
        cells = torch.nn.functional.avg_pool2d(opacity(replace(only(density=8.0), gusts=gusts), 192), 48)
        return (cells.std() / cells.mean()).item()

    assert unevenness(1.0) > 1.3 * unevenness(0.0)
    assert opacity(replace(SHOWER, gusts=1.0)).mean() < 0.7 * opacity(SHOWER).mean()


def test_streaks_do_not_depend_on_how_many_are_drawn_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    together = opacity(SHOWER)
    monkeypatch.setattr(streaks_module, "_POINTS", 200)
    assert torch.equal(opacity(SHOWER), together)
    quick = draw_streaks(SHOWER, 128, 128, "cpu", torch.float32)
    assert (quick - together).abs().max() < 1e-3


def test_streaks_brighten_what_is_dark_and_are_lost_before_a_bright_sky() -> None:
    view = flat(0.15)
    view[..., :48] = 0.95
    wet, seen, _ = fall(to_linear(view), flat(1.0)[:, :1], RAIN)
    change = to_display(wet) - view
    assert change[..., 48:].mean() > 0.03 and change[..., :48].abs().max() < 0.02
    assert change.min() > -1e-6 and 0 < seen.min() < 0.9


def test_what_is_near_hides_far_streaks_and_the_veil_grows_with_depth() -> None:
    depth = torch.linspace(0, 1, 96, dtype=torch.float64).expand(1, 1, 96, 96)
    _, seen, veiled = fall(to_linear(flat(0.3)), depth, replace(RAIN, streaks=only(depth=0.7), veil=0.6))
    assert (seen[..., :40] == 1).all() and seen[..., 60:].mean() < 0.97
    assert torch.allclose(veiled, torch.exp(-0.6 * depth))
    darker, _, _ = fall(to_linear(flat(0.3)), depth, replace(RAIN, streaks=only(opacity=0.0), wet=0.3))
    share = darker[0, 0, 50] / to_linear(flat(0.3))[0, 0, 50]
    assert share[0] == pytest.approx(0.7) and share[-1] == pytest.approx(1)


def test_every_kind_of_rain_comes_as_often_as_stated() -> None:
    stream = random.Random(0)
    rains = [sample_rain(stream) for _ in range(300)]
    assert all(
        abs(sum(one.kind == kind for one in rains) / 300 - share) < 0.08 for kind, share in KINDS.items()
    )
    assert all((one.streaks is None) == (one.kind == "drops") for one in rains)
    assert all((one.drops is None) == (one.kind == "streaks") for one in rains)


# ---- drops on the lens ----


def test_a_drop_shows_the_scene_small_and_upside_down_and_nothing_else_changes() -> None:
    view = flat(0.1, 128)
    view[..., :64, :] = 0.9  # a sky
    view[..., 0, :64, :64] = 0.6
    light = to_linear(view)
    seen, cover = see_through(light, replace(DRIPPING, rim=0.0, count=1, smallest=0.2, largest=0.2, seed=12))
    drop = each_drop(replace(DRIPPING, count=1, seed=12))[0]
    x, y = round(drop.x * 128), round(drop.y * 128)
    assert 30 < x < 98 and 30 < y < 98, "another seed puts the drop beside the photo"
    assert torch.equal(seen[:, :, cover[0, 0] == 0], light[:, :, cover[0, 0] == 0])
    assert seen[0, 1, y + 15, x] > 3 * seen[0, 1, y - 15, x], "the sky is below"
    assert cover[0, 0, y, x] == 1 and 0.05 < cover.mean() < 0.25


def test_drops_are_softer_with_a_wider_edge_and_darker_at_their_rims() -> None:
    light = to_linear(flat(0.6, 128))
    sharp, soft = (see_through(light, replace(DRIPPING, edge=edge))[1] for edge in (0.1, 0.9))
    assert sharp.diff(dim=-1).abs().max() > 1.8 * soft.diff(dim=-1).abs().max()
    bright, dark = (see_through(light, replace(DRIPPING, rim=rim)) for rim in (0.0, 0.8))
    assert torch.allclose(bright[0], light), "a drop before a wall shows the wall"
    assert dark[0].min() < 0.6 * light.min() and torch.equal(dark[1], bright[1])


def test_more_drops_are_the_same_ones_and_others_and_all_sizes_come() -> None:
    few, many = each_drop(DRIPPING), each_drop(replace(DRIPPING, count=40))
    assert many[:12] == few and all(0.05 <= one.radius <= 0.09 for one in many)
    stream = random.Random(0)
    drawn = [sample_drops(stream) for _ in range(200)]
    assert all(0.025 <= one.largest <= 0.11 and one.smallest <= 0.5 * one.largest for one in drawn)
    assert min(one.count for one in drawn) < 10 and max(one.count for one in drawn) > 60


# ---- how bad it is ----


def severities(records: list[Rain]) -> list[float]:
    params = [asdict(one) | {"depth": DEPTH} for one in records]
    return [rain_severity(entry) for entry in rain_photos(photo(len(records), 96, 96), seeded(), params)[1]]


def grows(values: list[float]) -> bool:
    return all(0 <= low < high <= 1 for low, high in zip(values, values[1:], strict=False))


def test_darkness_grows_with_the_stops_lost_up_to_1() -> None:
    def severity(**values: object) -> float:
        return dark_severity(darken(photo(), seeded(), [asdict(replace(EVENING, **values))])[1][0])

    assert grows([severity(ev=-float(stops)) for stops in range(6)])
    assert severity(ev=0.0) == 0 and severity(ev=-5.0) == 1 == severity(ev=-5.0, vignette=0.5)
    assert grows([severity(fall=value) for value in (0.0, 0.5, 1.5)])
    assert severity(lights=replace(LAMP, sky=0.8)) < severity()
    drawn = [dark_severity(entry) for entry in darken(photo(60), seeded())[1]]
    assert min(drawn) < 0.4 and max(drawn) > 0.9 and all(0 < value <= 1 for value in drawn)


def test_rain_grows_with_streaks_veil_and_drops_up_to_1() -> None:
    def falling(**values: object) -> Rain:
        return replace(RAIN, streaks=only(**values))

    assert severities([replace(RAIN, kind="drops", streaks=None)]) == [0.0]
    assert grows(severities([falling(density=value) for value in (0.5, 2.0, 6.0)]))
    assert grows(severities([falling(opacity=value) for value in (0.0, 0.2, 0.4)]))
    assert grows(severities([falling(length=value) for value in (6.0, 12.0, 24.0)]))
    assert grows(severities([replace(RAIN, veil=value) for value in (0.0, 0.2, 0.5)]))
    lens = [replace(RAIN, kind="drops", streaks=None, drops=replace(DRIPPING, count=n)) for n in (1, 4, 12)]
    assert grows(severities(lens))
    assert severities([falling(density=60.0, opacity=0.8)]) == [1.0]
    drawn = [rain_severity(entry) for entry in rain_photos(photo(60), seeded())[1]]
    assert min(drawn) < 0.2 and max(drawn) > 0.7 and all(0 < value <= 1 for value in drawn)
