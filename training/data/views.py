"""Photos that come with their damage: a clean picture and one or several damaged ones, pixel on pixel.

They are decoded once and kept as uint8 while there is room. Pairs of files beyond it are decoded each time
that a crop of them is drawn; of a dataset, whose rows come as a stream, no more than fits is read.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice

import torch

from lwr.images import files as images
from lwr.tasks import TASKS
from training.data.built_set import CLEAN, Row, set_rows
from training.data.held_out import training
from training.data.pairs import Pair, find_pairs
from training.data.photos import Split, decode, split_of
from training.data.shards import Skipped, Span, reason
from training.data.sources import ALL, Source

TOGETHER = 16  # decoded at a time, on all cores

Pixels = Mapping[str, torch.Tensor]  # {"clean": (H,W,3) uint8, TASK: the same size}


@dataclass(frozen=True, eq=False)
class Views:
    """One photo: `read()` gives its clean and its damaged pictures, `target()` the clean one alone."""

    id: str
    photo: str  # what splits go by
    size: tuple[int, int]  # (H, W)
    tasks: tuple[str, ...]  # whose damage there is
    read: Callable[[], Pixels]
    pair: Pair | None = None  # its files; None: it is a row of a dataset
    kept: bool = True  # decoded in memory, as every row of a dataset is

    def target(self) -> torch.Tensor:
        """(H,W,3) uint8."""
        return self.read()[CLEAN] if self.kept else decode(Span(self.pair.clean)())


def load_views(
    source: Source, split: Split, tasks: Sequence[str], limit: int | None, room: float, skipped: list[Skipped]
) -> list[Views]:
    """The photos of a split of a source of pairs, in a fixed order.

    Args:
        tasks: of a dataset's config "all", those that are read.
        limit: at most so many; None = all.
        room: bytes that decoded pictures may take.
        skipped: gets what could not be read.

    Raises FileNotFoundError with a sentence when there is none.
    """
    load, lost = _of_files if source.kind == "pairs" else _of_set, []
    views = list(islice(load(source, split, tasks, room, lost), limit))
    skipped += lost
    if not views:
        first = f"; the first of {len(lost)} skipped is {lost[0].name}: {lost[0].reason}" if lost else ""
        others = len(find_pairs(source.place)) if source.kind == "pairs" and not lost else 0
        why = f": its {others} pairs fall in other splits by their names; give more" if others else ""
        raise FileNotFoundError(f"No pair of split {split} in {source.place} can be used{why or first}.")
    return views


def _of_files(
    source: Source, split: Split, tasks: Sequence[str], room: float, skipped: list[Skipped]
) -> Iterator[Views]:

    def wanted(found: Sequence[Pair]) -> Callable[[Pair], bool]:
        trains = training(found)
        others = [pair for pair in found if not trains(pair)]
        if others and split == "train":
            parts = ", ".join(dict.fromkeys(str(pair.part or "no split") for pair in others))
            print(f"{source.place}: {len(found) - len(others)} pairs train; {len(others)} of {parts} do not.")
        return lambda pair: trains(pair) and split_of(pair.photo) == split

    pairs = find_pairs(source.place, None, skipped, wanted=wanted)
    for start in range(0, len(pairs), TOGETHER):
        some = [partial(read_pair, pair, source.config) for pair in pairs[start : start + TOGETHER]]
        if room <= 0:  # headers say the size; the rest is looked at when it is drawn
            for read in some:
                pair = read.args[0]
                size = images.upright_size(pair.clean)
                yield Views(pair.id, pair.photo, size, (source.config,), read, pair, kept=False)
            continue
        for read, pixels in _decoded(some, lambda read: read.args[0].id, skipped):
            pair = read.args[0]
            yield _views(pair.id, pair.photo, pixels, pair)
            room -= _bytes(pixels)


def _of_set(
    source: Source, split: Split, tasks: Sequence[str], room: float, skipped: list[Skipped]
) -> Iterator[Views]:
    wanted = [task for task in tasks if task in TASKS] if source.config == ALL else None

    def whole() -> Iterator[partial]:
        for row in set_rows(source.place, source.config, split, wanted):
            if isinstance(row, Skipped):
                skipped.append(row)
            elif None in row.values():
                skipped.append(Skipped(str(row["image_id"]), "a picture of it is missing"))
            else:
                yield partial(_read_row, row)

    for read, pixels in _decoded(whole(), lambda read: str(read.args[0]["image_id"]), skipped):
        row = read.args[0]
        yield _views(row["image_id"], row["photo_id"], pixels)
        room -= _bytes(pixels)
        if room <= 0:
            print(f"{source.place}: no more of split {split} fits into --data-memory.")
            return


def _decoded(
    reads: Iterable[partial], name: Callable[[partial], str], skipped: list[Skipped]
) -> Iterator[tuple[partial, Pixels]]:
    """What each of `reads` gives, in order, decoded on all cores; what fails is skipped."""

    def one(read: partial) -> tuple[partial, Pixels] | Skipped:
        try:
            return read, read()
        except Exception as error:  # on damaged bytes decoders raise anything
            return Skipped(name(read), reason(error))

    reads = iter(reads)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        while together := list(islice(reads, TOGETHER)):
            for found in pool.map(one, together):
                if isinstance(found, Skipped):
                    skipped.append(found)
                else:
                    yield found


def _views(id_: str, photo: str, pixels: Pixels, pair: Pair | None = None) -> Views:
    tasks = tuple(name for name in pixels if name != CLEAN)
    return Views(id_, photo, tuple(pixels[CLEAN].shape[:2]), tasks, partial(_same, pixels), pair)


def _bytes(pixels: Pixels) -> int:
    return sum(picture.numel() for picture in pixels.values())


def _same(pixels: Pixels) -> Pixels:
    return pixels


def read_pair(pair: Pair, task: str) -> Pixels:
    """A pair, its input enlarged to the target's size as `lwr` enlarges a small photo."""
    degraded, clean = (decode(Span(path)()) for path in (pair.degraded, pair.clean))
    if pair.scale > 1:
        small = degraded.permute(2, 0, 1)[None].float().div(255)
        large = images.resize(small, tuple(clean.shape[:2]))[0]
        degraded = large.mul(255).round().to(torch.uint8).permute(1, 2, 0).contiguous()
    return _checked({CLEAN: clean, task: degraded})


def _read_row(row: Row) -> Pixels:
    return _checked({name: decode(cell) for name, cell in row.items() if not name.endswith("_id")})


def _checked(pixels: Pixels) -> Pixels:
    sizes = {tuple(picture.shape[:2]) for picture in pixels.values()}
    if len(sizes) > 1:
        raise images.ImageError(f"its pictures have the sizes {sorted(sizes)}")
    return pixels
