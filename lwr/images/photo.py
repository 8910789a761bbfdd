"""What a photo is inside `lwr`: tensors, and what is needed to save them as a file again."""

from __future__ import annotations

import dataclasses

import torch

from lwr.images.pixels import resize


@dataclasses.dataclass(frozen=True, eq=False)
class Loaded:
    """A photo as tensors, with what is needed to save it back."""

    rgb: torch.Tensor  # (1,3,H,W) float32 in [0,1], sRGB, upright
    alpha: torch.Tensor | None = None  # (1,1,H,W) float32 in [0,1]; None: the photo has no transparency
    icc_profile: bytes | None = None  # describes `rgb` (an sRGB one); None: the photo carried none
    exif: bytes | None = None  # without orientation, thumbnail and layout tags
    notes: tuple[str, ...] = ()  # sentences for the user about what was lost or decided while reading

    def with_rgb(self, rgb: torch.Tensor) -> Loaded:
        """The same photo with other pixels (1,3,h,w); alpha follows to the new size, metadata stays."""
        alpha = None if self.alpha is None else resize(self.alpha, (rgb.shape[-2], rgb.shape[-1]))
        return dataclasses.replace(self, rgb=rgb, alpha=alpha)
