"""Photos of more than 8 bits: their numbers in [0,1], and what a file says of its bits."""

from pathlib import Path

import numpy as np
from PIL import Image

from lwr.images.deep_tiff import DeepTiff

DEEP_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")  # Pillow's own convert() clips these to white
_FLOATING = "floating point numbers were rounded to 8 bits"
_HEAD = 1 << 16  # bytes of a file in which its depth stands


def deep_values(image: Image.Image, notes: list[str]) -> tuple[np.ndarray, np.ndarray | None]:
    """Gray or colour of more than 8 bits -> (H,W,1 or 3) float32 in [0,1], alpha (H,W) float32 or None.

    White is what the type or the values imply. NaN becomes black, infinity white.
    """
    if not isinstance(image, DeepTiff):
        values = np.array(image).astype(np.float64)[..., None]
        _replace_nan(values, 1, notes)
        return _in_range(values, image.mode), None
    one, values = image.layout, image.numbers()
    colours, alpha = values[..., : one.colours], None
    _replace_nan(values, one.colours, notes)
    floating = one.dtype.kind == "f"
    if one.extra in (1, 2):
        alpha = np.clip(
            values[..., one.colours] / (1.0 if floating else float(np.iinfo(one.dtype).max)), 0, 1
        )
        if one.extra == 1:  # colours are multiplied by alpha
            colours = np.divide(
                colours, alpha[..., None], out=np.zeros_like(colours), where=alpha[..., None] > 0
            )
        alpha = alpha.astype(np.float32)
    return _in_range(colours, "F" if floating else "I" if one.dtype.itemsize == 4 else "I;16"), alpha


def _replace_nan(values: np.ndarray, colours: int, notes: list[str]) -> None:
    """NaN to 0 in (H,W,C); a note says how many pixels have colours that are no finite number."""
    if np.isfinite(values).all():
        return
    first = values[..., :colours]
    dark, light = np.isnan(first) | np.isneginf(first), np.isposinf(first)
    for found, what in ((dark, "NaN or minus infinity became black"), (light, "infinity became white")):
        if count := int(found.any(-1).sum()):
            notes.append(f"{what} in {count} pixel{'s' if count > 1 else ''}")
    values[np.isnan(values)] = 0


def _in_range(values: np.ndarray, mode: str) -> np.ndarray:
    highest = values.max(where=np.isfinite(values), initial=0)
    if mode == "F":
        top = max(1.0, highest)
    elif mode == "I":  # 32 bits hold 8-bit, 16-bit or larger numbers alike
        top = next((limit for limit in (255.0, 65535.0) if highest <= limit), highest)
    else:
        top = 65535.0
    return np.clip(values / top, 0, 1).astype(np.float32)


def lost_depth(image: Image.Image, path: Path | None) -> str | None:
    """A note when a photo has more bits than a result; to be called before its pixels are loaded."""
    if isinstance(image, DeepTiff):
        one = image.layout
        return (
            _FLOATING
            if one.dtype.kind == "f"
            else f"{8 * one.dtype.itemsize} bits per channel were reduced to 8"
        )
    if image.mode == "F":
        return _FLOATING
    tiles = [str(tile[3]) for tile in getattr(image, "tile", None) or ()]
    if image.mode.startswith("I;16") or any(";16" in packed for packed in tiles):
        bits = 16
    elif image.mode == "I":
        bits = 16 if image.format in ("PPM", "PNG") else 32
    else:
        bits = _bits_in_header(image, path)
    return f"{bits} bits per channel were reduced to 8" if bits > 8 else None


def _bits_in_header(image: Image.Image, path: Path | None) -> int:
    """What Pillow does not tell: the bits of HEIC, AVIF, JPEG 2000 and PPM."""
    if image.format == "HEIF":
        return int(image.info.get("bit_depth", 8))
    if image.format == "PPM":
        tile = (getattr(image, "tile", None) or [(0, 0, 0, 0)])[0][3]
        highest = (
            max((part for part in tile if isinstance(part, int)), default=0) if isinstance(tile, tuple) else 0
        )
        return highest.bit_length()
    if path is None or image.format not in ("AVIF", "JPEG2000"):
        return 8
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if image.format == "AVIF":  # AV1 in ISOBMFF, 2.3.3: the third byte of av1C
        place = head.find(b"av1C")
        flags = head[place + 6] if 0 <= place < len(head) - 6 else 0
        return 12 if flags & 0x60 == 0x60 else 10 if flags & 0x40 else 8
    place = head.find(b"\xff\x4f\xff\x51")  # ISO 15444-1, A.5.1: start of the codestream and its SIZ
    return (head[place + 42] & 0x7F) + 1 if 0 <= place < len(head) - 42 else 8
