"""Which photos are good enough to be a target, and the square that is cut from each.

A photo is decoded, reduced if it is large, cut to a square, and measured; near-duplicates are found by
perceptual hash. Photos are taken in the order of a hash of their id, so that the choice depends neither on
where they lie nor on which worker measured them first.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from PIL import Image

from training.data.photos import decode
from training.data.shards import Span, reason
from training.dataset.licences import objection
from training.dataset.recipe import Recipe

_DARK_WINDOW = 15  # pixels, as in He et al. 2009
_CHUNK = 16  # photos measured in one job


@dataclass(frozen=True)
class Candidate:
    """A photo that may come into the set, and all that its rows will say of it."""

    image_id: str
    photo_id: str
    name: str  # where it lies, for messages
    author: str
    license: str
    basis: str  # of the licence: "explicit", "" or what it is stated for
    source: str
    size: int  # of its file, in bytes
    read: Span

    @property
    def rank(self) -> str:
        """Its place in the canonical order."""
        return hashlib.sha256(self.image_id.encode(errors="surrogateescape")).hexdigest()


@dataclass(frozen=True)
class Rejected:
    """A photo that stays out. `failed`: it could not be read or degraded, which is more than not chosen."""

    image_id: str
    photo_id: str
    name: str
    license: str
    reason: str
    failed: bool = False


@dataclass(frozen=True)
class Measured:
    """What measuring one photo found: the 64-bit perceptual hash, or the reason why it stays out."""

    hash: int = 0
    reason: str | None = None
    failed: bool = False


class TooSmallError(ValueError):
    """A photo with fewer pixels than the set's."""


def clean_picture(data: bytes, size: int) -> np.ndarray:
    """(size,size,3) uint8 from the bytes of a picture file.

    A photo of more than twice `size` is reduced to that, by area, which also hides the marks of its JPEG; of
    what is left the square with the most detail is cut. Raises TooSmallError, ImageError or Pillow's own.
    """
    pixels = decode(data).numpy()
    short = min(pixels.shape[:2])
    if short < size:
        width, height = pixels.shape[1], pixels.shape[0]
        raise TooSmallError(f"smaller than the size: {width}x{height}, wanted at least {size}x{size}")
    if short > 2 * size:
        sides = [max(2 * size, round(side * 2 * size / short)) for side in (pixels.shape[1], pixels.shape[0])]
        pixels = np.asarray(Image.fromarray(pixels).resize(sides, Image.Resampling.BOX))
    top, left = _busiest(pixels, size)
    return np.ascontiguousarray(pixels[top : top + size, left : left + size])


def _busiest(pixels: np.ndarray, size: int) -> tuple[int, int]:
    """Top and left of the square of `size` with the most change between neighbours; exact, in integers."""
    height, width = pixels.shape[:2]
    if (height, width) == (size, size):
        return 0, 0
    green = pixels[..., 1].astype(np.int64)
    change = np.zeros((height + 1, width + 1), np.int64)
    change[1:-1, 1:-1] = np.abs(np.diff(green, axis=0))[:, :-1] + np.abs(np.diff(green, axis=1))[:-1]
    total = change.cumsum(0).cumsum(1)
    inside = total[size:, size:] - total[:-size, size:] - total[size:, :-size] + total[:-size, :-size]
    top, left = np.unravel_index(inside.argmax(), inside.shape)
    return int(top), int(left)


def measure(candidates: Sequence[Candidate], recipe: Recipe) -> dict[str, dict[str, Any]]:
    """Whether each photo can be read, is large, sharp and clear: by image id, the fields of `Measured`."""
    return {candidate.image_id: asdict(_measure(candidate, recipe)) for candidate in candidates}


def _measure(candidate: Candidate, recipe: Recipe) -> Measured:
    import imagehash
    from scipy.ndimage import minimum_filter
    from skimage.measure import blur_effect

    try:
        pixels = clean_picture(candidate.read(), recipe.size)
    except TooSmallError as error:
        return Measured(reason=str(error))
    except Exception as error:  # on damaged bytes decoders raise anything; reading fails in as many ways
        return Measured(reason=f"cannot be read: {reason(error)}", failed=True)
    grey = Image.fromarray(pixels).convert("L")
    blur = round(float(blur_effect(np.asarray(grey))), 6)
    if not blur <= recipe.max_blur:
        return Measured(reason=f"not sharp: blur {blur:.3f}, at most {recipe.max_blur}")
    darkest = np.minimum(np.minimum(pixels[..., 0], pixels[..., 1]), pixels[..., 2])  # 18 times min(axis=2)
    dark = round(float(minimum_filter(darkest, _DARK_WINDOW).mean()) / 255, 6)
    if dark > recipe.max_dark_channel:
        limit = f"at most {recipe.max_dark_channel}"
        return Measured(reason=f"hazy, snowy or white: dark channel {dark:.3f}, {limit}")
    return Measured(hash=int(str(imagehash.phash(grey)), 16))


# Measures lists of photos, several lists at once if it can: for each, in any order, what `measure` gives.
Measure = Callable[[list[list[Candidate]]], Iterable[Mapping[str, Mapping[str, Any]]]]


def choose(
    candidates: Iterable[Candidate], recipe: Recipe, measure_all: Measure
) -> tuple[list[Candidate], list[Rejected]]:
    """The photos that come into the set, in canonical order, and those before the last one that do not."""
    chosen: list[Candidate] = []
    ordered, rejected = _of_one_id(candidates)
    hashes = np.zeros(len(ordered), np.uint64)
    for candidate, found in _with_measures(ordered, recipe, measure_all):
        why = found.reason
        if why is None:
            distances = np.bitwise_count(hashes[: len(chosen)] ^ np.uint64(found.hash))
            if len(distances) and distances.min() <= recipe.duplicate_distance:
                why = f"near-duplicate of {chosen[int(distances.argmin())].image_id}"
        if why is not None:
            rejected.append(refuse(candidate, why, found.failed))
            continue
        hashes[len(chosen)] = found.hash
        chosen.append(candidate)
        if len(chosen) == recipe.per_task:
            break
    return chosen, rejected


def refuse(candidate: Candidate, why: str, failed: bool) -> Rejected:
    """A candidate with the reason why it stays out."""
    return Rejected(candidate.image_id, candidate.photo_id, candidate.name, candidate.license, why, failed)


def _of_one_id(candidates: Iterable[Candidate]) -> tuple[list[Candidate], list[Rejected]]:
    """The candidates in canonical order, without those whose id another has."""
    firsts: dict[str, Candidate] = {}
    rejected = []
    for candidate in sorted(candidates, key=lambda candidate: (candidate.rank, candidate.name)):
        first = firsts.setdefault(candidate.image_id, candidate)
        if first is not candidate:
            rejected.append(refuse(candidate, f"has the id of {first.name}", failed=True))
    return list(firsts.values()), rejected


def _with_measures(
    candidates: Sequence[Candidate], recipe: Recipe, measure_all: Measure
) -> Iterator[tuple[Candidate, Measured]]:
    """Each candidate with what was found; photos of other licences are not measured.

    When only some are wanted, about as many are measured as are likely to be enough, and then more.
    """
    refused = {c.image_id: why for c in candidates if (why := objection(c.license, c.basis, recipe.licences))}
    allowed = [candidate for candidate in candidates if candidate.image_id not in refused]
    step = len(allowed) if recipe.per_task is None else recipe.per_task + recipe.per_task // 4 + _CHUNK
    found = {image_id: Measured(reason=why) for image_id, why in refused.items()}
    ahead = 0
    for candidate in candidates:
        if candidate.image_id not in found:
            part = allowed[ahead : ahead + step]
            ahead += step
            for answers in measure_all([part[i : i + _CHUNK] for i in range(0, len(part), _CHUNK)]):
                found |= {image_id: Measured(**answer) for image_id, answer in answers.items()}
        yield candidate, found[candidate.image_id]
