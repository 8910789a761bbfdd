"""Transparency: told from the colours when a photo is read."""

import numpy as np
import torch
from PIL import Image


def split_alpha(image: Image.Image) -> tuple[Image.Image, torch.Tensor | None]:
    """-> image of mode L, RGB or CMYK, and alpha (1,1,H,W) in [0,1] or None."""
    if image.has_transparency_data:
        image = image.convert("RGBA")
        alpha = torch.from_numpy(np.array(image.getchannel("A"))).float().div_(255)
        return image.convert("RGB"), alpha[None, None]
    return (image if image.mode in ("L", "CMYK") else image.convert("RGB")), None
