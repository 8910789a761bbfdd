"""Statistics of a photo's pixels that tell its defects: coarse ones for haze, fine ones for all others.

What tells haze is global and coarse: the darkest of the three channels (He et al. 2009), saturation and local
contrast of the reduced photo. What tells blur and a small size is fine: how strong the strongest differences
are between pixels 1, 2, 4 and 8 apart, in four directions. What tells JPEG is their period of 8 pixels. What
tells rain is thin bright lines of about one direction, and what tells too little light is how much is black.
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
MIDDLE = 320  # pixels a side, where a photo's finest lines are read
DIRECTIONS = 12  # of lines, over half a turn
BLACK = (2, 6, 16, 40)  # levels of 255 up to which shadows are counted
LEVELS = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98)  # quantiles of brightness


def fine_statistics(photo: torch.Tensor) -> torch.Tensor:
    """(1,3,H,W) in [0,1] -> (64,): logarithms of differences between pixels, by distance and direction."""
    gray, rows = _gray(photo), []
    for step in STEPS:
        level = F.avg_pool2d(gray, step // 2) if step > 2 and min(gray.shape[-2:]) >= step else gray
        apart = min(step, 2)
        for down, across in ((0, apart), (apart, 0), (apart, apart), (apart, -apart)):
            rows += _spread(_changes(level[0, 0], down, across).flatten().cpu().numpy())
    return torch.tensor(rows, device=photo.device).add(1e-4).log()


def _gray(photo: torch.Tensor) -> torch.Tensor:
    """(1,3,H,W) -> the channels' mean, (1,1,H,W); torch's mean over few values takes longer."""
    red, green, blue = photo.split(1, 1)
    return (red + green).add_(blue).div_(3)


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
    most, few, middle = max(1, count // 20), max(1, count // 200), (count - 1) // 2
    parted = np.partition(values, middle)  # one place at a time: for several, numpy has no quick way
    upper = parted[middle:]
    top = np.sort(np.partition(upper, len(upper) - most)[len(upper) - most :])
    return tuple(map(float, (values.mean(), top.mean(), top[most - few :].mean(), parted[middle])))


def block_statistics(photo: torch.Tensor) -> torch.Tensor:
    """(1,3,H,W) in [0,1] -> (32,): logarithms of how fast brightness turns at each of 8 columns and rows.

    Ordered, so that it does not matter where the blocks begin; the means and the medians, as few strong edges
    move only the former. JPEG leaves steps between its blocks and little that turns inside them.
    """
    gray, rows = _gray(photo)[0, 0], []
    for lines in (gray, gray.T):
        if lines.shape[1] < 3 * BLOCK:
            rows.append(gray.new_zeros(2 * BLOCK))
            continue
        turns = (lines[:, 3:] - 3 * lines[:, 2:-1] + 3 * lines[:, 1:-2] - lines[:, :-3]).abs()
        turns = turns[:, : turns.shape[1] // BLOCK * BLOCK].unflatten(1, (-1, BLOCK)).flatten(0, 1)
        for middle in (turns.mean(0), _medians(turns)):
            rows.append(middle.sort(descending=True).values)
    return torch.cat(rows).add(1e-4).log()


def _medians(values: torch.Tensor) -> torch.Tensor:
    """(N,K) -> (K,): the lower ones, as torch's; numpy is quicker."""
    middle = (len(values) - 1) // 2
    columns = np.ascontiguousarray(values.T.cpu().numpy())
    return torch.from_numpy(np.partition(columns, middle, axis=1)[:, middle]).to(values)


def dark_statistics(photo: torch.Tensor) -> torch.Tensor:
    """(1,3,H,W) in [0,1] -> (13,): how dark it is, and how much of it is black.

    Logarithms of the mean and of quantiles of brightness, as stops count; shares of what is darker than each
    of BLACK; and differences of neighbours beside the brightness, large where there is little but noise.
    """
    gray = _gray(photo)[0, 0]
    if gray.numel() > ENOUGH:
        gray = gray[::2]
    shares = [_mean((gray <= (level + 0.5) / 255).float()) for level in BLACK]
    brightness = _mean(gray)
    steps = _mean((gray[:, 1:] - gray[:, :-1]).abs()) if gray.shape[1] > 1 else gray.new_zeros(())
    logs = torch.stack([brightness, steps / (brightness + 0.02), *_quantiles(gray, LEVELS)])
    return torch.cat([torch.stack(shares), logs.add(1 / 255).log()])


def streak_statistics(photo: torch.Tensor) -> torch.Tensor:
    """(1,3,H,W) in [0,1] -> (38,): which way lines run, how thin and how bright they are.

    Of its middle at its resolution, and of all of it at a half of that: the share of each of DIRECTIONS in
    all lines, by the structure tensor (Bigün and Granlund 1987), how much they agree, and of the differences
    of second order across and down, how much the bright lines outweigh the dark ones, and how rare they are.
    """
    gray, rows = _gray(photo), []
    top, left = (max(side - MIDDLE, 0) // 2 for side in gray.shape[-2:])
    middle = gray[..., top : top + MIDDLE, left : left + MIDDLE]
    for level in (middle, F.avg_pool2d(gray, 2) if min(gray.shape[-2:]) > 1 else gray):
        rows += [_directions(level), _ridges(level[0, 0]), _ridges(level[0, 0].T)]
    return torch.cat(rows)


def _directions(gray: torch.Tensor) -> torch.Tensor:
    """(1,1,H,W) -> (DIRECTIONS + 3,): shares of the directions of lines; how clear and agreed they are."""
    padded = F.pad(gray, (1, 1, 1, 1), mode="replicate")
    across = padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]
    down = padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]
    size = min(4, *gray.shape[-2:])
    products = torch.cat([across.square(), down.square(), across * down], 1)
    xx, yy, xy = F.avg_pool2d(products, size)[0].flatten(1)
    apart, both = xx - yy, 2 * xy
    clear = torch.hypot(apart, both)  # difference of the tensor's eigenvalues
    weight = clear.sqrt()  # a strong edge counts as its height, not as the square of it
    # Lines straight across and straight down lie in the middle of the shares 0 and DIRECTIONS / 2
    place = (torch.atan2(both, apart) / (2 * torch.pi) + 0.5) * DIRECTIONS + 0.5
    shares = torch.zeros(DIRECTIONS, device=gray.device)
    shares.index_add_(0, place.long() % DIRECTIONS, weight)
    total = weight.sum() + 1e-4
    agreed = torch.hypot(apart.sum(), both.sum()) / (clear.sum() + 1e-6)
    clearness = (clear / (xx + yy + 1e-5)).mean()
    strength = weight.mean().add(1e-4).log()
    return torch.cat([shares / total, torch.stack([clearness, agreed, strength])])


def _ridges(gray: torch.Tensor) -> torch.Tensor:
    """(H,W) -> (2,): of thin lines across the rows, how much the bright ones outweigh the dark; how rare."""
    if gray.shape[1] < 3:
        return gray.new_zeros(2)
    ridge = gray[:, 1:-1] - (gray[:, 2:] + gray[:, :-2]) / 2
    square = ridge.square()
    power = _mean(square) + 1e-7
    rare = _mean(square.square()) / power**2
    return torch.stack([_mean(square * ridge) / power**1.5, (rare + 1).log()])


def _mean(values: torch.Tensor) -> torch.Tensor:
    """(H,W) -> a scalar, row by row: all at once, its last bits would depend on the number of threads."""
    return values.mean(1).mean()


def coarse_statistics(photo: torch.Tensor) -> torch.Tensor:
    """(1,3,H,W) in [0,1] -> (132,): how dark, saturated and contrasty the reduced photo is, and where."""
    factor = (COARSE / (photo.shape[-2] * photo.shape[-1])) ** 0.5
    size = [max(LEAST, round(side * factor)) for side in photo.shape[-2:]]
    small = F.interpolate(photo, size, mode="area")
    low, high = small.amin(1, keepdim=True), small.amax(1, keepdim=True)
    gray = _gray(small)
    dark = _darkest_near(low)
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


def _darkest_near(values: torch.Tensor) -> torch.Tensor:
    """(1,1,h,w) -> the least within 9x9 pixels around each, same shape; torch's pooling has one thread."""
    for dim in (2, 3):
        least = F.pad(values.transpose(dim, 3), (4, 4), value=torch.inf)
        for step in (1, 2, 4, 1):  # so the least of 2, 4, 8 and 9 neighbours
            least = torch.minimum(least[..., :-step], least[..., step:])
        values = least.transpose(dim, 3)
    return values


def _quantiles(values: torch.Tensor, at: tuple[float, ...]) -> torch.Tensor:
    """Any shape -> (len(at),), linear between values; numpy's sort is quicker than its own quantiles."""
    ordered = np.sort(values.cpu().numpy(), axis=None)
    place = np.asarray(at) * (ordered.size - 1)
    below = place.astype(int)
    first, second = ordered[below], ordered[np.minimum(below + 1, ordered.size - 1)]
    return torch.from_numpy(first + (second - first) * (place - below)).to(values)


def _correlations(maps: torch.Tensor) -> torch.Tensor:
    """(K,N) -> (K*K,): how much they go together; 0 where one does not vary."""
    away = maps - maps.mean(1, keepdim=True)
    norms = away.norm(dim=1)
    products = (away[:, None] * away).sum(2)  # of a matrix product the last bits depend on the threads
    return (products / (norms[:, None] * norms).clamp_min(1e-6)).flatten()
