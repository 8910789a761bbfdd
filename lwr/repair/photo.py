"""A photo repaired before a network sees it: painted and scratched places, faded colours."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image

from lwr.images.photo import Loaded
from lwr.repair.fading import find_fading
from lwr.repair.fill import fill
from lwr.repair.mask import read_mask
from lwr.repair.scratches import find_scratches

EMPTY = "The mask is empty: there was nothing to fill."
INTACT = "No scratches and no dust were found that are sure enough to be filled."
NOT_FADED = "The colours are not faded: they were left as they are."


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
    old: bool = False,
    spend: bool = False,
    share: float | None = None,
) -> Repaired:
    """The photo with what is painted in `mask` filled, see `read_mask`; None: nothing is.

    Of an `old` photo scratches and dust are found and filled too, and faded colours are corrected, by a
    `share` of it, None: all. `spend`: its levels may be changed in place. Raises ImageError for a bad mask.
    """
    hole, notes = torch.zeros(photo.size, dtype=torch.bool), []
    if mask is not None:
        hole = read_mask(mask, photo.size)
        notes.append(f"Filled as painted: {_amount(hole)}." if hole.any() else EMPTY)
    if old:
        scratched = find_scratches(photo.pixels)
        notes.append(f"Scratches and dust filled: {_amount(scratched)}." if scratched.any() else INTACT)
        hole |= scratched
    filled, faded, pixels = int(hole.sum()), 0.0, photo.pixels
    if filled:
        pixels = fill(pixels, hole, spend)
    if old:
        fading = find_fading(pixels)
        faded = fading.strength if share is None else round(fading.strength * share, 2)
        fading = dataclasses.replace(fading, strength=faded)
        notes.append(f"Faded colours corrected (strength {faded:g})." if faded else NOT_FADED)
        pixels = fading.undone(pixels) if faded else pixels
    return Repaired(dataclasses.replace(photo, pixels=pixels), filled, faded, tuple(notes))


def _amount(hole: torch.Tensor) -> str:
    """ "1,234 pixels (0.50%)"."""
    count = int(hole.sum())
    return f"{count:,} pixel{'s' if count > 1 else ''} ({count / hole.numel():.2%})"
