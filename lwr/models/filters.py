"""The adaptive filters of the refiner: sharpening ones, mixed at every position of the photo."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from lwr.models.activation import has_channels_last
from lwr.models.config import RefinerConfig
from lwr.models.convolutions import conv2d
from lwr.models.interpolated import InterpolatedConv2d, reading_unet
from lwr.models.matrix_units import split_conv2d


class AdaptiveFilters(nn.Module):
    """sum_k a_k(x) (B_k * photo)(x): learned filters, mixed at every position (after Mildenhall et al. 2018).

    Undoing a blur is close to a linear filter that depends on the blur; the refiner need only say which.
    The filters start as the photo less a disk-blurred or line-blurred copy, the shares a_k as 0.
    """

    by_matrix_units = False

    def __init__(self, config: RefinerConfig) -> None:
        super().__init__()
        count, size = config.filters
        self.patch = math.isqrt(config.pixel_channels // 3)
        with torch.device("cpu"):  # quicker than on "meta", where a network is loaded
            self.basis = nn.Parameter(_sharpening(count, size))
        self.shares = InterpolatedConv2d(config.channels[0], count, 1, perceptual_rank=config.perceptual_rank)
        nn.init.zeros_(self.shares.weight)
        nn.init.zeros_(self.shares.bias)
        self.from_unet = reading_unet(config, count)
        self.on_patches: torch.Tensor | None = None  # the filters, where they no longer change

    def freeze(self) -> None:
        """Keep the filters as they are now; what exports a network then sees a plain convolution."""
        self.on_patches = _on_patches(self.basis.detach(), self.patch)

    def forward(
        self, found: torch.Tensor | None, image: torch.Tensor, unet: torch.Tensor | None = None
    ) -> torch.Tensor:
        """found (B,c,h,w), the VAE's image (B,P,h,w) in [-1,1] -> correction of that image, (B,P,h,w).

        `unet` (B,F,h/n,w/n): the UNet's features; the shares are the sum of what it and `found` say.
        """
        size = image.shape[-2:]
        reach = self.basis.shape[-1] // 2
        shares: torch.Tensor | float = 0.0 if found is None else self.shares(found)
        if self.from_unet is not None and unet is not None:
            shares = shares + F.interpolate(self.from_unet(unet), size, mode="bilinear")
        image = image.contiguous()  # to be shuffled and padded
        photo = F.pad(F.pixel_shuffle(image, self.patch), (reach,) * 4, mode="replicate")
        filters = _on_patches(self.basis, self.patch) if self.on_patches is None else self.on_patches
        # filters: (K*p*p, p*p, n, n)
        spare = (filters.shape[-1] - 1) * self.patch - 2 * reach  # where the photo's sides do not fit
        photo = F.pixel_unshuffle(F.pad(photo, (0, spare, 0, spare)), self.patch)
        if has_channels_last(shares) and torch.is_inference_mode_enabled():
            return self._with_channels_last(photo, filters, shares)
        shares = shares.contiguous()
        return torch.cat([_mixed(conv2d(color, filters), shares) for color in photo.chunk(3, 1)], 1)

    def _with_channels_last(
        self, photo: torch.Tensor, filters: torch.Tensor, shares: torch.Tensor
    ) -> torch.Tensor:
        """The same of a padded photo (B,3*p*p,h',w') for shares (B,K,h,w) that have channels last."""
        rounds = self.by_matrix_units and photo.device.type == "cpu"
        convolution, last = split_conv2d if rounds else conv2d, torch.channels_last
        filters = filters.unflatten(0, (shares.shape[1], -1)).transpose(0, 1).flatten(0, 1)  # p*p times all K
        photo, filters = photo.to(memory_format=last), filters.to(memory_format=last)
        return torch.cat([_mixed_last(convolution(color, filters), shares) for color in photo.chunk(3, 1)], 1)


def _on_patches(basis: torch.Tensor, patch: int) -> torch.Tensor:
    """Filters (K,1,s,s) of a photo as filters (K*p*p, p*p, n, n) of its patches of p x p pixels.

    Same sums of the same products, at p*p times fewer places with p*p times the channels, which is what
    convolutions are quick at: a single channel leaves most of a GPU's matrix units idle.
    """
    size = basis.shape[-1]
    whole = -(-(size + patch - 1) // patch) * patch  # what a filter covers from any pixel of a patch
    moved = [
        F.pixel_unshuffle(F.pad(basis, (x, whole - size - x, y, whole - size - y)), patch)
        for y in range(patch)
        for x in range(patch)
    ]
    return torch.stack(moved, 1).flatten(0, 1)


def _mixed(filtered: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """sum_k of (B,K*p,h,w) times (B,K,h,w) -> (B,p,h,w)."""
    filtered, shares = filtered.unflatten(1, (shares.shape[1], -1)), shares[:, :, None]
    if torch.is_grad_enabled():  # few calls, as a GPU waits for each
        return (filtered * shares).sum(1)
    total = torch.zeros_like(filtered[:, 0])
    for one, share in zip(filtered.unbind(1), shares.unbind(1), strict=True):
        total.addcmul_(one, share)  # without a product of the whole size: a quarter faster
    return total


def _mixed_last(filtered: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """sum_k of (B,p*K,h,w) times (B,K,h,w) -> (B,p,h,w); all have channels last."""
    shares = shares.permute(0, 2, 3, 1)[..., None]
    products = filtered.to(shares.dtype).permute(0, 2, 3, 1).unflatten(3, (-1, shares.shape[3])) @ shares
    return products[..., 0].permute(0, 3, 1, 2)


def _sharpening(count: int, size: int) -> torch.Tensor:
    """(count,1,size,size): a point less its blur, a quarter by disks of growing size, the rest by lines."""
    axis = torch.arange(size, dtype=torch.float32) - size // 2
    y, x = axis[:, None], axis[None, :]
    disks = max(count // 4, 1)
    lengths = (size / 3, 2 * size / 3, size)
    filters = []
    for k in range(count):
        if k < disks:
            radius = 0.8 + (size / 3 - 0.8) * k / max(disks - 1, 1)
            blur = (radius + 0.5 - torch.hypot(x, y)).clamp(0, 1)
        else:
            length, angle = lengths[k % 3], math.pi * (k - disks) / (count - disks)
            along, across = (
                x * math.cos(angle) + y * math.sin(angle),
                y * math.cos(angle) - x * math.sin(angle),
            )
            blur = (1 - across.abs()).clamp(0, 1) * (length / 2 + 0.5 - along.abs()).clamp(0, 1)
        blur = -blur / blur.sum()
        blur[size // 2, size // 2] += 1
        filters.append(blur)
    return torch.stack(filters)[:, None]
