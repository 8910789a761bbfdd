"""A convolution between two sets of weights, which `fidelity` moves along (see refiner.py)."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import nn

from lwr.models.config import RefinerConfig
from lwr.models.convolutions import strided_conv2d
from lwr.models.lora import add_low_rank


class Part(NamedTuple):
    """`factor` times the space-to-depth of `values`, (B,c,h*patch,w*patch) -> (B,c*patch*patch,h,w)."""

    values: torch.Tensor
    factor: float = 1.0
    patch: int = 1


class InterpolatedConv2d(nn.Conv2d):
    """A convolution W + share * B A: share 0 = distortion weights, 1 = perceptual ones; B starts at zero."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        *args: object,
        perceptual_rank: int = 0,
        **kwargs: object,
    ) -> None:  # nn.Conv2d's own arguments, because PEFT builds its layers by the class of the base layer
        super().__init__(channels_in, channels_out, kernel, *args, **kwargs)
        self.share = 0.0
        if perceptual_rank:
            self.perceptual_a = nn.Parameter(torch.empty(perceptual_rank, *self.weight.shape[1:]))
            self.perceptual_b = nn.Parameter(torch.zeros(channels_out, perceptual_rank))
            nn.init.kaiming_uniform_(self.perceptual_a, a=5**0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B,in,h,w) -> (B,out,h,w)."""
        return self._conv_forward(x, self.interpolated(), self.bias)

    def of_parts(self, parts: Mapping[int, Part]) -> torch.Tensor:
        """As if all were 0 but `parts`, {first channel: part}; without a copy of them side by side.

        Parts with a `patch` are for a 1x1 one.
        """
        weight, bias, total = self.interpolated(), self.bias, None
        for first, (values, factor, patch) in parts.items():
            of_part = weight[:, first : first + values.shape[1] * patch**2]
            of_part = of_part if factor == 1 else of_part * factor
            if patch == 1:
                found = self._conv_forward(values, of_part, bias)
            else:
                of_part = of_part[..., 0, 0].unflatten(1, (-1, patch, patch))
                found = strided_conv2d(values, of_part, bias)
            total, bias = found if total is None else total.add_(found), None
        return total

    def interpolated(self) -> torch.Tensor:
        """The weights at the share of now, (out,in,k,k)."""
        if not self.share or not hasattr(self, "perceptual_a"):
            return self.weight
        return add_low_rank(self.weight, self.perceptual_a, self.perceptual_b, self.share)


def reading_unet(config: RefinerConfig, channels: int) -> InterpolatedConv2d | None:
    """What reads the UNet's features, once it has trained; None where they are not read."""
    if not config.unet_channels:
        return None
    rank = config.perceptual_rank
    return InterpolatedConv2d(config.unet_channels, channels, 1, bias=False, perceptual_rank=rank)
