"""Pairs of a dataset in our format: a folder that `training.build_dataset` wrote, or one on the Hub.

SOURCE is such a folder or NAMESPACE/NAME[@REVISION], with /CONFIG behind it or not. A config is a task, or
"all", where every photo has each damage.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, islice

import torch

from lwr.tasks import TASKS
from training.data.built_set import CLEAN, Row, set_rows, there_in
from training.data.hub import looks_local
from training.data.photos import decode
from training.data.shards import BUILT_SET, Skipped, reason
from training.data.sources import HUB_SET
from training.data.storage import place
from training.dataset.schema import ALL
from training.evaluation.samples import Sample


@dataclass(frozen=True)
class DamagedSet:
    """A dataset, and which of its damages are asked for."""

    place: str
    config: str
    tasks: tuple[str, ...]  # damages, in the order of TASKS

    @property
    def name(self) -> str:
        """What results call it."""
        return self.place if not place(self.place).exists() else place(self.place).resolve().name

    def rows(self, split: str | None, limit: int | None, skipped: list[Skipped]) -> Iterator[Row]:
        """The rows of a split (None: of all), at most `limit`, one by one.

        FileNotFoundError, before the first, when there are none.
        """
        stream = set_rows(self.place, self.config, split, self.tasks)
        good = islice(_good(stream, skipped), limit)
        first = next(good, None)
        if first is None:
            there = f": {there_in(self.place)}" if place(self.place).exists() else ""
            raise FileNotFoundError(
                f"{self.place} has no pair of split {split or 'any'} in config {self.config} that can be read"
                f"{there}."
            )
        return chain([first], good)


@lru_cache
def find_set(source: str, task: str | None) -> DamagedSet | None:
    """The dataset that a source names, of its damages only `task` unless that is None; None: it is none."""
    here = place(source)
    if (here / BUILT_SET).exists():
        return _of(source, None, task, _tasks_of(source))
    if (here.parent / BUILT_SET).exists() and here.name in (*TASKS, ALL):
        return _of(str(here.parent), here.name, task, _tasks_of(str(here.parent)))
    hub = None if here.exists() or looks_local(source) else HUB_SET.fullmatch(source)
    return _of(hub["place"], hub["config"], task, tuple(TASKS)) if hub else None


def set_samples(rows: Iterable[Row], tasks: Sequence[str], skipped: list[Skipped]) -> Iterator[Sample]:
    """Every damage of every row; what cannot be decoded is added to `skipped`."""
    for row in rows:
        for task in (task for task in tasks if task in row):
            try:
                degraded, clean = (_picture(row[name]) for name in (task, CLEAN))
            except Exception as error:  # on damaged bytes decoders raise anything
                skipped.append(Skipped(f"{row['image_id']} ({task})", reason(error)))
                continue
            yield Sample(str(row["image_id"]), task, degraded, clean, 1)


def _good(stream: Iterable[Row | Skipped], skipped: list[Skipped]) -> Iterator[Row]:
    for row in stream:
        if isinstance(row, Skipped):
            skipped.append(row)
        else:
            yield row


def _of(source: str, config: str | None, task: str | None, there: tuple[str, ...]) -> DamagedSet:
    config = config or task or ALL
    return DamagedSet(source, config, there if config == ALL else (config,))


def _tasks_of(folder: str) -> tuple[str, ...]:
    recipe = json.loads((place(folder) / BUILT_SET).read_text(encoding="utf-8"))["recipe"]
    return tuple(task for task in TASKS if task in recipe["tasks"])


def _picture(data: bytes) -> torch.Tensor:
    return decode(data).permute(2, 0, 1)[None].float().div(255)
