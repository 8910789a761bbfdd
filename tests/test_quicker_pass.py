"""A shorter pass moves no pixel by 1/255; where its means do not apply, nothing changes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from diffusers.models.resnet import ResnetBlock2D
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn

import lwr.models.prior
from lwr.loading.load import load_network
from lwr.models.activation import padded_silu
from lwr.models.config import RefinerConfig
from lwr.models.convolutions import quicken
from lwr.models.filters import AdaptiveFilters
from lwr.models.group_norm import steady_norms
from lwr.models.matrix_units import _are_there, split_conv2d
from lwr.models.refiner import RefinerLevel
from lwr.models.residual import quicken_blocks
from lwr.models.statistics import _darkest_near
from lwr.restore import Restorer
from lwr.tasks import TASKS

SAMPLES = Path(__file__).parents[1] / "lwr" / "samples"
LAYOUTS = (torch.contiguous_format, torch.channels_last)


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return Image.open(SAMPLES / "hazy-rocket.jpg").convert("RGB").resize((256, 192))


@settings(max_examples=60, deadline=None)
@given(
    batch=st.integers(1, 2),
    channels=st.integers(1, 9),
    size=st.tuples(st.integers(3, 20), st.integers(3, 20)),
    pads=st.lists(st.integers(0, 2), min_size=4, max_size=4),
    mode=st.sampled_from(["constant", "reflect", "replicate"]),
    layout=st.sampled_from(LAYOUTS),
)
def test_silu_padded_at_once(
    batch: int, channels: int, size: tuple[int, int], pads: list[int], mode: str, layout: torch.memory_format
) -> None:
    x = torch.randn(batch, channels, *size).to(memory_format=layout)
    wanted = F.pad(F.silu(x), pads, mode=mode)
    torch.testing.assert_close(padded_silu(x, pads, mode), wanted, atol=1e-6, rtol=1e-6)
    rounded = padded_silu(x, pads, mode, torch.bfloat16)
    assert rounded.dtype == torch.bfloat16
    torch.testing.assert_close(rounded.float(), wanted, atol=1e-6, rtol=2**-8)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("mode", ["zeros", "replicate"])
def test_a_residual_block_gives_what_diffusers_gives(layout: torch.memory_format, mode: str) -> None:
    block = ResnetBlock2D(in_channels=32, out_channels=48, temb_channels=16, groups=8).eval()
    for module in block.modules():
        if isinstance(module, nn.Conv2d) and any(module.padding):
            module.padding_mode = mode
    x, time = torch.randn(2, 32, 40, 36).to(memory_format=layout), torch.randn(2, 16)
    wanted = block(x, time).detach()
    for quick in (quicken, quicken_blocks, steady_norms):
        quick(block)
    assert torch.equal(block(x, time), wanted)  # not in inference mode
    with torch.inference_mode():
        torch.testing.assert_close(block(x, time), wanted, atol=2e-5, rtol=1e-4)


def test_hooks_of_a_block_still_see_and_change_it() -> None:
    block = ResnetBlock2D(in_channels=32, out_channels=32, temb_channels=None, groups=8).eval()
    quicken(block)
    quicken_blocks(block)
    x = torch.randn(1, 32, 16, 16)
    with torch.inference_mode():
        block.conv2.register_forward_hook(lambda *_: torch.zeros(1, 32, 16, 16))
        assert torch.equal(block(x, None), x)


@settings(max_examples=20, deadline=None)
@given(
    groups=st.sampled_from([1, 4, 16]),
    offset=st.floats(-20, 20),
    scale=st.floats(0.01, 100),
    threads=st.integers(1, 3),
)
def test_group_norm_is_the_same_for_any_number_of_threads(
    groups: int, offset: float, scale: float, threads: int
) -> None:
    norm = nn.GroupNorm(groups, 16)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x = (torch.randn(2, 16, 48, 40) * scale + offset * scale).to(memory_format=torch.channels_last)
    wanted = norm(x.double().float().contiguous()).detach()
    steady_norms(norm)
    before, found = torch.get_num_threads(), []
    with torch.inference_mode():
        for number in (1, threads):
            torch.set_num_threads(number)
            found.append(norm(x))
    torch.set_num_threads(before)
    assert torch.equal(*found)
    torch.testing.assert_close(found[0], wanted, atol=2e-3, rtol=1e-3)


@pytest.mark.parametrize("value", [0.0, 0.1, 3.3, 70.7])
def test_group_norm_of_an_even_photo_is_finite(value: float) -> None:
    norm = nn.GroupNorm(4, 16, eps=1e-6)
    steady_norms(norm)
    with torch.inference_mode():
        found = norm(torch.full((1, 16, 40, 40), value).to(memory_format=torch.channels_last))
    assert found.isfinite().all() and found.abs().max() < 1


def test_a_photo_is_encoded_once_for_diagnosis_and_pass(
    photo: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    restorer, other = Restorer.load("embedded", device="cpu"), photo.rotate(180)
    calls = []
    encode = lwr.models.prior.encoder_features
    for module in ("lwr.models.prior", "lwr.loading.diagnosis"):
        monkeypatch.setattr(f"{module}.encoder_features", lambda *a: calls.append(a) or encode(*a))

    def calls_of(image: Image.Image, **asked: str) -> int:
        calls.clear()
        restorer(image, **asked)
        return len(calls)

    assert calls_of(photo, prompt="remove the haze") == 1
    assert calls_of(photo, task="deblur") == 1  # nothing is kept of the photo before
    assert calls_of(photo.resize((250, 190)), prompt="remove the haze") == 2  # padded to other sizes
    once = restorer(photo, "remove the haze").loaded.pixels
    restorer(other, "remove the haze")
    monkeypatch.setattr("lwr.models.prior.taken", lambda *_: None)
    torch.testing.assert_close(restorer(photo, "remove the haze").loaded.pixels, once, atol=0, rtol=0)


def test_what_is_kept_is_only_for_that_photo_and_that_encoder(photo: Image.Image) -> None:
    from lwr.models.encoded import encoding_once, keep, taken

    one, other = nn.Identity(), nn.Identity()
    image = torch.rand(1, 3, 4, 4)
    keep(one, image, [image])
    assert taken(one, image) is None  # nobody restores
    with encoding_once():
        for encoder, asked, found in (
            (one, image.clone(), True),
            (one, image + 1, False),
            (one, image[..., :2], False),
            (other, image, False),
        ):
            keep(one, image, [image])
            assert (taken(encoder, asked) is not None) == found
            assert taken(one, image) is None  # once
        keep(one, image, [image])
    assert taken(one, image) is None


@pytest.mark.parametrize("width", [3, 4, 5, 6])
def test_a_strided_convolution_of_a_narrow_photo_in_bfloat16(width: int) -> None:
    layer = nn.Conv2d(75, 128, 3, 2)
    x = torch.randn(1, 75, 18, width).to(torch.bfloat16, memory_format=torch.channels_last)
    wanted = layer(x.float()).detach()
    layer.to(torch.bfloat16, memory_format=torch.channels_last)
    quicken(layer)
    with torch.inference_mode():
        torch.testing.assert_close(layer(x).float(), wanted, atol=0.05, rtol=0.05)


def sizes(**more: int) -> RefinerConfig:
    return RefinerConfig((8, 12), (1, 1), (0.3, 0.2), 12, (5, 7), gates=True, unet_channels=6, **more)


@settings(max_examples=15, deadline=None)
@given(size=st.tuples(st.integers(4, 40), st.integers(4, 40)), batch=st.integers(1, 2))
def test_filters_of_what_has_channels_last_give_what_the_others_give(
    size: tuple[int, int], batch: int
) -> None:
    filters = AdaptiveFilters(sizes())
    for weight in filters.parameters():
        nn.init.normal_(weight, std=0.2)
    found, image = torch.randn(batch, 8, *size), torch.randn(batch, 12, *size)
    unet = torch.randn(batch, 6, 3, 5)
    wanted = filters(found, image, unet).detach()
    found, unet = (each.to(memory_format=torch.channels_last) for each in (found, unet))
    quicken(filters)
    with torch.inference_mode():
        torch.testing.assert_close(filters(found, image, unet), wanted, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize("decoded", [True, False])
def test_a_level_gives_the_same_without_copies_side_by_side(
    layout: torch.memory_format, level: int, decoded: bool
) -> None:
    layer = RefinerLevel(sizes(perceptual_rank=2), level)
    for weight in layer.parameters():
        nn.init.normal_(weight, std=0.2)
    layer.enter.share = 0.5
    channels, side = layer.channels, 24 // 2**level
    encoded, other, image, coarser, unet = (
        torch.randn(1, *shape).to(memory_format=layout)
        for shape in (
            (channels, side, side),
            (channels, side, side),
            (12, 24, 24),
            (12, 12, 12),
            (6, side, side),
        )
    )
    inputs = (encoded, other if decoded else None, image, coarser if level == 0 else None, unet)
    wanted = layer(*inputs).detach()
    quicken(layer)
    with torch.inference_mode():
        torch.testing.assert_close(layer(*inputs), wanted, atol=1e-3, rtol=1e-4)


@settings(max_examples=20, deadline=None)
@given(size=st.tuples(st.integers(16, 60), st.integers(16, 60)), seed=st.integers(0, 99))
def test_the_darkest_near_a_place(size: tuple[int, int], seed: int) -> None:
    values = torch.rand(1, 1, *size, generator=torch.Generator().manual_seed(seed))
    assert torch.equal(_darkest_near(values), -F.max_pool2d(-values, 9, 1, 4))


@pytest.fixture(scope="module")
def rounding() -> Iterator[None]:
    if not _are_there():
        pytest.skip("this processor has no matrix units for bfloat16 (AMX)")
    yield


@settings(max_examples=40, deadline=None)
@given(
    batch=st.integers(1, 2),
    channels=st.sampled_from([1, 3, 4, 8, 16]),  # of 4 and 8 oneDNN errs if none is added
    side=st.sampled_from([3, 4, 7, 8]),
    size=st.tuples(st.integers(8, 40), st.integers(8, 40)),
    layout=st.sampled_from(LAYOUTS),
)
def test_halves_multiplied_in_bfloat16_round_the_result_alone(
    rounding: None, batch: int, channels: int, side: int, size: tuple[int, int], layout: torch.memory_format
) -> None:
    x = torch.randn(batch, channels, *size).to(memory_format=layout)
    weight = torch.randn(48, channels, side, side).to(memory_format=layout)
    wanted = F.conv2d(x.double(), weight.double())
    with torch.inference_mode():
        found = split_conv2d(x, weight)
    assert found.dtype == torch.bfloat16
    beside = 2e-5 * wanted.abs().max().item()  # where the sum is near 0
    torch.testing.assert_close(found.double(), wanted, atol=beside, rtol=2**-8)


@pytest.mark.parametrize(("network", "most"), [("embedded", 1.0), ("embedded-lite", 2.5)])
def test_auto_rounds_where_it_is_quicker_and_moves_no_pixel_far(
    network: str, most: float, rounding: None, photo: Image.Image
) -> None:
    auto, exact = (Restorer.load(network, device="cpu", precision=p) for p in ("auto", "float32"))
    assert auto.network.rounds and not exact.network.rounds
    for task in set(TASKS) - {"super-resolution"}:
        apart = auto(photo, task=task).loaded.pixels - exact(photo, task=task).loaded.pixels
        assert 0 < apart.abs().max() * 255 < most, task


def test_the_smaller_network_rounds_as_the_larger_does(rounding: None, photo: Image.Image) -> None:
    for precision, rounds in (("auto", True), ("float32", False)):
        restorer = Restorer.load("embedded", device="cpu", precision=precision)
        restorer(photo.resize((64, 64)), task="deblur", fast=True)
        assert restorer._smaller.network.rounds == rounds


def test_only_who_asks_for_it_gets_rounded_convolutions() -> None:
    assert not load_network("embedded").rounds
    assert not Restorer.load("embedded", device="cpu", precision="float32").network.rounds
    assert not Restorer.load("embedded", device="cpu", precision="bfloat16").network.rounds
