"""From a file or PIL image to a photo: every kind of pixels becomes float32 sRGB, upright.

What had to be given up is said in `Loaded.notes`; what cannot be read is an `ImageError`.
"""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from lwr.images.alpha import split_alpha
from lwr.images.errors import ImageError
from lwr.images.metadata import take_exif
from lwr.images.photo import Loaded
from lwr.images.profiles import to_srgb

MAX_PIXELS = 64_000_000  # 768 MB as float32 RGB; larger photos are refused before they are decoded
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "TIFF", "GIF", "BMP", "PPM", "JPEG2000", "AVIF")

_DEEP_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")  # Pillow's own convert() clips these to white
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def load(source: Image.Image | str | Path, max_pixels: int = MAX_PIXELS) -> Loaded:
    """Read a photo from a PIL image (its current frame) or a file.

    Args:
        source: PIL image of any mode, or the path of a file in one of `FORMATS`.
        max_pixels: width x height above this is refused before decoding.

    Raises ImageError for every unusable input, with the reason and the remedy.
    """
    if isinstance(source, Image.Image):
        return _read(source, "the image", max_pixels)
    label, path = str(source), _readable_file(source)
    Image.init()
    known = [name for name in FORMATS if name in Image.OPEN]
    try:
        with _pillow_errors(label, max_pixels), Image.open(path, formats=known) as image:
            return _read(image, label, max_pixels)
    except UnidentifiedImageError as error:
        names = ", ".join(name for name in known if name != "MPO")
        raise ImageError(f"{label} is not an image of a known kind; save it as one of {names}.") from error


def to_tensor(image: Image.Image) -> torch.Tensor:
    """PIL image -> (1,3,H,W) float32 in [0,1]: `load` without alpha and metadata."""
    return load(image).rgb


def _readable_file(source: str | Path) -> Path:
    if not isinstance(source, str | Path):
        raise ImageError(f"Expected a PIL image or the path of a photo, got {type(source).__name__}.")
    path = Path(source)
    try:
        size = path.stat().st_size
        if path.is_file():
            path.open("rb").close()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ImageError(f"{source} does not exist; check the name and the folder.") from error
    except (OSError, ValueError) as error:  # no permission, name too long or with NUL, stale network drive
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"{str(source)!r} cannot be read ({reason}); check name and permissions.") from error
    if path.is_dir():
        raise ImageError(f"{source} is a folder; name the photos in it.")
    if not path.is_file():
        raise ImageError(f"{source} is not a regular file; name a photo.")
    if size == 0:
        raise ImageError(f"{source} is empty (0 bytes); copy or download it again.")
    return path


@contextmanager
def _pillow_errors(label: str, max_pixels: int) -> Iterator[None]:
    """Turn all that Pillow's decoders raise or warn about into one ImageError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (ImageError, UnidentifiedImageError):
        raise
    except Image.DecompressionBombError as error:
        pixels = re.search(r"\d+", str(error))
        raise _too_large(label, int(pixels[0]) if pixels else max_pixels, max_pixels) from error
    except MemoryError as error:
        raise ImageError(f"{label} does not fit in memory; make it smaller first.") from error
    except Exception as error:  # on damaged bytes decoders raise anything: struct.error, KeyError, zlib.error
        text = f"{label} is damaged or cut short ({error}); copy it again or export it as PNG or JPEG."
        raise ImageError(text) from error


def _too_large(label: str, pixels: int, max_pixels: int) -> ImageError:
    limit = min(max_pixels, 2 * (Image.MAX_IMAGE_PIXELS or max_pixels)) / 1e6  # Pillow's own limit
    size = f"{label} has {pixels / 1e6:.1f} megapixels, the limit is {limit:g}"
    return ImageError(f"{size}; make it smaller or cut it in parts.")


def _read(image: Image.Image, label: str, max_pixels: int) -> Loaded:
    width, height = image.size
    if width * height == 0:
        raise ImageError(f"{label} is {width}x{height} pixels: nothing to restore; give another image.")
    if width * height > max_pixels:
        raise _too_large(label, width * height, max_pixels)
    notes: list[str] = []
    with _pillow_errors(label, max_pixels):
        _note_losses(image, notes)
        image.load()
        icc, (exif, orientation) = image.info.get("icc_profile"), take_exif(image, notes)
        if orientation in _TURNS:
            image = image.transpose(_TURNS[orientation])
        if image.mode in _DEEP_MODES:
            if icc:
                notes.append("the colour profile of this deep grey photo was not applied")
            rgb, alpha, icc = torch.from_numpy(_deep_grey(image)).expand(3, -1, -1), None, None
        else:
            image, alpha = split_alpha(image)
            image, icc = to_srgb(image, icc, notes)
            rgb = torch.from_numpy(np.array(image)).permute(2, 0, 1).float().div_(255)
    return Loaded(rgb[None].contiguous(), alpha, icc, exif, tuple(notes))


def _note_losses(image: Image.Image, notes: list[str]) -> None:
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # MPO: a phone photo with a preview or gain map behind it
        which = "the first" if image.tell() == 0 else f"number {image.tell() + 1}"
        kind, part = ("file of pages", "pages") if image.format == "TIFF" else ("animated image", "frames")
        notes.append(f"{kind}: only {which} of {frames} {part} was used")
    if image.mode not in _DEEP_MODES and any(";16" in str(tile[3]) for tile in getattr(image, "tile", ())):
        notes.append("16 bits per channel were reduced to 8")  # Pillow has no deep colour mode


def _deep_grey(image: Image.Image) -> np.ndarray:
    """16-bit, 32-bit or float grey -> (H,W) float32 in [0,1], by the range its type or values imply."""
    values = np.nan_to_num(np.array(image).astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    highest = values.max()
    if image.mode == "F":
        top = max(1.0, highest)
    elif image.mode == "I":  # 32 bits hold 8-bit, 16-bit or larger numbers alike
        top = next((limit for limit in (255.0, 65535.0) if highest <= limit), highest)
    else:
        top = 65535.0
    return np.clip(values / top, 0, 1).astype(np.float32)
