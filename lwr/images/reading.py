"""From a file or PIL image to a photo: every kind of pixels becomes float32 sRGB, upright.

What had to be given up is said in `Loaded.notes`; what cannot be read is an `ImageError`.
"""

import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from lwr.images import kinds, png
from lwr.images.alpha import fill_hidden, scale_key, split_alpha
from lwr.images.deep_tiff import DeepTiff, described, open_deep
from lwr.images.depth import DEEP_MODES, deep_values, lost_depth
from lwr.images.errors import ImageError, printable
from lwr.images.formats import readable_formats
from lwr.images.hidden import reopened
from lwr.images.metadata import gather
from lwr.images.photo import Loaded
from lwr.images.profiles import Conversion, deep_to_srgb, to_srgb

MAX_PIXELS = 64_000_000  # 192 MB as levels; larger photos are refused before they are decoded
BAND = 256  # rows
PILLOW_BYTES, DEEP_BYTES = 4, 40  # of memory for each pixel
# ... which decoders take beside, because they do not decode row by row
DECODER_BYTES = {"progressive": 6, "WEBP": 12, "AVIF": 8, "HEIF": 8, "JPEG2000": 12, "GIF": 4}
# (size (H,W), bytes for decoding) -> why the photo is not read, or None
Refuse = Callable[[tuple[int, int], int], str | None]

# EXIF orientation -> are rows and columns exchanged, and which sides (1: height, 2: width) are flipped then
_TURNS = {
    2: (False, (2,)),
    3: (False, (1, 2)),
    4: (False, (1,)),
    5: (True, ()),
    6: (True, (2,)),
    7: (True, (1, 2)),
    8: (True, (1,)),
}


def load(
    source: Image.Image | str | Path, max_pixels: int = MAX_PIXELS, refuse: Refuse = lambda *_: None
) -> Loaded:
    """Read a photo from a PIL image (its current frame) or a file.

    Args:
        source: PIL image of any mode, or the path of a file in one of `lwr.images.formats.FORMATS`.
        max_pixels: width x height above this is refused before decoding.
        refuse: says of (H,W) and the bytes of memory that decoding takes why not, or None.

    Raises ImageError for every unusable input, with the reason and the remedy.
    """
    if isinstance(source, Image.Image):
        opened = Path(getattr(source, "filename", None) or "")
        if source.format == "TIFF" and opened.is_file():
            kinds.refuse_raw(opened, "the image")
        return _read(source, "the image", max_pixels, refuse)
    label, path = str(source), _readable_file(source)
    notes = [note] if (note := kinds.refuse_raw(path, label)) else []
    try:
        with _pillow_errors(label, max_pixels), _opened(path, notes, max_pixels) as image:
            return _read(image, label, max_pixels, refuse, notes, path)
    except UnidentifiedImageError as error:
        names = ", ".join(name for name in readable_formats() if name != "MPO")
        raise kinds.unknown(path, label, names, described(path)) from error


def upright_size(source: str | Path) -> tuple[int, int]:
    """(H, W) as `load` gives them, from the file's header alone. Raises ImageError for what is no photo."""
    label, path = str(source), _readable_file(source)
    try:
        with _pillow_errors(label, MAX_PIXELS), _opened(path, [], MAX_PIXELS) as image:
            width, height = _stored_size(image)
            turned = gather(image, path, [])[1] > 4
            return (width, height) if turned else (height, width)
    except UnidentifiedImageError as error:
        raise kinds.unknown(path, label, ", ".join(readable_formats()), described(path)) from error


def _stored_size(image: Image.Image) -> tuple[int, int]:
    """(W, H)."""
    return (image.layout.width, image.layout.height) if isinstance(image, DeepTiff) else image.size


def _opened(path: Path, notes: list[str], max_pixels: int) -> Image.Image:
    try:
        return open_deep(path, max_pixels) or Image.open(
            png.readable(path, notes), formats=readable_formats()
        )
    except (ValueError, UnidentifiedImageError):
        if (image := reopened(path, notes)) is None:
            raise
        return image


def to_tensor(image: Image.Image) -> torch.Tensor:
    """PIL image -> (1,3,H,W) float32 in [0,1]: `load` without alpha and metadata."""
    return load(image).rgb


def _readable_file(source: str | Path) -> Path:
    if not isinstance(source, str | Path):
        raise ImageError(f"Expected a PIL image or the path of a photo, got {type(source).__name__}.")
    if not str(source):
        raise ImageError("An empty text is no name of a photo; name a file.")
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
        reason = printable(str(error))[:160]
        text = f"{label} is damaged or cut short ({reason}); copy it again or export it as PNG or JPEG."
        raise ImageError(text) from error


def _too_large(label: str, pixels: int, max_pixels: int) -> ImageError:
    limit = min(max_pixels, 2 * (Image.MAX_IMAGE_PIXELS or max_pixels)) / 1e6  # Pillow's own limit
    size = f"{label} has {pixels / 1e6:.1f} megapixels, the limit is {limit:g}"
    return ImageError(f"{size}; make it smaller or cut it in parts.")


def _read(
    image: Image.Image,
    label: str,
    max_pixels: int,
    refuse: Refuse,
    notes: list[str] | None = None,
    path: Path | None = None,
) -> Loaded:
    width, height = _stored_size(image)
    if width * height == 0:
        raise ImageError(f"{label} is {width}x{height} pixels: nothing to restore; give another image.")
    if width * height > max_pixels:
        raise _too_large(label, width * height, max_pixels)
    if (reason := refuse((height, width), width * height * _decoding_bytes(image))) is not None:
        raise ImageError(reason)
    notes = [] if notes is None else notes
    with _pillow_errors(label, max_pixels):
        _note_frames(image, notes)
        depth = lost_depth(image, path)
        scale_key(image)
        image.load()
        icc, (metadata, orientation) = image.info.get("icc_profile"), gather(image, path, notes)
        if isinstance(image, DeepTiff) or image.mode in DEEP_MODES:
            rgb, alpha, icc = _deep(image, icc, notes)
        else:
            rgb, alpha, icc = _plain(image, icc, notes)
        if path is not None:
            image.close()  # its pixels take as much again
        notes += [depth] if depth else []
        rgb = _upright(rgb, orientation)[None]
        if alpha is not None:
            alpha = _upright(alpha, orientation)[None]
            if not alpha.any():
                notes.append("the photo is fully transparent: the colours that it hides were used")
            fill_hidden(rgb, alpha)
    return Loaded(rgb, alpha, icc, notes=tuple(map(printable, notes)), **vars(metadata))


def _decoding_bytes(image: Image.Image) -> int:
    """Of memory for each pixel while it is decoded: Pillow's own, the decoder's, and the levels."""
    if isinstance(image, DeepTiff) or image.mode in DEEP_MODES:
        return DEEP_BYTES
    progressive = image.format == "JPEG" and "progressive" in image.info
    return PILLOW_BYTES + 3 + DECODER_BYTES.get("progressive" if progressive else image.format, 0)


def _plain(
    image: Image.Image, icc: bytes | None, notes: list[str]
) -> tuple[torch.Tensor, torch.Tensor | None, bytes | None]:
    """-> (3,H,W) uint8 sRGB, alpha (1,H,W) in [0,1] or None, the profile."""
    image, alpha = split_alpha(image)
    conversion, icc = to_srgb(image.mode, icc, notes)
    rgb = _levels(image, conversion)
    return rgb, None if alpha is None else torch.from_numpy(alpha)[None].float().div_(255), icc


def _levels(image: Image.Image, conversion: Conversion) -> torch.Tensor:
    """(3,H,W) uint8 sRGB, converted in bands: Pillow's own export takes three times as much memory."""
    levels = np.empty((image.height, image.width, 3), np.uint8)
    for top in range(0, image.height, BAND):
        band = levels[top : top + BAND]
        band[:] = conversion(image.crop((0, top, image.width, top + len(band))))
    return torch.from_numpy(levels).permute(2, 0, 1)


def _deep(
    image: Image.Image, icc: bytes | None, notes: list[str]
) -> tuple[torch.Tensor, torch.Tensor | None, bytes | None]:
    """-> (3,H,W) float32 sRGB in [0,1], alpha (1,H,W) in [0,1] or None, the profile."""
    values, alpha = deep_values(image, notes)
    if alpha is None and (key := split_alpha(image)[1]) is not None:
        alpha = key.astype(np.float32) / 255
    values, icc = deep_to_srgb(values, icc, notes)
    rgb = torch.from_numpy(values.astype(np.float32)).permute(2, 0, 1).expand(3, -1, -1)
    return rgb, None if alpha is None else torch.from_numpy(alpha)[None], icc


def _upright(pixels: torch.Tensor, orientation: int) -> torch.Tensor:
    """(C,H,W) as stored -> as it is to be seen, by an EXIF orientation; a pixel's values lie together."""
    transposed, flips = _TURNS.get(orientation, (False, ()))
    values = pixels.numpy()
    values = values.swapaxes(1, 2) if transposed else values
    values = np.flip(values, flips).transpose(1, 2, 0)
    values = values.copy() if flips else np.ascontiguousarray(values)  # torch takes no negative strides
    return torch.from_numpy(values).permute(2, 0, 1)


def _note_frames(image: Image.Image, notes: list[str]) -> None:
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # MPO: a phone photo with a preview or gain map behind it
        which = "the first" if image.tell() == 0 else f"number {image.tell() + 1}"
        kinds_of = {"TIFF": ("file of pages", "pages"), "HEIF": ("file of several photos", "photos")}
        kind, part = kinds_of.get(image.format, ("animated image", "frames"))
        notes.append(f"{kind}: only {which} of {frames} {part} was used")
