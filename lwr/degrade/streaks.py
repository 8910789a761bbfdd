"""Streaks of rain: what falling drops leave in a photo while its shutter is open.

Drops of about one size fall at about one speed, so their streaks are as long and as wide as they are near,
and the farther, the more there are (Garg and Nayar 2007, "Vision and rain"). A few layers stand for all
distances; within one, each streak has its own place, length, direction and strength.
"""

import math
import random
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from lwr.degrade.draw import log_uniform, normal, own_generator
from lwr.degrade.filtering import gaussian_each

DISTANCES = (8.0, 4.0, 2.0, 1.0)  # of the layers, the nearest as 1
SHARPEST = 0.45  # pixels, standard deviation across the finest streak that a photo shows
_STEP = 0.7  # pixels between the points of a streak
_POINTS = 2**18  # of streaks, drawn at a time
_PARTS = 2.0**24  # of opacity 1: points are summed as whole numbers, whose sum is the same in any order
_MARGIN = 2  # pixels beside the photo, where what lies outside is dropped


@dataclass(frozen=True)
class Layer:
    """The streaks of about one distance."""

    density: float  # streaks on 1000 pixels
    length: float  # pixels, median
    width: float  # pixels, standard deviation across
    opacity: float  # share of what is behind that a streak hides in its middle, median
    depth: float  # of the layer, as that of a scene in [0,1]; what is nearer hides it


@dataclass(frozen=True)
class Streaks:
    """All the streaks of one photo."""

    angle: float  # radians from straight down; falling to the right is positive
    fan: float  # radians by which the right side's angle is larger than the left side's
    scatter: float  # radians, standard deviation of a streak's own angle
    gusts: float  # share of the streaks that are missing where there are fewest, in [0,1]
    seed: int  # of where they are
    layers: tuple[Layer, ...]  # from far to near


def sample_streaks(stream: random.Random) -> Streaks:
    """From drizzle to downpour, still or in wind, at a short or a long exposure."""
    length, width = log_uniform(stream, 25.0, 120.0), log_uniform(stream, 0.8, 2.2)
    amount = log_uniform(stream, 0.2, 1.1)
    opacity = log_uniform(stream, 0.3, 0.75) * min(1.0, (50 / length) ** 0.5)  # a long streak is faint
    layers = [layer_at(distance, amount, length, width, opacity) for distance in DISTANCES]
    return Streaks(
        angle=min(max(normal(stream, 0, 0.25), -0.8), 0.8),
        fan=stream.uniform(-0.2, 0.2),
        scatter=log_uniform(stream, 0.01, 0.08),
        gusts=stream.uniform(0.0, 0.9),
        seed=stream.getrandbits(32),
        # Near drops are rare: many photos show none
        layers=tuple(layers[: stream.choices((2, 3, 4), (0.15, 0.4, 0.45))[0]]),
    )


def layer_at(distance: float, density: float, length: float, width: float, opacity: float) -> Layer:
    """The layer at `distance` of rain that has the rest of these values at distance 1.

    A streak finer than the photo shows is as wide as the finest, and fainter; so is one before the focus.
    """
    fine = width / distance
    share = min(1.0, fine / SHARPEST) * min(1.0, 0.4 + 0.3 * distance)
    return Layer(
        density=density * distance**1.7,
        length=length / distance,
        width=max(fine, SHARPEST),
        opacity=opacity * share**0.7,  # 1 would be one size of drops only, but the largest are seen most
        depth=(math.log2(distance) / 4) if distance > 1 else 0.0,
    )


def draw_streaks(
    streaks: Streaks, height: int, width: int, device: torch.device | str, dtype: torch.dtype
) -> torch.Tensor:
    """Opacity (N,1,H,W) in [0,1) of the layers of one photo, from far to near.

    Where the streaks are comes from the seed alone, the same on every device.
    """
    numbers = own_generator(streaks.seed, "cpu")
    drawn = [_draw_layer(streaks, layer, (height, width), device, dtype, numbers) for layer in streaks.layers]
    blurred = gaussian_each(torch.stack(drawn), [layer.width for layer in streaks.layers])
    inside = slice(_MARGIN, _MARGIN + height), slice(_MARGIN, _MARGIN + width)
    return 1 - torch.exp(-blurred[(..., *inside)])


def _draw_layer(
    streaks: Streaks,
    layer: Layer,
    size: tuple[int, int],
    device: torch.device | str,
    dtype: torch.dtype,
    numbers: torch.Generator,
) -> torch.Tensor:
    """(1,h,w): one layer's streaks as lines that are not yet as wide as they are; with `_MARGIN`."""
    height, width = size[0] + 2 * _MARGIN + 1, size[1] + 2 * _MARGIN + 1
    x, y, angle, length, peak, phase = _place(streaks, layer, size, device, dtype, numbers)
    points = math.ceil(2 * layer.length / _STEP)
    along = (torch.arange(points, device=device, dtype=dtype) + 0.5) / points - 0.5  # the streak is 1 long
    fade = (1 - 4 * along * along).pow(0.7)
    canvas = torch.zeros(height * width, device=device, dtype=torch.int64)
    each = max(_POINTS // points, 1)
    for some in torch.arange(len(x), device=device).split(each):
        reach = length[some] * along
        # Drops swing while they fall, so the light along a streak comes and goes
        swing = 1 + 0.3 * torch.cos(2 * math.pi * (1.5 * along + phase[some]))
        weight = peak[some] * (length[some] / points) * fade * swing
        column = (x[some] + torch.sin(angle[some]) * reach).clamp(-_MARGIN, size[1] + 1) + _MARGIN
        row = (y[some] + torch.cos(angle[some]) * reach).clamp(-_MARGIN, size[0] + 1) + _MARGIN
        left, top = column.floor(), row.floor()
        right, down = column - left, row - top
        corner = top.long() * width + left.long()
        for step, share in (
            (0, (1 - right) * (1 - down)),
            (1, right * (1 - down)),
            (width, (1 - right) * down),
            (width + 1, right * down),
        ):
            amount = (weight * share * _PARTS).round().long()
            canvas.index_add_(0, (corner + step).flatten(), amount.flatten())
    return (canvas.to(dtype) / _PARTS).view(1, height, width)


def _place(
    streaks: Streaks,
    layer: Layer,
    size: tuple[int, int],
    device: torch.device | str,
    dtype: torch.dtype,
    numbers: torch.Generator,
) -> tuple[torch.Tensor, ...]:
    """(N,1) each: centres x and y in pixels, angles, lengths, line weights, phases of a layer's streaks."""
    height, width = size
    margin = layer.length  # none is longer than two of these
    count = max(round(layer.density * (height + 2 * margin) * (width + 2 * margin) / 1000), 1)
    like = {"generator": numbers, "dtype": torch.float64, "device": "cpu"}
    even = torch.rand(count, 4, **like).to(device, dtype)
    bell = torch.randn(count, 3, **like).to(device, dtype)
    fewer = torch.rand(1, 1, 4, 4, **like).to(device, dtype)
    x = even[:, 0] * (width + 2 * margin) - margin
    y = even[:, 1] * (height + 2 * margin) - margin
    place = torch.stack([2 * x / width - 1, 2 * y / height - 1], 1).view(1, 1, -1, 2)
    missing = F.grid_sample(fewer, place, padding_mode="border", align_corners=True).view(-1)
    angle = streaks.angle + streaks.fan * (x / width - 0.5) + streaks.scatter * bell[:, 0]
    length = layer.length * torch.exp(0.3 * bell[:, 1]).clamp(0.4, 2)
    opacity = (layer.opacity * torch.exp(0.4 * bell[:, 2])).clamp(max=0.85)
    opacity = opacity * (even[:, 2] >= streaks.gusts * missing)
    # So that the middle of a line that is blurred to `width` (and by drawing, 1/6 px^2) hides this share
    peak = -torch.log1p(-opacity) * math.sqrt(2 * math.pi * (layer.width**2 + 1 / 6))
    return tuple(values[:, None] for values in (x, y, angle, length, peak, even[:, 3]))
