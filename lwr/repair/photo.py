"""A photo whose holes are filled before anything else is done to it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image

from lwr.images.photo import Loaded
from lwr.repair.fill import fill
from lwr.repair.mask import read_mask

EMPTY = "The mask is empty: there was nothing to fill."


@dataclass(frozen=True)
class Repaired:
    """The photo and what was done to it."""

    photo: Loaded
    filled: int = 0  # pixels
    notes: tuple[str, ...] = ()


def repair(photo: Loaded, mask: Image.Image | str | Path | None, spend: bool = False) -> Repaired:
    """The photo with what is painted in `mask` filled, see `read_mask`; None: as it is.

    `spend`: its levels may be changed in place. Raises ImageError for a bad mask.
    """
    if mask is None:
        return Repaired(photo)
    hole = read_mask(mask, photo.size)
    count = int(hole.sum())
    if not count:
        return Repaired(photo, notes=(EMPTY,))
    pixels = fill(photo.pixels, hole, spend)
    return Repaired(
        dataclasses.replace(photo, pixels=pixels), count, (f"Filled as painted: {amount(count, hole)}.",)
    )


def amount(count: int, hole: torch.Tensor) -> str:
    """ "1,234 pixels (0.5%)" of a photo as large as `hole`."""
    return f"{count:,} pixel{'s' if count > 1 else ''} ({count / hole.numel():.2%})"
