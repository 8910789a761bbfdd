"""Drops of water on the lens or on a pane before it: each a small wide-angle lens that nobody focused.

A drop shows much of the scene, small, upside down and left to right, darker where it is steep at its border.
Lens and drops are near, so their borders are soft (Qian et al. 2018, "Attentive GAN for raindrop removal").
"""

import math
import random
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from lwr.degrade.draw import log_uniform


@dataclass(frozen=True)
class Drops:
    """The drops of one photo; with `seed`, each of them."""

    count: int
    smallest: float  # radius, as a share of the photo's short side
    largest: float
    edge: float  # share of the radius over which a drop ends, in (0,1]
    view: float  # how many times smaller than beside it the scene is in a drop
    blur: float  # of what a drop shows: standard deviation as a share of its radius, about
    rim: float  # share of the light that is lost at the border, in [0,1]
    sag: float  # share of the radius by which gravity makes drops longer below
    seed: int


@dataclass(frozen=True)
class Drop:
    """One drop."""

    x: float  # of its middle, as a share of the photo's width
    y: float
    radius: float  # as a share of the photo's short side
    bumps: tuple[float, float, float]  # share of the radius by which it has 2, 3 and 4 bulges
    turn: float  # radians


def sample_drops(stream: random.Random) -> Drops:
    """A few large ones to many small ones, from nearly sharp to far out of focus."""
    largest = log_uniform(stream, 0.025, 0.11)
    return Drops(
        count=round(log_uniform(stream, 8, 90) * min(1.0, (0.05 / largest))),
        smallest=largest * stream.uniform(0.15, 0.5),
        largest=largest,
        edge=log_uniform(stream, 0.15, 0.9),
        view=log_uniform(stream, 3.0, 9.0),
        blur=log_uniform(stream, 0.06, 0.4),
        rim=stream.uniform(0.1, 0.7),
        sag=stream.uniform(0.0, 0.35),
        seed=stream.getrandbits(32),
    )


def each_drop(drops: Drops) -> list[Drop]:
    """All of them; of two records that differ in `count` only, the smaller set is part of the larger."""
    stream = random.Random(drops.seed)
    return [
        Drop(
            x=stream.uniform(-0.02, 1.02),
            y=stream.uniform(-0.02, 1.02),
            # Small ones are the most
            radius=drops.smallest + (drops.largest - drops.smallest) * stream.random() ** 2,
            bumps=(stream.uniform(-0.14, 0.14), stream.uniform(-0.08, 0.08), stream.uniform(-0.05, 0.05)),
            turn=stream.uniform(0, 2 * math.pi),
        )
        for _ in range(drops.count)
    ]


def see_through(light: torch.Tensor, drops: Drops) -> tuple[torch.Tensor, torch.Tensor]:
    """One photo (1,3,H,W) in linear light with drops before it, and their opacity (1,1,H,W) in [0,1]."""
    cover, across, down, shade = lay_out(light, drops)
    size = light.shape[-2:]
    out_of_focus = (
        drops.blur * drops.largest * min(size)
    )  # pixels in a drop, where the scene is so much smaller
    step = drops.view * max(1.0, 2 * out_of_focus)
    small = F.interpolate(light, [max(round(side / step), 3) for side in size], mode="area")
    place = torch.stack([2 * across / size[1] - 1, 2 * down / size[0] - 1], -1)[None]
    inside = F.grid_sample(small, place, padding_mode="reflection", align_corners=False)
    return light + cover * (inside * shade - light), cover[None, None]


def lay_out(light: torch.Tensor, drops: Drops) -> tuple[torch.Tensor, ...]:
    """(H,W) each for a photo (1,3,H,W): opacity of drops, which pixel (x, y) one shows there, its brightness.

    Where two drops meet the more opaque one is seen.
    """
    height, width = light.shape[-2:]
    maps = light.new_zeros(4, height, width)
    for drop in each_drop(drops):
        radius = max(drop.radius * min(height, width), 1.0)
        x, y = drop.x * width, drop.y * height
        reach = radius * (1 + drops.edge / 2) * (1.25 + drops.sag)
        top, bottom, left, right = (
            min(max(math.floor(value), 0), side)
            for value, side in (
                (y - reach, height),
                (y + reach + 1, height),
                (x - reach, width),
                (x + reach + 1, width),
            )
        )
        if top < bottom and left < right:
            part = maps[:, top:bottom, left:right]
            row = (
                torch.arange(top, bottom, device=light.device, dtype=light.dtype)[:, None] + 0.5 - y
            ) / radius
            column = (torch.arange(left, right, device=light.device, dtype=light.dtype) + 0.5 - x) / radius
            drawn = _draw(drop, drops, column, row)
            drawn[1], drawn[2] = x - radius * drawn[1], y - radius * drawn[2]
            part.copy_(torch.where(drawn[0] > part[0], drawn, part))
    return tuple(maps)


def _draw(drop: Drop, drops: Drops, column: torch.Tensor, row: torch.Tensor) -> torch.Tensor:
    """(4,h,w) at places (w) and (h,1) seen from its middle, in radii: opacity, x and y shown, brightness."""
    distance, bearing = torch.hypot(column, row), torch.atan2(row, column)
    border = 1 + drops.sag * torch.sin(bearing).clamp(min=0)
    for bulges, size in enumerate(drop.bumps, 2):
        border = border + size * torch.cos(bulges * bearing + drop.turn * bulges)
    share = distance / border
    opacity = ((1 - share) / drops.edge + 0.5).clamp(0, 1)
    opacity = opacity * opacity * (3 - 2 * opacity)
    bulge = drops.view * (1 + 0.4 * share * share)  # towards its border a drop bends light more
    brightness = 1 - drops.rim * share.clamp(max=1).pow(4)
    return torch.stack([opacity, bulge * column.expand_as(share), bulge * row.expand_as(share), brightness])
