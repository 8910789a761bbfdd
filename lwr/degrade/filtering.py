"""Convolution of each photo of a batch with its own kernel, small Gaussians, box, Lee and guided filters."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F


def filter_each(images: torch.Tensor, kernels: torch.Tensor) -> torch.Tensor:
    """Convolve (B,C,H,W) with one odd, square kernel per photo, (B,K,K); same shape, borders reflected.

    One photo (1,C,H,W) gives (B,C,H,W), with each of the kernels. By the Fourier transform: its cost hardly
    grows with K. Raises ValueError for a kernel of even size.
    """
    size = kernels.shape[-1]
    if size % 2 == 0 or kernels.shape[-2] != size:
        raise ValueError(
            f"kernels have shape {tuple(kernels.shape)}; give odd, square ones, e.g. (B, 21, 21)"
        )
    kernels = _trimmed(kernels)
    size = kernels.shape[-1]
    height, width = images.shape[-2:]
    shape = (fast_size(height + size - 1), fast_size(width + size - 1))
    rows = _mirrored(height, size // 2, shape[0], images.device)
    columns = _mirrored(width, size // 2, shape[1], images.device)
    padded = images.index_select(-2, rows).index_select(-1, columns)
    spectrum = torch.fft.rfft2(padded) * torch.fft.rfft2(kernels.to(images.dtype), s=shape).unsqueeze(1)
    # Circular wrap-around spoils only the first K-1 rows and columns, which are cropped.
    return torch.fft.irfft2(spectrum, s=shape)[..., size - 1 : size - 1 + height, size - 1 : size - 1 + width]


def gaussian_each(images: torch.Tensor, sigmas: Sequence[float]) -> torch.Tensor:
    """Blur (B,C,H,W) by a Gaussian of one standard deviation in pixels per photo, 0 = none; same shape.

    Directly, along rows and columns, borders repeated: for a few pixels quicker than `filter_each`.
    """
    radius = max(math.ceil(2.5 * max(sigmas)), 1)
    axis = torch.arange(-radius, radius + 1, device=images.device, dtype=images.dtype)
    widths = images.new_tensor([max(sigma, 0.05) for sigma in sigmas]).view(-1, 1)
    line = torch.exp(-0.5 * (axis / widths).square())
    shares = (line / line.sum(1, keepdim=True)).T[..., None, None, None]  # (2 radius + 1,B,1,1,1)
    for dim, margin in ((-1, (radius, radius, 0, 0)), (-2, (0, 0, radius, radius))):
        padded, size = F.pad(images, margin, mode="replicate"), images.shape[dim]
        # A sum of shifted photos: on a CPU several times quicker than a convolution by groups
        images = padded.narrow(dim, 0, size) * shares[0]
        for shift, share in enumerate(shares[1:], 1):
            images.addcmul_(padded.narrow(dim, shift, size), share)
    return images


def smooth_flat(images: torch.Tensor, sigma: float, variance: torch.Tensor) -> torch.Tensor:
    """Smooth (B,C,H,W) over `sigma` pixels where it varies by less than `variance` (B,1,1,1) (Lee 1980).

    Edges and strong detail stay as they are. Quicker than `guided_filter`, which is smoother beside edges.
    """
    channels = images.shape[1]
    means = gaussian_each(torch.cat([images, images * images], 1), [sigma] * len(images))
    mean, own = means[:, :channels], (means[:, channels:] - means[:, :channels].square()).clamp(min=0)
    return mean + own / (own + variance) * (images - mean)


def _trimmed(kernels: torch.Tensor) -> torch.Tensor:
    """(B,K,K) without the frame in which all of them are zero: less to transform."""
    half = kernels.shape[-1] // 2
    used = (kernels != 0).any(0)
    lines = (used.any(0) | used.any(1)).nonzero()
    reach = int((lines - half).abs().max()) if len(lines) else 0
    return kernels[:, half - reach : half + reach + 1, half - reach : half + reach + 1]


def fast_size(least: int) -> int:
    """The smallest even number >= `least` without a prime factor above 5, quick to Fourier transform."""
    size = least + least % 2
    while pow(30, size.bit_length(), size):  # without other factors it divides a power of 2 x 3 x 5
        size += 2
    return size


def box_filter(images: torch.Tensor, radius: int) -> torch.Tensor:
    """Mean of (B,C,H,W) over a (2 radius + 1)-square window, cut at the borders; same shape."""
    down = F.avg_pool2d(images, (2 * radius + 1, 1), 1, (radius, 0), count_include_pad=False)
    return F.avg_pool2d(down, (1, 2 * radius + 1), 1, (0, radius), count_include_pad=False)


def guided_filter(guide: torch.Tensor, values: torch.Tensor, radius: int, epsilon: float) -> torch.Tensor:
    """Smooth `values` (B,1,H,W) but keep the edges of `guide` (B,1,H,W) in [0,1] (He et al. 2010).

    `epsilon` is the variance of the guide below which a window counts as flat. Large windows are fitted on a
    smaller photo (the fast guided filter, He and Sun 2015): else it would take most of the time of haze.
    """
    step = min(max(radius // 3, 1), 4)
    size = guide.shape[-2:]
    small = F.interpolate(torch.cat([guide, values], 1), [side // step for side in size], mode="area")
    slope, offset = _local_line(*small.split(1, 1), radius // step, epsilon)
    line = F.interpolate(torch.cat([slope, offset], 1), size, mode="bilinear", align_corners=False)
    return line[:, :1] * guide + line[:, 1:]


def _local_line(
    guide: torch.Tensor, values: torch.Tensor, radius: int, epsilon: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Slope and offset (B,1,H,W) of the line through (guide, values) in each window, averaged."""
    stacked = torch.cat([guide, values, guide * guide, guide * values], 1)
    mean_guide, mean_values, square, product = box_filter(stacked, radius).split(1, 1)
    slope = (product - mean_guide * mean_values) / (square - mean_guide * mean_guide + epsilon)
    offset = mean_values - slope * mean_guide
    slope, offset = box_filter(torch.cat([slope, offset], 1), radius).split(1, 1)
    return slope, offset


def _mirrored(size: int, margin: int, total: int, device: torch.device) -> torch.Tensor:
    """Source index of each of `total` positions, the first `margin` before the image; edges not repeated."""
    period = max(2 * (size - 1), 1)
    position = (torch.arange(total, device=device) - margin) % period
    return torch.where(position < size, position, period - position)
