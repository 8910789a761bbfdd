"""What gets measured: photos damaged here, pairs from two folders, or photos without a target."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from PIL import Image, UnidentifiedImageError

from lwr.images import files as images
from lwr.restore import MAX_SCALE
from lwr.tasks import TASKS
from lwr.tasks.base import SCENE
from training.data.photos import Photo, Split, load_photos
from training.data.shards import SUFFIXES, Skipped

SIZE = 512  # pixels, of the crop that stands for a clean photo
MULTIPLE = 32  # sides of a smaller photo's crop
LEAST = 64  # pixels, the shortest side that can be damaged and measured
PAIR_FOLDERS = (("input", "target"), ("lq", "gt"), ("degraded", "clean"))


class SampleError(ValueError):
    """Photos that cannot be measured; one sentence: what is wrong, and what would work."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One photo to restore. Images are (1,3,H,W) in [0,1]."""

    id: str
    damage: str  # the task that it was damaged for; "pairs" or "photos" where it is not known
    degraded: torch.Tensor
    clean: torch.Tensor | None  # None: no target
    scale: float  # output side / input side to ask for
    credit: str = ""  # whose photo it is


@dataclass(frozen=True)
class Pair:
    """Two files: the damaged photo and its target."""

    id: str
    degraded: Path
    clean: Path
    scale: int  # side of `clean` / side of `degraded`


def clean_photos(source: str, split: Split | None, limit: int | None, skipped: list[Skipped]) -> list[Photo]:
    """One crop of every photograph of a split, at most `limit`.

    Where shards or a table may hold several crops of one photograph, all of the split is read first.
    SampleError says why there are none.
    """
    folder = Path(source)
    kept_whole = folder.is_dir() and not any(
        path.suffix in (".tar", ".parquet") or path.name == "manifest.csv" for path in folder.rglob("*")
    )
    at_once = limit if kept_whole or not folder.exists() else None
    try:
        photos = one_crop_each(load_photos(source, split, at_once, skipped), skipped)[:limit]
    except FileNotFoundError as error:
        hint = "" if split is None else " (--split all takes the photos of every split)"
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


def find_pairs(folder: Path, limit: int | None, skipped: list[Skipped]) -> list[Pair]:
    """The pairs of files of one stem; only their headers are read.

    Raises SampleError when there are none, or a target is not 1 to 4 times as large as its input.
    """
    inside = next(((folder / a, folder / b) for a, b in PAIR_FOLDERS if (folder / a).is_dir()), None)
    if inside is None or not inside[1].is_dir():
        names = ", ".join(f"{a}/ and {b}/" for a, b in PAIR_FOLDERS)
        raise SampleError(f"{folder} holds no pairs: give a folder with {names}.")
    inputs, targets = (_by_stem(path) for path in inside)
    stems = [stem for stem in inputs if stem in targets]
    if not stems:
        raise SampleError(
            f"No file in {inside[0]} ({len(inputs)} photos) has the name, up to the suffix, of one in "
            f"{inside[1]} ({len(targets)} photos): name inputs and targets alike."
        )
    skipped += [Skipped(inputs[stem].name, "it has no target") for stem in inputs if stem not in targets]
    skipped += [Skipped(targets[stem].name, "it has no input") for stem in targets if stem not in inputs]
    pairs, misfits = [], []
    for stem in stems:
        try:
            small, large = _header_size(inputs[stem]), _header_size(targets[stem])
        except images.ImageError as error:
            skipped.append(Skipped(stem, str(error)))
            continue
        scale = large[0] // small[0]
        if (small[0] * scale, small[1] * scale) != large or not 1 <= scale <= MAX_SCALE:
            misfits.append(f"{stem}: {small[1]}x{small[0]} and {large[1]}x{large[0]} pixels")
        pairs.append(Pair(stem, inputs[stem], targets[stem], scale))
    if misfits:
        raise SampleError(
            f"{len(misfits)} of {len(stems)} pairs do not fit (the first is {misfits[0]}): each target "
            f"must be as large as its input, or a whole number of times up to {MAX_SCALE:g} on both sides."
        )
    return pairs[:limit]


def pair_samples(pairs: Iterable[Pair], skipped: list[Skipped]) -> Iterator[Sample]:
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
        yield Sample(pair.id, "pairs", degraded, clean, pair.scale)


def find_photos(folder: Path, limit: int | None) -> list[Path]:
    """Every picture file under a folder, in order; SampleError when there is none."""
    if not folder.is_dir():
        raise SampleError(f"There is no folder {folder}: give a folder of photos.")
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
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


def _by_stem(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES):
        if path.stem in found:
            raise SampleError(f"{folder} holds both {found[path.stem].name} and {path.name}: keep one.")
        found[path.stem] = path
    return found


def _header_size(path: Path) -> tuple[int, int]:
    """(H, W) of the upright photo, without decoding it; ImageError when it is no photo."""
    try:
        with Image.open(path) as image:
            width, height = image.size
            return (width, height) if image.getexif().get(274, 1) > 4 else (height, width)  # EXIF: turned
    except UnidentifiedImageError as error:
        raise images.ImageError(f"{path} is not a picture of a known kind") from error
    except Exception as error:  # on damaged bytes decoders raise anything
        raise images.ImageError(f"{path} is damaged ({error})") from error
