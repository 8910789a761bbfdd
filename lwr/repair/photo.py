"""A photo repaired before a network sees it: painted and scratched places, faded colours."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image

from lwr.images.photo import Loaded
from lwr.repair.fading import find_fading, is_too_small
from lwr.repair.fill import fill
from lwr.repair.mask import read_mask
from lwr.repair.scratches import find_scratches

EMPTY = "The mask is empty: there was nothing to fill."
INTACT = "No scratches and no dust were found that are sure enough to be filled."
NOT_FADED = "The colours are not faded: they were left as they are."
HAZY = "The photo is hazy, which looks like fading: its colours were left as they are."
TOO_SMALL = "The photo is too small to tell whether its colours have faded: they were left as they are."


@dataclass(frozen=True)
class Repaired:
    """The photo and what was done to it."""

    photo: Loaded
    filled: int = 0  # pixels
    faded: float = 0.0  # share of the fading that was undone
    notes: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether it is another photo now."""
        return self.filled > 0 or self.faded > 0


def repair(
    photo: Loaded,
    mask: Image.Image | str | Path | None,
    repairs: Collection[str] = (),
    spend: bool = False,
    share: float | None = None,
    is_hazy: Callable[[torch.Tensor], bool] = lambda _: False,
) -> Repaired:
    """The photo with what is painted in `mask` filled, see `read_mask`; None: nothing is.

    Of `repairs`, "scratches" finds and fills scratches and dust, and "fading" corrects faded colours, by a
    `share` of it, None: all, unless the photo `is_hazy`, as haze looks like fading. `spend`: its levels may
    be changed in place. Raises ImageError for a bad mask.
    """
    hole, notes = torch.zeros(photo.size, dtype=torch.bool), []
    if mask is not None:
        hole = read_mask(mask, photo.size)
        notes.append(f"Filled as painted: {_amount(hole)}." if hole.any() else EMPTY)
    scratched = find_scratches(photo.pixels) if repairs else None
    if "scratches" in repairs:
        notes.append(f"Scratches and dust filled: {_amount(scratched)}." if scratched.any() else INTACT)
        hole |= scratched
    filled, faded, pixels = int(hole.sum()), 0.0, photo.pixels
    if filled:
        pixels = fill(pixels, hole, spend)
    if "fading" in repairs:
        fading, hazy = find_fading(pixels, scratched), False
        faded = fading.strength if share is None else round(fading.strength * share, 2)
        if faded and (hazy := is_hazy(pixels)):
            faded = 0.0
        why_not = HAZY if hazy else TOO_SMALL if is_too_small(pixels) else NOT_FADED
        notes.append(f"Faded colours corrected (strength {faded:g})." if faded else why_not)
        pixels = dataclasses.replace(fading, strength=faded).undone(pixels) if faded else pixels
    return Repaired(dataclasses.replace(photo, pixels=pixels), filled, faded, tuple(notes))


def _amount(hole: torch.Tensor) -> str:
    """ "1,234 pixels (0.50%)"."""
    count = int(hole.sum())
    return f"{count:,} pixel{'s' if count > 1 else ''} ({count / hole.numel():.2%})"
