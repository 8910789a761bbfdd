"""Transparency: taken from the colours when a photo is read, and the colours that it hides.

Under transparent pixels files hold anything: black, white, noise, the remains of another picture. Resizing
and the network would mix it into the visible edge, so hidden pixels first take the colour of their visible
neighbours.
"""

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

_SHOWN = 8 / 255  # from this alpha on a pixel has its own colour; below, the less the more transparent it is
_CELL = 8  # pixels a side of the coarse picture's cells
_STRIP, _HALO = 128, 2 * _CELL  # rows that are filled at a time, and rows around them that are looked at
_BITS = {"1": 1, "L;2": 2, "L;4": 4, "I;16B": 16}  # by Pillow's names of how a PNG's numbers are packed


def scale_key(image: Image.Image) -> None:
    """A PNG may name one colour as transparent, in its own bits: bring it to those of Pillow's pixels.

    To be called before the pixels are loaded.
    """
    key = image.info.get("transparency")
    tiles = getattr(image, "tile", None)
    if image.format != "PNG" or not tiles or not isinstance(key, int | tuple):
        return
    packed = str(tiles[0][3])
    if isinstance(key, tuple) and "16" in packed:
        image.info["transparency"] = tuple(level >> 8 for level in key)
    elif isinstance(key, int) and packed in ("L;2", "L;4"):
        image.info["transparency"] = key * 255 // (2 ** _BITS[packed] - 1)


def split_alpha(image: Image.Image) -> tuple[Image.Image, np.ndarray | None]:
    """-> image of mode L, RGB, CMYK, LAB or a deep gray one, and alpha (H,W) uint8 or None."""
    if image.mode.startswith("I;16"):
        key = image.info.get("transparency")
        return image, np.where(np.asarray(image) == key, 0, 255).astype(np.uint8) if isinstance(
            key, int
        ) else None
    if image.mode in ("I", "F"):
        return image, None
    if image.mode == "La":
        image = image.convert("LA")
    if image.has_transparency_data:
        gray, image = image.mode in ("1", "L", "LA"), image.convert("RGBA")
        return image.getchannel("R") if gray else image.convert("RGB"), np.array(image.getchannel("A"))
    if image.mode in ("1", "L", "CMYK", "LAB"):
        return (image.convert("L") if image.mode == "1" else image), None
    return (image if image.mode == "RGB" else image.convert("RGB")), None


def fill_hidden(rgb: torch.Tensor, alpha: torch.Tensor) -> None:
    """Give transparent pixels, in place, the colour of the visible ones around them.

    Each is mixed from ever coarser averages of what is visible, as far as the finer ones see nothing (the
    push-pull of Gortler et al. 1996, The Lumigraph). Strip by strip, so that large photos need little memory.

    Args:
        rgb: (1,3,H,W), float or uint8.
        alpha: (1,1,H,W) float in [0,1]; where it is 0 everywhere nothing is changed.
    """
    if alpha.min() >= _SHOWN or not alpha.any():
        return
    height, width = alpha.shape[-2:]
    strips = range(0, height, _STRIP)
    coarse = torch.cat([_average(_weighted(rgb, alpha, y, y + _STRIP), _CELL) for y in strips], 2)
    coarse = _spread(coarse)
    for top in strips:
        bottom = min(top + _STRIP, height)
        if alpha[..., top:bottom, :].min() >= _SHOWN:
            continue
        first, last = max(top - _HALO, 0), min(bottom + _HALO, height)
        fine = [_weighted(rgb, alpha, first, last)]
        fine += [_average(fine[0], 2), _average(fine[0], 4)]
        colour = coarse[:, :, first // _CELL : -(-last // _CELL)]
        for level in (fine[2], fine[1]):
            colour = _mixed(level, _doubled(colour))
        colour = _doubled(colour)[:, :, top - first : bottom - first, :width]
        own, trust = rgb[:, :, top:bottom], (alpha[:, :, top:bottom] / _SHOWN).clamp(max=1)
        filled = colour + (own.float() - colour) * trust
        hidden = trust < 1
        filled = filled if rgb.is_floating_point() else filled.round()
        rgb[:, :, top:bottom] = torch.where(hidden, filled.to(rgb.dtype), own)


def _weighted(rgb: torch.Tensor, alpha: torch.Tensor, top: int, bottom: int) -> torch.Tensor:
    """(1,4,h,w) of some rows: colours times alpha, alpha; zeros continue them to whole cells."""
    weight = alpha[:, :, top:bottom].float()
    both = torch.cat([rgb[:, :, top:bottom].float() * weight, weight], 1)
    return F.pad(both, (0, -both.shape[-1] % _CELL, 0, -both.shape[-2] % _CELL))


def _average(weighted: torch.Tensor, side: int) -> torch.Tensor:
    return F.avg_pool2d(weighted, side)


def _spread(weighted: torch.Tensor) -> torch.Tensor:
    """(1,4,h,w) -> (1,3,h,w): a colour everywhere."""
    height, width = weighted.shape[-2:]
    if max(height, width) == 1:
        return weighted[:, :3] / weighted[:, 3:].clamp_min(1e-12)
    even = F.pad(weighted, (0, width % 2, 0, height % 2))
    return _mixed(weighted, _doubled(_spread(_average(even, 2)))[..., :height, :width])


def _mixed(weighted: torch.Tensor, coarser: torch.Tensor) -> torch.Tensor:
    """A cell's own colour as far as enough of it is visible, else the coarser picture's."""
    weight = weighted[:, 3:]
    own = weighted[:, :3] / weight.clamp_min(1e-12)
    return torch.lerp(coarser, own, (4 * weight).clamp(max=1))


def _doubled(colour: torch.Tensor) -> torch.Tensor:
    return F.interpolate(colour, scale_factor=2, mode="bilinear")
