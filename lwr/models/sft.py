"""Spatial feature transform (SFT/SPADE) in every residual block of a UNet, by hooks that undo exactly.

StableSR, section 3.1: after the second convolution of each residual block and before its skip is added,
    h <- GN(h) * (1 + gamma) + beta            (public StableSR)
    h <- h + GN(h) * gamma + beta              (`residual`: zero-initialised, starts as the untouched UNet)
with gamma and beta read from the encoder feature of the same UNet level.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from torch import nn

from lwr.models.config import SFTConfig
from lwr.models.skip import Skip


class SpatialFeatureTransform(nn.Module):
    """gamma and beta from a feature map, applied to one UNet block's activation."""

    def __init__(self, channels: int, config: SFTConfig) -> None:
        super().__init__()
        self.residual = config.residual
        self.norm = nn.GroupNorm(config.groups, channels)
        self.shared = nn.Conv2d(config.feature_channels, config.hidden, 3, padding=1)
        self.gamma = nn.Conv2d(config.hidden, channels, 3, padding=1)
        self.beta = nn.Conv2d(config.hidden, channels, 3, padding=1)
        if config.residual:
            for layer in (self.gamma, self.beta):
                nn.init.zeros_(layer.weight)
                nn.init.zeros_(layer.bias)

    def forward(self, h: torch.Tensor, feature: torch.Tensor) -> torch.Tensor:
        """(B,C,h,w), (B,F,h,w) -> (B,C,h,w)."""
        shared = F.relu(self.shared(feature))
        gamma, beta, normed = self.gamma(shared), self.beta(shared), self.norm(h)
        if self.residual:
            return torch.addcmul(h, normed, gamma) + beta
        return normed * (1 + gamma) + beta


class SFT(nn.Module):
    """One SFT layer per residual block of `unet`; `applied(unet, features)` puts them to work for a while."""

    def __init__(self, unet: UNet2DConditionModel, config: SFTConfig) -> None:
        super().__init__()
        self.config = config
        self.levels = [level for level, _ in residual_blocks(unet)]
        self.layers = nn.ModuleList(
            Skip() if isinstance(block, Skip) else SpatialFeatureTransform(block.conv2.out_channels, config)
            for _, block in residual_blocks(unet)
        )

    def levels_read(self) -> int:
        """How many of the encoder's features, from the finest, any layer reads."""
        read = zip(self.levels, self.layers, strict=True)
        return max((level + 1 for level, layer in read if not isinstance(layer, Skip)), default=1)

    @contextmanager
    def applied(self, unet: UNet2DConditionModel, features: Sequence[torch.Tensor]) -> Iterator[None]:
        """Within it, `features` (one a level, finest first) modulate every residual block of `unet`."""
        handles = []
        try:
            for layer, (level, block) in zip(self.layers, residual_blocks(unet), strict=True):
                if not isinstance(block, Skip) and not isinstance(layer, Skip):
                    handles.append(block.conv2.register_forward_hook(_hook(layer, features[level])))
            yield
        finally:
            for handle in handles:
                handle.remove()


def _hook(layer: SpatialFeatureTransform, feature: torch.Tensor) -> Callable[..., torch.Tensor | None]:
    mine = threading.get_ident()  # another tile may pass at the same time
    return lambda _module, _inputs, output: layer(output, feature) if threading.get_ident() == mine else None


def residual_blocks(unet: UNet2DConditionModel) -> Iterator[tuple[int, nn.Module]]:
    """(level, ResnetBlock2D) in the order in which the UNet runs them; level 0 is the finest.

    Where pruning removed one stands a Skip.
    """
    last = len(unet.down_blocks) - 1
    for level, block in enumerate(unet.down_blocks):
        yield from ((level, resnet) for resnet in block.resnets)
    if unet.mid_block is not None:
        yield from ((last, resnet) for resnet in unet.mid_block.resnets)
    for index, block in enumerate(unet.up_blocks):
        yield from ((last - index, resnet) for resnet in block.resnets)
