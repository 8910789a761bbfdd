"""What stands in place of a block that pruning removed."""

import torch
from torch import nn


class Skip(nn.Module):
    """Gives back what came in, whatever else the block was called with."""

    def forward(self, x: torch.Tensor, *_: object, **__: object) -> torch.Tensor:
        """(B,c,h,w) -> the same."""
        return x


class SkipAttention(Skip):
    """The same for what diffusers takes the first of several outputs of."""

    def forward(self, x: torch.Tensor, *_: object, **__: object) -> tuple[torch.Tensor]:
        """(B,c,h,w) -> the same, in a tuple."""
        return (x,)


class Nothing(Skip):
    """Gives no channels: in place of a block that changes their number, where a whole level is gone."""

    def forward(self, x: torch.Tensor, *_: object, **__: object) -> torch.Tensor:
        """(B,c,h,w) -> (B,0,h,w)."""
        return x[:, :0]
