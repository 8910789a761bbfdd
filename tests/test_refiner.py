"""CFW's chain: two sets of weights that fidelity moves between, and no sampler where it has no part."""

import dataclasses
from pathlib import Path

import pytest
import torch
from lwr.models.decoder import TwoWayConv2d
from toy_runs import shipped_start

from lwr.models.cfw import ControllableFeatureWrapping
from lwr.models.network import RestorationNetwork
from training.config import Config
from training.create import create_network
from training.stages.decoder import Decoder


@pytest.fixture(scope="module")
def network() -> RestorationNetwork:
    """A new network with a chain that says something and a second set of weights unlike the first."""
    network = create_network(Config("none")).eval().requires_grad_(False)
    sizes = dataclasses.replace(network.config.wrapping, look_rank=3)
    torch.manual_seed(1)
    network.wrapping = ControllableFeatureWrapping(sizes).requires_grad_(False)
    for name, parameter in network.wrapping.named_parameters():
        if name.endswith(("look_b", "leave.weight", "gate.weight")):
            parameter.normal_(0, 0.05)
    return network


def photo(size: int = 64) -> torch.Tensor:
    return torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0))


def weights(network: RestorationNetwork, fidelity: float) -> list[torch.Tensor]:
    """What each convolution of the chain multiplies by, read off by feeding it unit pulses."""
    network.wrapping.take_look(fidelity)
    found = []
    for module in network.wrapping.modules():
        if isinstance(module, TwoWayConv2d):
            size = 2 * module.kernel_size[0] + 1
            pulse = torch.zeros(module.in_channels, module.in_channels, size, size)
            pulse[range(module.in_channels), range(module.in_channels), size // 2, size // 2] = 1
            found.append(module(pulse) - module.bias[:, None, None])
    return found


def test_fidelity_moves_every_weight_in_a_straight_line_from_the_look_to_the_exact(
    network: RestorationNetwork,
) -> None:
    exact, middle, look = (weights(network, fidelity) for fidelity in (1.0, 0.75, 0.5))
    for a, b, c in zip(exact, middle, look, strict=True):
        assert (a - c).abs().max() > 1e-4
        assert torch.allclose(b, (a + c) / 2, atol=1e-5)
    assert all(torch.equal(a, b) for a, b in zip(look, weights(network, 0.2), strict=True))


def test_without_the_sampler_comes_the_photo_that_sampler_and_decoder_would_give(
    network: RestorationNetwork,
) -> None:
    latent_noise = torch.randn(1, network.prior.unet.config.in_channels, 8, 8)
    for fidelity in (1.0, 0.6, 0.5):
        assert not network.needs_sampler(fidelity)
        whole = network(photo(), {"remove the blur": 1.0}, [250], latent_noise, fidelity)[0]
        chain = network.without_sampler(network.encode(photo()), fidelity)
        assert torch.allclose(whole, chain, atol=1e-5)
    assert network.needs_sampler(0.4)


def test_a_chain_that_looks_at_the_decoder_gets_the_sampler(network: RestorationNetwork) -> None:
    enter = network.wrapping.fusions["0"].enter
    channels = network.config.wrapping.channels[0]
    before = enter.weight.clone()
    enter.weight[:, channels : 2 * channels] = 0.1
    assert network.needs_sampler(1.0)
    enter.weight.copy_(before)
    assert not network.needs_sampler(1.0)


def test_fidelity_has_no_jump_where_the_decoder_takes_over(network: RestorationNetwork) -> None:
    noise = torch.randn(1, network.prior.unet.config.in_channels, 8, 8)
    below, at = (network(photo(), {}, [250], noise, fidelity)[0] for fidelity in (0.4999, 0.5))
    assert (below - at).abs().max() < 1e-2
    apart = network(photo(), {}, [250], noise, 0.0)[0]
    assert (apart - at).abs().max() > 1e-2


def test_gates_see_the_whole_photo_and_new_ones_change_nothing() -> None:
    torch.manual_seed(0)
    sizes = create_network(Config("none")).config.wrapping
    gated = ControllableFeatureWrapping(sizes).requires_grad_(False)
    plain = ControllableFeatureWrapping(dataclasses.replace(sizes, gates=False)).requires_grad_(False)
    plain.load_state_dict(gated.state_dict(), strict=False)
    block, other = gated.fusions["1"].blocks[0], plain.fusions["1"].blocks[0]
    x = torch.randn(1, sizes.channels[1], 64, 64)
    assert torch.equal(block(x), other(x))
    block.gate.weight.normal_(0, 0.1)
    changed = x.clone()
    changed[..., 60:, 60:] += 3  # far from the corner that is looked at
    assert not torch.equal(block(changed)[..., :8, :8], block(x)[..., :8, :8])
    assert torch.equal(other(changed)[..., :8, :8], other(x)[..., :8, :8])


def test_a_new_look_begins_as_the_exact_photo_and_needs_no_decoder(tmp_path: Path) -> None:
    start = shipped_start(tmp_path / "start")
    stage = Decoder(Config("decoder", str(start), chain_only=True, new_look=True))
    for look, exact in zip(weights(stage.network, 0.5), weights(stage.network, 1.0), strict=True):
        assert torch.equal(look, exact)
    assert not stage.network.needs_sampler(0.5)
    shipped = Decoder(Config("decoder", str(start), chain_only=True)).network
    assert not shipped.needs_sampler(0.5)
    assert not all(map(torch.equal, weights(shipped, 0.5), weights(shipped, 1.0)))
    assert all(map(torch.equal, weights(shipped, 1.0), weights(stage.network, 1.0)))
