"""How bad a damage is, in [0,1]: 0 = none, 1 = as bad as the strongest that training knows.

These are the labels that the diagnosis (`lwr.diagnose`) learns.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
import torch.nn.functional as F

WORST_HAZE = 0.75  # 1 - mean transmission of the densest haze, about
WORST_NOISE = 50 / 255  # root mean square
MOST_STOPS = 5.0  # of light lost, as in the darkest photos
MOST_STREAKS, MOST_DROPS = 0.2, 0.25  # shares of the scene that streaks of rain and drops hide, about
BEST_JPEG, WORST_JPEG = 85, 5  # qualities: from which on nothing is seen, and the lowest
LEAST_DETAIL = 2e-6  # mean square of neighbours' differences under which a picture has nothing to blur


def haze_severity(transmission: float) -> float:
    """By the share of the scene's light that passes, on the mean or at one place."""
    return min(1.0, max(0.0, (1 - transmission) / WORST_HAZE))


def detail_lost(damaged: torch.Tensor, clean: torch.Tensor) -> float:
    """How much of the differences between neighbours in `clean` (1,3,H,W) is missing; noise is none of it."""
    changes = list(_changes(damaged, clean))
    both, square = (sum(each[i].sum().item() for each in changes) for i in (0, 1))
    return 0.0 if square < LEAST_DETAIL * clean[0, 0].numel() else min(1.0, max(0.0, 1 - both / square))


def detail_lost_in_cells(
    damaged: torch.Tensor, clean: torch.Tensor, side: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The same for cells of `side` pixels, each with the cells around it.

    Returns (h,w) severities and (h,w) bool: where there was detail to lose.
    """
    both = square = 0.0
    for each, own in _changes(damaged, clean):
        both, square = both + F.avg_pool2d(each, side), square + F.avg_pool2d(own, side)
    both, square = (F.avg_pool2d(F.pad(x, (1,) * 4, mode="replicate"), 3, 1)[0] for x in (both, square))
    return (1 - both / square.clamp_min(1e-12)).clamp(0, 1), square > 10 * LEAST_DETAIL


def _changes(damaged: torch.Tensor, clean: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Across and down, (1,H,W) each: products of both pictures' differences, squares of those of `clean`."""
    for dim in (-1, -2):
        after, before = (
            x.mean(1).diff(dim=dim, append=x.mean(1).narrow(dim, -1, 1)) for x in (damaged, clean)
        )
        yield after * before, before.square()


def noise_severity(noisy: torch.Tensor, clean: torch.Tensor) -> float:
    """By the root mean square of what was added to `clean` (1,3,H,W)."""
    return min(1.0, (noisy - clean).square().mean().sqrt().item() / WORST_NOISE)


def jpeg_severity(params: Mapping[str, Any]) -> float:
    """By the lowest quality of the saves of `lwr.degrade.recompress`."""
    return jpeg_quality_severity(min(save["quality"] for save in params["saves"]))


def jpeg_quality_severity(quality: int) -> float:
    """Of one JPEG quality, 1 to 100."""
    return min(1.0, max(0.0, (BEST_JPEG - quality) / (BEST_JPEG - WORST_JPEG)))


def dark_severity(params: Mapping[str, Any]) -> float:
    """By how many stops of light the photo of `lwr.degrade.dark` lost, on the mean of its pixels."""
    return min(1.0, max(0.0, params["mean_stops"] / MOST_STOPS))


def rain_severity(params: Mapping[str, Any]) -> float:
    """By how much of the scene the streaks, veil and drops on the lens of `lwr.degrade.rain` hide, in sum."""
    hidden = params["streak_cover"] / MOST_STREAKS + params["drop_cover"] / MOST_DROPS
    return min(1.0, hidden + haze_severity(params["mean_transmission"]))
