"""Photos as tensors: to PIL and back to 8 bits, other sizes, padding."""

import torch
import torch.nn.functional as F
from PIL import Image

from lwr.images.errors import ImageError


def to_pil(image: torch.Tensor, alpha: torch.Tensor | None = None) -> Image.Image:
    """(1,3,H,W) or (3,H,W) in [0,1] (clamped, rounded) -> 8-bit RGB, or RGBA with `alpha` (1,1,H,W)."""
    image = image[None] if image.dim() == 3 else image
    if image.dim() != 4 or image.shape[:2] != (1, 3) or image.numel() == 0:
        raise ImageError(f"Expected one RGB image (1,3,H,W), got {tuple(image.shape)}; pass one at a time.")
    if alpha is not None:
        if alpha.shape != (1, 1, *image.shape[-2:]):
            raise ImageError(f"Alpha {tuple(alpha.shape)} does not fit {tuple(image.shape)}; resize it.")
        image = torch.cat([image, alpha.to(image)], dim=1)
    image = image.detach().float()
    if not torch.isfinite(image).all():
        raise ImageError("The image holds NaN or infinite values; run again in float32 or report the photo.")
    levels = image[0].clamp(0, 1).mul(255).round().to(torch.uint8)
    return Image.fromarray(levels.permute(1, 2, 0).contiguous().cpu().numpy())


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
        target = -(-size // multiple) * multiple
        if target != size:
            period = max(2 * (size - 1), 1)
            place = torch.arange(target, device=x.device) % period
            x = x.index_select(dim, torch.minimum(place, period - place).clamp_max(size - 1))
    return x, (height, width)


def crop(x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """The top left (h, w) of (B,C,H,W): undoes `pad_to_multiple`."""
    return x[..., : size[0], : size[1]]
