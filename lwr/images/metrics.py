"""PSNR and SSIM: one definition, used by every table.

All take two batches (B,C,H,W) in [0,1] and return one number per image, (B,). Nothing is cropped or rounded.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2


def psnr(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Peak signal-to-noise ratio in dB over all channels and pixels, peak 1; infinite for equal images."""
    check_same_shape(a, b)
    return -10 * (a.float() - b.float()).square().flatten(1).mean(dim=1).log10()


def luma(image: torch.Tensor) -> torch.Tensor:
    """(B,3,H,W) RGB in [0,1] -> (B,1,H,W) BT.601 Y in [16/255, 235/255] (studio range, as in MATLAB)."""
    if image.dim() != 4 or image.shape[1] != 3:
        raise ValueError(f"luma needs RGB of shape (B,3,H,W), got {tuple(image.shape)}.")
    red, green, blue = image.float().split(1, dim=1)
    return (16 + 65.481 * red + 128.553 * green + 24.966 * blue) / 255


def ssim(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Mean structural similarity over channels and pixels; 1 for equal images. See `ssim_map`."""
    return ssim_map(a, b).flatten(1).mean(dim=1)


def ssim_map(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """(B,C,H,W) each -> (B,C,H-10,W-10): structural similarity around each pixel.

    Wang et al. 2004 (https://doi.org/10.1109/TIP.2003.819861): Gaussian window 11x11, sigma 1.5, K = 0.01 and
    0.03, range 1, population covariance, only where the window lies in the image. For SSIM of Y pass `luma`.

    Raises:
        ValueError: shapes differ, or a side is under 11 pixels.
    """
    check_same_shape(a, b)
    if min(a.shape[-2:]) < _WINDOW:
        raise ValueError(f"ssim needs at least {_WINDOW}x{_WINDOW} pixels, got {tuple(a.shape[-2:])}.")
    a, b = a.float(), b.float()
    # Moments around 0.5 instead of 0: the same covariances, with less cancellation in float32.
    a, b = a - 0.5, b - 0.5
    means = _window_mean(torch.cat([a, b, a * a, b * b, a * b], dim=1))
    mean_a, mean_b, square_a, square_b, product = means.chunk(5, dim=1)
    variance_a, variance_b = square_a - mean_a**2, square_b - mean_b**2
    covariance = product - mean_a * mean_b
    mean_a, mean_b = mean_a + 0.5, mean_b + 0.5
    luminance = (2 * mean_a * mean_b + _C1) / (mean_a**2 + mean_b**2 + _C1)
    structure = (2 * covariance + _C2) / (variance_a + variance_b + _C2)
    return luminance * structure


def _window_mean(x: torch.Tensor) -> torch.Tensor:
    """(B,C,H,W) -> (B,C,H-10,W-10): Gaussian mean, one axis after the other."""
    offset = torch.arange(_WINDOW, dtype=x.dtype, device=x.device) - _WINDOW // 2
    kernel = torch.exp(-(offset**2) / (2 * _SIGMA**2))
    kernel = kernel / kernel.sum()
    kernel = kernel.expand(x.shape[1], 1, _WINDOW)
    x = F.conv2d(x, kernel.unsqueeze(-1), groups=x.shape[1])
    return F.conv2d(x, kernel.unsqueeze(-2), groups=x.shape[1])


def check_same_shape(a: torch.Tensor, b: torch.Tensor) -> None:
    """ValueError unless both are batches (B,C,H,W) of one shape."""
    if a.dim() != 4 or a.shape != b.shape:
        shapes = f"{tuple(a.shape)} and {tuple(b.shape)}"
        raise ValueError(f"images are {shapes}; both must be the same (B,C,H,W): resize one first.")
