"""Photographs for training: read once, kept as uint8, cropped in batches on the training device.

Any folder of pictures works, and so does a folder of tar shards with a `manifest.csv` (one row per crop, with
`id`, `photo`, `dark_channel`). Splits are by a hash of the source photograph, so crops of one photograph
never stand on both sides.
"""

import csv
import hashlib
import io
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps, UnidentifiedImageError

Split = Literal["train", "validation", "test"]
SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}
MAX_CLEAR_DARK_CHANNEL = 0.45  # above it the photo is itself hazy, snowy or white: no target for dehazing


@dataclass(frozen=True)
class Photo:
    """One clean picture: `pixels` (H,W,3) uint8; `photo` names the photograph that it was cut from."""

    id: str
    photo: str
    pixels: torch.Tensor
    clear: bool  # fit to be a haze-free target


def split_of(photo: str) -> Split:
    """The split of a source photograph: 92 % train, 4 % validation, 4 % test, by SHA-256 of its name."""
    bucket = int(hashlib.sha256(photo.encode()).hexdigest()[:8], 16) % 100
    return "validation" if bucket < 4 else "test" if bucket < 8 else "train"


def load_photos(source: Path, split: Split | None, limit: int | None = None) -> list[Photo]:
    """Read the photos of one split (None = all), in a fixed order.

    Raises FileNotFoundError with a sentence when `source` holds no photo of that split.
    """
    photos = []
    for photo in (
        _read_shards(source, split) if (source / "manifest.csv").exists() else _read_folder(source, split)
    ):
        photos.append(photo)
        if limit is not None and len(photos) >= limit:
            break
    if not photos:
        raise FileNotFoundError(
            f"No photos of split {split or 'any'} under {source}: give a folder of pictures, or one "
            "with tar shards and a manifest.csv."
        )
    return photos


def _read_shards(source: Path, split: Split | None) -> Iterator[Photo]:
    with (source / "manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    for shard in sorted({row["shard"] for row in rows.values()}):
        if not (source / shard).exists():
            continue
        with tarfile.open(source / shard) as tar:
            for member in tar:
                row = rows.get(Path(member.name).stem)
                if row is None or (split is not None and split_of(row["photo"]) != split):
                    continue
                extracted = tar.extractfile(member)
                pixels = _decode(extracted.read() if extracted else b"", f"{shard}:{member.name}")
                if pixels is not None:
                    clear = float(row.get("dark_channel") or 0) <= MAX_CLEAR_DARK_CHANNEL
                    yield Photo(row["id"], row["photo"], pixels, clear)


def _read_folder(source: Path, split: Split | None) -> Iterator[Photo]:
    for path in sorted(p for p in source.rglob("*") if p.suffix.lower() in SUFFIXES):
        name = path.relative_to(source).as_posix()
        if split is None or split_of(name) == split:
            pixels = _decode(path.read_bytes(), name)
            if pixels is not None:
                yield Photo(name, name, pixels, clear=True)


def _decode(data: bytes, name: str) -> torch.Tensor | None:
    try:
        image = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    except (UnidentifiedImageError, OSError) as error:
        print(f"skipped {name}: {error}")
        return None
    return torch.from_numpy(np.array(image))


class CropSampler:
    """Random clean crops of a list of photos; all state is the generator that the caller passes."""

    def __init__(self, photos: Sequence[Photo], crop: int, device: torch.device) -> None:
        self.crop = crop
        self.device = device
        large = [photo for photo in photos if min(photo.pixels.shape[:2]) >= crop]
        if not large:
            raise ValueError(
                f"No photo has both sides of {crop} pixels or more: use larger photos or a smaller crop."
            )
        self.pixels = [photo.pixels.to(device) for photo in large]
        self.any = torch.arange(len(large))
        self.clear = torch.tensor([i for i, photo in enumerate(large) if photo.clear])

    def batch(self, size: int, generator: torch.Generator, clear: bool = False) -> torch.Tensor:
        """`size` crops (B,3,crop,crop) in [0,1]; `clear` leaves out photos that are hazy themselves.

        A third of the crops are cut at twice the size and halved by area averaging: sharper, more context.
        """
        pool = self.clear if clear and len(self.clear) else self.any
        chosen = pool[torch.randint(len(pool), (size,), generator=generator)]
        return torch.stack([self._crop(self.pixels[int(index)], generator) for index in chosen])

    def _crop(self, pixels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        height, width = pixels.shape[:2]
        draws = torch.rand(5, generator=generator)
        side = self.crop * (2 if draws[0] < 1 / 3 and min(height, width) >= 2 * self.crop else 1)
        top, left = int(draws[1] * (height - side + 1)), int(draws[2] * (width - side + 1))
        crop = pixels[top : top + side, left : left + side].permute(2, 0, 1).float().div(255)
        if side != self.crop:
            crop = F.avg_pool2d(crop[None], 2)[0]
        return crop.flip(-1) if draws[3] < 0.5 else crop
