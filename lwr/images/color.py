"""Colour fix: give a restored image the colours of the photo it came from.

Safe where the damage does not shift colours (low resolution, blur, noise, JPEG). Not for haze or low light,
where the reference's low frequencies are the damage. As in StableSR (https://arxiv.org/abs/2305.07015).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from lwr.images.metrics import check_same_shape

TONE_REACH, TONE_PASSES = 2, 3  # pixels of the overview either way
CELL, FINE = 16, 4  # pixels a side of the cells that are plain or not; values a side that tell
SPREAD = 6 / 255  # standard deviation of these from which on a cell is not plain; up to half of it, it is


def wavelet_color_fix(image: torch.Tensor, reference: torch.Tensor, levels: int = 5) -> torch.Tensor:
    """Detail of `image` on the low frequencies of `reference`.

    The low band is what an a-trous decomposition leaves: `levels` binomial 3x3 blurs dilated by 1, 2, 4, ...,
    borders replicated. It is linear, so image - low(image) + low(reference) = image + low(reference - image):
    one decomposition instead of two.

    Args:
        image, reference: (B,C,H,W) of the same size, nominally in [0,1].
        levels: number of blurs; 5 leaves structures above about 2 x 2^5 pixels to the reference.

    Returns:
        (B,C,H,W), not clamped: detail may overshoot [0,1].
    """
    check_same_shape(image, reference)
    if levels < 1:
        raise ValueError(f"levels is {levels}; use 1 or more.")
    low = reference - image
    for level in range(levels):
        low = _blur(low, 2**level)
    return image + low


def match_tones(image: torch.Tensor, overview: torch.Tensor) -> torch.Tensor:
    """`image` (B,C,H,W) with the tones of `overview` (B,C,h,w), which is smaller; detail stays. In place.

    What differs between the two, at the size of the overview and smoothed there, is added back enlarged.
    """
    return _add_smoothly(image, overview - _reduced(image, overview.shape[-2:]))


def keep_plain_tones(image: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """`image` (B,C,H,W) with the tones of `reference` where that is plain, such as sky or paper. In place.

    Blur and a small size leave plain areas as they were. Elsewhere they can shift tones, by lights that were
    clipped, so tones are free there. Both are of one size, in [0,1].
    """
    cells = [max(1, side // CELL) for side in image.shape[-2:]]
    fine = _reduced(reference, [count * FINE for count in cells])
    mean, square = (F.avg_pool2d(x, FINE) for x in (fine, fine.square()))
    spread = (square - mean.square()).clamp_min(0).sqrt().amax(1, keepdim=True)  # (B,1,h,w)
    plain = ((SPREAD - spread) / SPREAD * 2).clamp(0, 1)
    return _add_smoothly(image, (_reduced(reference, cells) - _reduced(image, cells)) * plain)


def _reduced(image: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    return F.interpolate(image, tuple(size), mode="area")


def _add_smoothly(image: torch.Tensor, difference: torch.Tensor) -> torch.Tensor:
    """`image` (B,C,H,W) + `difference` (B,C,h,w), smoothed and enlarged; in place."""
    for _ in range(TONE_PASSES):  # boxes one after the other come close to a Gaussian
        padded = F.pad(difference, (TONE_REACH,) * 4, mode="replicate")
        difference = F.avg_pool2d(padded, 2 * TONE_REACH + 1, 1)
    image += F.interpolate(difference, image.shape[-2:], mode="bilinear")
    return image


def _blur(x: torch.Tensor, reach: int) -> torch.Tensor:
    """(1, 2, 1)/4 along both axes, taps `reach` pixels apart, border values repeated."""
    height, width = x.shape[-2:]
    padded = F.pad(x, (reach, reach, reach, reach), mode="replicate")
    # Sums of shifted views: several times faster on a CPU than a dilated convolution.
    across = padded[..., :width] + padded[..., 2 * reach :]
    across.add_(padded[..., reach : reach + width], alpha=2)
    both = across[..., :height, :] + across[..., 2 * reach :, :]
    return both.add_(across[..., reach : reach + height, :], alpha=2).mul_(1 / 16)
