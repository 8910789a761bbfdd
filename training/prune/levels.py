"""Fewer levels of the UNet: the coarsest go, with the blocks, resizers and SFT layers in them.

The level above then reads no more than what comes from its own way down. Blocks of the time-aware encoder
whose features no SFT layer reads any more go, too.
"""

import torch
from torch import nn

from lwr.models.network import RestorationNetwork
from lwr.models.pruned import match_sizes
from lwr.models.skip import Skip
from training.checkpoint import TrainingError
from training.prune import blocks
from training.prune.widths import Cut, chosen, cut_loras
from training.stages.adapted import TaskLoras


def check(network: RestorationNetwork, count: int | None) -> None:
    """Raises TrainingError where the UNet has no `count` levels."""
    levels = len(network.prior.unet.down_blocks)
    if count is not None and not 0 < count <= levels:
        raise TrainingError(f"--levels is {count}, and the UNet has {levels}: use 1 to {levels}.")


def keep_levels(network: RestorationNetwork, loras: TaskLoras, count: int) -> None:
    """Leave the UNet's `count` finest levels, in place. Raises TrainingError where that cannot be."""
    check(network, count)
    unet = network.prior.unet
    levels = len(unet.down_blocks)
    for level in range(levels - 1, count - 1, -1):
        if not isinstance(unet.up_blocks[levels - 1 - level].resnets[-1], Skip):  # else it is gone already
            _remove(network, loras, level)
    encoded = 0 if network.sft is None else len(network.encoder.levels)
    if encoded and (read := network.sft.levels_read()) < encoded:
        unread = ("encoder.middle.", *(f"encoder.levels.{one}." for one in range(read, encoded)))
        names = blocks.candidates(network, ("encoder",))
        blocks.remove(network, loras, [name for name in names if name.startswith(unread)])


def _remove(network: RestorationNetwork, loras: TaskLoras, level: int) -> None:
    unet = network.prior.unet
    up = len(unet.down_blocks) - 1 - level
    come = unet.up_blocks[up].resnets[-1].conv2.out_channels  # up from the level, before the next one's own
    blocks.remove(network, loras, [f"prior.unet.{name}" for name in _names(unet, level, up)])
    name = f"prior.unet.up_blocks.{up + 1}.resnets.0"
    reader = network.get_submodule(name)
    stay = torch.arange(come, reader.conv1.in_channels)
    if len(stay) % reader.norm1.num_groups:
        raise TrainingError(
            f"The UNet's level {level} cannot go: {len(stay)} channels are left for "
            f"{reader.norm1.num_groups} groups. Use more --levels."
        )
    for layer, side in ((reader.norm1, 0), (reader.conv1, 1), (reader.conv_shortcut, 1)):
        layer.weight = chosen(layer.weight, side, stay)
        if side == 0:
            layer.bias = chosen(layer.bias, side, stay)
        match_sizes(layer)
    cut_loras(loras, [Cut(f"{name}.{layer}", 1, stay) for layer in ("conv1", "conv_shortcut")])


def _names(unet: nn.Module, level: int, up: int) -> list[str]:
    """All in a level, and what leads to it."""
    places = {f"down_blocks.{level}": unet.down_blocks[level], f"up_blocks.{up}": unet.up_blocks[up]}
    if up == 0 and unet.mid_block is not None:
        places["mid_block"] = unet.mid_block
    found = [
        f"{place}.{kind}.{index}"
        for place, block in places.items()
        for kind in ("resnets", "attentions", "upsamplers")
        for index in range(len(getattr(block, kind, None) or ()))
    ]
    return [f"down_blocks.{level - 1}.downsamplers.0", *found]
