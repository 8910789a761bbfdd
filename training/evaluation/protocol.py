"""How a benchmark is scored: of which pixels PSNR and SSIM are. Perceptual measures see the whole photo."""

from dataclasses import dataclass
from typing import Literal

import torch

from lwr.images.metrics import luma

Channel = Literal["rgb", "y"]
BORDER = 4  # pixels, where a super-resolution pair has one size: of the 4x that such sets are made at


@dataclass(frozen=True)
class Protocol:
    """Of which pixels PSNR and SSIM are."""

    channel: Channel = "rgb"  # y: luma of ITU-R BT.601, 16 to 235 of 255
    border: bool = False  # whether as many pixels as the pair's scale are cut off on each side

    @property
    def text(self) -> str:
        """For reports and tables."""
        kind = "Y of BT.601 (16 to 235)" if self.channel == "y" else "RGB"
        return f"{kind}, without a border of `scale` pixels" if self.border else kind

    def view(self, image: torch.Tensor, scale: float) -> torch.Tensor:
        """(1,3,H,W) in [0,1] -> what is scored of it: (1,3,H,W), or (1,1,H,W) of Y; the border is gone."""
        if self.border:
            cut = round(scale) if scale > 1 else BORDER
            image = image[..., cut:-cut, cut:-cut]
        return luma(image) if self.channel == "y" else image


PLAIN = Protocol()
ENLARGED = Protocol("y", border=True)  # super-resolution
