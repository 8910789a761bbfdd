"""Rows of a dataset that `training.build_dataset` wrote, from its folder or from the Hub, as a stream."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, get_args

from training.data.hub import streams
from training.data.photos import Split
from training.data.shards import Skipped, reason
from training.data.storage import is_local, place

CLEAN = "clean"
SPLITS = get_args(Split)  # in the order in which they are read
_BATCH = 16  # rows unpacked at a time

Row = dict[str, Any]  # image_id, photo_id, and pictures as the bytes of a file


def damage_columns(names: Sequence[str], config: str) -> dict[str, str]:
    """{task: column} of the damaged pictures, among the columns of a config."""
    if "degraded" in names:
        return {config: "degraded"}
    return {name.removeprefix("degraded_"): name for name in names if name.startswith("degraded_")}


def there_in(source: str) -> str:
    """The configs and splits of a set's folder, for messages: "it has all (train, test), deblur (test)"."""
    data = place(source) / "data"
    found = {}
    for path in sorted(data.iterdir()) if data.exists() else ():
        splits = {file.name.partition("-")[0] for file in path.glob("*-*.parquet")}
        found[path.name] = ", ".join(split for split in SPLITS if split in splits) or "none"
    listed = ", ".join(f"{name} ({splits})" for name, splits in found.items())
    return f"it has {listed}" if listed else "it has no config at all: build it again"


def set_rows(
    source: str, config: str, split: str | None, tasks: Sequence[str] | None = None
) -> Iterator[Row | Skipped]:
    """{"image_id", "photo_id", "clean", task: ...} of each row of a split, in order; only these are read.

    Args:
        source: the set's folder, or NAMESPACE/NAME[@REVISION], which is streamed.
        config: a task, or "all" for every damage of a photo in one row.
        split: None = every one that there is.
        tasks: of "all" only these; None = all.

    Raises FileNotFoundError with a sentence when there is no such set, config or split.
    """
    here = place(source).exists()
    names, rows = _local(source, config, split) if here else _hub(source, config, split)
    damages = damage_columns(names, config)
    if tasks is not None:
        damages = {task: column for task, column in damages.items() if task in tasks}
    if CLEAN not in names or not damages:
        raise FileNotFoundError(
            f"{source} has no pairs in config {config}: its columns are {', '.join(names)}."
        )
    columns = {"image_id": "image_id", "photo_id": "photo_id", CLEAN: CLEAN} | damages
    for row in rows(list(columns.values())):
        yield (
            row
            if isinstance(row, Skipped)
            else {name: _bytes(row[column]) for name, column in columns.items()}
        )


def _bytes(cell: Any) -> Any:
    return cell["bytes"] if isinstance(cell, dict) else cell


def _local(source: str, config: str, split: str | None) -> tuple[list[str], Any]:
    """Columns, and what reads some of them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = place(source) / "data" / config
    files = [
        path for one in SPLITS if split in (None, one) for path in sorted(folder.glob(f"{one}-*.parquet"))
    ]
    if not files:
        raise FileNotFoundError(
            f"{source} has no shards of split {split or 'any'} in config {config}; {there_in(source)}."
        )
    with files[0].open("rb") as file:
        names = pq.read_schema(file).names

    def rows(columns: list[str]) -> Iterator[Row | Skipped]:
        for path in files:
            try:
                with path.open("rb") as file, pq.ParquetFile(file) as shard:
                    for batch in shard.iter_batches(_BATCH, columns=columns):
                        yield from batch.to_pylist()
            except (pa.ArrowException, OSError) as error:
                yield Skipped(
                    path.name if is_local(path) else str(path), f"the rest is lost: {reason(error)}"
                )

    return names, rows


def _hub(source: str, config: str, split: str | None) -> tuple[list[str], Any]:
    name, _, revision = re.sub(r"\s", "", source).partition("@")
    try:
        if split is None:
            there = streams(name, config, revision or None)
            opened = [there[one] for one in SPLITS if one in there]
        else:
            opened = [streams(name, config, revision or None, split=split)]
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"There is no folder {source} here, and no Hub dataset of config {config} and split "
            f"{split or 'any'} could be opened ({error}): check the name, or build a set with "
            "training.build_dataset."
        ) from error
    if not opened:
        raise FileNotFoundError(
            f"{source} has the splits {', '.join(there)} in config {config}, none of {', '.join(SPLITS)}."
        )

    def rows(columns: list[str]) -> Iterator[Row | Skipped]:
        for stream in opened:
            try:
                yield from stream.decode(False).select_columns(columns)
            except Exception as error:  # HTTP clients, file systems, arrow: no common base
                yield Skipped(source, f"the rest is lost: {reason(error)}")

    return list(opened[0].column_names or ()), rows
