"""Tones of a restored photo: from an overview of the whole, or, where the photo is plain, from the photo."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F

TONE_REACH, TONE_PASSES = 2, 3  # pixels of the overview either way
CELL, FINE = 16, 4  # pixels a side of the cells that are plain or not; values a side that tell
FLAT = 8  # pixels
SPREAD = 6 / 255  # standard deviation of these from which on a cell is not plain; up to half of it, it is


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
    plain = plain_share(_reduced(reference, [count * FINE for count in cells]))
    return _add_smoothly(image, (_reduced(reference, cells) - _reduced(image, cells)) * plain)


def plain_share(fine: torch.Tensor) -> torch.Tensor:
    """FINE values a side of each cell (B,C,FINE*h,FINE*w) -> how plain it is, (B,1,h,w) in [0,1]."""
    mean, square = (F.avg_pool2d(x, FINE) for x in (fine, fine.square()))
    spread = (square - mean.square()).clamp_min(0).sqrt().amax(1, keepdim=True)
    return ((SPREAD - spread) / SPREAD * 2).clamp(0, 1)


def smoothed(difference: torch.Tensor) -> torch.Tensor:
    """(B,C,h,w) -> the same, mixed up to TONE_REACH * TONE_PASSES values away."""
    for _ in range(TONE_PASSES):  # boxes one after the other come close to a Gaussian
        padded = F.pad(difference, (TONE_REACH,) * 4, mode="replicate")
        difference = F.avg_pool2d(padded, 2 * TONE_REACH + 1, 1)
    return difference


def keep_flat(image: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """`image` (B,C,H,W) as `reference` wherever that is of one colour FLAT pixels either way. In place.

    There is nothing to restore in the middle of pure white, black or any other even colour.
    """
    side = 2 * FLAT + 1
    highest, lowest = (sign * F.max_pool2d(sign * reference, (side, 1), 1, (FLAT, 0)) for sign in (1, -1))
    highest, lowest = (
        sign * F.max_pool2d(sign * x, (1, side), 1, (0, FLAT)) for sign, x in ((1, highest), (-1, lowest))
    )
    flat = (highest == lowest).all(1, keepdim=True)
    return image.copy_(torch.where(flat, reference, image))


def _reduced(image: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    return F.interpolate(image, tuple(size), mode="area")


def _add_smoothly(image: torch.Tensor, difference: torch.Tensor) -> torch.Tensor:
    """`image` (B,C,H,W) + `difference` (B,C,h,w), smoothed and enlarged; in place."""
    image += F.interpolate(smoothed(difference), image.shape[-2:], mode="bilinear")
    return image
