"""Colour fix: give a restored image the colours of the photo it came from.

Safe where the damage does not shift colours (low resolution, blur, noise, JPEG). Not for haze or low light,
where the reference's low frequencies are the damage. As in StableSR (https://arxiv.org/abs/2305.07015).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from lwr.images.metrics import check_same_shape

TONE_REACH, TONE_PASSES = 2, 3  # pixels of the overview either way
KEPT = 16  # pixels of a photo to one of the overview that `keep_tones` makes


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
    size = overview.shape[-2:]
    difference = overview - F.interpolate(image, size, mode="area")
    for _ in range(TONE_PASSES):  # boxes one after the other come close to a Gaussian
        padded = F.pad(difference, (TONE_REACH,) * 4, mode="replicate")
        difference = F.avg_pool2d(padded, 2 * TONE_REACH + 1, 1)
    image += F.interpolate(difference, image.shape[-2:], mode="bilinear")
    return image


def keep_tones(image: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """`image` (B,C,H,W) with the tones of `reference`, of the same size, at 40 pixels and above. In place.

    Gentler than the wavelet colour fix: for results that are right in all but tones of plain areas.
    """
    size = [max(1, side // KEPT) for side in image.shape[-2:]]
    return match_tones(image, F.interpolate(reference, size, mode="area"))


def _blur(x: torch.Tensor, reach: int) -> torch.Tensor:
    """(1, 2, 1)/4 along both axes, taps `reach` pixels apart, border values repeated."""
    height, width = x.shape[-2:]
    padded = F.pad(x, (reach, reach, reach, reach), mode="replicate")
    # Sums of shifted views: several times faster on a CPU than a dilated convolution.
    across = padded[..., :width] + padded[..., 2 * reach :]
    across.add_(padded[..., reach : reach + width], alpha=2)
    both = across[..., :height, :] + across[..., 2 * reach :, :]
    return both.add_(across[..., reach : reach + height, :], alpha=2).mul_(1 / 16)
