"""From a photo to a file: whole or not at all, and never over a file that the user has not given up."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

import torch
from PIL import Image

from lwr.images import embedding
from lwr.images.disk import FULL, DiskFullError, Stream, why_full, write_whole
from lwr.images.errors import FileThereError, ImageError
from lwr.images.formats import SUFFIXES, with_suffix
from lwr.images.photo import Loaded
from lwr.images.pixels import to_pil

STREAMED = 8_000_000  # pixels from which on the file is written while it is encoded, not held in memory


def save(
    image: Loaded | torch.Tensor,
    path: str | Path,
    overwrite: bool = False,
    quality: int = 95,
    notes: list[str] | None = None,
) -> Path:
    """Write a photo whole or not at all; the suffix chooses the format (none: `.png` is appended).

    Transparency is kept in PNG, WebP and TIFF and laid on white in JPEG. EXIF, XMP, IPTC, density and texts
    are kept as far as the format can hold them. Pixels are sRGB: an sRGB profile is written if the photo came
    with any profile, otherwise none (viewers then assume sRGB).

    Args:
        image: a `Loaded` (new pixels: `Loaded.with_rgb`), or a bare tensor (1,3,H,W) in [0,1].
        path: where to; an existing file is replaced only with `overwrite`, and never half.
        quality: 1 to 100, for JPEG and WebP.
        notes: list to which sentences about what the format could not hold are appended.

    Returns the path written. Raises ImageError: as `writable`, or the format cannot hold the photo.
    """
    photo, path = image if isinstance(image, Loaded) else Loaded(image), writable(path, overwrite)
    if not 1 <= quality <= 100:
        raise ImageError(f"quality is {quality}; use 1 to 100.")
    encode = partial(_encode, photo, path, quality, [] if notes is None else notes)
    with write_errors(path):
        if photo.size[0] * photo.size[1] > STREAMED:
            write_whole(encode, path, overwrite)
        else:
            encode(buffer := io.BytesIO())
            write_whole(buffer.getvalue(), path, overwrite)
    return path


def save_grey(picture: Image.Image, path: str | Path, overwrite: bool = False) -> Path:
    """Write a grey picture (mode L) as a PNG, whole or not at all. Raises ImageError as `save`."""
    path = writable(path, overwrite)
    with write_errors(path):
        picture.save(buffer := io.BytesIO(), "PNG")
        write_whole(buffer.getvalue(), path, overwrite)
    return path


def writable(path: str | Path, overwrite: bool = False) -> Path:
    """The file that `save` would write; ImageError if it exists, its suffix is unknown or its folder bad."""
    if not str(path):
        raise ImageError("The file to write has no name: give one.")
    path = with_suffix(Path(path))
    if path.suffix.lower() not in SUFFIXES:
        names = ", ".join(SUFFIXES)
        raise ImageError(f"Cannot write {path}: unknown suffix {path.suffix!r}; use one of {names}.")
    with write_errors(path):
        if not path.parent.is_dir():
            raise ImageError(f"Cannot write {path}: there is no folder {path.parent}; create it first.")
        if not overwrite and os.path.lexists(path):
            raise FileExistsError
        if path.is_dir() or not os.access(path.parent, os.W_OK):
            raise OSError("a folder has this name" if path.is_dir() else f"{path.parent} is read-only")
    return path


@contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """What goes wrong while a file is written, as an ImageError."""
    try:
        yield
    except ImageError:
        raise
    except FileExistsError as error:
        raise FileThereError(path) from error
    except (OSError, ValueError) as error:  # ValueError: NUL in the name
        if getattr(error, "errno", None) in FULL:
            raise DiskFullError(why_full(error, path), path.parent, 0) from error
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"Cannot write {path}: {reason}; check name, permissions and free space.") from error


def _encode(photo: Loaded, path: Path, quality: int, notes: list[str], file: BinaryIO | Stream) -> None:
    picture, file_format = to_pil(photo.pixels, photo.alpha), SUFFIXES[path.suffix.lower()]
    options: dict[str, object] = {"icc_profile": photo.icc_profile, "quality": quality}
    options |= embedding.options(photo, file_format, notes)
    if file_format == "JPEG":
        options["subsampling"] = 0  # full colour resolution: restored edges keep their colour
        if picture.mode == "RGBA":
            white = Image.new("RGBA", picture.size, "white")
            picture = Image.alpha_composite(white, picture).convert("RGB")
            notes.append("JPEG has no transparency: the photo was laid on white")
    options = {name: value for name, value in options.items() if value is not None}
    try:
        picture.save(file, file_format, **options)
        if file_format == "TIFF":
            embedding.into_tiff(file, photo)
    except (OSError, ValueError, RuntimeError, TypeError, KeyError) as error:
        if getattr(error, "errno", None) is not None:  # the disk's
            raise
        raise ImageError(f"Cannot write {path} as {file_format} ({error}); use .png instead.") from error
