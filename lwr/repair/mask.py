"""What a user has painted to be filled: a picture of the photo's size, white or on a transparent layer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from lwr.images.errors import ImageError
from lwr.images.pixels import to_unit
from lwr.images.reading import load

MOST = 32  # pixels across that a hole may be at its widest: beyond, nothing around it says what was there
HALF = MOST // 2


def read_mask(mask: Image.Image | str | Path, size: tuple[int, int]) -> torch.Tensor:
    """(H,W) bool, True where it is to be filled, of a mask for a photo of `size` (H,W).

    With transparency, what is opaque is filled; else what is brighter than mid-gray. ImageError for what is
    no picture, has another size, or a hole that is too wide.
    """
    hole = _holes(mask)
    if hole.shape != tuple(size):
        (height, width), (high, wide) = hole.shape, size
        raise ImageError(
            f"The mask has {width}x{height} pixels and the photo {wide}x{high}: "
            "give a mask of the photo's size."
        )
    refuse_wide(hole)
    return hole


def painted(mask: Image.Image | str | Path | None) -> int:
    """How many pixels a mask asks to fill, whatever its photo; ImageError for what is no picture."""
    return 0 if mask is None else int(_holes(mask).sum())


def _holes(mask: Image.Image | str | Path) -> torch.Tensor:
    try:
        picture = load(mask)
    except ImageError as error:  # without its folders, which no visitor of a page should see
        raise ImageError(f"The mask cannot be used: {str(error).replace(str(mask), 'it')}") from error
    layer = picture.alpha is not None and bool((picture.alpha < 0.5).any())
    return (picture.alpha[0, 0] if layer else to_unit(picture.pixels)[0].mean(0)) >= 0.5


def check_width(mask: Image.Image) -> None:
    """ImageError when what is white in a mask of mode "1" is too wide to be filled."""
    refuse_wide(torch.from_numpy(np.array(mask)))


def refuse_wide(hole: torch.Tensor) -> None:
    """ImageError when a hole (H,W) bool is anywhere wider than MOST."""
    rows, columns = (hole.any(side).nonzero()[:, 0].tolist() for side in (1, 0))
    if not rows:
        return
    top, left = max(0, rows[0] - 1), max(0, columns[0] - 1)  # with what is known around, if anything is
    wide = beyond(hole[top : rows[-1] + 2, left : columns[-1] + 2], HALF)
    if wide.any():
        y, x = divmod(int(wide.flatten().byte().argmax()), wide.shape[1])
        x, y = x + left, y + top
        raise ImageError(
            f"The mask has a hole wider than {MOST} pixels (around {x}, {y}), and larger ones cannot be "
            "filled by this prior: paint over less, or make photo and mask smaller first."
        )


def beyond(hole: torch.Tensor, distance: int) -> torch.Tensor:
    """(H,W) bool -> the places from which no place outside the hole is within `distance` pixels.

    Beyond the edge of the photo nothing is known. Rows after columns, as in exact Euclidean distance
    transforms (Felzenszwalb and Huttenlocher 2012).
    """
    far = distance + 1
    upright = hole.to(torch.uint8) * far  # the distance along a column, up to `far`
    for step in range(1, far):
        for here, there in ((slice(step, None), slice(None, -step)), (slice(None, -step), slice(step, None))):
            near = ~hole[there]
            upright[here] = torch.where(near, upright[here].clamp_max(step), upright[here])
    found = ~hole
    for step in range(min(far, hole.shape[1])):
        near = upright <= int((distance**2 - step**2) ** 0.5)
        found[:, step:] |= near[:, : near.shape[1] - step]
        found[:, : near.shape[1] - step] |= near[:, step:]
    return ~found
