"""Photos as tensors: to PIL and back to 8 bits, other sizes, padding."""

import torch
import torch.nn.functional as F
from PIL import Image

from lwr.images.errors import ImageError


def to_pil(image: torch.Tensor, alpha: torch.Tensor | None = None) -> Image.Image:
    """(1,3,H,W) or (3,H,W) -> 8-bit RGB, or RGBA with `alpha` (1,1,H,W).

    Both in [0,1] (clamped, rounded) or levels (uint8).
    """
    image = image[None] if image.dim() == 3 else image
    if image.dim() != 4 or image.shape[:2] != (1, 3) or image.numel() == 0:
        raise ImageError(f"Expected one RGB image (1,3,H,W), got {tuple(image.shape)}; pass one at a time.")
    if alpha is not None:
        if alpha.shape != (1, 1, *image.shape[-2:]):
            raise ImageError(f"Alpha {tuple(alpha.shape)} does not fit {tuple(image.shape)}; resize it.")
        image = torch.cat([to_levels(image), to_levels(alpha.to(image.device))], dim=1)
    return Image.fromarray(to_levels(image)[0].permute(1, 2, 0).contiguous().cpu().numpy())


def to_levels(x: torch.Tensor) -> torch.Tensor:
    """Any shape, in [0,1] (clamped, rounded) -> levels from 0 to 255, uint8; levels stay as they are."""
    if x.dtype == torch.uint8:
        return x
    x = x.detach().float()
    if not torch.isfinite(x).all():
        raise ImageError("The image holds NaN or infinite values; run again in float32 or report the photo.")
    return x.clamp(0, 1).mul_(255).round_().to(torch.uint8)


def to_unit(x: torch.Tensor) -> torch.Tensor:
    """Any shape, levels from 0 to 255 (uint8) -> float32 in [0,1]; floats stay as they are."""
    return x.float().div_(255) if x.dtype == torch.uint8 else x


def resize(x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """(B,C,H,W) -> (B,C,h,w) in [0,1]: bicubic, antialiased (as Pillow's) when a side shrinks."""
    if min(size) < 1:
        raise ImageError(f"Cannot resize to height and width {tuple(size)}; both must be at least 1.")
    if tuple(x.shape[-2:]) == tuple(size):
        return x.clamp(0, 1)
    # Enlarging, torch's plain kernel (a = -0.75) is the one in which networks saw small photos in training.
    shrinks = size[0] < x.shape[-2] or size[1] < x.shape[-1]
    return F.interpolate(x, size=tuple(size), mode="bicubic", antialias=shrinks).clamp(0, 1)


def pad_to_multiple(x: torch.Tensor, multiple: int) -> tuple[torch.Tensor, tuple[int, int]]:
    """Extend (B,C,H,W) at the bottom and right to multiples of `multiple`; returns it with the old (H, W).

    The image is mirrored, as often as needed for sides shorter than the padding; a side of 1 is repeated.
    """
    if multiple < 1:
        raise ImageError(f"Cannot pad to a multiple of {multiple}; use 1 or more.")
    height, width = x.shape[-2:]
    for dim, size in ((-2, height), (-1, width)):
        if size % multiple:
            x = x.index_select(dim, padded_places(size, multiple).to(x.device))
    return x, (height, width)


def padded_places(size: int, multiple: int) -> torch.Tensor:
    """Where along a side of `size` each value of the padded side is from, see `pad_to_multiple`; int64."""
    period = max(2 * (size - 1), 1)
    place = torch.arange(-(-size // multiple) * multiple) % period
    return torch.minimum(place, period - place).clamp_max(size - 1)


def crop(x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """The top left (h, w) of (B,C,H,W): undoes `pad_to_multiple`."""
    return x[..., : size[0], : size[1]]
