"""Colour fix: give a restored image the colours of the photo it came from.

Safe where the damage does not shift colours (low resolution, blur, noise, JPEG). Not for haze or low light,
where the reference's low frequencies are the damage. As in StableSR (https://arxiv.org/abs/2305.07015).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from lwr.images.metrics import check_same_shape

LEVELS = 5  # blurs of `wavelet_color_fix`
WAVELET_REACH = 2**LEVELS - 1  # pixels that it looks either way


def wavelet_color_fix(image: torch.Tensor, reference: torch.Tensor, levels: int = LEVELS) -> torch.Tensor:
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


def _blur(x: torch.Tensor, reach: int) -> torch.Tensor:
    """(1, 2, 1)/4 along both axes, taps `reach` pixels apart, border values repeated."""
    height, width = x.shape[-2:]
    padded = F.pad(x, (reach, reach, reach, reach), mode="replicate")
    # Sums of shifted views: several times faster on a CPU than a dilated convolution.
    across = padded[..., :width] + padded[..., 2 * reach :]
    across.add_(padded[..., reach : reach + width], alpha=2)
    both = across[..., :height, :] + across[..., 2 * reach :, :]
    return both.add_(across[..., reach : reach + height, :], alpha=2).mul_(1 / 16)
