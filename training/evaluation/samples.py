"""What gets measured: photos damaged here, pairs (training/data/pairs.py), or photos without a target."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from lwr.images import files as images
from lwr.tasks import TASKS
from lwr.tasks.base import SCENE
from training.data.pairs import Pair
from training.data.photos import Photo, Split, load_photos
from training.data.shards import SUFFIXES, Skipped
from training.data.storage import files_below, place

SIZE = 512  # pixels, of the crop that stands for a clean photo
MULTIPLE = 32  # sides of a smaller photo's crop
LEAST = 64  # pixels, the shortest side that can be damaged and measured


class SampleError(ValueError):
    """Photos that cannot be measured; one sentence: what is wrong, and what would work."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One photo to restore. Images are (1,3,H,W) in [0,1]."""

    id: str
    damage: str  # the task that it was damaged for, or a benchmark; else "pairs" or "photos"
    degraded: torch.Tensor
    clean: torch.Tensor | None  # None: no target
    scale: float  # output side / input side to ask for
    credit: str = ""  # whose photo it is


def clean_photos(source: str, split: Split | None, limit: int | None, skipped: list[Skipped]) -> list[Photo]:
    """One crop of every photograph of a split, at most `limit`.

    Where shards or a table may hold several crops of one photograph, all of the split is read first.
    SampleError says why there are none.
    """
    folder = Path(source)
    kept_whole = folder.is_dir() and not any(
        path.suffix in (".tar", ".parquet") or path.name == "manifest.csv" for path in files_below(folder)
    )
    at_once = limit if kept_whole or not folder.exists() else None
    try:
        photos = one_crop_each(load_photos(source, split, at_once, skipped), skipped)[:limit]
    except FileNotFoundError as error:
        none_here = split is None or not place(source).exists()
        hint = "" if none_here else " (--split all takes the photos of every split)"
        raise SampleError(f"{error}{hint}") from error
    if not photos:
        raise SampleError(f"No photo in {source} has sides of {LEAST} pixels or more: give larger photos.")
    return photos


def one_crop_each(photos: Sequence[Photo], skipped: list[Skipped] | None = None) -> list[Photo]:
    """The first full-size crop of every photograph, so that each counts once.

    A photograph of which all is smaller than 512 pixels gives its centre, sides cut to multiples of 32.
    """
    first: dict[str, Photo] = {}
    ordered = sorted(photos, key=lambda p: p.id)
    for photo in ordered:
        if min(photo.pixels.shape[:2]) >= SIZE:
            cut = photo.pixels[:SIZE, :SIZE]
            first.setdefault(photo.photo, replace(photo, pixels=cut))
    small = [photo for photo in ordered if photo.photo not in first]
    for photo in small:
        height, width = (min(side, SIZE) // MULTIPLE * MULTIPLE for side in photo.pixels.shape[:2])
        if min(height, width) >= LEAST:
            cut = _centre(photo.pixels, height, width)
            first.setdefault(photo.photo, replace(photo, pixels=cut))
        elif skipped is not None:
            skipped.append(Skipped(photo.id, f"a side is shorter than {LEAST} pixels"))
    if small:
        print(
            f"{len(small)} photos are smaller than {SIZE} pixels: "
            f"of each the centre is used, its sides cut to multiples of {MULTIPLE}."
        )
    return sorted(first.values(), key=lambda p: p.id)


def damaged(photo_id: str, clean: torch.Tensor, task: str) -> torch.Tensor:
    """`clean` (1,3,H,W) as `task` damages it, always the same for one photo id and task."""
    seed = int(hashlib.sha256(f"{photo_id}|{task}|0".encode()).hexdigest()[:8], 16)
    return TASKS[task].degrade(clean, torch.Generator().manual_seed(seed))[0]


def damaged_samples(photos: Iterable[Photo], tasks: Sequence[str] = tuple(TASKS)) -> Iterator[Sample]:
    """Every photo as each task damages it; photos that are hazy themselves are no target of a clear scene."""
    for photo in photos:
        clean = photo.pixels.permute(2, 0, 1)[None].float() / 255
        for task in tasks:
            if photo.clear or TASKS[task].arises != SCENE:
                yield Sample(photo.id, task, damaged(photo.id, clean, task), clean, 1, photo.credit)


def pair_samples(pairs: Iterable[Pair], damage: str, skipped: list[Skipped]) -> Iterator[Sample]:
    """The pairs, read one by one; what cannot be read is added to `skipped`."""
    for pair in pairs:
        try:
            degraded, clean = images.load(pair.degraded).rgb, images.load(pair.clean).rgb
        except images.ImageError as error:
            skipped.append(Skipped(pair.id, str(error)))
            continue
        if min(clean.shape[-2:]) < LEAST:
            skipped.append(Skipped(pair.id, f"a side is shorter than {LEAST} pixels"))
            continue
        yield Sample(pair.id, damage, degraded, clean, pair.scale)


def find_photos(folder: Path, limit: int | None) -> list[Path]:
    """Every picture file under a folder, in order; SampleError when there is none."""
    if not folder.is_dir():
        raise SampleError(f"There is no folder {folder}: give a folder of photos.")
    found = sorted(path for path in files_below(folder) if path.suffix.lower() in SUFFIXES)
    if not found:
        raise SampleError(f"{folder} holds no photos: use files that end with {', '.join(sorted(SUFFIXES))}.")
    return found[:limit]


def photo_samples(
    folder: Path, files: Iterable[Path], scale: float, skipped: list[Skipped]
) -> Iterator[Sample]:
    """Photos without a target, read one by one; what cannot be read is added to `skipped`."""
    for path in files:
        name = path.relative_to(folder).as_posix()
        try:
            yield Sample(name, "photos", images.load(path).rgb, None, scale)
        except images.ImageError as error:
            skipped.append(Skipped(name, str(error)))


def _centre(pixels: torch.Tensor, height: int, width: int) -> torch.Tensor:
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    return pixels[top : top + height, left : left + width]
