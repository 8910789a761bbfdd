"""Convolutions that continue what they read past its border, where torch and diffusers put zeros.

Zeros around a photo look like a dark frame: in a plain sky the last 40 pixels came out up to 10 of 255 levels
off, at the photo's border and at that of every tile. Repeated values do not, so a plain area stays plain.
"""

import torch
import torch.nn.functional as F
from diffusers.models.downsampling import Downsample2D
from torch import nn


def continue_edges(module: nn.Module) -> None:
    """All padded convolutions in `module` repeat the values at the border, from now on."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d) and any(part.padding):
            part.padding_mode = "replicate"
        elif isinstance(part, Downsample2D) and part.use_conv and part.padding == 0:
            part.register_forward_pre_hook(_repeat_last)


def _repeat_last(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    """(B,C,H,W), even sides -> (B,C,H+1,W+1) for a convolution of stride 2 that pads below and to the right.

    The zeros that it then adds itself are never read.
    """
    return F.pad(inputs[0], (0, 1, 0, 1), mode="replicate"), *inputs[1:]
