"""The degradations: what they promise to training (seeded, shaped, recorded) and the maths behind them."""

import io
import json
import os
import random
import subprocess
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from small_photos import photo, psnr, seeded

from lwr.degrade.blur import KIND_CHANCES, Kernel, KernelRanges, draw_kernels, sample_kernel, sample_sinc
from lwr.degrade.defocus import Aperture, blend_planes, draw_apertures, focal_planes, sample_aperture
from lwr.degrade.depth import random_depth
from lwr.degrade.exposure import blur_by_place, brighten_highlights
from lwr.degrade.filtering import box_filter, filter_each, guided_filter
from lwr.degrade.finish import Finish, finish
from lwr.degrade.haze import airlights, apply_haze, haze_photos, sample_haze, transmissions
from lwr.degrade.jpeg import jpeg
from lwr.degrade.light import to_display, to_linear
from lwr.degrade.motion import draw_field, draw_shakes, sample_shake
from lwr.degrade.noise import Noise, add_noise
from lwr.tasks import TASKS

ROOT = Path(__file__).parents[1]
DEGRADATIONS = {name: TASKS[name].degrade for name in TASKS}
every_degradation = pytest.mark.parametrize("degrade", DEGRADATIONS.values(), ids=DEGRADATIONS)


# ---- the contract of every degradation ----


@every_degradation
def test_same_seed_same_pixels_and_global_randomness_untouched(degrade):
    clean = photo(3)
    before = torch.random.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    first, first_params = degrade(clean, seeded(5))
    second, second_params = degrade(clean, seeded(5))
    other, _ = degrade(clean, seeded(6))
    assert torch.equal(first, second) and first_params == second_params
    assert not torch.equal(first, other)
    assert torch.equal(before[0], torch.random.get_rng_state()) and before[1] == random.getstate()
    assert (before[2] == np.random.get_state()[1]).all()


@every_degradation
def test_any_size_keeps_shape_range_and_8_bit(degrade):
    for size, seed in product(((16, 16), (17, 40), (130, 61)), range(3)):
        clean = photo(4, *size)
        untouched = clean.clone()
        degraded, _ = degrade(clean, seeded(seed))
        assert degraded.shape == clean.shape and degraded.dtype == torch.float32
        assert degraded.isfinite().all() and degraded.min() >= 0 and degraded.max() <= 1, (size, seed)
        assert torch.allclose(degraded * 255, (degraded * 255).round(), atol=1e-3), (size, seed)
        assert torch.equal(clean, untouched)


@every_degradation
def test_flat_photos_give_no_nan(degrade):
    for value in (0.0, 1.0):
        degraded, _ = degrade(torch.full((4, 3, 32, 32), value), seeded())
        assert degraded.isfinite().all(), value


@every_degradation
def test_params_are_json_and_differ_between_photos(degrade):
    degraded, params = degrade(photo(6), seeded())
    written = [json.dumps(entry, allow_nan=False, sort_keys=True) for entry in params]
    assert len(set(written)) == 6
    assert len({image.numpy().tobytes() for image in degraded}) == 6


@every_degradation
def test_it_does_harm(degrade):
    clean = photo(8, 96, 96)
    degraded, _ = degrade(clean, seeded(2))
    # The densest of hazes leaves 8 dB of this photo; black or white would leave 5.
    assert all(6 < psnr(bad, good) < 45 for bad, good in zip(degraded, clean, strict=True))


@every_degradation
def test_params_make_the_same_pixels_again(degrade):
    clean = photo(12, 72, 64)
    degraded, params = degrade(clean, seeded(4))
    stored = json.loads(json.dumps(params))
    again, params_again = degrade(clean, seeded(4), stored)
    assert torch.equal(again, degraded) and params_again == params
    one, _ = degrade(clean[:1], seeded(9), stored[:1])
    other, _ = degrade(clean[:1], seeded(9), stored[1:2])
    assert not torch.equal(one, other)


@every_degradation
def test_params_that_are_none_are_refused_in_words(degrade):
    with pytest.raises(ValueError, match="0 sets of parameters for 2 photos"):
        degrade(photo(2), seeded(), [])
    with pytest.raises(ValueError, match=r"\w+ of an? .*: Field required"):
        degrade(photo(1), seeded(), [{"depth": {}}])


_FINGERPRINT = """
import hashlib, json, sys, torch
from lwr.tasks import TASKS
y, x = torch.meshgrid(torch.arange(96.0), torch.arange(128.0), indexing="ij")
clean = (torch.stack([x * 2, y * 2, (x * y) % 255]).floor() / 255).expand(3, -1, -1, -1).contiguous()
for threads in map(int, sys.argv[1:]):
    torch.set_num_threads(threads)
    for name, task in sorted(TASKS.items()):
        degraded, params = task.degrade(clean, torch.Generator().manual_seed(5))
        data = degraded.mul(255).round().byte().numpy().tobytes() + json.dumps(params).encode()
        print(name, hashlib.sha256(data).hexdigest())
"""


def test_pixels_and_params_do_not_depend_on_the_processor_or_its_cores():
    def fingerprints(*threads: int, **machine: str) -> list[str]:
        command = [sys.executable, "-c", _FINGERPRINT, *map(str, threads)]
        environment = os.environ | machine
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        return done.stdout.splitlines()

    here = fingerprints(1, 2)
    assert len(here) == 2 * len(TASKS)
    assert here[: len(TASKS)] == here[len(TASKS) :]
    # As on a machine without AVX: ATen's own kernels and MKL's without it.
    assert fingerprints(1, ATEN_CPU_CAPABILITY="default", MKL_CBWR="COMPATIBLE") == here[: len(TASKS)]


# ---- kernels and filters ----


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32))
def test_every_psf_sums_to_one_and_is_centred(seed):
    stream = random.Random(seed)
    ranges = KernelRanges(sigma=(0.2, 3.0), generalized_beta=(0.5, 4.0), plateau_beta=(1.0, 2.0))
    stacks = [
        draw_kernels([sample_kernel(stream, ranges) for _ in range(6)] + [sample_sinc(stream)], "cpu"),
        draw_shakes([sample_shake(stream) for _ in range(2)], "cpu"),
        draw_apertures([Aperture(stream.uniform(0, 12), 0, 0.0, 1.5, None), sample_aperture(stream)], "cpu"),
    ]
    for psfs, tolerance in zip(stacks, (0.01, 0.01, 0.35), strict=True):  # a polygon of 5 or 7 is lopsided
        axis = torch.arange(psfs.shape[-1], dtype=psfs.dtype) - psfs.shape[-1] // 2
        assert torch.allclose(psfs.sum((1, 2)), psfs.new_ones(len(psfs)), atol=1e-4)
        assert (psfs.sum(1) @ axis).abs().max() < tolerance and (psfs.sum(2) @ axis).abs().max() < tolerance


def test_kernel_of_no_width_changes_nothing():
    for kind in KIND_CHANCES:
        kernels = draw_kernels([Kernel(kind, 21, 0.0, 0.0, 0.3, 1.5)], "cpu")
        assert torch.allclose(filter_each(photo(), kernels), photo(), atol=1e-5), kind


def test_aperture_of_no_radius_and_shake_of_no_extent_change_nothing():
    stream = random.Random(0)
    disk = draw_apertures([Aperture(0.0, 0, 0.0, 1.0, None)], "cpu")
    still = draw_shakes([sample_shake(stream, (1e-6, 1e-6))], "cpu")
    for psf in (disk, still):
        assert torch.allclose(filter_each(photo(), psf), photo(), atol=1e-4)


def test_shake_has_the_extent_asked_for():
    shakes = [sample_shake(random.Random(seed), (20.0, 20.0)) for seed in range(12)]
    for psf in draw_shakes(shakes, "cpu"):
        rows, columns = (psf > 0).any(1).nonzero(), (psf > 0).any(0).nonzero()
        diagonal = torch.hypot((rows.max() - rows.min()).float(), (columns.max() - columns.min()).float())
        assert 18 <= diagonal <= 24


def test_a_turning_camera_blurs_the_corners_more_than_the_middle():
    shake = replace(sample_shake(random.Random(1), (2.0, 2.0)), roll=16.0, exposure=1.0)
    psfs = draw_field(shake, "cpu")
    assert torch.allclose(psfs.sum((1, 2)), psfs.new_ones(9), atol=1e-4)
    assert not torch.allclose(psfs[0], psfs[2], atol=1e-3), "each corner moves its own way"
    noise = torch.rand(1, 3, 128, 128, dtype=torch.float64, generator=seeded())
    blurred = blur_by_place(noise, psfs)
    middle, corner = blurred[..., 52:76, 52:76], blurred[..., :24, :24]
    assert middle.std() > 1.3 * corner.std()
    same = draw_shakes([shake], "cpu").expand(9, -1, -1)
    assert torch.allclose(blur_by_place(noise, same), filter_each(noise, same[:1]))


def test_a_camera_sharpens_and_saves_as_asked():
    soft = filter_each(photo(), draw_kernels([Kernel("iso", 11, 1.5, 1.5)], "cpu"))
    plain, sharp, saved = (
        finish(soft, [one]) for one in (Finish(), Finish(sharpening=1.0, radius=1.5), Finish(quality=80))
    )
    assert (plain - soft).abs().max() < 0.51 / 255
    assert psnr(sharp, photo()) > psnr(plain, photo()) + 0.5, "an unsharp mask undoes part of a blur"
    assert torch.equal(saved, jpeg(plain, [80]))


def test_too_large_a_blur_is_refused_in_words():
    with pytest.raises(ValueError, match="40.0 px"):
        draw_shakes([sample_shake(random.Random(0), (40.0, 40.0))], "cpu")
    with pytest.raises(ValueError, match="20.0 px"):
        draw_apertures([Aperture(20.0, 0, 0.0, 1.0, None)], "cpu")


def test_disk_covers_its_area_and_polygon_has_its_symmetry():
    disk, square = draw_apertures([Aperture(6.0, 0, 0.0, 1.0, None), Aperture(6.0, 4, 0.0, 1.0, None)], "cpu")
    assert 1 / disk.max().item() == pytest.approx(np.pi * 36, rel=0.03)
    assert torch.allclose(square, square.rot90(), atol=1e-5) and not torch.allclose(square, disk, atol=1e-3)


def test_filter_equals_direct_convolution_and_takes_one_kernel_per_photo():
    images = torch.rand(2, 3, 20, 31, generator=seeded())
    kernels = torch.rand(2, 7, 7, generator=seeded(1))
    filtered = filter_each(images, kernels)
    padded = torch.nn.functional.pad(images, (3, 3, 3, 3), mode="reflect")
    for i in range(2):
        weight = kernels[i].flip(0, 1).expand(3, 1, 7, 7)
        direct = torch.nn.functional.conv2d(padded[i : i + 1], weight, groups=3)
        assert torch.allclose(filtered[i : i + 1], direct, atol=1e-4)
    with pytest.raises(ValueError, match="odd"):
        filter_each(images, torch.ones(2, 4, 4))


def test_blur_keeps_flat_areas_flat_to_the_border():
    flat = torch.full((1, 3, 24, 24), 0.4)
    psf = draw_shakes([sample_shake(random.Random(3))], "cpu")
    assert torch.allclose(filter_each(flat, psf), flat, atol=1e-4)


@pytest.mark.parametrize("radius", [1, 4, 13])  # the last is fitted on a smaller photo
def test_box_filter_averages_and_guided_filter_keeps_edges(radius):
    step = torch.zeros(1, 1, 48, 33)
    step[..., 16:] = 1
    noisy = step + 0.1 * torch.randn(step.shape, generator=seeded())
    smooth = guided_filter(step, noisy, radius, 1e-3)
    assert (smooth - step).abs().mean() < (0.5 if radius == 1 else 0.3) * (noisy - step).abs().mean()
    assert box_filter(step, 1)[0, 0, 0, 15].item() == pytest.approx(1 / 3)


def test_sharp_depth_stays_sharp_while_the_far_blurs():
    aperture = Aperture(6.0, 0, 0.0, 1.0, focus=0.0)
    radii = [plane.radius for plane in focal_planes(aperture)]
    assert radii == [0.0, 3.0, 6.0]
    planes = torch.tensor([0.0, 1.0, 2.0]).view(3, 1, 1, 1).expand(3, 3, 2, 2)
    depth = torch.tensor([[0.0, 0.25], [0.5, 1.0]]).view(1, 1, 2, 2)
    assert torch.allclose(blend_planes(planes, depth)[0, 0], torch.tensor([[0.0, 0.5], [1.0, 2.0]]))


# ---- light and noise ----


def test_linear_light_and_back():
    values = torch.linspace(0, 1, 256)
    assert torch.allclose(to_display(to_linear(values)), values, atol=1e-5)
    light = to_linear(photo())
    assert torch.equal(brighten_highlights(light, [1.0]), light)


def test_noise_is_off_at_zero_and_has_the_stated_deviation():
    grey = torch.full((3, 3, 128, 128), 0.25)
    noisy = add_noise(grey, [Noise(), Noise(read=0.02), Noise(shot=0.1, grey=True)], seeded())
    assert torch.equal(noisy[0], grey[0])
    assert (noisy[1] - grey[1]).std().item() == pytest.approx(0.02, rel=0.05)
    assert (noisy[2] - grey[2]).std().item() == pytest.approx(0.05, rel=0.05)
    assert torch.allclose(noisy[2, 0], noisy[2, 1]) and not torch.allclose(noisy[1, 0], noisy[1, 1])


# ---- JPEG ----


@pytest.mark.parametrize("size", [(64, 64), (45, 71)])
def test_jpeg_is_pillows_jpeg(size):
    clean = photo(1, *size)
    pixels = clean[0].permute(1, 2, 0).mul(255).round().byte().numpy()
    for quality in (10, 30, 50, 75, 90, 95, 100):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling="4:2:0")
        real = torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1).float().div(255)
        assert psnr(jpeg(clean, [quality])[0], real) >= 38, quality


def test_jpeg_takes_one_quality_per_photo_and_refuses_nonsense():
    clean = photo(2)
    both = jpeg(clean, [10, 95])
    assert torch.equal(both[1:], jpeg(clean[1:], [95]))
    assert psnr(both[0], clean[0]) + 3 < psnr(both[1], clean[1])
    for qualities in ([0, 50], [50], [50, 101]):
        with pytest.raises(ValueError, match="1 to 100"):
            jpeg(clean, qualities)


# ---- haze ----


def test_haze_follows_the_law_and_clears_at_transmission_one():
    clean, airlight = photo(2), torch.tensor([0.9, 0.8, 0.7]).view(1, 3, 1, 1).expand(2, -1, -1, -1)
    assert torch.equal(apply_haze(clean, torch.ones(2, 1, 64, 64), airlight), clean)
    assert torch.allclose(apply_haze(clean, torch.zeros(2, 1, 64, 64), airlight), airlight.expand_as(clean))
    half = apply_haze(clean, torch.full((2, 1, 64, 64), 0.5), airlight)
    assert torch.allclose(half, (clean + airlight) / 2)


def test_haze_with_a_given_depth_can_be_undone_from_its_params():
    def uniform(clean, generator):
        return torch.full_like(clean[:, :1], 0.5), [{} for _ in clean]

    clean = photo(24, 32, 32)
    hazy, params = haze_photos(clean, seeded(), depth=uniform)
    checked = 0
    for bad, good, entry in zip(hazy, clean, params, strict=True):
        if entry["linear"] or entry["patchy"] or entry["glow"]:
            continue
        t = np.exp(-0.5 * entry["beta"])
        assert entry["mean_transmission"] == pytest.approx(t, rel=1e-4)
        expected = good * t + torch.tensor(entry["airlight"]).view(3, 1, 1) * (1 - t)
        assert (bad - expected).abs().mean() < 3 / 255
        checked += 1
    assert checked >= 3


def test_airlight_glows_towards_its_bearing():
    haze = replace(sample_haze(random.Random(0)), airlight=(0.6, 0.6, 0.5), glow=0.2, bearing=0.0)
    glowing, even = airlights(photo(2, 40, 60), [haze, replace(haze, glow=0.0)])
    assert torch.allclose(even, torch.tensor([0.6, 0.6, 0.5]).view(3, 1, 1).expand_as(even))
    assert torch.allclose(glowing[:, :, -1] / glowing[:, :, 0], torch.tensor(1.1 / 0.9), atol=1e-4)
    assert torch.equal(glowing[:, 0], glowing[:, -1]), "straight up and down it stays the same"


def test_transmission_falls_with_depth_and_lies_in_0_1():
    hazes = [sample_haze(random.Random(seed)) for seed in range(8)]
    near = transmissions(torch.zeros(8, 1, 20, 20), hazes, seeded())
    middle = transmissions(torch.full((8, 1, 20, 20), 0.5), hazes, seeded())
    far = transmissions(torch.ones(8, 1, 20, 20), hazes, seeded())
    assert (near == 1).all() and (near > middle).all() and (middle > far).all() and (far > 0).all()


def test_depth_is_far_at_the_top_on_average_and_spans_0_1():
    depth, params = random_depth(photo(24, 48, 64), seeded())
    assert depth.shape == (24, 1, 48, 64) and depth.min() >= 0 and depth.max() <= 1
    assert depth[..., :12, :].mean() > depth[..., -12:, :].mean() + 0.15
    for image, entry in zip(depth, params, strict=True):
        assert image.min().item() == pytest.approx(entry["veil"], abs=1e-5)
