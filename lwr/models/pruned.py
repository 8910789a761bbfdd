"""A pruned network takes its shape from its files: layers are narrower, and some blocks are missing.

Configs say what a network was made with; `PriorConfig.pruned` says that its files may hold less. What lies
inside a residual block gets narrower, and blocks that leave their input's shape alone go, or a level of the
UNet with all that is in it: what passes between the parts keeps its size, so adapters, tiles and training
need to know nothing of it.
"""

import re
from collections.abc import Mapping

import torch
from diffusers.models.downsampling import Downsample2D
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.upsampling import Upsample2D
from torch import nn

from lwr.models.encoder import TimeBlock
from lwr.models.refiner import RefinerBlock
from lwr.models.sft import SpatialFeatureTransform
from lwr.models.skip import Nothing, Skip, SkipAttention

RESIZERS = (Downsample2D, Upsample2D)  # go with the level that they lead to or from
REMOVABLE = (ResnetBlock2D, Transformer2DModel, TimeBlock, RefinerBlock, SpatialFeatureTransform, *RESIZERS)


def fit_to_weights(module: nn.Module, shapes: Mapping[str, torch.Size]) -> None:
    """Give `module` the blocks and widths of the weights {name: shape} that it is about to load.

    A block that may go (REMOVABLE) goes if none of its weights are there; parameters of another size start
    again, uninitialised. What does not fit otherwise is left for `load_state_dict` to find.
    """
    for name in missing_blocks(module, shapes):
        remove_block(module, name)
    for name, parameter in list(module.named_parameters()):
        shape = shapes.get(name, parameter.shape)
        if shape != parameter.shape:
            owner, _, own = name.rpartition(".")
            empty = torch.empty(shape, dtype=parameter.dtype, device=parameter.device)
            setattr(module.get_submodule(owner), own, nn.Parameter(empty, parameter.requires_grad))
    for layer in module.modules():
        match_sizes(layer)


def missing_blocks(module: nn.Module, shapes: Mapping[str, torch.Size]) -> list[str]:
    """Names of the outermost removable blocks of which there are no weights."""
    found: list[str] = []
    for name, block in module.named_modules():
        inside = any(name.startswith(f"{outer}.") for outer in found)
        if isinstance(block, REMOVABLE) and not inside and not _any_of(f"{name}.", shapes):
            level = _level_of(name, block)
            if level is None or (level and not _any_of(level, shapes)):
                found.append(name)
    return found


def _level_of(name: str, block: nn.Module) -> str | None:
    """Start of the weights without which a block may be missing; "" = never, None = it may go by itself."""
    if not isinstance(block, RESIZERS) and not _changes_channels(block):
        return None
    place = re.match(r"(down|up)_blocks\.(\d+)\.", name)  # of a UNet; a VAE keeps its levels
    if place is None:
        return ""
    return f"{place[1]}_blocks.{int(place[2]) + isinstance(block, Downsample2D)}."


def _any_of(start: str, shapes: Mapping[str, torch.Size]) -> bool:
    return any(name.startswith(start) for name in shapes)


def _changes_channels(block: nn.Module) -> bool:
    return isinstance(block, ResnetBlock2D) and block.conv_shortcut is not None


def remove_block(module: nn.Module, name: str) -> None:
    """Put a Skip in place of the block of this name, or Nothing if it changes the number of channels."""
    owner, _, own = name.rpartition(".")
    parent, block = module.get_submodule(owner), module.get_submodule(name)
    skip: nn.Module = SkipAttention() if isinstance(block, Transformer2DModel) else Skip()
    if _changes_channels(block):
        skip = Nothing()
    if isinstance(parent, nn.ModuleList | nn.Sequential):
        parent[int(own)] = skip
    else:
        setattr(parent, own, skip)


def match_sizes(layer: nn.Module) -> None:
    """Let a layer's own account of its size follow from its weight."""
    if isinstance(layer, nn.Conv2d):
        layer.out_channels, layer.in_channels = layer.weight.shape[0], layer.weight.shape[1] * layer.groups
    elif isinstance(layer, nn.Linear):
        layer.out_features, layer.in_features = layer.weight.shape
    elif isinstance(layer, nn.GroupNorm):
        layer.num_channels = len(layer.weight)
