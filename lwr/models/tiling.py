"""Large images in overlapping tiles: where the tiles lie, how they are blended, and whether the seams show.

Tiles are weighted by a Gaussian around their centre and normalised by the summed weights, as in StableSR's
aggregation sampling (https://arxiv.org/abs/2305.07015).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

import torch

# Below this a weight says nothing any more, and float16 could not hold it.
_LEAST_WEIGHT = 1e-6
# StableSR's 0.01 goes from tile to tile within a dozen of 128 shared pixels; this takes twice as many.
VARIANCE = 0.02


def tile_grid(height: int, width: int, tile: int, overlap: int) -> list[tuple[int, int]]:
    """Top left corners (top, left) of tiles that cover height x width, row by row.

    Neighbours share at least `overlap` pixels; the last row and column are shifted inwards to the edge. A
    side shorter than `tile` holds one tile as long as the side.

    Raises:
        ValueError: sizes under 1, or overlap outside 0 <= overlap < tile.
    """
    return [
        (top, left)
        for top in tile_starts(height, tile, overlap)
        for left in tile_starts(width, tile, overlap)
    ]


def gaussian_weights(tile_h: int, tile_w: int, variance: float = 0.01) -> torch.Tensor:
    """(tile_h, tile_w) float32 weights in [1e-6, 1], a Gaussian around the tile's exact middle.

    `variance` is in tile-normalised units: 0.01 is a standard deviation of a tenth of the tile (the middle of
    an edge weighs 4e-6 of the centre); larger values blend more evenly.
    """
    if variance <= 0:
        raise ValueError(f"variance is {variance}; use a positive number, such as 0.01.")
    return torch.outer(_bell(tile_h, variance), _bell(tile_w, variance)).clamp_min(_LEAST_WEIGHT)


def blend(
    x: torch.Tensor,
    function: Callable[..., torch.Tensor],
    tile: int,
    overlap: int,
    scale: int | float | Fraction = 1,
    beside: Sequence[torch.Tensor] = (),
) -> torch.Tensor:
    """Apply `function` tile by tile and blend what it returns without seams.

    What fits in one tile is given to it whole. Otherwise the memory beside the function's own is one output.

    Args:
        x: (B,C,H,W).
        function: (B,C,h,w) and the same part of each tensor in `beside` -> (B,C',h*scale,w*scale).
        tile, overlap: in pixels of `x`; with a scale such as 1/8, they and H, W must be multiples of 8.
        scale: output pixels per input pixel.
        beside: (B,C",n*H,n*W) of any whole n each, which are cut like `x`.

    Returns:
        (B,C',H*scale,W*scale) in the function's dtype.

    Raises:
        ValueError: a tile would not fall on whole output pixels, or `function` returned another size.
    """
    height, width = x.shape[-2:]
    if len(corners := tile_grid(height, width, tile, overlap)) == 1:
        return function(x, *beside)
    ratio = Fraction(scale).limit_denominator(1024)
    tile_h, tile_w = min(tile, height), min(tile, width)
    out_h, out_w = _scaled(tile_h, ratio), _scaled(tile_w, ratio)
    weights = gaussian_weights(out_h, out_w, VARIANCE).to(x.device)
    total = summed = None
    for top, left in corners:
        window = (top, left, tile_h, tile_w)
        result = function(*(_cut(each, window, each.shape[-1] // width) for each in (x, *beside)))
        if len(result) != len(x) or tuple(result.shape[-2:]) != (out_h, out_w):
            wanted = f"{len(x)} results of {out_h}x{out_w}: check scale={scale}"
            raise ValueError(f"the function returned {tuple(result.shape)}; expected {wanted}.")
        if total is None:
            size, dtype = (_scaled(height, ratio), _scaled(width, ratio)), torch.float32
            total = result.new_zeros(
                (*result.shape[:2], *size), dtype=torch.promote_types(result.dtype, dtype)
            )
            summed = total.new_zeros(size)
        place = (_scaled(top, ratio), _scaled(left, ratio), out_h, out_w)
        _cut(total, place, 1).add_(result * weights)
        _cut(summed, place, 1).add_(weights)
    return total.div_(summed).to(result.dtype)


def seam_lines(height: int, width: int, tile: int, overlap: int) -> tuple[list[int], list[int]]:
    """Rows y and columns x just before which a tile of `tile_grid` starts or ends inside the image."""
    rows, columns = (
        sorted(
            {
                edge
                for start in tile_starts(size, tile, overlap)
                for edge in (start, start + tile)
                if 0 < edge < size
            }
        )
        for size in (height, width)
    )
    return rows, columns


def seam_score(image: torch.Tensor, rows: Sequence[int], columns: Sequence[int]) -> torch.Tensor:
    """How much stronger the image changes across tile borders than elsewhere; 1 means that no seam shows.

    Args:
        image: (B,C,H,W).
        rows, columns: border lines, see `seam_lines`; line y lies between pixel rows y-1 and y.

    Returns:
        (B,) ratio of mean absolute differences, across the lines over everywhere else; 1 without lines.
    """
    on_lines, elsewhere = [], []
    for dim, lines in ((-2, rows), (-1, columns)):
        size = image.shape[dim]
        if any(not 0 < line < size for line in lines):
            raise ValueError(
                f"lines {list(lines)} must lie inside an image of {size} pixels: between 1 and {size - 1}."
            )
        change = image.diff(dim=dim).abs().mean(dim=1).movedim(dim, 1)  # (B, differences, other side)
        marked = torch.zeros(size - 1, dtype=torch.bool, device=image.device)
        marked[[line - 1 for line in lines]] = True
        on_lines.append(change[:, marked].flatten(1))
        elsewhere.append(change[:, ~marked].flatten(1))
    across, rest = torch.cat(on_lines, dim=1), torch.cat(elsewhere, dim=1)
    if across.shape[1] == 0 or rest.shape[1] == 0:
        return image.new_ones(image.shape[0])
    # The floor makes a flat image score 1 instead of 0/0.
    return (across.mean(dim=1) + 1e-6) / (rest.mean(dim=1) + 1e-6)


def _cut(x: torch.Tensor, window: tuple[int, int, int, int], times: int) -> torch.Tensor:
    """What (top, left, height, width), each `times` as much, shows of `x`."""
    top, left, height, width = (times * number for number in window)
    return x[..., top : top + height, left : left + width]


def tile_starts(size: int, tile: int, overlap: int) -> list[int]:
    """Where the tiles of one side start, see `tile_grid`."""
    if size < 1 or tile < 1 or not 0 <= overlap < tile:
        raise ValueError(
            f"size {size}, tile {tile}, overlap {overlap}: sizes must be >= 1 and 0 <= overlap < tile."
        )
    if size <= tile:
        return [0]
    return [*range(0, size - tile, tile - overlap), size - tile]


def _bell(size: int, variance: float) -> torch.Tensor:
    offset = torch.arange(size, dtype=torch.float32) - (size - 1) / 2
    return torch.exp(-(offset**2) / (size**2 * 2 * variance))


def _scaled(length: int, ratio: Fraction) -> int:
    """`length` input pixels in output pixels, which must be a whole number."""
    scaled = length * ratio
    if scaled.denominator != 1:
        raise ValueError(
            f"{length} pixels times scale {ratio} is not whole; make image, tile and overlap multiples of "
            f"{ratio.denominator}."
        )
    return int(scaled)
