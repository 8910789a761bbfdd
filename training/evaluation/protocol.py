"""How a benchmark is scored: of which pixels PSNR and SSIM are. Perceptual measures see the whole photo."""

from dataclasses import dataclass
from typing import Literal

import torch

from lwr.images.metrics import luma, psnr, ssim, ssim_map
from training.evaluation.align import aligned

Channel = Literal["rgb", "y"]
BORDER = 4  # pixels, where a super-resolution pair has one size: of the 4x that such sets are made at


@dataclass(frozen=True)
class Protocol:
    """Of which pixels PSNR and SSIM are."""

    channel: Channel = "rgb"  # y: luma of ITU-R BT.601, 16 to 235 of 255
    border: bool = False  # whether as many pixels as the pair's scale are cut off on each side
    align: bool = False  # whether the image is first laid on its target, and only their overlap counts
    also_y: bool = False  # whether PSNR of Y is shown beside, as "psnr_y"

    @property
    def text(self) -> str:
        """For reports and tables."""
        kind = "Y of BT.601 (16 to 235)" if self.channel == "y" else "RGB"
        kind += ", without a border of `scale` pixels" if self.border else ""
        kind += ", laid on the target first (ECC homography, one gain)" if self.align else ""
        return kind + (", PSNR of Y beside" if self.also_y and self.channel != "y" else "")

    def scores(self, image: torch.Tensor, clean: torch.Tensor, scale: float) -> dict[str, float]:
        """(1,3,H,W) in [0,1] each -> {"psnr": ..., "ssim": ...}."""
        if self.align:
            return self._of_overlap(*aligned(image, clean))
        seen = self.view(image, scale), self.view(clean, scale)
        found = {"psnr": psnr(*seen).item(), "ssim": ssim(*seen).item()}
        if self.also_y and self.channel != "y":
            found["psnr_y"] = psnr(*(luma(one) for one in (image, clean))).item()
        return found

    def _of_overlap(
        self, image: torch.Tensor, clean: torch.Tensor, overlap: torch.Tensor
    ) -> dict[str, float]:
        """PSNR and SSIM of the pixels where `overlap` (1,1,H,W) is 1."""
        image, clean = self.view(image, 1), self.view(clean, 1)
        error = (image - clean).double().square() * overlap
        mean = error.sum() / (overlap.sum() * image.shape[1])
        similar = ssim_map(image, clean)
        rim = (overlap.shape[-1] - similar.shape[-1]) // 2  # where the window would leave the photo
        inner = overlap[..., rim:-rim, rim:-rim].expand_as(similar)
        return {"psnr": -10 * mean.log10().item(), "ssim": ((similar * inner).sum() / inner.sum()).item()}

    def view(self, image: torch.Tensor, scale: float) -> torch.Tensor:
        """(1,3,H,W) in [0,1] -> what is scored of it: (1,3,H,W), or (1,1,H,W) of Y; the border is gone."""
        if self.border:
            cut = round(scale) if scale > 1 else BORDER
            image = image[..., cut:-cut, cut:-cut]
        return luma(image) if self.channel == "y" else image


PLAIN = Protocol()
ENLARGED = Protocol("y", border=True)  # super-resolution
ALIGNED = Protocol(align=True)  # pairs of two cameras
