"""GroupNorm of what has channels last, with the same last bits whatever the number of threads.

torch's own adds up a sum for each thread, and a pass may go on with fewer (see sharing.py).
"""

from types import MethodType

import torch
import torch.nn.functional as F
from torch import nn

LEAST_PLACES = 1024  # from which on torch shares the places among its threads; of fewer, the groups


def steady_norms(network: nn.Module) -> None:
    """Let all GroupNorms in `network` add up in one order in inference mode; otherwise nothing changes."""
    for module in network.modules():
        if isinstance(module, nn.GroupNorm) and module.affine:
            module.forward = MethodType(_forward, module)


def _forward(self: nn.GroupNorm, x: torch.Tensor) -> torch.Tensor:
    """In the place of nn.GroupNorm's own: (B,C,h,w) -> (B,C,h,w)."""
    last = x.dim() == 4 and not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)
    shared = last and x.device.type == "cpu" and x.shape[2] * x.shape[3] >= LEAST_PLACES
    if not shared or x.dtype != torch.float32 or not torch.is_inference_mode_enabled():
        return F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)
    groups, count = (self.num_groups, -1), x[0].numel() // self.num_groups
    places = x.permute(0, 2, 3, 1)  # (B,h,w,C)
    rows = places.sum(2), places.square().sum(2)  # (B,h,C), which threads share by rows
    mean, square = (each.sum(1).unflatten(1, groups).sum(2).double() / count for each in rows)  # (B,G)
    scale = (square - mean * mean).clamp_min_(0).add_(self.eps).rsqrt_()  # of one value it may be below 0
    scale, mean = scale.float()[..., None], mean.float()[..., None]  # (B,G,1)
    factor = scale * self.weight.view(groups)
    offset = torch.addcmul(self.bias.view(groups), factor, mean, value=-1)
    factor, offset = (each.view(*x.shape[:2], 1, 1) for each in (factor, offset))
    return torch.addcmul(offset, x, factor)
