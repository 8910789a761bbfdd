"""How bad each defect of a photo is, from statistics of its pixels and one small network.

What tells haze is global and coarse: the darkest of the three channels (He et al. 2009), saturation and local
contrast of the reduced photo. What tells blur and a small size is fine: how strong the strongest differences
are between pixels 1, 2, 4 and 8 apart, in four directions. It looks at pixels alone, so it serves any prior.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

OVERVIEW = 160_000  # pixels of the photo that all but its sharpness is read from, at most
COARSE, LEAST = 40_000, 16  # pixels of the reduced photo, and of its shorter side at least
STEPS = (1, 2, 4, 8)  # pixels
QUANTILES = (0.001, 0.01, 0.05, 0.15, 0.3, 0.5, 0.7, 0.85, 0.95, 0.99, 0.999)
COLOUR_QUANTILES = (0.01, 0.1, 0.9, 0.99)
STRIPS = 4  # haze grows towards the top
TILE, TILES = 384, 4  # pixels a side of the parts that fine statistics come from; how many a side at most
SHARPEST = 0.15  # quantile of the tiles: a photo is as sharp as its sharpest parts, whatever lies behind


class DiagnosisHead(nn.Module):
    """Statistics (N,D) -> severity of each of `tasks`, (N,T) in [0,1]."""

    def __init__(self, tasks: Sequence[str], alike: Sequence[str], features: int, hidden: int = 96) -> None:
        """`alike`: tasks whose defects are hard to tell apart."""
        super().__init__()
        self.tasks, self.alike = tuple(tasks), tuple(alike)
        # severities up to which nothing is done to a photo, and from which on all that was asked for is
        self.register_buffer("ramp", torch.tensor([[0.0, 1.0]]).repeat(len(tasks), 1))
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("spread", torch.ones(features))
        self.layers = nn.Sequential(nn.Linear(features, hidden), nn.GELU(), nn.Linear(hidden, len(tasks)))

    def forward(self, statistics: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return self.logits(statistics).sigmoid()

    def logits(self, statistics: torch.Tensor) -> torch.Tensor:
        """What `forward` takes the sigmoid of."""
        return self.layers(((statistics - self.mean) / self.spread).clamp(-5, 5))

    def strength(self, task: str, severity: float) -> float:
        """How much of a task is done to a photo of this severity, in [0,1]."""
        nothing, all_ = self.ramp[self.tasks.index(task)].tolist()
        return min(1.0, max(0.0, (severity - nothing) / (all_ - nothing)))

    def severities(self, overview: torch.Tensor, tiles: Sequence[torch.Tensor]) -> dict[str, float]:
        """{task: severity in [0,1]} of a photo reduced to `overview_size` and its parts at `tiles_of`.

        The parts, at the photo's own resolution, tell whether it is sharp; the overview tells all else.
        """
        coarse = coarse_statistics(overview)
        rows = torch.stack([torch.cat([fine_statistics(part), coarse]) for part in (overview, *tiles)])
        found = self(rows)
        sharpest, whole = found[1:].quantile(SHARPEST, 0).tolist(), found[0].tolist()
        return {
            name: sharpest[place] if name in self.alike else whole[place]
            for place, name in enumerate(self.tasks)
        }


def overview_size(size: tuple[int, int]) -> tuple[int, int]:
    """(H, W) of a photo -> (h, w) that all but its sharpness is read from."""
    factor = min(1.0, (OVERVIEW / (size[0] * size[1])) ** 0.5)
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


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
            rows += _spread(change.cpu().numpy())
    return torch.tensor(rows, device=photo.device).add(1e-4).log()


def _spread(values: np.ndarray) -> tuple[float, float, float, float]:
    """Mean, mean of the highest twentieth and of the highest two-hundredth, and median of (N,)."""
    count = len(values)
    if not count:  # a photo of one row or column
        return 0.0, 0.0, 0.0, 0.0
    most, few = max(1, count // 20), max(1, count // 200)
    parted = np.partition(values, ((count - 1) // 2, count - most))
    top = np.partition(parted[count - most :], most - few)
    return tuple(map(float, (values.mean(), top.mean(), top[most - few :].mean(), parted[(count - 1) // 2])))


def coarse_statistics(photo: torch.Tensor) -> torch.Tensor:
    """(1,3,H,W) in [0,1] -> (132,): how dark, saturated and contrasty the reduced photo is, and where."""
    factor = (COARSE / (photo.shape[-2] * photo.shape[-1])) ** 0.5
    size = [max(LEAST, round(side * factor)) for side in photo.shape[-2:]]
    small = F.interpolate(photo, size, mode="area")
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
