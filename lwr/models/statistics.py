"""Statistics of a photo's pixels that tell its defects: coarse ones for haze, fine ones for all others.

What tells haze is global and coarse: the darkest of the three channels (He et al. 2009), saturation and local
contrast of the reduced photo. What tells blur and a small size is fine: how strong the strongest differences
are between pixels 1, 2, 4 and 8 apart, in four directions. What tells JPEG is their period of 8 pixels.
"""

import numpy as np
import torch
import torch.nn.functional as F

COARSE, LEAST = 40_000, 16  # pixels of the reduced photo, and of its shorter side at least
STEPS = (1, 2, 4, 8)  # pixels
QUANTILES = (0.001, 0.01, 0.05, 0.15, 0.3, 0.5, 0.7, 0.85, 0.95, 0.99, 0.999)
COLOUR_QUANTILES = (0.01, 0.1, 0.9, 0.99)
STRIPS = 4  # haze grows towards the top
BLOCK = 8  # pixels, of JPEG
ENOUGH = 160_000  # pixels of which all rows are read; of more, every second one


def fine_statistics(photo: torch.Tensor) -> torch.Tensor:
    """(1,3,H,W) in [0,1] -> (64,): logarithms of differences between pixels, by distance and direction."""
    gray = photo.mean(1, keepdim=True)
    rows = []
    for step in STEPS:
        level = F.avg_pool2d(gray, step // 2) if step > 2 and min(gray.shape[-2:]) >= step else gray
        apart = min(step, 2)
        for down, across in ((0, apart), (apart, 0), (apart, apart), (apart, -apart)):
            rows += _spread(_changes(level[0, 0], down, across).flatten().cpu().numpy())
    return torch.tensor(rows, device=photo.device).add(1e-4).log()


def _changes(level: torch.Tensor, down: int, across: int) -> torch.Tensor:
    """(H,W) -> how far values are from those so many rows further down and columns across."""
    height, width = level.shape
    rows = slice(0, max(height - down, 1), 1 if level.numel() <= ENOUGH else 2)
    columns = slice(max(-across, 0), max(width - max(across, 0), 1))
    moved = level.roll((-down, -across), (0, 1))
    return (moved[rows, columns] - level[rows, columns]).abs()


def _spread(values: np.ndarray) -> tuple[float, float, float, float]:
    """Mean, mean of the highest twentieth and of the highest two-hundredth, and median of (N,)."""
    count = len(values)
    if not count:  # a photo of one row or column
        return 0.0, 0.0, 0.0, 0.0
    most, few = max(1, count // 20), max(1, count // 200)
    parted = np.partition(values, ((count - 1) // 2, count - most))
    top = np.partition(parted[count - most :], most - few)
    return tuple(map(float, (values.mean(), top.mean(), top[most - few :].mean(), parted[(count - 1) // 2])))


def block_statistics(photo: torch.Tensor) -> torch.Tensor:
    """(1,3,H,W) in [0,1] -> (32,): logarithms of how fast brightness turns at each of 8 columns and rows.

    Ordered, so that it does not matter where the blocks begin; the means and the medians, as few strong edges
    move only the former. JPEG leaves steps between its blocks and little that turns inside them.
    """
    gray, rows = photo.mean(1)[0], []
    for lines in (gray, gray.T):
        if lines.shape[1] < 3 * BLOCK:
            rows.append(gray.new_zeros(2 * BLOCK))
            continue
        turns = (lines[:, 3:] - 3 * lines[:, 2:-1] + 3 * lines[:, 1:-2] - lines[:, :-3]).abs()
        turns = turns[:, : turns.shape[1] // BLOCK * BLOCK].unflatten(1, (-1, BLOCK)).flatten(0, 1)
        for middle in (turns.mean(0), turns.median(0).values):
            rows.append(middle.sort(descending=True).values)
    return torch.cat(rows).add(1e-4).log()


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
    rows = [_quantiles(each, QUANTILES) for each in maps]
    rows += [_quantiles(channel, COLOUR_QUANTILES) for channel in small[0]]
    rows.append(_correlations(torch.stack([each.flatten() for each in (dark, contrast, gray, saturation)])))
    for each in (dark, gray, saturation, contrast):
        rows.append(F.adaptive_avg_pool2d(each, (STRIPS, 1)).flatten())
    return torch.cat(rows)


def _quantiles(values: torch.Tensor, at: tuple[float, ...]) -> torch.Tensor:
    """Any shape -> (len(at),); numpy's, which does not sort all of them."""
    return torch.from_numpy(np.quantile(values.cpu().numpy(), at)).to(values)


def _correlations(maps: torch.Tensor) -> torch.Tensor:
    """(K,N) -> (K*K,): how much they go together; 0 where one does not vary."""
    away = maps - maps.mean(1, keepdim=True)
    norms = away.norm(dim=1)
    return ((away @ away.T) / (norms[:, None] * norms).clamp_min(1e-6)).flatten()
