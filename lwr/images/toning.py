"""Photos of one hue, such as gray, sepia or cyanotype: their colour follows from brightness, and stays so.

A network restores three channels and tints what has no colour of its own. So the tint is read from the photo
as a curve over brightness, and what is restored takes its brightness from the network and its tint from the
curve; for a gray photo that is R = G = B.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from lwr.images.pixels import to_unit

BINS = 64  # of brightness
BLOCK = 16  # pixels a side: within one, JPEG's coarse colours are right on average
# How far blocks of a photo of one hue may be from its curve: 8-bit levels, root mean square and the worst.
RMS, WORST = 1.5, 6.0
SLACK = 0.1  # of the strongest tint, which the worst block may be further away; a quarter for the mean
STRONG = 75 / 255  # a tint over it is no sepia or blue toner: a leaf, or made by a program, and then exact
HUES = 0.15  # share of the strongest tint by which others may point elsewhere
READ, STRIP = 1e6, 512  # pixels that the curve is made from, rows that are compared with it at a time


@dataclass(frozen=True)
class Toning:
    """`tint` (BINS + 2, 3): what is added to a brightness to give RGB, from black to white in even steps."""

    tint: torch.Tensor

    def apply(self, image: torch.Tensor) -> torch.Tensor:
        """(B,3,H,W) about [0,1] -> the same brightness, within [0,1], in the photo's hue."""
        brightness = image.mean(1).clamp(0, 1)
        return (brightness[:, None] + self._tint(brightness)).expand(-1, 3, -1, -1)

    def of_one_hue(self) -> bool:
        """Whether all tints point one way; orange shadows under blue lights do not."""
        tint = self.tint[self.tint.square().sum(1).argmax()]
        along = self.tint @ tint / tint.norm().clamp_min(1e-6)
        across = (self.tint - along[:, None] * tint / tint.norm().clamp_min(1e-6)).norm(dim=1)
        slack = RMS / 255 + HUES * along.max()
        return bool(-along.min() <= slack and across.square().mean().sqrt() <= slack)

    def _tint(self, brightness: torch.Tensor) -> torch.Tensor:
        """(B,H,W) in [0,1] -> (B,3,H,W), between the nearest two values of the curve."""
        tint, steps = self.tint.to(brightness), len(self.tint) - 1
        if not tint.any():
            return brightness.new_zeros(())
        place = brightness * steps
        below = place.floor().clamp(max=steps - 1)
        first, second = (tint[(below + one).long()] for one in (0, 1))
        return torch.lerp(first, second, (place - below)[..., None]).movedim(-1, 1)


def find_toning(photo: torch.Tensor) -> Toning | None:
    """The hue of a photo (1,3,H,W), levels or floats in [0,1], that has only one; None for one in colour.

    No place may be far off: a gray photo with one red flower is in colour.
    """
    step = max(1, int((photo.shape[-2] * photo.shape[-1] / READ) ** 0.5))
    toning = Toning(_curve(to_unit(photo[0, :, ::step, ::step]).flatten(1)))
    strongest = toning.tint.abs().max().item()
    slack = SLACK * strongest if strongest <= STRONG else 0.0
    if not toning.of_one_hue():
        return None
    squares = places = 0.0
    for strip in photo.split(STRIP, -2):
        strip = to_unit(strip)
        away = strip - toning.apply(strip)
        away = F.adaptive_avg_pool2d(away, [max(1, side // BLOCK) for side in away.shape[-2:]])
        if away.abs().max() > WORST / 255 + slack:
            return None
        squares, places = squares + away.square().sum().item(), places + away.numel()
    return toning if (squares / places) ** 0.5 <= RMS / 255 + slack / 4 else None


def _curve(pixels: torch.Tensor) -> torch.Tensor:
    """(3,N) -> (BINS + 2, 3): the mean tint by brightness; 0 at black and white if the photo has neither."""
    brightness = pixels.mean(0)
    place = brightness.cpu().numpy().astype(np.float64) * (BINS + 1)
    below = np.minimum(place.astype(np.int64), BINS)
    shares = place - below  # of the upper of the two nearest brightnesses

    def total(values: np.ndarray | None) -> np.ndarray:
        sums = np.bincount(below, values, BINS + 2).astype(np.float64)
        above = np.bincount(below, shares if values is None else values * shares, BINS + 2)
        sums -= above
        sums[1:] += above[:-1]
        return sums

    count = total(None)
    seen = count > 0
    totals = np.stack([total(each) for each in (pixels - brightness).cpu().numpy()], -1)
    tint = (totals / np.maximum(count, 1e-9)[:, None])[seen]
    places = np.flatnonzero(seen)
    steps, known = np.arange(BINS + 2), [0, *places, BINS + 1]
    inside = np.stack([np.interp(steps, known, [0, *column, 0]) for column in tint.T], -1)
    inside[places] = tint
    return torch.from_numpy(inside).float()
