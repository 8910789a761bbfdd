"""A large photo restored in bands of rows, from top to bottom, so that no copy of it in floats is ever whole.

Generators take bands (1,C,n,W), each below the one before, and give bands, not always of the same n. What
lies between the tiles and the finished rows waits only as long as it needs what comes below.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

import torch
import torch.nn.functional as F

from lwr.models.tiling import VARIANCE, gaussian_weights, tile_starts
from lwr.models.tones import CELL, FINE, TONE_PASSES, TONE_REACH, plain_share, smoothed

Bands = Iterator[torch.Tensor]
ROWS = 64  # of a band


class Source(Protocol):
    """A photo of which parts can be had; see lwr.images.canvas."""

    padded: tuple[int, int]

    def cut(self, top: int, left: int, height: int, width: int) -> torch.Tensor:
        """(1,C,height,width) in [0,1]."""
        ...


def bands_of(photo: Source, size: tuple[int, int]) -> Bands:
    """The photo as it is; `size` (H,W), from its top left corner."""
    for top in range(0, size[0], ROWS):
        yield photo.cut(top, 0, min(ROWS, size[0] - top), size[1])


def blended_bands(photo: Source, function: Callable[[Bands], Bands], tile: int, overlap: int) -> Bands:
    """`tiling.blend` of a whole photo; `function` gives for each tile (1,C,h,w), in order, (1,C',h,w)."""
    height, width = photo.padded
    tops, lefts = (tile_starts(side, tile, overlap) for side in (height, width))
    tile_h, tile_w = min(tile, height), min(tile, width)
    weights = gaussian_weights(tile_h, tile_w, VARIANCE)
    results = function(photo.cut(top, left, tile_h, tile_w) for top in tops for left in lefts)
    strip, total = None, torch.zeros(tile_h, width)  # of this row of tiles
    for top, after in zip(tops, [*tops[1:], height], strict=True):
        for left in lefts:
            result = next(results)
            if strip is None:
                strip = result.new_zeros(*result.shape[:2], tile_h, width)
            strip[..., left : left + tile_w].addcmul_(result, weights)
            total[:, left : left + tile_w].add_(weights)
        done = after - top
        for start in range(0, done, ROWS):
            part = slice(start, min(start + ROWS, done))
            yield strip[..., part, :] / total[part]
        for sums in (strip, total):
            kept = sums[..., done:, :].clone()
            sums[..., : tile_h - done, :] = kept
            sums[..., tile_h - done :, :] = 0


def cropped(bands: Bands, size: tuple[int, int]) -> Bands:
    """The top left (H,W) of what the bands show."""
    left = size[0]
    for band in bands:
        if left > 0:
            yield band[..., :left, : size[1]]
        left -= band.shape[-2]


class Reduction:
    """F.interpolate(photo, small, mode="area") of a photo that comes in bands."""

    def __init__(self, size: tuple[int, int], small: tuple[int, int]) -> None:
        """`size` (H,W) of the photo, `small` (h,w) of what it is reduced to."""
        self.small, self.done, self.start = small, 0, 0
        self.spans = [
            (row * size[0] // small[0], -(-(row + 1) * size[0] // small[0])) for row in range(small[0])
        ]
        self.waiting: torch.Tensor | None = None

    def add(self, band: torch.Tensor) -> torch.Tensor:
        """The next rows (1,C,n,W) -> the reduced rows (1,C,m,w) that are complete now, m from 0 on."""
        self.waiting = band if self.waiting is None else torch.cat([self.waiting, band], -2)
        there, rows = self.start + self.waiting.shape[-2], []
        while self.done < self.small[0] and self.spans[self.done][1] <= there:
            first, end = self.spans[self.done]
            rows.append(self.waiting[..., first - self.start : end - self.start, :].mean(-2))
            self.done += 1
        needed = self.spans[self.done][0] if self.done < self.small[0] else there
        if needed > self.start:
            self.waiting = self.waiting[..., needed - self.start :, :].clone()
            self.start = needed
        if not rows:
            return band.new_zeros(*band.shape[:2], 0, self.small[1])
        return F.interpolate(torch.stack(rows, -2), (len(rows), self.small[1]), mode="area")


def reduced(photo: Source, small: tuple[int, int]) -> torch.Tensor:
    """(1,C,h,w) of the padded photo."""
    reduction = Reduction(photo.padded, small)
    return torch.cat([reduction.add(band) for band in bands_of(photo, photo.padded)], -2)


def match_tones_in_bands(bands: Bands, size: tuple[int, int], overview: torch.Tensor) -> Bands:
    """`tones.match_tones` of a photo of `size` (H,W) in bands."""
    return _add_smoothly(bands, size, overview, torch.ones(()))


def keep_plain_tones_in_bands(bands: Bands, reference: Bands, size: tuple[int, int]) -> Bands:
    """`tones.keep_plain_tones` of a photo of `size` (H,W) in bands.

    All of `reference` is read before the first of `bands`, so that these may replace what it shows.
    """
    cells = max(1, size[0] // CELL), max(1, size[1] // CELL)
    coarse, fine = Reduction(size, cells), Reduction(size, (cells[0] * FINE, cells[1] * FINE))
    wanted, plain, waiting = [], [], None
    for band in reference:
        wanted.append(coarse.add(band))
        waiting = torch.cat([*([] if waiting is None else [waiting]), fine.add(band)], -2)
        whole = waiting.shape[-2] // FINE * FINE
        if whole:
            plain.append(plain_share(waiting[..., :whole, :]))
            waiting = waiting[..., whole:, :]
    return _add_smoothly(bands, size, torch.cat(wanted, -2), torch.cat(plain, -2))


def fixed(
    bands: Bands, photo: Source, fix: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], reach: int
) -> Bands:
    """`fix(image, photo)`, which looks `reach` rows up and down, of an image in bands.

    The photo's rows are read as soon as the image's are there, and not again.
    """

    def pairs() -> Bands:
        top = 0
        for band in bands:
            yield torch.cat([band, photo.cut(top, 0, *band.shape[-2:])], 1)
            top += band.shape[-2]

    for window, above, below in _windows(pairs(), reach):
        image = fix(*window.chunk(2, 1))
        yield image[..., above : image.shape[-2] - below, :]


def _windows(bands: Bands, reach: int) -> Iterator[tuple[torch.Tensor, int, int]]:
    """Each band with up to `reach` rows above and below, and how many these are."""
    above: torch.Tensor | None = None
    parts: deque[torch.Tensor] = deque()

    def window(last: bool) -> Iterator[tuple[torch.Tensor, int, int]]:
        nonlocal above
        while parts and (last or sum(part.shape[-2] for part in parts) - parts[0].shape[-2] >= reach):
            band = parts.popleft()
            below = torch.cat([band[..., :0, :], *parts], -2)[..., :reach, :]
            top = band[..., :0, :] if above is None else above
            yield torch.cat([top, band, below], -2), top.shape[-2], below.shape[-2]
            above = torch.cat([top, band], -2)[..., -reach:, :].clone()

    for band in bands:
        parts.append(band)
        yield from window(False)
    yield from window(True)


def _add_smoothly(bands: Bands, size: tuple[int, int], wanted: torch.Tensor, share: torch.Tensor) -> Bands:
    """The bands + share * (wanted - reduced bands), smoothed and enlarged: wanted (1,C,h,w), share alike."""
    (height, width), small = size, tuple(wanted.shape[-2:])
    reach = TONE_REACH * TONE_PASSES
    exact = ((torch.arange(height) + 0.5) * (small[0] / height) - 0.5).clamp_min(0)
    upper = exact.long().clamp_max(small[0] - 1)
    lower, between = (upper + 1).clamp_max(small[0] - 1), (exact - upper)[:, None]
    share = share.expand(1, 1, *small)
    difference, reduction = torch.zeros_like(wanted), Reduction(size, small)
    waiting: deque[torch.Tensor] = deque()
    top, known = 0, 0  # rows given back, rows of the difference
    for band in bands:
        waiting.append(band)
        new = reduction.add(band)
        rows = slice(known, known + new.shape[-2])
        difference[..., rows, :] = (wanted[..., rows, :] - new) * share[..., rows, :]
        known = rows.stop
        while waiting and (known == small[0] or lower[top + waiting[0].shape[-2] - 1] + reach < known):
            ready = waiting.popleft()
            end = top + ready.shape[-2]
            first = max(0, int(upper[top]) - reach)
            near = smoothed(difference[..., first : int(lower[end - 1]) + reach + 1, :])
            above, below = (near.index_select(-2, rows[top:end] - first) for rows in (upper, lower))
            mixed = above + (below - above) * between[top:end]
            yield ready + F.interpolate(mixed, (end - top, width), mode="bilinear")
            top = end
