"""Colour profiles: a photo's numbers become sRGB."""

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms


def to_srgb(image: Image.Image, icc: bytes | None, notes: list[str]) -> tuple[Image.Image, bytes | None]:
    """Mode L, RGB or CMYK -> RGB with sRGB numbers, and the profile that describes them."""
    if not icc:
        if image.mode == "CMYK":
            notes.append("CMYK photo without a colour profile: its colours are approximate")
        return image.convert("RGB"), None
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        mode = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}[profile.profile.xcolor_space.strip()]
        if (mode == "CMYK") != (image.mode == "CMYK"):
            raise ValueError(f"a {mode} profile on {image.mode} pixels")
        intent, flags = ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION
        target = ImageCms.ImageCmsProfile(io.BytesIO(_srgb_profile()))
        transform = ImageCms.buildTransform(profile, target, mode, "RGB", intent, flags)
        if mode != "CMYK" and _changes_nothing(transform, mode):
            return image.convert("RGB"), icc if mode == "RGB" else _srgb_profile()
        return ImageCms.applyTransform(image.convert(mode), transform), _srgb_profile()
    except (ImageCms.PyCMSError, OSError, ValueError, KeyError, TypeError) as error:
        notes.append(f"the embedded colour profile could not be applied ({error}): colours may be off")
        return image.convert("RGB"), None


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Is the profile sRGB in effect? Tried on a colour grid, since names of profiles tell little."""
    steps = np.arange(0, 256, 15, dtype=np.uint8)
    grid = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(len(steps), -1, 3)
    patches = Image.fromarray(grid).convert(mode)
    before = np.asarray(patches.convert("RGB"), dtype=int)
    after = np.asarray(ImageCms.applyTransform(patches, transform), dtype=int)
    return bool(abs(after - before).max() <= 2)


@lru_cache(maxsize=1)
def _srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
