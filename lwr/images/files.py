"""Photos in and out: the only place where files and PIL images become tensors and go back.

Inside `lwr` an image is a float32 sRGB tensor (B,3,H,W) in [0,1]. `load` turns whatever a user has into that,
keeps transparency and metadata aside, and says in `notes` what it had to give up. `save` writes it back and
never damages a file. Anything wrong is an `ImageError` whose text is a sentence for the user.
"""

from lwr.images.disk import DiskFullError
from lwr.images.errors import FileThereError, ImageError
from lwr.images.formats import FORMATS, SUFFIXES
from lwr.images.photo import Loaded
from lwr.images.pixels import crop, pad_to_multiple, resize, to_pil
from lwr.images.reading import MAX_PIXELS, load, to_tensor, upright_size
from lwr.images.writing import save, writable

__all__ = [
    "FORMATS",
    "MAX_PIXELS",
    "SUFFIXES",
    "DiskFullError",
    "FileThereError",
    "ImageError",
    "Loaded",
    "crop",
    "load",
    "pad_to_multiple",
    "resize",
    "save",
    "to_pil",
    "to_tensor",
    "upright_size",
    "writable",
]
