"""Kinds of files by name; imports no torch, so that a batch is planned at once."""

import ctypes
import logging
import os
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from PIL import Image, _imaging

T = TypeVar("T")
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "TIFF", "GIF", "BMP", "PPM", "JPEG2000", "AVIF", "HEIF")
SUFFIXES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"}


@lru_cache(maxsize=1)
def readable_formats() -> tuple[str, ...]:
    """Those of `FORMATS` that this installation of Pillow reads."""
    from pillow_heif import register_heif_opener

    register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)
    Image.init()
    # Pillow and libtiff write to standard error what `ImageError` says in a sentence; the latter's switch is
    # found where Pillow links it so
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    with suppress(OSError, AttributeError):
        ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler(None)
    return tuple(name for name in FORMATS if name in Image.OPEN)


@lru_cache(maxsize=1)
def photo_suffixes() -> frozenset[str]:
    """The usual suffixes, in lower case, of files that `load` reads."""
    known = readable_formats()
    return frozenset(suffix for suffix, kind in Image.EXTENSION.items() if kind in known)


def with_suffix(path: Path) -> Path:
    """The file that is written by this name: a PNG where it says nothing else."""
    return path if path.suffix or not path.name else path.with_name(path.name + ".png")


def pixel_count(path: str | Path) -> int:
    """Width x height as a file's header says; 0 where it is no photo, which `load` then explains."""
    return _of_header(path, lambda image: image.width * image.height, 0)


def kind_of(path: str | Path) -> str | None:
    """Which of `FORMATS` a file is, as its header says; None where it is no photo."""
    return _of_header(path, lambda image: image.format, None)


def _of_header(path: str | Path, asked: Callable[[Image.Image], T], none: T) -> T:
    try:
        if not os.path.isfile(path):  # a pipe would be waited for
            return none
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a large photo is no news here
            with Image.open(path, formats=readable_formats()) as image:
                return asked(image)
    except Exception:  # on damaged bytes decoders raise anything
        return none
