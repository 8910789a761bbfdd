"""How bad each defect of a photo is, from statistics of its pixels and one small network.

What tells haze is global and coarse: the darkest of the three channels (He et al. 2009), saturation and local
contrast of the reduced photo. What tells blur and a small size is fine: how strong the strongest differences
are between pixels 1, 2, 4 and 8 apart, in four directions. It looks at pixels alone, so it serves any prior.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

COARSE, LEAST = 40_000, 16  # pixels of the reduced photo, and of its shorter side at least
STEPS = (1, 2, 4, 8)  # pixels
QUANTILES = (0.001, 0.01, 0.05, 0.15, 0.3, 0.5, 0.7, 0.85, 0.95, 0.99, 0.999)
COLOUR_QUANTILES = (0.01, 0.1, 0.9, 0.99)
STRIPS = 4  # haze grows towards the top
TILE, TILES = 384, 4  # pixels a side of the parts that fine statistics come from; how many a side at most
SHARPEST = 0.15  # quantile of the tiles: a photo is as sharp as its sharpest parts, whatever lies behind


class Diagnosis(nn.Module):
    """Statistics (N,D) -> severity of each of `tasks`, (N,T) in [0,1]."""

    def __init__(self, tasks: Sequence[str], alike: Sequence[str], features: int, hidden: int = 96) -> None:
        """`alike`: tasks whose defects are hard to tell apart."""
        super().__init__()
        self.tasks, self.alike = tuple(tasks), tuple(alike)
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("spread", torch.ones(features))
        self.layers = nn.Sequential(nn.Linear(features, hidden), nn.GELU(), nn.Linear(hidden, len(tasks)))

    def forward(self, statistics: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return self.logits(statistics).sigmoid()

    def logits(self, statistics: torch.Tensor) -> torch.Tensor:
        """What `forward` takes the sigmoid of."""
        return self.layers(((statistics - self.mean) / self.spread).clamp(-5, 5))

    def severities(self, reduced: torch.Tensor, tiles: Sequence[torch.Tensor]) -> dict[str, float]:
        """{task: severity in [0,1]} of a photo reduced to `coarse_size` and its parts at `tiles_of`."""
        coarse = coarse_statistics(reduced)
        rows = torch.stack([torch.cat([fine_statistics(tile), coarse]) for tile in tiles])
        return dict(zip(self.tasks, self(rows).quantile(SHARPEST, 0).tolist(), strict=True))


def coarse_size(size: tuple[int, int]) -> tuple[int, int]:
    """(H, W) of a photo -> (h, w) that coarse statistics are made at."""
    factor = (COARSE / (size[0] * size[1])) ** 0.5
    return max(LEAST, round(size[0] * factor)), max(LEAST, round(size[1] * factor))


def tiles_of(size: tuple[int, int]) -> list[tuple[slice, slice]]:
    """Rows and columns of parts spread evenly over (H, W); a photo little larger than one is its only one."""
    sides = []
    for side in size:
        count = 1 if side <= 1.5 * TILE else min(TILES, side // TILE)
        length = side if count == 1 else TILE
        starts = [round(i * (side - length) / max(count - 1, 1)) for i in range(count)]
        sides.append([slice(start, start + length) for start in starts])
    return [(rows, columns) for rows in sides[0] for columns in sides[1]]


def fine_statistics(photo: torch.Tensor) -> torch.Tensor:
    """(1,3,H,W) in [0,1] -> (64,): logarithms of differences between pixels, by distance and direction."""
    gray = photo.mean(1, keepdim=True)
    rows = []
    for step in STEPS:
        level = F.avg_pool2d(gray, step // 2) if step > 2 and min(gray.shape[-2:]) >= step else gray
        apart = min(step, 2)
        for down, across in ((0, apart), (apart, 0), (apart, apart), (apart, -apart)):
            moved = level.roll((-down, -across), (-2, -1))
            height, width = level.shape[-2:]
            inside = slice(0, max(height - down, 1)), slice(max(-across, 0), max(width - max(across, 0), 1))
            change = (moved - level).abs()[..., inside[0], inside[1]].flatten()
            change = change if len(change) else change.new_zeros(1)  # a photo of one row or column
            top = change.topk(max(1, len(change) // 20))[0]
            rows += [change.mean(), top.mean(), top[: max(1, len(change) // 200)].mean(), change.median()]
    return torch.stack(rows).add(1e-4).log()


def coarse_statistics(small: torch.Tensor) -> torch.Tensor:
    """(1,3,h,w) in [0,1], the reduced photo -> (132,): how dark, saturated and contrasty it is, and where."""
    low, high = small.amin(1, keepdim=True), small.amax(1, keepdim=True)
    gray, dark = small.mean(1, keepdim=True), -F.max_pool2d(-low, 9, 1, 4)
    saturation = (high - low) / high.clamp_min(0.02)
    mean = F.avg_pool2d(gray, 7, 1, 3)
    contrast = (F.avg_pool2d(gray.square(), 7, 1, 3) - mean.square()).clamp_min(0).sqrt()
    maps = (
        *(low, dark, high, saturation, gray, contrast.add(1e-3).log(), high - low),
        (contrast / (1.02 - mean)).add(1e-3).log(),
    )
    rows = [each.flatten().quantile(small.new_tensor(QUANTILES)) for each in maps]
    rows += list(small[0].flatten(1).quantile(small.new_tensor(COLOUR_QUANTILES), 1))
    rows.append(_correlations(torch.stack([each.flatten() for each in (dark, contrast, gray, saturation)])))
    for each in (dark, gray, saturation, contrast):
        rows.append(F.adaptive_avg_pool2d(each, (STRIPS, 1)).flatten())
    return torch.cat(rows)


def _correlations(maps: torch.Tensor) -> torch.Tensor:
    """(K,N) -> (K*K,): how much they go together; 0 where one does not vary."""
    away = maps - maps.mean(1, keepdim=True)
    norms = away.norm(dim=1)
    return ((away @ away.T) / (norms[:, None] * norms).clamp_min(1e-6)).flatten()
