"""JPEG compression and back, batched, with one quality per photo: baseline, 4:2:0, as libjpeg does it.

Only the lossy steps are here (colour, subsampling, DCT, quantisation): entropy coding loses nothing.
"""

import math
from collections.abc import Sequence
from functools import cache

import torch
import torch.nn.functional as F

from lwr.degrade.draw import working_dtype
from lwr.degrade.light import round_half

# ITU-T T.81, Annex K, tables K.1 and K.2
_LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMINANCE = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99, 99, 99, 99, 99, 99, 99, 99),) * 4,
)


def jpeg(images: torch.Tensor, qualities: Sequence[int]) -> torch.Tensor:
    """Compress and decompress (B,3,H,W) in [0,1] with one quality (1..100) per photo; the result is 8-bit.

    Raises ValueError when a quality is out of range or their number is not B.
    """
    if len(qualities) != len(images) or not all(1 <= quality <= 100 for quality in qualities):
        raise ValueError(
            f"JPEG qualities are {list(qualities)}; give {len(images)} whole numbers from 1 to 100"
        )
    height, width = images.shape[-2:]
    dtype, device = working_dtype(images.device), images.device
    pixels = round_half(images.to(dtype).clamp(0, 1).mul(255))
    pixels = F.pad(pixels, (0, -width % 16, 0, -height % 16), mode="replicate")
    to_ycc, to_rgb = _colour_matrices(device, dtype)
    ycc = round_half(torch.einsum("ij,bjhw->bihw", to_ycc, pixels))  # chroma is centred on 0 here
    light, chroma = ycc[:, :1] - 128, round_half(F.avg_pool2d(ycc[:, 1:], 2))
    light = _quantise(light, _steps(_LUMINANCE, qualities, device).to(dtype)) + 128
    chroma = _quantise(chroma, _steps(_CHROMINANCE, qualities, device).to(dtype))
    # libjpeg's "fancy upsampling" weighs neighbours 3:1, which is bilinear interpolation at pixel centres
    chroma = F.interpolate(chroma, scale_factor=2, mode="bilinear", align_corners=False)
    rgb = torch.einsum("ij,bjhw->bihw", to_rgb, torch.cat([light, chroma], 1))
    return round_half(rgb[..., :height, :width]).clamp(0, 255).div(255).to(images.dtype)


def _quantise(planes: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
    """Round the DCT coefficients of (B,C,H,W), H and W multiples of 8, to multiples of `steps` (B,64)."""
    batch, channels, height, width = planes.shape
    blocks = planes.reshape(batch, channels, height // 8, 8, width // 8, 8).transpose(3, 4)
    transform = _dct(planes.device, planes.dtype)
    steps = steps.unsqueeze(1)
    blocks = blocks.reshape(batch, -1, 64)
    blocks = (round_half(blocks @ transform.T / steps) * steps) @ transform
    blocks = round_half(blocks).clamp(-128, 127).view(batch, channels, height // 8, width // 8, 8, 8)
    return blocks.transpose(3, 4).reshape(planes.shape)


def _steps(
    table: tuple[tuple[int, ...], ...], qualities: Sequence[int], device: torch.device
) -> torch.Tensor:
    """(B,64) quantiser steps: libjpeg's scaling of `table`, in whole numbers, within 1..255."""
    scales = [5000 // int(quality) if quality < 50 else 200 - 2 * int(quality) for quality in qualities]
    flat = [step for row in table for step in row]
    rows = [[min(max((step * scale + 50) // 100, 1), 255) for step in flat] for scale in scales]
    return torch.tensor(rows, dtype=torch.float32, device=device)


@cache
def _dct(device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """(64,64) orthonormal two-dimensional DCT-II of a flattened 8x8 block."""
    scales = [math.sqrt(0.125), *[0.5] * 7]
    rows = [[math.cos((2 * x + 1) * u * math.pi / 16) * scales[u] for x in range(8)] for u in range(8)]
    line = torch.tensor(rows, dtype=torch.float64)
    return torch.kron(line, line).to(dtype).to(device)


@cache
def _colour_matrices(device: torch.device, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """RGB to YCbCr (JFIF, chroma centred on 0) and back, both (3,3)."""
    forward = [[0.299, 0.587, 0.114], [-0.168735892, -0.331264108, 0.5], [0.5, -0.418687589, -0.081312411]]
    to_ycc = torch.tensor(forward, dtype=torch.float64)
    return to_ycc.to(dtype).to(device), torch.linalg.inv(to_ycc).to(dtype).to(device)
