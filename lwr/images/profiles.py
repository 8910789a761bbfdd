"""Colour profiles: a photo's numbers become sRGB."""

import io
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

Conversion = Callable[[Image.Image], Image.Image]

_SPACES = {"L": "GRAY", "CMYK": "CMYK", "RGB": "RGB", "LAB": "Lab"}
_ERRORS = (ImageCms.PyCMSError, OSError, ValueError, KeyError, TypeError)


def to_srgb(mode: str, icc: bytes | None, notes: list[str]) -> tuple[Conversion, bytes | None]:
    """What makes of any part of a photo of mode L, RGB, CMYK or LAB one of mode RGB with sRGB numbers, and
    the profile that describes them."""
    profile = _fitting(icc, _SPACES[mode], notes)
    if mode == "LAB":
        return _transform(ImageCms.createProfile("LAB"), "LAB"), None
    if profile is None:
        if mode == "CMYK" and not icc:
            notes.append("CMYK photo without a colour profile: its colours are approximate")
        return _as_rgb, None
    try:
        if mode == "L":
            table = _gray_levels(profile).round().astype(int).tolist()
            return (lambda part: part.point(table).convert("RGB")), _srgb_profile()
        if mode == "RGB" and _changes_nothing(profile):
            return _as_rgb, icc
        return _transform(profile, mode), _srgb_profile()
    except _ERRORS as error:
        notes.append(_unusable(error))
        return _as_rgb, None


def _as_rgb(part: Image.Image) -> Image.Image:
    return part.convert("RGB")


def deep_to_srgb(values: np.ndarray, icc: bytes | None, notes: list[str]) -> tuple[np.ndarray, bytes | None]:
    """(H,W,1 or 3) in [0,1] of more than 8 bits -> the same with sRGB numbers, and the profile of them.

    Pillow's colour management has 8 bits: gray goes through a table of 256 levels and keeps its depth;
    colours are rounded, unless the profile is sRGB anyway.
    """
    colours = values.shape[-1] == 3
    profile = _fitting(icc, "RGB" if colours else "GRAY", notes)
    if profile is None:
        return values, None
    try:
        if not colours:
            levels = _gray_levels(profile) / 255
            return np.interp(values, np.linspace(0, 1, 256), levels), _srgb_profile()
        if _changes_nothing(profile):
            return values, icc
        rounded = Image.fromarray((values * 255).round().astype(np.uint8))
        return np.asarray(_transform(profile, "RGB")(rounded)) / 255, _srgb_profile()
    except _ERRORS as error:
        notes.append(_unusable(error))
        return values, None


def _fitting(icc: bytes | None, space: str, notes: list[str]) -> ImageCms.ImageCmsProfile | None:
    """The profile if it can be read and is made for pixels of this space."""
    if not icc:
        return None
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        its_own = profile.profile.xcolor_space.strip(" \0")
    except _ERRORS as error:
        notes.append(_unusable(error))
        return None
    if its_own == space:
        return profile
    names = {"GRAY": "gray", "RGB": "RGB", "CMYK": "CMYK"}
    notes.append(
        f"the embedded colour profile is for {names.get(its_own, its_own)} pixels, not for "
        f"{names.get(space, space)} ones as in this photo: it was ignored"
    )
    return None


def _unusable(error: Exception) -> str:
    return f"the embedded colour profile could not be applied ({error}): colours may be off"


def _transform(profile: ImageCms.ImageCmsProfile, mode: str) -> Conversion:
    intent, flags = ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION
    target = ImageCms.ImageCmsProfile(io.BytesIO(_srgb_profile()))
    transform = ImageCms.buildTransform(profile, target, mode, "RGB", intent, flags)
    return lambda image: ImageCms.applyTransform(image, transform)


def _gray_levels(profile: ImageCms.ImageCmsProfile) -> np.ndarray:
    """(256,) sRGB levels of the 256 gray levels; one for all three channels, so that gray stays gray."""
    ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    levels = np.asarray(_transform(profile, "L")(ramp))[0].mean(-1)
    same = np.arange(256)
    return same.astype(float) if abs(levels - same).max() <= 2 else levels


def _changes_nothing(profile: ImageCms.ImageCmsProfile) -> bool:
    """Is the profile sRGB in effect? Tried on a colour grid, since names of profiles tell little."""
    steps = np.arange(0, 256, 15, dtype=np.uint8)
    patches = Image.fromarray(np.stack(np.meshgrid(steps, steps, steps), -1).reshape(len(steps), -1, 3))
    before, after = np.asarray(patches, dtype=int), np.asarray(_transform(profile, "RGB")(patches), dtype=int)
    return bool(abs(after - before).max() <= 2)


@lru_cache(maxsize=1)
def _srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
