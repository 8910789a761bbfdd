"""What a photo is inside `lwr`: tensors, and what is needed to save them as a file again."""

from __future__ import annotations

import dataclasses

import torch

from lwr.images.pixels import resize, to_unit


@dataclasses.dataclass(frozen=True, eq=False)
class Loaded:
    """A photo as tensors, with what is needed to save it back."""

    # (1,3,H,W) sRGB, upright: levels (uint8) of an 8-bit photo, or float32 in [0,1]; see `rgb`
    pixels: torch.Tensor
    alpha: torch.Tensor | None = None  # (1,1,H,W) float32 in [0,1]; None: the photo has no transparency
    icc_profile: bytes | None = None  # describes `rgb` (an sRGB one); None: the photo carried none
    exif: bytes | None = None  # without orientation, thumbnail and layout tags
    notes: tuple[str, ...] = ()  # sentences for the user about what was lost or decided while reading
    xmp: bytes | None = None  # a packet, without orientation and sizes
    iptc: bytes | None = None  # datasets, not wrapped
    density: tuple[float, float] | None = None  # dots per inch, across and down
    texts: tuple[tuple[str, str], ...] = ()  # a PNG's texts, or ("Comment", ...)

    @property
    def rgb(self) -> torch.Tensor:
        """(1,3,H,W) float32 in [0,1]; of levels made again each time, 12 bytes a pixel."""
        return to_unit(self.pixels).contiguous()

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        return self.pixels.shape[-2], self.pixels.shape[-1]

    def with_rgb(self, rgb: torch.Tensor) -> Loaded:
        """The same photo with other pixels (1,3,h,w), levels or floats; alpha follows to the new size."""
        alpha = None if self.alpha is None else resize(self.alpha, (rgb.shape[-2], rgb.shape[-1]))
        return dataclasses.replace(self, pixels=rgb, alpha=alpha)
