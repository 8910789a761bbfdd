"""Scratches, hairs and dust found on a photo: thin lines and specks that stand out of what lies around them.

A line is what is brighter (or darker) than both of its sides over a stretch of 2 REACH + 1 pixels, in both
halves of it, and more so than the texture of its surroundings. Pixels over a lower threshold join those over
a higher one (hysteresis, Canny 1986), and only long, thin components stay that a
logistic regression takes for scratches. A speck is what an opening removes
(the top-hat transform), if its surroundings are smooth. It is meant for photos whose owner says that they are
old: a wire before the sky is a line too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from lwr.images.pixels import to_unit

ANGLES, REACH = 16, 10
SIDES = (3, 6)  # pixels from the middle of a line to what lies beside it
LINE, LINE_LOW = 0.12, 0.06  # contrast of a line, of 1
BUSY = 5.0  # times the texture around, which it has to exceed
WINDOW = 65  # pixels a side, over which texture is measured
NEAR = 33  # pixels a side of what lies around a line
LONG, THIN = 25, 3.0  # pixels; how many times as long as wide
# How sure it is that a line is a scratch: logits of a logistic regression, fitted once on the lines found on
# 40 training photos, clean and with made scratches
BIAS = -10.85
WEIGHTS = {
    "log length": 0.262,
    "log of contrast to texture": 3.518,
    "log contrast": 1.332,
    "log of length to width": 0.186,
    "brightness": 1.217,
    "change around it": 12.763,
    "change along it": -5.039,
    "below the brightest": -3.239,
}
SURE, LIKELY = 0.0, -2.5  # of a photo that has one of the first, the second count too
SPECK, SPECK_LOW = 0.16, 0.08
SPECK_BUSY = 40.0, 20.0  # of a photo without scratches, and of one with them
DETAIL = 2_000_000  # pixels to which a larger scan is reduced first
LARGEST = 90  # pixels of a speck


def find_scratches(photo: torch.Tensor) -> torch.Tensor:
    """(H,W) bool, True where a photo (1,3,H,W), levels or floats in [0,1], is scratched or dusty."""
    height, width = photo.shape[-2:]
    times = max(1, round((height * width / DETAIL) ** 0.5))
    gray = torch.cat([to_unit(rows)[0].mean(0) for rows in photo.split(256 * times, -2)])
    if times > 1:
        gray = F.avg_pool2d(gray[None, None], times, ceil_mode=True, count_include_pad=False)[0, 0]
    found = torch.zeros_like(gray, dtype=torch.bool)
    if min(gray.shape) <= 2 * REACH + max(SIDES):
        return torch.zeros(height, width, dtype=torch.bool)
    both = [(Lines.of(values), values) for values in (gray, 1 - gray)]
    scratched = any(bool((lines.score > SURE).any()) for lines, _ in both)
    for lines, values in both:
        found |= lines.drawn(LIKELY if scratched else SURE) | _specks(values, SPECK_BUSY[scratched])
    found = _highest(found.float(), 3)[None, None]
    return F.interpolate(found, scale_factor=times)[0, 0, :height, :width] > 0


@dataclass(frozen=True)
class Lines:
    """The thin, long components of a picture."""

    mask: torch.Tensor  # (H,W) bool
    label: torch.Tensor  # (N,) of each of its pixels
    score: torch.Tensor  # (N,) of the line with each label

    @classmethod
    def of(cls, values: torch.Tensor) -> Lines:
        """Those brighter than what is around them in (H,W)."""
        response = _line_response(values)
        ratio = response / (_mean(response, WINDOW) + 1e-3)
        strong = (response > LINE) & (ratio > BUSY)
        mask = strong | ((response > LINE_LOW) & (ratio > BUSY / 2))
        places = mask.nonzero()
        parts = Components(places, _labels(mask, places))
        near = _mean(values, NEAR)
        length, width = parts.sides()
        bright, along = parts.statistics(values[mask])
        measured = {
            "log length": length.log(),
            "log of contrast to texture": parts.mean(ratio[mask]).log(),
            "log contrast": parts.mean(response[mask]).log(),
            "log of length to width": (length / width).log(),
            "brightness": bright,
            "change around it": parts.statistics(near[mask])[1],
            "change along it": along,
            "below the brightest": _quantile(values, 0.98) - bright,
        }
        score = BIAS + sum(WEIGHTS[name] * each for name, each in measured.items())
        wanted = parts.any(strong[mask]) & (length >= LONG) & (length >= THIN * width)
        return cls(mask, parts.label, torch.where(wanted, score, -torch.inf))

    def drawn(self, least: float) -> torch.Tensor:
        """(H,W) bool, those of this score or more."""
        found = torch.zeros_like(self.mask)
        found[self.mask] = self.score[self.label] > least
        return found


def _line_response(values: torch.Tensor) -> torch.Tensor:
    """(H,W) -> how much brighter than both sides a line through a pixel is in its weaker half, from 0 on."""
    height, width = values.shape
    pad = 2 * REACH + max(SIDES)
    wide = F.pad(values[None, None], (pad,) * 4, mode="reflect")[0, 0]
    best = torch.zeros_like(values)
    for number in range(ANGLES):
        angle = math.pi * number / ANGLES
        down, across = math.sin(angle), math.cos(angle)
        run, edge = _runs(wide, down, across), pad - REACH
        for side in SIDES:
            aside = round(across * side), round(-down * side)
            weakest = None
            # the halves reach from each pixel on to both directions
            for end in (0, REACH):
                top, left = edge - round(down * end), edge - round(across * end)
                middle, one, other = (
                    run[top + s * aside[0] :, left + s * aside[1] :][:height, :width] for s in (0, 1, -1)
                )
                stands = middle - torch.maximum(one, other)
                weakest = stands if weakest is None else torch.minimum(weakest, stands)
            best = torch.maximum(best, weakest)
    return best


def _runs(wide: torch.Tensor, down: float, across: float) -> torch.Tensor:
    """Means from each pixel on along a direction, REACH further; without a border of REACH pixels."""
    height, width = (side - 2 * REACH for side in wide.shape)
    total = wide.new_zeros(height, width)
    for step in range(REACH + 1):
        top, left = REACH + round(down * step), REACH + round(across * step)
        total += wide[top : top + height, left : left + width]
    return total / (REACH + 1)


def _specks(values: torch.Tensor, busy: float) -> torch.Tensor:
    """(H,W) bool, True where there are small bright ones, `busy` times the texture around."""
    hat = values - _highest(-_highest(-values, 11), 11)
    texture = _mean((values - _mean(values, 5)).abs(), WINDOW // 2 + 1) + 1e-3
    strong = (hat > SPECK) & (hat > busy * texture)
    mask = strong | ((hat > SPECK_LOW) & (hat > busy / 2 * texture))
    places = mask.nonzero()
    parts = Components(places, _labels(mask, places))
    wanted = parts.any(strong[mask]) & (parts.count <= LARGEST) & (parts.count >= 4)
    found = torch.zeros_like(mask)
    found[mask] = wanted[parts.label]
    return found


def _highest(values: torch.Tensor, side: int) -> torch.Tensor:
    return F.max_pool2d(values[None, None], side, 1, side // 2)[0, 0]


def _mean(values: torch.Tensor, side: int) -> torch.Tensor:
    """(H,W) -> means over squares of `side` pixels, of what lies inside."""
    maps = F.avg_pool2d(values[None, None], (1, side), 1, (0, side // 2), count_include_pad=False)
    return F.avg_pool2d(maps, (side, 1), 1, (side // 2, 0), count_include_pad=False)[0, 0]


def _quantile(values: torch.Tensor, share: float) -> torch.Tensor:
    step = max(1, values.numel() // 1_000_000)  # torch takes no more at a time
    return values.flatten()[::step].quantile(share)


class Components:
    """Connected pixels; what is measured of them lies at their label."""

    def __init__(self, places: torch.Tensor, label: torch.Tensor) -> None:
        """`places` (N,2) and (N,) the label of each, which is the number of one of them."""
        self.places, self.label = places.float(), label
        self.count = self._sum(torch.ones(len(label)))

    def _sum(self, values: torch.Tensor) -> torch.Tensor:
        return values.new_zeros(values.shape).index_add_(0, self.label, values)

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """(N,...) of pixels -> of components."""
        count = self.count.clamp_min(1)
        return self._sum(values) / (count if values.dim() == 1 else count[:, None])

    def any(self, values: torch.Tensor) -> torch.Tensor:
        """Whether it holds for any of their pixels."""
        return self._sum(values.float()) > 0

    def statistics(self, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(mean, standard deviation)."""
        mean = self.mean(values)
        return mean, self.mean((values - mean[self.label]).square()).sqrt()

    def sides(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(length, width) in pixels, the length of a straight line with these second moments."""
        away = self.places - self.mean(self.places)[self.label]
        down, across = away.T
        yy, xy, xx = self.mean(torch.stack([down**2, down * across, across**2], 1)).T
        length = (6 * (yy + xx + ((yy - xx) ** 2 + 4 * xy**2).sqrt())).sqrt() + 1
        return length, self.count / length


def _labels(mask: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """(N,): for each of the N pixels of a mask the lowest number of those it is connected to."""
    number = torch.full((mask.shape[0] + 2, mask.shape[1] + 2), -1)
    number[1:-1, 1:-1][mask] = torch.arange(len(places))
    pairs = []
    for down, across in ((0, 1), (1, -1), (1, 0), (1, 1)):
        other = number[places[:, 0] + 1 + down, places[:, 1] + 1 + across]
        here = (other >= 0).nonzero()[:, 0]
        pairs.append(torch.stack([here, other[here]]))
    one, other = torch.cat(pairs, 1)
    label, before = torch.arange(len(places)), None
    while before is None or not label.equal(before):
        before = label
        least = torch.minimum(label[one], label[other])
        label = label.clone()
        for end in (before[one], before[other], one, other):
            label.scatter_reduce_(0, end, least, "amin")
        label = label[label]
    return label
