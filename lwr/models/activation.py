"""SiLU before a convolution: its values are written at once to where the convolution pads around them.

A padded copy of what an activation gives costs as much as the activation itself. In training, on GPUs and in
exported networks nothing changes.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn


class BeforeSiLU(NamedTuple):
    """What a quickened convolution takes SiLU of before it reads it."""

    values: torch.Tensor  # (B,C,h,w)


class Padded(NamedTuple):
    """What a quickened convolution does not pad any more."""

    values: torch.Tensor  # (B,C,h,w)


def is_quickened(conv: nn.Conv2d) -> bool:
    """Whether `conv` takes these, which is in inference mode and on a CPU."""
    seen = "_conv_forward" in vars(conv) and conv.padding_mode != "circular"
    return seen and torch.is_inference_mode_enabled() and conv.weight.device.type == "cpu"


def conv_of_silu(conv: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
    """conv(silu(x)); without a copy if `lwr.models.convolutions.quicken` has seen `conv`."""
    return conv(BeforeSiLU(x) if is_quickened(conv) else F.silu(x))


def has_channels_last(x: torch.Tensor) -> bool:
    """Whether that is how x (B,C,h,w) lies in memory, and no other way."""
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


def padded_silu(
    x: torch.Tensor, pad: Sequence[int], mode: str, dtype: torch.dtype | None = None
) -> torch.Tensor:
    """F.pad(F.silu(x), pad, mode=mode) of x (B,C,h,w) as `dtype`, None = its own.

    `mode`: "constant" (zeros), "replicate" or "reflect".
    """
    dtype = dtype or x.dtype
    left, right, top, bottom = pad
    height, width = x.shape[-2:]
    if max(pad) >= min(height, width):  # nothing to mirror; F.pad has a sentence for it
        return F.pad(F.silu(x), tuple(pad), mode=mode).to(dtype)
    shape = (*x.shape[:2], top + height + bottom, left + width + right)
    layout = torch.channels_last if has_channels_last(x) else torch.contiguous_format
    padded = torch.empty(shape, dtype=dtype, memory_format=layout)
    inside = padded[:, :, top : top + height, left : left + width]
    if dtype == x.dtype:
        torch.ops.aten.silu.out(x, out=inside)
    else:
        inside.copy_(F.silu(x))
    if mode == "constant":
        for dim, before, length in ((2, top, height), (3, left, width)):
            padded.narrow(dim, 0, before).zero_()
            padded.narrow(dim, before + length, padded.shape[dim] - before - length).zero_()
        return padded
    mirrored = mode == "reflect"
    _continue(padded[..., left : left + width], 2, top, height, mirrored)
    _continue(padded, 3, left, width, mirrored)
    return padded


def _continue(padded: torch.Tensor, dim: int, before: int, length: int, mirrored: bool) -> None:
    """Fill what lies around `length` values from `before` on along `dim` with them, mirrored or repeated."""
    first, last = before, before + length - 1
    for away in range(1, before + 1):
        padded.select(dim, first - away).copy_(padded.select(dim, first + away * mirrored))
    for away in range(1, padded.shape[dim] - last):
        padded.select(dim, last + away).copy_(padded.select(dim, last - away * mirrored))


def mean_of_places(x: torch.Tensor) -> torch.Tensor:
    """(B,C,h,w), which may be a part of something larger -> means (B,C,1,1), in the order of its memory."""
    if x.stride(1) != 1:
        return x.mean((2, 3), keepdim=True)
    rows = x.permute(0, 2, 3, 1).sum(2, dtype=torch.float32)  # with channels last ten times as quick
    return (rows.sum(1) / (x.shape[2] * x.shape[3])).to(x.dtype)[..., None, None]
