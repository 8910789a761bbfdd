"""A convolution between two sets of weights, which `fidelity` moves along (see refiner.py)."""

from collections.abc import Mapping

import torch
from torch import nn

from lwr.models.lora import add_low_rank


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

    def of_parts(self, parts: Mapping[int, torch.Tensor]) -> torch.Tensor:
        """As if all were 0 but `parts`, {first channel: (B,c,h,w)}; without a copy of them side by side."""
        weight, bias, total = self.interpolated(), self.bias, None
        for first, part in parts.items():
            found = self._conv_forward(part, weight[:, first : first + part.shape[1]], bias)
            total, bias = found if total is None else total.add_(found), None
        return total

    def interpolated(self) -> torch.Tensor:
        """The weights at the share of now, (out,in,k,k)."""
        if not self.share or not hasattr(self, "perceptual_a"):
            return self.weight
        return add_low_rank(self.weight, self.perceptual_a, self.perceptual_b, self.share)
