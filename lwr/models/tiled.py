"""How a large photo passes through the network piece by piece."""

from collections.abc import Callable

import torch
import torch.nn.functional as F

from lwr.models.network import Encoded
from lwr.models.tiling import blend

OVERLAP = 128  # pixels that neighbouring tiles share
TILE_SLACK = 1.5  # a photo up to this many times a tile's area passes whole


class Tiles:
    """The pieces of one photo; every blend of them is Gaussian-weighted."""

    def __init__(self, photo: torch.Tensor, tile: int, factor: int) -> None:
        height, width = photo.shape[-2:]
        self.tile, self.factor = tile, factor
        self.whole = height * width <= TILE_SLACK * tile * tile
        stride = tile - OVERLAP
        self.count = 1 if self.whole else _pieces(height, tile, stride) * _pieces(width, tile, stride)

    def encode(self, photo: torch.Tensor, encode: Callable[[torch.Tensor], Encoded]) -> torch.Tensor:
        """(1,3,H,W) -> the blended LQ latent (1,C,H/f,W/f)."""
        return blend(photo, lambda x: encode(x).latent, self.tile, OVERLAP, scale=1 / self.factor)

    def predict(
        self, latent: torch.Tensor, lq_latent: torch.Tensor, step: Callable[..., torch.Tensor]
    ) -> torch.Tensor:
        """The UNet's output for the whole latent."""
        both = torch.cat([latent, lq_latent], 1)
        return blend(both, lambda x: step(*x.chunk(2, 1)), self.tile // self.factor, OVERLAP // self.factor)

    def decode(
        self,
        latent: torch.Tensor,
        photo: torch.Tensor,
        encode: Callable[[torch.Tensor], Encoded],
        decode: Callable[[torch.Tensor, Encoded], torch.Tensor],
    ) -> torch.Tensor:
        """The decoded photo; each tile's encoder features are made again instead of kept."""
        channels, factor = latent.shape[1], self.factor
        packed = torch.cat([latent, F.pixel_unshuffle(photo, factor)], 1)

        def piece(x: torch.Tensor) -> torch.Tensor:
            pixels = F.pixel_shuffle(x[:, channels:], factor)
            return decode(x[:, :channels], encode(pixels))

        return blend(packed, piece, self.tile // factor, OVERLAP // factor, scale=factor)


def _pieces(size: int, tile: int, stride: int) -> int:
    return 1 if size <= tile else -(-(size - tile) // stride) + 1
