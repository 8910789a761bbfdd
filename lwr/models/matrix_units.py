"""Convolutions on a processor's matrix units (AMX), which multiply bfloat16 many times faster than float32.

What a convolution reads, its weights and its result are rounded to bfloat16, or the result alone
(`split_conv2d`); sums, and all that is between convolutions, stay float32.
"""

from collections.abc import Iterable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from lwr.models.activation import BeforeSiLU, Padded, padded_silu
from lwr.models.sharing import watched

LEAST_CHANNELS = 32  # that a convolution reads; with fewer, rounding takes longer than it saves


def use_matrix_units(parts: Iterable[nn.Module]) -> bool:
    """Let the convolutions of quickened `parts` in float32 go there, from now on, in inference mode.

    False, and nothing changes, if this processor has none.
    """
    if not _are_there():
        return False
    for part in parts:
        for layer in part.modules():
            if isinstance(layer, nn.Conv2d) and _pays(layer):
                layer.by_matrix_units = True
    return True


def _pays(layer: nn.Conv2d) -> bool:
    """Whether it is one of the many that take the time."""
    return layer.stride == (1, 1) and layer.groups == 1 and layer.in_channels >= LEAST_CHANNELS


def rounded_conv2d(
    x: torch.Tensor | BeforeSiLU | Padded,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    pad: Sequence[int],
    mode: str,
    dilation: tuple[int, int],
) -> torch.Tensor:
    """F.conv2d, of stride 1, of the padded x (B,in,h,w), or of its SiLU -> (B,out,h',w').

    `pad` and `mode` as for F.pad.
    """
    if isinstance(x, BeforeSiLU):
        x = padded_silu(x.values, pad, mode, torch.bfloat16)
    elif isinstance(x, Padded):
        x = x.values.to(torch.bfloat16)
    else:
        x = x.to(torch.bfloat16)
        x = F.pad(x, tuple(pad), mode=mode) if any(pad) else x
    weight, bias = weight.to(torch.bfloat16), None if bias is None else bias.to(torch.bfloat16)
    convolution = partial(torch.mkldnn_convolution, x, weight, bias, (0, 0), (1, 1), dilation, 1)
    return watched(convolution, x.device).float()


def split_conv2d(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """F.conv2d of x (B,in,h,w) in float32 -> (B,out,h',w'), of which only the result is rounded to bfloat16.

    Each factor is split into a bfloat16 number and one of what that leaves, and three of their four products
    are summed (Henry et al. 2019): the fourth is 2^-18 of theirs at most, and the result is rounded by 2^-9.
    """
    (high, low), (weight_high, weight_low) = _halves(x), _halves(weight)
    parts, weights = [high, low, high], [weight_high, weight_high, weight_low]
    if 3 * x.shape[1] * weight.shape[3] % 32 == 0:  # there oneDNN errs if channels are few
        parts, weights = ([*each, torch.zeros_like(each[0][:, :1])] for each in (parts, weights))
    x, weight = torch.cat(parts, 1), torch.cat(weights, 1)
    return watched(partial(torch.mkldnn_convolution, x, weight, None, (0, 0), (1, 1), (1, 1), 1), x.device)


def _halves(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """float32 -> two of bfloat16 whose sum it is, but for 2^-17 of it."""
    high = x.to(torch.bfloat16)
    return high, (x - high).to(torch.bfloat16)


def _are_there() -> bool:
    capability = torch.backends.cpu.get_cpu_capability()  # which a user may have lowered
    return capability == "AVX512" and torch.cpu.get_capabilities().get("amx_bf16", False)
