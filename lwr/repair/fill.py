"""Holes of a photo filled from what surrounds them: a smooth surface in which edges go on.

The surface u has the known values around a hole and the least energy inside, the sum over pixels of

    BENDING |Δu|² + ∇uᵀ (D + SLOPE I) ∇u

where D is strong along the lines that the structure tensor finds and weak across them (edge-enhancing
diffusion, Weickert 1998; to interpolate: Weickert and Welk 2006). The lines are found again in what was
filled, ROUNDS times.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import torch
import torch.nn.functional as F

from lwr.images.pixels import to_levels, to_unit

warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta", UserWarning)

BENDING, SLOPE, ACROSS = 0.15, 0.05, 0.02
CONTRAST = 0.006  # difference of neighbours, of 1, from which on a line counts as one
FINE, COARSE = 1.0, 7.0  # standard deviations in pixels: before gradients, and over which lines are followed
ROUNDS = 2
CORE, MARGIN = 512, 64  # pixels a side of the parts that are solved together, and what they see around
STEPS, PRECISION = 150, 5e-4  # of conjugate gradients: the most, and the residual relative to the first
# The 13 weights of the squared Laplacian: {(down, across): weight}
BIHARMONIC = {(0, 0): 20.0}
BIHARMONIC |= dict.fromkeys([(0, 1), (1, 0), (0, -1), (-1, 0)], -8.0)
BIHARMONIC |= dict.fromkeys([(1, 1), (1, -1), (-1, 1), (-1, -1)], 2.0)
BIHARMONIC |= dict.fromkeys([(0, 2), (2, 0), (0, -2), (-2, 0)], 1.0)
CORNERS = [(0, 0), (0, 1), (1, 0), (1, 1)]  # the pixels (down, across) around a place between four of them


def fill(photo: torch.Tensor, hole: torch.Tensor, spend: bool = False) -> torch.Tensor:
    """The photo (1,3,H,W), levels (uint8) or floats in [0,1], with `hole` (H,W) bool filled.

    What is outside the hole stays bit for bit; a photo that is hole everywhere becomes gray. It is a copy,
    unless levels may be changed in place (`spend`).
    """
    filled = photo if spend and photo.dtype == torch.uint8 else photo.clone()
    for top, left in _parts(hole):
        bottom, right = (min(side, start + CORE) for side, start in zip(hole.shape, (top, left), strict=True))
        above, before = max(0, top - MARGIN), max(0, left - MARGIN)
        seen = slice(above, bottom + MARGIN), slice(before, right + MARGIN)
        inner = slice(top - above, bottom - above), slice(left - before, right - before)
        values = _filled(to_unit(photo[0][:, *seen]), hole[seen])[:, *inner]
        values = to_levels(values) if photo.dtype == torch.uint8 else values.to(photo.dtype)
        core = filled[0, :, top:bottom, left:right]
        core.copy_(torch.where(hole[top:bottom, left:right], values, core))
    return filled


def _parts(hole: torch.Tensor) -> Iterator[tuple[int, int]]:
    """Top and left of the parts that hold any of it."""
    for top in range(0, hole.shape[0], CORE):
        for left in range(0, hole.shape[1], CORE):
            if hole[top : top + CORE, left : left + CORE].any():
                yield top, left


def _filled(part: torch.Tensor, hole: torch.Tensor) -> torch.Tensor:
    """(3,h,w) in [0,1] -> the same with the hole (h,w) filled."""
    part = _spread(part[None], ~hole[None, None])[0]
    if hole.all():
        return part
    places = hole.nonzero().T  # (2,N)
    for _ in range(ROUNDS):
        matrix, known = _equations(part, hole, places)
        solved = _solved(matrix, known, part[:, hole].T)
        part[:, hole] = solved.T.clamp(0, 1)
    return part


def _spread(values: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """(1,C,h,w) -> a copy in which unknown places have means of known ones near by, from coarse to fine."""
    if known.all():
        return values.clone()
    if min(values.shape[-2:]) < 2:
        mean = (values * known).sum((-2, -1), keepdim=True) / known.sum().clamp_min(1)
        return torch.where(known, values, mean if known.any() else torch.full_like(mean, 0.5))
    weight = F.avg_pool2d(known.float(), 2, ceil_mode=True)
    coarse = F.avg_pool2d(values * known, 2, ceil_mode=True) / weight.clamp_min(1e-6)
    coarse = _spread(coarse, weight > 0)
    fine = F.interpolate(coarse, size=values.shape[-2:], mode="bilinear", align_corners=False)
    return torch.where(known, values, fine)


def _equations(
    part: torch.Tensor, hole: torch.Tensor, places: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """(matrix (N,N), right side (N,3)) whose solution are the values at the N `places` of the hole."""
    height, width = hole.shape
    count = places.shape[1]
    number = torch.full((height, width), -1)
    number[hole] = torch.arange(count)
    weights = {offset: torch.full((count,), BENDING * weight) for offset, weight in BIHARMONIC.items()}
    for offset, weight in _diffusion(part, places):
        weights[offset] += weight
    rows, columns, values = [], [], []
    right = part.new_zeros(count, 3)
    for (down, across), weight in weights.items():
        y, x = _mirrored(places[0] + down, height), _mirrored(places[1] + across, width)
        column = number[y, x]
        unknown = column >= 0
        rows.append(unknown.nonzero()[:, 0])
        columns.append(column[unknown])
        values.append(weight[unknown])
        right -= torch.where(unknown, 0.0, weight)[:, None] * part[:, y, x].T
    indices = torch.stack([torch.cat(rows), torch.cat(columns)])
    matrix = torch.sparse_coo_tensor(indices, torch.cat(values), (count, count), check_invariants=False)
    return matrix.coalesce(), right


def _mirrored(place: torch.Tensor, size: int) -> torch.Tensor:
    """Places up to two beyond an edge -> those inside that they mirror."""
    place = torch.where(place < 0, -1 - place, place)
    return torch.where(place >= size, 2 * size - 1 - place, place).clamp(0, size - 1)


def _diffusion(part: torch.Tensor, places: torch.Tensor) -> Iterator[tuple[tuple[int, int], torch.Tensor]]:
    """((down, across), weight (N,)): what ∇uᵀ (D + SLOPE I) ∇u adds to the equations at the places.

    Gradients are of the four pixels around a corner, so each pixel has part in those of its four corners.
    """
    across_, both_, down_ = _tensor(part)  # (h+1,w+1) each: corner (y,x) is above and before pixel (y,x)
    for here in CORNERS:
        y, x = places[0] + 1 - here[0], places[1] + 1 - here[1]
        across, both, down = across_[y, x], both_[y, x], down_[y, x]
        for other in CORNERS:
            (gx, gy), (hx, hy) = _slopes(here), _slopes(other)
            weight = across * (gx * hx) + both * (gx * hy + gy * hx) + down * (gy * hy)
            yield (other[0] - here[0], other[1] - here[1]), weight


def _slopes(corner: tuple[int, int]) -> tuple[float, float]:
    """What a pixel of the four around a corner adds to the gradient there, across and down."""
    return corner[1] - 0.5, corner[0] - 0.5


def _tensor(part: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(3,h,w) -> D + SLOPE I at the corners, (h+1,w+1) each: across, mixed, down; 0 on the outer edge."""
    smooth = _blurred(part[:, None], FINE)[:, 0]
    low, high = smooth[:, :-1], smooth[:, 1:]
    right = (low.diff(dim=2) + high.diff(dim=2)) / 2
    down = (low[..., :-1] + low[..., 1:] - high[..., :-1] - high[..., 1:]) / -2
    products = torch.stack([right * right, right * down, down * down]).sum(1)
    xx, xy, yy = _blurred(products[:, None], COARSE)[:, 0]
    strength = ((xx - yy).square() + 4 * xy.square()).sqrt()  # difference of the eigenvalues
    weak = (1 / (1 + strength / CONTRAST**2)).clamp_min(ACROSS)
    angle = 0.5 * torch.atan2(2 * xy, xx - yy)
    cosine, sine = angle.cos(), angle.sin()
    tensor = torch.stack(
        [
            weak * cosine**2 + sine**2 + SLOPE,
            (weak - 1) * cosine * sine,
            weak * sine**2 + cosine**2 + SLOPE,
        ]
    )
    return tuple(F.pad(tensor, (1, 1, 1, 1)))


def _blurred(maps: torch.Tensor, deviation: float) -> torch.Tensor:
    """(N,1,h,w) under a Gaussian; edges are repeated."""
    reach = round(3 * deviation)
    kernel = torch.exp(-torch.arange(-reach, reach + 1).float().square() / (2 * deviation**2))
    kernel /= kernel.sum()
    maps = F.conv2d(F.pad(maps, (reach, reach, 0, 0), mode="replicate"), kernel.view(1, 1, 1, -1))
    return F.conv2d(F.pad(maps, (0, 0, reach, reach), mode="replicate"), kernel.view(1, 1, -1, 1))


def _solved(matrix: torch.Tensor, right: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
    """x (N,3) with matrix @ x = right, by conjugate gradients with the diagonal as preconditioner."""
    rows, columns = matrix.indices()
    same = rows == columns
    diagonal = right.new_zeros(len(right)).index_copy_(0, rows[same], matrix.values()[same])[:, None]
    matrix = matrix.to_sparse_csr()  # three times as fast
    x, residual = start, right - matrix @ start
    limit = PRECISION**2 * (right - matrix @ torch.full_like(start, 0.5)).square().sum(0)
    step = scaled = residual / diagonal
    product = (residual * scaled).sum(0)
    for _ in range(STEPS):
        if (residual.square().sum(0) <= limit).all():
            break
        moved = matrix @ step
        length = product / (step * moved).sum(0).clamp_min(1e-20)
        x, residual = x + length * step, residual - length * moved
        scaled = residual / diagonal
        product, before = (residual * scaled).sum(0), product
        step = scaled + product / before.clamp_min(1e-20) * step
    return x
