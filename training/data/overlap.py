"""That nothing trains which another source holds out: a photo of one name falls in one split (pair_photo.py),
and one of two names is told by its pixels.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import TypeAlias

import torch

from training.checkpoint import TrainingError
from training.data.built_set import CLEAN, set_rows
from training.data.held_out import training
from training.data.pairs import Pair, find_pairs
from training.data.photos import Photo, decode, split_of
from training.data.shards import Picture, Skipped, Span, open_source
from training.data.sources import Source
from training.data.storage import is_local, place
from training.data.views import TOGETHER, Views

Photos: TypeAlias = Sequence[Photo] | Sequence[Views]
Size: TypeAlias = tuple[int, ...]
_Read: TypeAlias = tuple[str, Callable[[], torch.Tensor]]  # name, and what decodes it: (H,W,3) uint8


def refuse_overlap(
    trained: Sequence[tuple[str, Photos]], sources: Sequence[Source], limit: int | None = None
) -> None:
    """TrainingError when a photo that trains has the pixels of one that another source holds out.

    Args:
        trained: (place of a source, what trains of it) each.
        sources: whose held-out photos are looked at, of those on this machine.
        limit: at most so many of each; None = all.
    """
    if len({where for where, _ in trained} | {source.place for source in sources}) < 2:
        return
    held_out: dict[tuple[Size, str], dict[str, str]] = {}  # {size and checksum: {place: name}}
    for where, source in {source.place: source for source in sources}.items():
        for name, *pixels in _checksums(islice(_held_out(source), limit)):
            held_out.setdefault(tuple(pixels), {}).setdefault(where, name)
    found = [
        f"{name} of {where} would train, and is {other} of {there}, which is held out there"
        for where, photos in trained
        for name, others in _equal(photos, held_out)
        for there, other in others.items()
        if there != where
    ]
    if found:
        more = f" (the first of {len(found)} such photos)" if len(found) > 1 else ""
        raise TrainingError(f"{found[0]}{more}: give both the same name, or leave out one of them.")


def _equal(
    photos: Photos, held_out: Mapping[tuple[Size, str], Mapping[str, str]]
) -> Iterator[tuple[str, Mapping[str, str]]]:
    """(name, which ones it is) of photos whose pixels are held out; those of other sizes are not read."""
    sizes = {size for size, _ in held_out}
    fitting: list[_Read] = []
    for one in photos:
        if isinstance(one, Views):
            fitting += [(one.id, one.target)] if one.size in sizes else []
        elif tuple(one.pixels.shape[:2]) in sizes:
            fitting.append((one.id, partial(_pixels, one)))
    for name, *pixels in _checksums(fitting):
        if tuple(pixels) in held_out:
            yield name, held_out[tuple(pixels)]


def _held_out(source: Source) -> Iterator[_Read]:
    """What a source holds out, clean photos and targets alike, each file once."""
    where = place(source.place)
    if source.kind == "pairs":
        for clean, pair in {pair.clean: pair for pair in find_pairs(source.place, wanted=_others)}.items():
            yield pair.id, partial(_decoded, Span(clean))
    elif not is_local(where) or not where.exists():
        return  # a dataset on the Hub: reading it twice would take long
    elif source.kind == "photos":
        for picture in open_source(source.place, None)[0]:
            if isinstance(picture, Picture) and split_of(picture.photo) != "train":
                yield picture.name, partial(_decoded, picture.read)
    else:
        for split in ("validation", "test"):
            with suppress(FileNotFoundError):  # a split that it lacks
                for row in set_rows(source.place, source.config, split):
                    if not isinstance(row, Skipped):
                        yield str(row["image_id"]), partial(decode, row[CLEAN])


def _others(pairs: Sequence[Pair]) -> Callable[[Pair], bool]:
    """The pairs that do not train."""
    trains = training(pairs)
    return lambda pair: not trains(pair) or split_of(pair.photo) != "train"


def _checksums(photos: Iterable[_Read]) -> Iterator[tuple[str, Size, str]]:
    """(name, size, checksum of the pixels), on all cores; what cannot be read does not train either."""

    def one(photo: _Read) -> tuple[str, Size, str] | None:
        try:
            pixels = photo[1]()
        except Exception:  # on damaged bytes decoders raise anything
            return None
        return photo[0], tuple(pixels.shape[:2]), hashlib.sha256(pixels.numpy()).hexdigest()

    photos = iter(photos)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        while together := list(islice(photos, TOGETHER)):
            yield from filter(None, pool.map(one, together))


def _pixels(photo: Photo) -> torch.Tensor:
    return photo.pixels


def _decoded(read: Callable[[], bytes]) -> torch.Tensor:
    return decode(read())
