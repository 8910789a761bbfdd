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
    across, down = ((reference.diff(dim=dim) != 0).any(1, keepdim=True) for dim in (-1, -2))
    across = _any_near(_any_near(across, -1, FLAT, FLAT - 1), -2, FLAT, FLAT)  # between columns
    down = _any_near(_any_near(down, -2, FLAT, FLAT - 1), -1, FLAT, FLAT)  # between rows
    return image.copy_(torch.where(across | down, image, reference))


def _any_near(seen: torch.Tensor, dim: int, before: int, after: int) -> torch.Tensor:
    """Booleans: whether any from `before` places before to `after` places after is true.

    Between neighbours, where after = before - 1, there is one value less than there are neighbours.
    """
    shape = list(seen.shape)
    shape[dim] = before
    outside = seen.new_zeros(shape)
    near, width = torch.cat([outside, seen, outside], dim), 1
    wanted = before + after + 1
    while width < wanted:  # in steps of 1, 2, 4, ...
        step, left = min(width, wanted - width), near.shape[dim]
        near = near.narrow(dim, 0, left - step) | near.narrow(dim, step, left - step)
        width += step
    return near


def _reduced(image: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    return F.interpolate(image, tuple(size), mode="area")


def _add_smoothly(image: torch.Tensor, difference: torch.Tensor) -> torch.Tensor:
    """`image` (B,C,H,W) + `difference` (B,C,h,w), smoothed and enlarged; in place."""
    change = smoothed(difference)
    for i in range(image.shape[1]):  # one by one: of several the last bits depend on the number of threads
        image[:, i : i + 1] += F.interpolate(change[:, i : i + 1], image.shape[-2:], mode="bilinear")
    return image
