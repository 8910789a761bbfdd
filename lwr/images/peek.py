"""What is known of photo files without decoding them."""

import warnings
from functools import lru_cache
from pathlib import Path

from PIL import Image

from lwr.images.reading import FORMATS


@lru_cache(maxsize=1)
def photo_suffixes() -> frozenset[str]:
    """The usual suffixes, in lower case, of files that `load` reads."""
    Image.init()
    return frozenset(suffix for suffix, kind in Image.EXTENSION.items() if kind in FORMATS)


def pixel_count(path: str | Path) -> int:
    """Width x height as a file's header says; 0 where it is no photo, which `load` then explains."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a large photo is no news here
            with Image.open(path) as image:
                return image.width * image.height
    except Exception:  # on damaged bytes decoders raise anything
        return 0
