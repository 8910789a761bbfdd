"""One block of the set: the shards of one number, which hold the same images in every config.

A block is the unit of work and of resuming, and what it writes follows from its photos and the recipe alone.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from lwr.degrade.depth import Depth
from lwr.tasks import TASKS
from training.data.shards import reason
from training.data.storage import sha256, whole_file
from training.dataset.curate import Candidate, clean_picture
from training.dataset.degrading import as_json, as_photo
from training.dataset.depth import model_depth
from training.dataset.drawing import Drawn, UselessError, draw
from training.dataset.recipe import Recipe
from training.dataset.schema import ALL, degraded_column, schema_of, shard_name, webp
from training.machine import peak_gb

_GROUP = 16  # rows a row group: what writing holds in memory, and the least that a reader fetches


@dataclass(frozen=True)
class Block:
    """Photos of one split, and which of its shards they fill."""

    split: str
    index: int
    count: int  # of the split's shards
    photos: tuple[Candidate, ...]

    @property
    def name(self) -> str:
        """Its name, for reports: "train-00003"."""
        return f"{self.split}-{self.index:05}"


def write_block(block: Block, recipe: Recipe, out: Path) -> dict[str, Any]:
    """Degrade and write all photos of a block; the report that the set's manifest is made of.

    A photo that cannot be degraded for one task, or not usefully, is left out of all. Raises OSError when a
    shard cannot be written; the shards that were finished before stay, no other file does.
    """
    torch.set_num_threads(1)  # one core a worker
    depth = model_depth(recipe.depth) if recipe.depth else None
    failed, rejected, written = [], [], 0
    again = dict.fromkeys(recipe.tasks, 0)  # draws that were of no use, of photos that were written
    names = {config: shard_name(config, block.split, block.index, block.count) for config in _configs(recipe)}
    files: dict[str, dict[str, Any]] = {}
    with ExitStack() as shards:
        temporary = {config: shards.enter_context(whole_file(out / name)) for config, name in names.items()}
        with ExitStack() as writers:
            tables = {
                config: writers.enter_context(_table(path, schema_of(config, recipe.tasks)))
                for config, path in temporary.items()
            }
            for candidate in block.photos:
                try:
                    rows, drawn = rows_of(candidate, recipe, depth)
                except UselessError as error:
                    rejected.append([candidate.image_id, str(error)])
                    continue
                except Exception as error:  # a photo or a task may fail in any way; the others go on
                    failed.append([candidate.image_id, f"cannot be degraded: {reason(error)}"])
                    continue
                written += 1
                again = {name: again[name] + one.again for name, one in drawn.items()}
                for config, row in rows.items():
                    tables[config].add(row)
        for config, path in temporary.items():
            size = path.stat().st_size
            files[names[config]] = {"rows": written, "bytes": size, "sha256": sha256(path)}
    lost = {"failed": failed, "rejected": rejected}
    return {"files": files, "images": written, **lost, "again": again, "peak_gb": round(peak_gb(), 2)}


def rows_of(
    candidate: Candidate, recipe: Recipe, depth: Depth | None
) -> tuple[dict[str, dict[str, Any]], dict[str, Drawn]]:
    """({config: row}, {task: its damage}) of one photo. Raises UselessError where one cannot be of use."""
    pixels = clean_picture(candidate.read(), recipe.size)
    clean = as_photo(pixels)
    ids = {"image_id": candidate.image_id, "photo_id": candidate.photo_id, "clean": webp(pixels)}
    whose = {"source": candidate.source, "author": candidate.author, "license": candidate.license}
    whose |= {"width": pixels.shape[1], "height": pixels.shape[0]}
    drawn = {name: draw(TASKS[name], clean, recipe.seed, candidate.image_id, depth) for name in recipe.tasks}
    rows: dict[str, dict[str, Any]] = {}
    together: dict[str, Any] = {}
    for name, one in drawn.items():
        cell = webp(one.pixels.numpy())
        together[degraded_column(name)] = cell
        own = {"task": name, "prompt": TASKS[name].instruction}
        own |= {"params": as_json(one.params), "seed": one.seed}
        rows[name] = ids | {"degraded": cell} | own | whose
    return rows | {ALL: ids | together | whose}, drawn


def _configs(recipe: Recipe) -> tuple[str, ...]:
    return (*recipe.tasks, ALL)


class _Table:
    """Rows of one shard, written a row group at a time."""

    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer, self._rows = writer, []

    def add(self, row: dict[str, Any]) -> None:
        self._rows.append(row)
        if len(self._rows) == _GROUP:
            self.flush()

    def flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, self._writer.schema))
            self._rows = []


@contextmanager
def _table(path: Path, schema: pa.Schema) -> Iterator[_Table]:
    # Uncompressed, as pictures are; with an index of pages, for viewers that fetch one row.
    with (
        path.open("wb") as file,
        pq.ParquetWriter(
            file, schema, compression="none", use_dictionary=False, write_page_index=True
        ) as writer,
    ):
        table = _Table(writer)
        yield table
        table.flush()
