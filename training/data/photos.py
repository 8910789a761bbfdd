"""Clean photographs for training: decoded once, kept as uint8 in memory.

Any folder of pictures works, and so do tar and parquet shards and datasets on the Hugging Face Hub (all in
training/data/shards.py). Splits are by a hash of the source photograph, so crops of one photograph never
stand on both sides.
"""

import hashlib
import io
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

import torch
from PIL import Image, UnidentifiedImageError

from lwr.images import files as images
from training.data.shards import USABLE, Picture, Skipped, open_source, reason

Split = Literal["train", "validation", "test"]
MAX_CLEAR_DARK_CHANNEL = 0.45  # above it the photo is itself hazy, snowy or white: no target for dehazing


DECODED_TOGETHER = 256
# Pillow warns of large and odd files; `images.load` decides. (Not around each: decoding runs in threads.)
warnings.filterwarnings("ignore", module=r"PIL\b")


@dataclass(frozen=True)
class Photo:
    """One clean picture: `pixels` (H,W,3) uint8; `photo` names the photograph that it was cut from."""

    id: str
    photo: str
    pixels: torch.Tensor
    clear: bool  # fit to be a haze-free target
    credit: str = ""  # whose it is and under which licence, as far as its collection says


def split_of(photo: str) -> Split:
    """The split of a source photograph: 92 % train, 4 % validation, 4 % test, by SHA-256 of its name."""
    name = photo.encode(errors="surrogateescape")  # file names need not be valid Unicode
    bucket = int(hashlib.sha256(name).hexdigest()[:8], 16) % 100
    return "validation" if bucket < 4 else "test" if bucket < 8 else "train"


def load_photos(
    source: str | Path,
    split: Split | None,
    limit: int | None = None,
    skipped: list[Skipped] | None = None,
) -> list[Photo]:
    """Read the photos of one split, in a fixed order.

    Args:
        source: a folder with pictures, .tar or .parquet shards (mixed if need be, subfolders too), one such
            file, or a Hub dataset `NAMESPACE/NAME[:CONFIG][@REVISION]`; what exists locally wins.
        split: None = all photos.
        limit: stop reading after so many photos; None = no limit.
        skipped: list to which what could not be read is appended; None = it is printed.

    Raises FileNotFoundError with a sentence when there is no such source, or no photo of that split in it.
    """
    pictures, wanted = open_source(source, split)
    photos: list[Photo] = []
    lost: list[Skipped] = []
    others = 0

    def of_split() -> Iterator[Picture | Skipped]:
        nonlocal others
        for found in pictures:
            if isinstance(found, Picture) and wanted is not None and split_of(found.photo) != wanted:
                others += 1
            else:
                yield found

    for found in _read(of_split(), limit or DECODED_TOGETHER):
        if isinstance(found, Photo):
            photos.append(found)
        else:
            lost.append(found)
            print(f"skipped {found.name}: {found.reason}") if skipped is None else skipped.append(found)
        if limit is not None and len(photos) >= limit:
            break
    if not photos:
        raise FileNotFoundError(_nothing_found(source, split, others, lost))
    return photos


def _read(pictures: Iterator[Picture | Skipped], together: int) -> Iterator[Photo | Skipped]:
    """Pictures decoded on all cores, in their order, at most `together` ahead of what is used."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        while batch := list(islice(pictures, min(together, DECODED_TOGETHER))):
            yield from pool.map(_photo, batch)


def decode(data: bytes) -> torch.Tensor:
    """The bytes of a picture file -> (H,W,3) uint8 sRGB, upright, transparency laid on white.

    Raises ImageError, or whatever Pillow raises on damaged bytes.
    """
    Image.init()
    known = [name for name in images.FORMATS if name in Image.OPEN]
    try:
        loaded = images.load(Image.open(io.BytesIO(data), formats=known))
    except UnidentifiedImageError as error:
        raise images.ImageError("not a picture of a known kind") from error
    rgb = loaded.rgb if loaded.alpha is None else 1 - loaded.alpha * (1 - loaded.rgb)
    return rgb[0].mul(255).round().to(torch.uint8).permute(1, 2, 0).contiguous()


def _photo(picture: Picture | Skipped) -> Photo | Skipped:
    if isinstance(picture, Skipped):
        return picture
    try:
        pixels = decode(picture.read())
        clear = float(picture.dark_channel or 0) <= MAX_CLEAR_DARK_CHANNEL
    except Exception as error:  # on damaged bytes decoders raise anything; reading fails in as many ways
        return Skipped(picture.name, reason(error))
    return Photo(picture.id, picture.photo, pixels, clear, _credit(picture.provenance))


def _credit(provenance: Mapping[str, str]) -> str:
    """ "Jane Doe, CC-BY-4.0, https://example.org/photo"."""
    rows = (("author",), ("license", "licence"), ("source_url", "source_path", "source"))
    found = [next((provenance[name] for name in names if provenance.get(name)), "") for names in rows]
    return ", ".join(text for text in found if text)


def _nothing_found(source: str | Path, split: Split | None, others: int, lost: Sequence[Skipped]) -> str:
    why = f"its {others} photos all fall in other splits" if others else "it holds none"
    first = f", the first is {lost[0].name}: {lost[0].reason}" if lost else ""
    return f"No photos of split {split or 'any'} in {source}: {why} ({len(lost)} skipped{first}); {USABLE}."
