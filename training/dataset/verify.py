"""Whether a built set is what its manifest says: files, tables, splits, licences, pixels made from params."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from lwr.degrade.depth import Depth
from lwr.degrade.seeds import row_seed
from lwr.tasks import TASKS
from training.data.photos import split_of
from training.data.shards import reason
from training.data.storage import sha256
from training.dataset.build import read_manifest
from training.dataset.degrading import as_json, as_photo, degrade_one, digest
from training.dataset.depth import model_depth
from training.dataset.drawing import DRAWS
from training.dataset.errors import DatasetError
from training.dataset.licences import objection
from training.dataset.recipe import FORMAT
from training.dataset.schema import ALL, degraded_column, pixels_of, schema_of


@dataclass
class Findings:
    """What was looked at, and each fault as a sentence."""

    checked: str = ""
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Row:
    """A row of the set, without its pictures, and where it stands."""

    file: str
    number: int
    split: str
    cells: dict[str, Any]


def verify(out: Path, sample: int) -> Findings:
    """Check the set in `out`; `sample` rows of each task are degraded again.

    Raises DatasetError when there is nothing that could be checked.
    """
    manifest = read_manifest(out)
    form = manifest["recipe"]["format"]
    if form != FORMAT:
        raise DatasetError(f"{out} has format {form}; this version reads {FORMAT}.")
    findings = Findings()
    tasks = list(manifest["recipe"]["tasks"])
    rows: dict[str, list[_Row]] = {config: [] for config in (*tasks, ALL)}
    whole = set()
    for name, entry in manifest["files"].items():
        config, split = name.split("/")[1], name.split("/")[2].split("-")[0]
        faults = list(_file_faults(out / name, entry, schema_of(config, tasks)))
        findings.faults += [f"{name} {fault}" for fault in faults]
        if not faults:
            whole.add(name)
            rows[config] += _rows(out / name, name, split)
    findings.faults += _strangers(out, manifest)
    findings.faults += _table_faults(rows, manifest)
    again = _degraded_again(out, rows, manifest, sample, findings.faults)
    count = sum(map(len, rows.values()))
    findings.checked = (
        f"{len(whole)} of {len(manifest['files'])} files whole, {count} rows read, {again} degraded again"
    )
    return findings


def _file_faults(path: Path, entry: dict[str, Any], schema: pa.Schema) -> Iterator[str]:
    """What is wrong with one shard as a file."""
    if not path.exists():
        yield "is missing"
    elif sha256(path) != entry["sha256"]:
        yield "is not the file that was written: its SHA-256 differs"
    else:
        with path.open("rb") as file, pq.ParquetFile(file) as shard:
            if not shard.schema_arrow.equals(schema, check_metadata=True):
                yield "has other columns than the set should"
            if shard.metadata.num_rows != entry["rows"]:
                yield f"has {shard.metadata.num_rows} rows, not {entry['rows']}"


def _strangers(out: Path, manifest: dict[str, Any]) -> list[str]:
    found = sorted(path.relative_to(out).as_posix() for path in (out / "data").rglob("*.parquet"))
    return [f"{name} is not in the manifest" for name in found if name not in manifest["files"]]


def _rows(path: Path, name: str, split: str) -> list[_Row]:
    with path.open("rb") as file, pq.ParquetFile(file) as shard:
        columns = [each.name for each in shard.schema_arrow if not pa.types.is_struct(each.type)]
        cells = shard.read(columns=columns).to_pylist()
    return [_Row(name, number, split, row) for number, row in enumerate(cells)]


def _table_faults(rows: dict[str, list[_Row]], manifest: dict[str, Any]) -> Iterator[str]:
    """What is wrong with the rows, pictures apart."""
    recipe = manifest["recipe"]
    split_of_photo: dict[str, str] = {}
    images = {config: [(row.cells["image_id"], row.split) for row in found] for config, found in rows.items()}
    for config, found in images.items():
        if len({image_id for image_id, _ in found}) < len(found):
            yield f"config {config} has an image_id more than once"
        if sorted(found) != sorted(images[ALL]):
            yield f"config {config} has other images than config {ALL}"
    for row in (row for found in rows.values() for row in found):
        cells, where = row.cells, f"{row.file} row {row.number}"
        first = split_of_photo.setdefault(cells["photo_id"], row.split)
        if not first == row.split == split_of(cells["photo_id"]):
            yield f"{where}: photo {cells['photo_id']} is in split {row.split} and belongs elsewhere"
        against = objection(cells["license"] or "", "", recipe["licences"])
        if against:
            yield f"{where}: {against}"
        if (cells["width"], cells["height"]) != (recipe["size"], recipe["size"]):
            yield f"{where}: it is {cells['width']}x{cells['height']}, not {recipe['size']}"
        if "task" in cells and cells["task"] != row.file.split("/")[1]:
            yield f"{where}: task {cells['task']!r} in the wrong config"
        if "seed" in cells and cells["seed"] not in _seeds(recipe["seed"], cells["task"], cells["image_id"]):
            yield f"{where}: seed {cells['seed']} is not that of its image and task"


def _seeds(seed: int, task: str, image_id: str) -> list[int]:
    """Those that the draws of a row have."""
    return [row_seed(seed, task, image_id, number) for number in range(DRAWS)]


def _degraded_again(
    out: Path, rows: dict[str, list[_Row]], manifest: dict[str, Any], sample: int, faults: list[str]
) -> int:
    """Degrade some rows of each task once more, from their params; the number of rows."""
    recipe, count = manifest["recipe"], 0
    torch.set_num_threads(1)
    depth = model_depth(recipe["depth"]) if recipe["depth"] else None
    together = {row.cells["image_id"]: row for row in rows[ALL]}
    for name, made_by in recipe["tasks"].items():
        if name not in TASKS:
            faults.append(f"task {name} is not known to this version: its pixels were not compared")
            continue
        if digest(TASKS[name]) != made_by:
            faults.append(
                f"task {name} degrades otherwise in this version than in the one that built the set"
            )
            continue
        for row in _spread(rows[name], sample):
            count += 1
            try:
                fault = _pixel_fault(out, row, together.get(row.cells["image_id"]), depth)
            except (DatasetError, OSError, ValueError, KeyError, TypeError) as error:
                fault = f"cannot be degraded again: {reason(error)}"
            if fault:
                faults.append(f"{row.file} row {row.number}: {fault}")
    return count


def _spread(rows: Sequence[_Row], sample: int) -> list[_Row]:
    """So many of the rows, evenly spaced, the first and the last among them."""
    places = np.linspace(0, len(rows) - 1, min(sample, len(rows)))
    return [rows[round(place)] for place in places]


def _pixel_fault(out: Path, row: _Row, twin: _Row | None, depth: Depth | None) -> str | None:
    """Why the pictures of a row, and those of its image in config `all`, are not what they should be."""
    cells = row.cells
    pictures = _pictures(out / row.file, row.number, ("clean", "degraded"))
    clean = pixels_of(pictures["clean"])
    params = json.loads(cells["params"])
    pixels, again = degrade_one(TASKS[cells["task"]], as_photo(clean), cells["seed"], depth, params)
    worst = int(np.abs(pixels.numpy().astype(int) - pixels_of(pictures["degraded"])).max())
    if worst:
        return f"made again from its params, pixels differ by up to {worst} of 255"
    if as_json(again) != cells["params"]:
        return "its params are not those of its pixels"
    if twin is None:
        return f"it is not in config {ALL}"
    column = degraded_column(cells["task"])
    other = _pictures(out / twin.file, twin.number, ("clean", column))
    if other["clean"] != pictures["clean"] or other[column] != pictures["degraded"]:
        return f"config {ALL} has other pictures of {cells['image_id']}"
    return None


def _pictures(path: Path, number: int, columns: Sequence[str]) -> dict[str, dict[str, bytes]]:
    """The image cells of one row; only its row group is read."""
    with path.open("rb") as file, pq.ParquetFile(file) as shard:
        for group in range(shard.num_row_groups):
            length = shard.metadata.row_group(group).num_rows
            if number < length:
                return shard.read_row_group(group, list(columns)).slice(number, 1).to_pylist()[0]
            number -= length
    raise ValueError(f"{path.name} has no such row")
