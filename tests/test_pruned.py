"""A pruned network is loaded with the widths and blocks that its files hold."""

import json

import pytest
import torch

from lwr.loading.load import load_network
from lwr.loading.save import save_network
from lwr.models.pruned import fit_to_weights, match_sizes, missing_blocks, remove_block
from lwr.models.skip import Skip
from lwr.tasks import TASKS

HAZE = {TASKS["dehaze"].instruction: 1.0}


def passed(network, side=64):
    photo = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        return network.restore(photo, HAZE, torch.zeros, fidelity=0.6)[0]


def halve(block):
    """A refiner's block with every second hidden channel gone."""
    with torch.no_grad():
        for name in ("weight", "bias", "perceptual_b"):
            setattr(block.conv1, name, torch.nn.Parameter(getattr(block.conv1, name)[::2].clone()))
        for name in ("weight", "perceptual_a"):
            setattr(block.conv2, name, torch.nn.Parameter(getattr(block.conv2, name)[:, ::2].clone()))
        gate = block.gate
        gate.weight = torch.nn.Parameter(gate.weight[::2, ::2].clone())
        gate.bias = torch.nn.Parameter(gate.bias[::2].clone())
        gate.perceptual_a = torch.nn.Parameter(gate.perceptual_a[:, ::2].clone())
        gate.perceptual_b = torch.nn.Parameter(gate.perceptual_b[::2].clone())
    for layer in block.modules():
        match_sizes(layer)


def test_a_pruned_network_comes_back_from_its_files(tmp_path):
    network = load_network("embedded")
    before = passed(network)
    halve(network.refiner.levels[1].blocks[2])
    for name in (
        "refiner.levels.2.blocks.0",
        "prior.unet.mid_block.resnets.1",
        "prior.vae.encoder.mid_block.resnets.0",
    ):
        remove_block(network, name)
    network.sft.layers[4] = Skip()  # of the UNet's removed block
    network.prior.config = type(network.prior.config)(**(vars(network.prior.config) | {"pruned": True}))
    after = passed(network)
    assert (before - after).abs().max() > 0.01, "what went had a part in the photo"
    save_network(network, tmp_path, half=False)
    loaded = load_network(tmp_path)
    assert loaded.refiner.levels[1].blocks[2].conv1.out_channels == 32
    assert isinstance(loaded.prior.unet.mid_block.resnets[1], Skip)
    assert torch.equal(passed(loaded), after)


def test_without_the_flag_other_widths_are_a_mistake(tmp_path):
    network = load_network("embedded")
    halve(network.refiner.levels[1].blocks[2])
    save_network(network, tmp_path)
    assert not json.loads((tmp_path / "prior.json").read_text())["pruned"]
    try:
        load_network(tmp_path)
    except RuntimeError as error:
        assert "size mismatch" in str(error)
    else:
        raise AssertionError("files of other sizes were taken")


def test_a_missing_weight_of_a_block_that_stays_is_found():
    network = load_network("embedded").refiner
    state = network.state_dict()
    del state["levels.1.blocks.2.conv1.weight"]
    fit_to_weights(network, {name: tensor.shape for name, tensor in state.items()})
    assert "levels.1.blocks.2.conv1.weight" in network.load_state_dict(state, strict=False).missing_keys


@pytest.mark.parametrize(
    "lost", ["down_blocks.0.downsamplers.0", "down_blocks.1.resnets.0", "up_blocks.1.upsamplers.0"]
)
def test_what_leads_to_a_level_goes_with_it_alone(lost):
    unet = load_network("embedded").prior.unet
    shapes = {
        name: tensor.shape for name, tensor in unet.state_dict().items() if not name.startswith(f"{lost}.")
    }
    assert not missing_blocks(unet, shapes), "its weights are missed when they are loaded"
