"""The refiner: its two sets of weights that fidelity moves between, and no sampler where it has no part."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from toy_runs import shipped_start

from lwr.models.config import RefinerConfig
from lwr.models.interpolated import InterpolatedConv2d
from lwr.models.network import RestorationNetwork
from lwr.models.refiner import Refiner, ToneCorrection
from training.config import Config
from training.create import create_network
from training.evaluation.ablation import without_sampler
from training.stages.perceptual import Perceptual


@pytest.fixture(scope="module")
def network() -> RestorationNetwork:
    """A new network whose refiner changes the photo and has perceptual weights unlike the others."""
    network = create_network(Config("none")).eval().requires_grad_(False)
    sizes = dataclasses.replace(network.config.refiner, perceptual_rank=3)
    torch.manual_seed(1)
    network.refiner = Refiner(sizes).requires_grad_(False)
    for name, parameter in network.refiner.named_parameters():
        if name.endswith(("perceptual_b", "leave.weight", "gate.weight")):
            parameter.normal_(0, 0.05)
    network.refiner.zero_sampler_inputs()
    return network


def photo(size: int = 64) -> torch.Tensor:
    return torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0))


def decoded(network: RestorationNetwork, fidelity: float, instructions: dict[str, float]) -> torch.Tensor:
    """What the whole pass makes of `photo()`, the sampler's part included."""

    def noise(size: torch.Size) -> torch.Tensor:
        return torch.randn(size, generator=torch.Generator().manual_seed(2))

    return network.restore(photo(), instructions, noise, steps=1, fidelity=fidelity, sampler=True)[0]


def weights(network: RestorationNetwork, fidelity: float) -> list[torch.Tensor]:
    """What each convolution of the refiner multiplies by, read off by feeding it unit pulses."""
    network.refiner.set_fidelity(fidelity)
    found = []
    for module in network.refiner.modules():
        if isinstance(module, InterpolatedConv2d) and module.weight.any():
            size = 2 * module.kernel_size[0] + 1
            pulse = torch.zeros(module.in_channels, module.in_channels, size, size)
            pulse[range(module.in_channels), range(module.in_channels), size // 2, size // 2] = 1
            constant = 0 if module.bias is None else module.bias[:, None, None]
            found.append(module(pulse) - constant)
    return found


def test_fidelity_moves_every_weight_in_a_straight_line_from_perceptual_to_distortion(
    network: RestorationNetwork,
) -> None:
    distortion, middle, perceptual = (weights(network, fidelity) for fidelity in (1.0, 0.75, 0.5))
    for a, b, c in zip(distortion, middle, perceptual, strict=True):
        assert (a - c).abs().max() > 1e-4
        assert torch.allclose(b, (a + c) / 2, atol=1e-5)
    assert all(torch.equal(a, b) for a, b in zip(perceptual, weights(network, 0.2), strict=True))


def test_without_the_sampler_comes_the_photo_that_sampler_and_decoder_would_give(
    network: RestorationNetwork,
) -> None:
    for fidelity in (1.0, 0.6, 0.5):
        assert not network.needs_sampler(fidelity)
        whole = decoded(network, fidelity, {"remove the blur": 1.0})
        assert torch.allclose(whole, network.refine(photo(), fidelity), atol=1e-5)
    assert network.needs_sampler(0.4)


def test_a_refiner_that_reads_the_decoder_gets_the_sampler(network: RestorationNetwork) -> None:
    enter = network.refiner.levels[0].enter
    channels = network.config.refiner.channels[0]
    before = enter.weight.clone()
    enter.weight[:, channels : 2 * channels] = 0.1
    assert network.needs_sampler(1.0)
    enter.weight.copy_(before)
    assert not network.needs_sampler(1.0)


@pytest.mark.parametrize("reader", ["levels.2", "tone", "filters"])
def test_a_refiner_that_reads_the_unet_gets_its_features(network: RestorationNetwork, reader: str) -> None:
    before, layer = decoded(network, 1.0, {}), network.refiner.get_submodule(reader).from_unet
    assert torch.allclose(before, network.refine(photo(), 1.0), atol=1e-5)
    layer.weight.normal_(0, 0.1)
    assert network.needs_sampler(1.0)
    assert (decoded(network, 1.0, {}) - before).abs().max() > 1e-3
    layer.weight.zero_()
    assert not network.needs_sampler(1.0)


def test_an_ablated_sampler_leaves_the_latent_as_it_is(network: RestorationNetwork) -> None:
    network.refiner.levels[-1].from_unet.weight.normal_(0, 0.1)
    before = decoded(network, 1.0, {})
    without_sampler(network)
    latent = network.restore(photo(), {}, torch.randn, steps=1, fidelity=None)[1]
    assert torch.allclose(latent, network.encode(photo()).latent, atol=1e-4)
    assert torch.allclose(decoded(network, 1.0, {}), network.refine(photo(), 1.0), atol=1e-4)
    del network.predict
    assert torch.equal(decoded(network, 1.0, {}), before)
    network.refiner.zero_sampler_inputs()


def test_tone_is_an_affine_map_of_colors_that_varies_smoothly_from_place_to_place() -> None:
    tone = ToneCorrection(RefinerConfig((8,), (1,), (1.0,), 12, (4, 5), unet_channels=2))
    with torch.no_grad():
        tone.from_unet.weight.zero_()
        tone.from_unet.weight[[3, 9], 0] = torch.tensor([0.5, -0.25])[
            :, None, None
        ]  # red into green; red less
    picture, unet = torch.rand(1, 3, 32, 48), torch.zeros(1, 2, 4, 6)
    unet[:, 0, :, 3:] = 1
    shown = F.pixel_shuffle(tone(F.pixel_unshuffle(picture, 2), unet), 2)
    red, green, blue = picture[0]
    assert torch.equal(shown[..., :16], picture[..., :16]) and torch.equal(shown[0, 2], blue)
    assert torch.allclose(shown[0, 0, :, 32:], red[:, 32:] - 0.25)
    assert torch.allclose(shown[0, 1, :, 32:], (green + 0.5 * red)[:, 32:])
    assert (shown - picture)[0, 0, 0].diff().abs().max() < 0.08  # over the eight pixels of a place


def test_decoder_levels_that_are_not_read_are_left_out(network: RestorationNetwork) -> None:
    coarsest = network.refiner.levels[-1]
    coarsest.enter.weight[:, coarsest.channels : 2 * coarsest.channels].normal_(0, 0.1)
    runs: list[object] = []
    handle = (
        network.prior.vae.decoder.up_blocks[-1].resnets[0].register_forward_hook(lambda *_: runs.append(1))
    )
    photos = []
    for levels in (1, None):
        network.refiner.config = dataclasses.replace(network.refiner.config, decoder_levels=levels)
        photos.append(decoded(network, 0.8, {}))
        assert bool(runs) == (levels is None)
    handle.remove()
    assert torch.allclose(*photos, atol=1e-5)
    assert not torch.allclose(photos[0], network.refine(photo(), 0.8), atol=1e-4)
    network.refiner.zero_sampler_inputs()


def test_one_step_adds_no_noise_where_the_prior_says_so(network: RestorationNetwork) -> None:
    def noise(seed: int) -> Callable[[torch.Size], torch.Tensor]:
        return lambda size: torch.randn(size, generator=torch.Generator().manual_seed(seed))

    config = network.prior.config
    for steps, noisy, same in ((1, False, True), (1, True, False), (2, False, False)):
        network.prior.config = dataclasses.replace(config, one_step_noise=noisy)
        a, b = (network.restore(photo(), {}, noise(i), steps=steps, fidelity=None)[1] for i in (1, 2))
        assert torch.equal(a, b) == same, (steps, noisy)
    network.prior.config = config


def test_fidelity_has_no_jump_where_the_decoder_takes_over(network: RestorationNetwork) -> None:
    below, at = (decoded(network, fidelity, {}) for fidelity in (0.4999, 0.5))
    assert (below - at).abs().max() < 1e-2
    assert (decoded(network, 0.0, {}) - at).abs().max() > 1e-2


def test_gates_see_the_whole_photo_and_new_ones_change_nothing() -> None:
    torch.manual_seed(0)
    sizes = create_network(Config("none")).config.refiner
    gated = Refiner(sizes).requires_grad_(False)
    plain = Refiner(dataclasses.replace(sizes, gates=False)).requires_grad_(False)
    plain.load_state_dict(gated.state_dict(), strict=False)
    block, other = gated.levels[1].blocks[0], plain.levels[1].blocks[0]
    x = torch.randn(1, sizes.channels[1], 64, 64)
    assert torch.equal(block(x), other(x))
    block.gate.weight.normal_(0, 0.1)
    changed = x.clone()
    changed[..., 60:, 60:] += 3  # far from the corner that is compared
    assert not torch.equal(block(changed)[..., :8, :8], block(x)[..., :8, :8])
    assert torch.equal(other(changed)[..., :8, :8], other(x)[..., :8, :8])


def test_new_perceptual_weights_start_as_the_distortion_weights(tmp_path: Path) -> None:
    start = shipped_start(tmp_path / "start")
    stage = Perceptual(Config("perceptual", str(start), new_perceptual=True))
    for a, b in zip(weights(stage.network, 0.5), weights(stage.network, 1.0), strict=True):
        assert torch.equal(a, b)
    shipped = Perceptual(Config("perceptual", str(start))).network
    assert not all(map(torch.equal, weights(shipped, 0.5), weights(shipped, 1.0)))
    assert all(map(torch.equal, weights(shipped, 1.0), weights(stage.network, 1.0)))
