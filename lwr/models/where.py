"""Where a photo is changed: a change is taken in full where a map says so, and not at all elsewhere."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from lwr.models.bands import Bands, Source


@dataclass(frozen=True)
class Where:
    """How much of a change each place of a photo takes."""

    shares: torch.Tensor  # (1,1,h,w) in [0,1], spread evenly over the photo
    size: tuple[int, int]  # of the photo, (H,W)

    def turned(self) -> "Where":
        """The same with rows and columns exchanged."""
        return Where(self.shares.mT, self.size[::-1])

    def rows(self, top: int, count: int) -> torch.Tensor:
        """(1,1,count,W): the shares, enlarged bilinearly."""
        cells = self.shares.shape[-2]
        exact = ((torch.arange(top, top + count) + 0.5) * (cells / self.size[0]) - 0.5).clamp(0, cells - 1)
        upper = exact.long()
        above, below = (self.shares[..., row, :] for row in (upper, (upper + 1).clamp_max(cells - 1)))
        mixed = torch.lerp(above, below, (exact - upper)[:, None])
        return F.interpolate(mixed, (count, self.size[1]), mode="bilinear")

    def applied(self, changed: torch.Tensor, photo: torch.Tensor) -> torch.Tensor:
        """`photo` (1,3,H,W) with its share of what is `changed`; bit for bit as it was where that is 0."""
        return torch.lerp(photo, changed, self.rows(0, self.size[0]))

    def applied_in_bands(self, changed: Bands, photo: Source) -> Bands:
        """The same of a photo in bands; its rows are read as soon as the changed ones are there."""
        top = 0
        for band in changed:
            rows = band.shape[-2]
            yield torch.lerp(photo.cut(top, 0, rows, band.shape[-1]), band, self.rows(top, rows))
            top += rows
