"""JPEG compression and back, batched, with one quality per photo: baseline, 4:2:0 or 4:4:4, as libjpeg
does it.

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


def jpeg(
    images: torch.Tensor,
    qualities: Sequence[int],
    chroma: int = 2,
    shifts: Sequence[tuple[int, int]] | None = None,
) -> torch.Tensor:
    """Compress and decompress (B,3,H,W) in [0,1] with one quality (1..100) per photo; the result is 8-bit.

    `chroma` 2 stores colour at half the size (4:2:0), 1 at full size (4:4:4). `shifts`, a pair a photo, are
    the rows and columns that it had above and left of it when its blocks were laid out. Raises ValueError
    when a quality is out of range or their number is not B.
    """
    if len(qualities) != len(images) or not all(1 <= quality <= 100 for quality in qualities):
        raise ValueError(
            f"JPEG qualities are {list(qualities)}; give {len(images)} whole numbers from 1 to 100"
        )
    light, colour = planes_of(images, chroma, shifts)
    light = quantise(light, _steps(_LUMINANCE, qualities, images.device).to(light.dtype))
    colour = quantise(colour, _steps(_CHROMINANCE, qualities, images.device).to(light.dtype))
    return photo_of(light, colour, images, shifts)


def planes_of(
    images: torch.Tensor, chroma: int = 2, shifts: Sequence[tuple[int, int]] | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """(B,3,H,W) in [0,1] as whole numbers around 0: luminance (B,1,h,w) and colour (B,2,h/chroma,w/chroma).

    h and w are filled up to multiples of 16.
    """
    height, width = images.shape[-2:]
    dtype, device = working_dtype(images.device), images.device
    pixels = round_half(images.to(dtype).clamp(0, 1).mul(255))
    if shifts is None:
        pixels = F.pad(pixels, (0, -width % 16, 0, -height % 16), mode="replicate")
    else:
        shape = (3, *(side + 8 + -(side + 8) % 16 for side in (height, width)))
        pixels = torch.stack(
            [_placed(one, *shift, *shape[1:]) for one, shift in zip(pixels, shifts, strict=True)]
        )
    to_ycc, _ = _colour_matrices(device, dtype)
    ycc = round_half(torch.einsum("ij,bjhw->bihw", to_ycc, pixels))  # chroma is centred on 0 here
    colour = ycc[:, 1:] if chroma == 1 else round_half(F.avg_pool2d(ycc[:, 1:], chroma))
    return ycc[:, :1] - 128, colour


def photo_of(
    light: torch.Tensor,
    colour: torch.Tensor,
    like: torch.Tensor,
    shifts: Sequence[tuple[int, int]] | None = None,
) -> torch.Tensor:
    """The planes of `planes_of` put together again: (B,3,H,W) in [0,1], 8-bit, of the size of `like`."""
    height, width = like.shape[-2:]
    if colour.shape != light.shape:
        # libjpeg's "fancy upsampling" weighs neighbours 3:1, which is bilinear interpolation at pixel centres
        colour = F.interpolate(colour, light.shape[-2:], mode="bilinear", align_corners=False)
    _, to_rgb = _colour_matrices(light.device, light.dtype)
    rgb = torch.einsum("ij,bjhw->bihw", to_rgb, torch.cat([light + 128, colour], 1))
    if shifts is None:
        rgb = rgb[..., :height, :width]
    else:
        rgb = torch.stack(
            [one[:, y : y + height, x : x + width] for one, (y, x) in zip(rgb, shifts, strict=True)]
        )
    return round_half(rgb).clamp(0, 255).div(255).to(like.dtype)


def _placed(photo: torch.Tensor, top: int, left: int, height: int, width: int) -> torch.Tensor:
    """(3,H,W) in the middle of its own edges, repeated up to (3,height,width)."""
    right, bottom = width - left - photo.shape[-1], height - top - photo.shape[-2]
    return F.pad(photo[None], (left, right, top, bottom), mode="replicate")[0]


def quantise(planes: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
    """Round the DCT coefficients of (B,C,H,W) to multiples of `steps` (B,n*n), n the side of a block.

    H and W are multiples of n; pixels are whole numbers from -128 to 127.
    """
    side = math.isqrt(steps.shape[-1])
    batch, channels, height, width = planes.shape
    blocks = planes.reshape(batch, channels, height // side, side, width // side, side).transpose(3, 4)
    transform = _dct(planes.device, planes.dtype, side)
    steps = steps.unsqueeze(1)
    blocks = blocks.reshape(batch, -1, side * side)
    blocks = (round_half(blocks @ transform.T / steps) * steps) @ transform
    blocks = round_half(blocks).clamp(-128, 127)
    blocks = blocks.view(batch, channels, height // side, width // side, side, side)
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
def _dct(device: torch.device, dtype: torch.dtype, side: int = 8) -> torch.Tensor:
    """(64,64) orthonormal two-dimensional DCT-II of a flattened 8x8 block, or of one of another side."""
    scales = [math.sqrt(1 / side), *[math.sqrt(2 / side)] * (side - 1)]
    rows = [
        [math.cos((2 * x + 1) * u * math.pi / (2 * side)) * scales[u] for x in range(side)]
        for u in range(side)
    ]
    line = torch.tensor(rows, dtype=torch.float64)
    return torch.kron(line, line).to(dtype).to(device)


@cache
def _colour_matrices(device: torch.device, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """RGB to YCbCr (JFIF, chroma centred on 0) and back, both (3,3)."""
    forward = [[0.299, 0.587, 0.114], [-0.168735892, -0.331264108, 0.5], [0.5, -0.418687589, -0.081312411]]
    to_ycc = torch.tensor(forward, dtype=torch.float64)
    return to_ycc.to(dtype).to(device), torch.linalg.inv(to_ycc).to(dtype).to(device)
