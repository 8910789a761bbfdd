"""What years do to a photo on paper: scratches and dust, faded and yellowed colours.

No task learns it: old photos are repaired without a network, and these damages measure how well.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch


def scratch(
    clean: torch.Tensor, generator: torch.Generator, lines: int = 6, specks: int = 30
) -> tuple[torch.Tensor, torch.Tensor]:
    """(1,3,H,W) in [0,1] -> (scratched, (H,W) bool where it is).

    Lines are 1 to 5 pixels wide, 15 to 100 % of a side long and slightly bent; specks have radii of 1 to 4
    pixels. 70 % of them are near white, the others near black, and 60 to 100 % opaque.
    """
    height, width = clean.shape[-2:]
    y, x = torch.meshgrid(torch.arange(float(height)), torch.arange(float(width)), indexing="ij")
    worn, where = clean.clone(), torch.zeros(height, width, dtype=torch.bool)

    def draw(low: float, high: float) -> float:
        return low + (high - low) * torch.rand((), generator=generator).item()

    def cover(share: torch.Tensor) -> None:
        nonlocal worn, where
        value, share = draw(0.8, 1) if draw(0, 1) < 0.7 else draw(0, 0.15), share.clamp(0, 1)
        worn, where = torch.lerp(worn, torch.tensor(value), share * draw(0.6, 1)), where | (share > 0.5)

    for _ in range(lines):
        cover(_line(x, y, draw))
    for _ in range(specks):
        radius, turn, flat = draw(1, 4), draw(0, math.pi), draw(0.6, 1.6)
        across, down = x - draw(0, width), y - draw(0, height)
        along, aside = (
            across * math.cos(turn) + down * math.sin(turn),
            down * math.cos(turn) - across * math.sin(turn),
        )
        cover(radius + 0.5 - torch.hypot(along / flat, aside * flat))
    return worn, where


def _line(x: torch.Tensor, y: torch.Tensor, draw: Callable[[float, float], float]) -> torch.Tensor:
    """How much of each pixel a bent line covers."""
    height, width = x.shape
    across, down, thick = draw(0, width), draw(0, height), draw(1, 5)
    angle, bend, length = draw(0, 2 * math.pi), draw(-0.08, 0.08), draw(0.15, 1) * width / 8
    nearest = torch.full_like(x, math.inf)
    for _ in range(8):
        step = length * math.cos(angle), length * math.sin(angle)
        share = (((x - across) * step[0] + (y - down) * step[1]) / length**2).clamp(0, 1)
        away = torch.hypot(x - across - share * step[0], y - down - share * step[1])
        nearest = torch.minimum(nearest, away)
        across, down, angle = across + step[0], down + step[1], angle + bend + draw(-0.08, 0.08)
    return thick / 2 + 0.5 - nearest


def fade(clean: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """(1,3,H,W) in [0,1] -> faded: black becomes 0.12 to 0.3, white 0.75 to 0.92, and less in blue."""
    black, white, yellow = (
        low + (high - low) * torch.rand((), generator=generator)
        for low, high in ((0.12, 0.3), (0.75, 0.92), (0.0, 0.25))
    )
    share = torch.tensor([0.0, 0.3, 1.0])
    blacks, whites = (black - 0.4 * yellow * share * black / 0.3), white - yellow * share
    return blacks.view(1, 3, 1, 1) + (whites - blacks).view(1, 3, 1, 1) * clean
