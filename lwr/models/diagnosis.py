"""How bad each defect of a photo is, and where: a small head on the VAE encoder's features.

In each cell of 16x16 pixels it reads mean and deviation of every channel of the encoder's features, and
beside them statistics of the pixels (lwr/models/statistics.py). The encoder is always the embedded prior's,
so one diagnosis serves every prior.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from lwr.models.statistics import (
    block_statistics,
    dark_statistics,
    fine_statistics,
    streak_statistics,
)

CELL = 16  # pixels
OVERVIEW = 160_000  # pixels of the photo that haze is read from, at most
WHOLE = 512  # pixels of a side up to which a photo is read in one part
TILE, TILES = 192, 3  # pixels a side of the parts of larger ones; how many of them a side at most
SHARPEST = 0.15  # quantile of the tiles: a photo is as sharp as its sharpest parts, whatever lies behind
CHANNELS = (32, 64, 128)  # of the encoder's features at a half, a quarter and an eighth of the resolution
LEAST_DEVIATION = 1e-3
AROUND = 2  # times that a reader looks at the cells next to each


@dataclass(frozen=True)
class Evidence:
    """What the head reads of one part of a photo."""

    cells: torch.Tensor  # (1,C,h,w): of each cell, mean and logarithm of the deviation of every channel
    statistics: torch.Tensor  # (D,)


@dataclass(frozen=True)
class Kinds:
    """The defects that a head finds, and how."""

    defects: tuple[str, ...]  # in the order of its outputs
    coarse: tuple[str, ...]  # read from the reduced photo, all others from parts at its own resolution
    alike: tuple[str, ...]  # hard to tell apart; the sharpest parts count
    mapped: tuple[str, ...]  # those of which it knows where they are


class DiagnosisHead(nn.Module):
    """Cells (N,C,h,w) and statistics (N,D) -> logits of severities: (N,T) of the part, (N,M,h,w) of cells.

    The mean of readers that were trained apart, which are wrong in different places.
    """

    def __init__(
        self, kinds: Kinds, statistics: int, width: int = 48, hidden: int = 96, readers: int = 1
    ) -> None:
        """`statistics`: how many are read; `width` and `hidden`: of a reader's two stages."""
        super().__init__()
        self.kinds, self.defects = kinds, kinds.defects
        cells = 2 * sum(CHANNELS)
        # severities up to which nothing is done to a photo, and from which on all that was asked for is
        self.register_buffer("ramp", torch.tensor([[0.0, 1.0]]).repeat(len(self.defects), 1))
        for name, count in (("cell", cells), ("statistic", statistics)):
            self.register_buffer(f"{name}_mean", torch.zeros(count))
            self.register_buffer(f"{name}_spread", torch.ones(count))
        self.readers = nn.ModuleList(_Reader(kinds, cells, statistics, width, hidden) for _ in range(readers))

    @classmethod
    def joined(cls, heads: Sequence["DiagnosisHead"]) -> "DiagnosisHead":
        """One head of all their readers, for heads that scale what they read alike."""
        first = heads[0]
        head = cls(first.kinds, len(first.statistic_mean), readers=0)
        for name, buffer in first.named_buffers(recurse=False):
            getattr(head, name).copy_(buffer)
        head.readers.extend(reader for each in heads for reader in each.readers)
        return head

    def forward(self, cells: torch.Tensor, statistics: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """See the class."""
        return self.judge(self.scaled(cells), statistics)

    def scaled(self, cells: torch.Tensor) -> torch.Tensor:
        """Cells as `judge` takes them."""
        return ((cells - self.cell_mean[:, None, None]) / self.cell_spread[:, None, None]).clamp(-5, 5)

    def judge(
        self,
        cells: torch.Tensor,
        statistics: torch.Tensor,
        kept: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """`forward` for scaled cells; in training what is read is multiplied by `kept`.

        Those are factors (N,width) of a reader's first stage and (N,D) of the statistics.
        """
        own = ((statistics - self.statistic_mean) / self.statistic_spread).clamp(-5, 5)
        said, where = zip(*(reader(cells, own, kept) for reader in self.readers), strict=True)
        return torch.stack(said).mean(0), torch.stack(where).mean(0)

    def strength(self, defect: str, severity: float) -> float:
        """How much of a task is done to a photo of this severity, in [0,1]."""
        nothing, all_ = self.ramp[self.defects.index(defect)].tolist()
        return min(1.0, max(0.0, (severity - nothing) / (all_ - nothing)))


class _Reader(nn.Module):
    """Scaled cells (N,C,h,w) and statistics (N,D) -> the logits of `DiagnosisHead`."""

    def __init__(self, kinds: Kinds, cells: int, statistics: int, width: int, hidden: int) -> None:
        super().__init__()
        self.read = nn.Conv2d(cells, width, 1)
        self.around = nn.ModuleList(
            nn.Conv2d(width, width, 3, padding=1, padding_mode="replicate") for _ in range(AROUND)
        )
        self.where = nn.Conv2d(width, len(kinds.mapped), 1)
        self.layers = nn.Sequential(
            *(nn.Linear(4 * width + statistics, hidden), nn.GELU()),
            *(nn.Linear(hidden, hidden), nn.GELU()),
            nn.Linear(hidden, len(kinds.defects)),
        )

    def forward(
        self,
        cells: torch.Tensor,
        statistics: torch.Tensor,
        kept: tuple[torch.Tensor, torch.Tensor] | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        h, own = F.gelu(self.read(cells)), statistics
        if kept is not None:
            h, own = h * kept[0][..., None, None], own * kept[1]
        for around in self.around:
            h = h + F.gelu(around(h))
        where, flat = self.where(h), h.flatten(2)
        deviation = (flat - flat.mean(2, keepdim=True)).square().mean(2).add(1e-6).sqrt()
        whole = torch.cat([flat.mean(2), deviation, flat.amax(2), flat.amin(2), own], 1)
        return self.layers(whole), where


def cells_of(features: Sequence[torch.Tensor]) -> torch.Tensor:
    """The encoder's features (N,c,H/2,W/2), (N,c,H/4,W/4), (N,c,H/8,W/8) -> (N,C,H/16,W/16) cells.

    Sides of the photo are multiples of CELL.
    """
    rows = []
    for level, feature in enumerate(features):
        side = CELL // 2 ** (level + 1)
        mean = F.avg_pool2d(feature, side)
        square = F.avg_pool2d(feature.square(), side)
        rows += [mean, (square - mean.square()).clamp_min(0).sqrt().add(LEAST_DEVIATION).log()]
    return torch.cat(rows, 1)


def statistics_of(part: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
    """(1,3,H,W) in [0,1] and the coarse statistics of its whole photo -> (D,)."""
    own = (fine_statistics, block_statistics, streak_statistics, dark_statistics)
    return torch.cat([*(read(part) for read in own), coarse])


def overview_size(size: tuple[int, int]) -> tuple[int, int]:
    """(H, W) of a photo -> (h, w) that haze is read from."""
    factor = min(1.0, (OVERVIEW / (size[0] * size[1])) ** 0.5)
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def tiles_of(size: tuple[int, int]) -> tuple[list[slice], list[slice]]:
    """Rows and columns of the parts that fine defects are read from, spread evenly over (H, W)."""
    sides = []
    for side in size:
        count = 1 if side <= WHOLE else min(TILES, side // TILE)
        length = side if count == 1 else TILE
        starts = [round(i * (side - length) / max(count - 1, 1)) for i in range(count)]
        sides.append([slice(start, start + length) for start in starts])
    return sides[0], sides[1]
