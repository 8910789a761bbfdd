"""Narrower residual blocks: hidden channels go, with all in the network and its LoRAs that belongs to them.

Which tensors belong to a channel is read from Torch-Pruning's dependency graph (Fang et al. 2023, DepGraph),
one block at a time. What passes between blocks keeps its size.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch_pruning as tp
from diffusers.models.resnet import ResnetBlock2D
from torch import nn

from lwr.models.encoder import TimeBlock
from lwr.models.interpolated import InterpolatedConv2d
from lwr.models.network import RestorationNetwork
from lwr.models.refiner import RefinerBlock
from lwr.models.sft import SpatialFeatureTransform
from training.stages.adapted import TaskLoras

SIDE = 16  # pixels of the example that a block is traced with
ALIGNED = 8  # widths without groups are a multiple of this: convolutions on a CPU work on 8 channels at once
OUT = (tp.prune_conv_out_channels, tp.prune_linear_out_channels)
IN = (tp.prune_conv_in_channels, tp.prune_linear_in_channels)

# a group of Torch-Pruning, from a block's hidden channels on -> the importance of each, (channels,)
Importance = Callable[[tp.dependency.Group], torch.Tensor]
Gone = dict[str, list[int]]  # {block: hidden channels that are removed}


@dataclass(frozen=True)
class Cut:
    """Which channels of one layer stay; `side` 0 are its outputs, 1 its inputs."""

    layer: str  # name in the network
    side: int
    kept: torch.Tensor  # (n,) indices


def least_important(
    network: RestorationNetwork, ratio: float, importance: Importance, parts: tuple[str, ...]
) -> Gone:
    """`ratio` of the hidden channels of every block in these parts: those of least importance.

    The same share of each block, and of each group of a GroupNorm.
    """
    gone: Gone = {}
    for name, block, start, example in prunable(network, parts):
        group = _group(block, start, example, list(range(start.weight.shape[0])))
        norms = [item.dep.layer.num_groups for item in group if isinstance(item.dep.layer, nn.GroupNorm)]
        gone[name] = least(importance(group), ratio, max(norms, default=0))
    return gone


def narrow(network: RestorationNetwork, gone: Gone) -> list[Cut]:
    """Remove these channels, in place; gives back what was cut, for `cut_loras`."""
    names = {layer: name for name, layer in network.named_modules()}
    cuts: list[Cut] = []
    for name, block, start, example in prunable(network, tuple({one.rsplit(".", 1)[0] for one in gone})):
        if not gone.get(name):
            continue
        kept = _others(start.weight.shape[0], gone[name])
        group = _group(block, start, example, gone[name])
        for item in group:
            side = 0 if item.dep.pruning_fn in OUT else 1 if item.dep.pruning_fn in IN else None
            if side is not None:
                cuts.append(Cut(names[item.dep.layer], side, kept))
                _cut_perceptual(item.dep.layer, side, kept)
        group.prune()
        block.requires_grad_(False)
    return cuts


def _group(
    block: nn.Module, start: nn.Conv2d, example: tuple[torch.Tensor, ...], channels: list[int]
) -> tp.dependency.Group:
    """All in the block that belongs to these output channels of `start`."""
    trained = [p.requires_grad for p in block.parameters()]
    block.requires_grad_(True)  # the graph is read from that of the gradients
    graph = tp.DependencyGraph().build_dependency(block, example, forward_fn=_call, verbose=False)
    group = graph.get_pruning_group(start, tp.prune_conv_out_channels, channels)
    for parameter, trains in zip(block.parameters(), trained, strict=True):
        parameter.requires_grad_(trains)
    return group


def prunable(
    network: RestorationNetwork, parts: tuple[str, ...]
) -> Iterator[tuple[str, nn.Module, nn.Conv2d, tuple[torch.Tensor, ...]]]:
    """(name, block, its layer whose outputs are hidden, an input to trace it) of every block in the parts."""
    feature = network.config.sft.feature_channels
    for name, block in network.named_modules():
        if not name.startswith(tuple(f"{part}." for part in parts)):
            continue
        if isinstance(block, ResnetBlock2D):
            time = block.time_emb_proj
            emb = None if time is None else torch.randn(1, time.in_features)
            yield name, block, block.conv1, (_example(block.conv1.in_channels), emb)
        elif isinstance(block, TimeBlock):
            emb = torch.randn(1, block.time.in_features)
            yield name, block, block.conv1, (_example(block.conv1.in_channels), emb)
        elif isinstance(block, RefinerBlock):
            yield name, block, block.conv1, (_example(block.conv1.in_channels),)
        elif isinstance(block, SpatialFeatureTransform):
            yield name, block, block.shared, (_example(block.gamma.out_channels), _example(feature))


def _others(count: int, gone: list[int]) -> torch.Tensor:
    return torch.tensor(sorted(set(range(count)) - set(gone)))


def chosen(parameter: torch.Tensor, side: int, kept: torch.Tensor) -> nn.Parameter:
    """The entries `kept` (n,) along dimension `side`."""
    return nn.Parameter(parameter.detach().index_select(side, kept), requires_grad=False)


def _example(channels: int) -> torch.Tensor:
    return torch.randn(1, channels, SIDE, SIDE)


def _call(block: nn.Module, example: tuple[torch.Tensor, ...]) -> torch.Tensor:
    return block(*example)


def least(scores: torch.Tensor, ratio: float, groups: int) -> list[int]:
    """The channels of least score that go: `ratio` of (channels,), the same number in each of `groups`."""
    width = len(scores)
    if not groups:
        stay = max(ALIGNED, round(width * (1 - ratio) / ALIGNED) * ALIGNED)
        return scores.argsort()[: max(0, width - stay)].tolist()
    size = width // groups
    go = size - max(1, round(size * (1 - ratio)))
    order = scores.view(groups, size).argsort(1)[:, :go]
    return (order + torch.arange(groups)[:, None] * size).flatten().tolist()


def _cut_perceptual(layer: nn.Module, side: int, kept: torch.Tensor) -> None:
    """The perceptual weights of a refiner's convolution, W + share * B A, unknown to Torch-Pruning."""
    if not isinstance(layer, InterpolatedConv2d) or not hasattr(layer, "perceptual_a"):
        return
    name = "perceptual_a" if side else "perceptual_b"
    setattr(layer, name, chosen(getattr(layer, name), side, kept))


@torch.no_grad()
def cut_loras(loras: TaskLoras, cuts: list[Cut]) -> None:
    """Cut every task's LoRAs as the layers were that they belong to: B by its outputs, A by its inputs."""
    for pairs in loras.values():
        for cut in cuts:
            name, place = cut.layer.replace(".", "/"), 0 if cut.side else 1  # of A, of B
            if name in pairs:
                pairs[name][place] = chosen(pairs[name][place], cut.side, cut.kept)
