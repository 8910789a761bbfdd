"""Faded and yellowed colours: each channel gets back its black and its white.

Dyes and silver that fade raise the blacks and lower the whites, and paper turns yellow, so blue loses most. A
photo that has a black somewhere is not faded, whatever its colours are. Of a photo in one hue (gray, sepia)
all channels are stretched alike, and it keeps its hue.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from lwr.images.pixels import to_levels, to_unit
from lwr.images.toning import find_toning

ENDS = 0.002, 0.998  # shares of pixels under black and under white
GRAY = 0.12, 0.15  # blacks up to the first are none that faded, from the second on all of it is undone
BLACK, WHITE = 0.03, 0.95  # what black and white become
WIDE = 0.95  # range from black to white from which on nothing faded
CAST = 0.75  # share of the difference between channels that is undone: scenes have colours too
SLIGHT = 0.1  # strengths under it are none: nobody sees them, and good photos have them
LEAST = 4096  # pixels of a photo from which on black and white are more than a handful of them
READ, STRIP = 250_000, 512  # pixels that black and white are read from, rows that are changed at a time


@dataclass(frozen=True)
class Fading:
    """How the channels changed: `black` and `white`, three values each."""

    black: tuple[float, ...]
    white: tuple[float, ...]
    strength: float  # how much of it is undone, 0: the photo is not faded

    def undone(self, photo: torch.Tensor) -> torch.Tensor:
        """(1,3,H,W), levels or floats in [0,1] -> a copy of the same kind without it."""
        black, white = (torch.tensor(ends).view(1, 3, 1, 1) for ends in (self.black, self.white))
        corrected = torch.empty_like(photo)
        for start in range(0, photo.shape[-2], STRIP):
            rows = slice(start, start + STRIP)
            values = to_unit(photo[..., rows, :])
            stretched = BLACK + (values - black) / (white - black) * (WHITE - BLACK)
            values = torch.lerp(values, stretched.clamp(0, 1), self.strength)
            corrected[..., rows, :] = to_levels(values) if photo.dtype == torch.uint8 else values
        return corrected


def is_too_small(photo: torch.Tensor) -> bool:
    """Whether a photo (1,3,H,W) is too small to tell."""
    return photo.shape[-2] * photo.shape[-1] < LEAST


def find_fading(photo: torch.Tensor, besides: torch.Tensor | None = None) -> Fading:
    """How faded a photo (1,3,H,W) is, levels or floats in [0,1]; `besides` (H,W) bool says nothing of it.

    A scratch is whiter, or dust blacker, than anything that faded.
    """
    step = max(1, int((photo.shape[-2] * photo.shape[-1] / READ) ** 0.5))
    small = to_unit(photo[..., ::step, ::step])
    told = torch.ones(small.shape[-2:]) if besides is None else (~besides[::step, ::step]).float()
    if min(small.shape[-2:]) >= 3:
        small, told = (F.avg_pool2d(one, 3, 1) for one in (small, told[None]))  # one black pixel is noise
    channels = small[0, :, told.view(small.shape[-2:]) == 1]
    if not channels.numel():
        return Fading((0.0,) * 3, (1.0,) * 3, 0.0)
    black, white = channels.quantile(torch.tensor(ENDS), dim=1)
    if find_toning(photo) is not None:
        black, white = black.mean().expand(3), white.mean().expand(3)
    else:
        black, white = (torch.lerp(ends.mean().expand(3), ends, CAST) for ends in (black, white))
    gray = float((black.min() - GRAY[0]) / (GRAY[1] - GRAY[0]))
    narrow = float((white - black).mean()) < WIDE and float((white - black).min()) > 0.1
    strength = min(1.0, gray) if narrow and gray >= SLIGHT and not is_too_small(photo) else 0.0
    return Fading(tuple(black.tolist()), tuple(white.tolist()), round(strength, 2))
