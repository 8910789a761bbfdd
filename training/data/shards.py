"""Where pictures lie: loose in a folder, in tar or parquet shards, or in a dataset on the Hugging Face Hub.

Every source becomes one stream of `Picture` (named, not yet decoded) and `Skipped` (what could not be read),
in a fixed order. Tables (manifest.csv or metadata.csv beside pictures, manifest.csv beside tar shards,
KEY.json, parquet, Hub) may have the columns `image_id` or `id`, `photo_id` or `photo` (the photograph that a
crop was cut from), `dark_channel`, and those of `PROVENANCE`: whose photo it is. Parquet and Hub rows have
the picture in `clean` or `image`, as the bytes of its file or as the Hub's {bytes, path}.
"""

import contextlib
import csv
import hashlib
import json
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path, PurePath, PurePosixPath
from typing import TYPE_CHECKING

from lwr.batch.photographs import ID_COLUMNS, PHOTO_COLUMNS, Tables, first, photograph, table
from training.data.hub import looks_local, streams
from training.data.storage import files_below, is_local, place

if TYPE_CHECKING:
    from datasets import IterableDataset

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}
IMAGE_COLUMNS = ("clean", "image")
PROVENANCE = ("author", "license", "licence", "licence_basis", "source", "source_path", "source_url")
COLUMNS = {*ID_COLUMNS, *PHOTO_COLUMNS, "dark_channel", *PROVENANCE}
BUILT_SET = "dataset.json"  # in a folder that training.build_dataset wrote
KINDS = "a folder of pictures, uncompressed .tar or .parquet shards, or a Hub dataset NAMESPACE/NAME"
USABLE = f"give {KINDS}"
NEEDED = f"No photos are given: add --photos with {KINDS}, or --data with pairs."

_BATCH = 16  # parquet rows unpacked at a time; pyarrow itself holds pages, at most a row group
_ADDRESS = re.compile(r"hf://datasets/[^/]+/[^/]+@[^/]+/")  # of a Hub file, up to its path
_HUB = re.compile(r"(?P<name>\w[\w.-]*/\w[\w.-]*)(:(?P<config>[^@]+))?(@(?P<revision>.+))?")


@dataclass(frozen=True)
class Skipped:
    """What could not be read, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Span:
    """The bytes of a picture that is a file, or a stretch of one; another process can read it as well."""

    path: Path
    start: int = 0
    size: int | None = None  # None = to the end

    def __call__(self) -> bytes:
        with self.path.open("rb") as file:
            file.seek(self.start)
            data = file.read() if self.size is None else file.read(self.size)
        if self.size is not None and len(data) < self.size:
            raise OSError("unexpected end of data")
        return data


@dataclass(frozen=True)
class Picture:
    """A picture that is named but not yet decoded."""

    name: str  # where it lies, for messages
    id: str
    photo: str  # the photograph that it was cut from
    dark_channel: object  # as the table has it; None or "": not known
    provenance: Mapping[str, str]  # of PROVENANCE, what its table states
    read: Callable[[], bytes]  # the bytes of its file; a Span if it lies in a file of its own or a tar


def open_source(source: str | Path, split: str | None) -> tuple[Iterator[Picture | Skipped], str | None]:
    """The pictures of a file, a folder or else a Hub dataset, and the split that is still to be picked out.

    A Hub dataset `NAMESPACE/NAME[:CONFIG][@REVISION]` of several splits gives the split of the wanted name.
    One of a single split, whatever its name, is left to be divided as files are: what trains must not test.

    Raises FileNotFoundError with a sentence when there is no such file, folder, dataset or split.
    """
    if place(source).exists():
        return _under(place(source)), split
    name = None if looks_local(str(source)) else _HUB.fullmatch(str(source))
    if name is None:
        raise FileNotFoundError(f"There is no file or folder {source}: {USABLE}.")
    try:
        splits = streams(name["name"], name["config"], name["revision"])
    except FileNotFoundError as error:
        text = f"There is no file or folder {source} here, and no such Hub dataset could be opened"
        raise FileNotFoundError(f"{text} ({error}): {USABLE}.") from error
    if split is None or len(splits) == 1:
        return chain(*(_stream(rows, f"{source}/{part}") for part, rows in splits.items())), split
    if split not in splits:
        raise FileNotFoundError(
            f"{source} has the splits {', '.join(splits)} but not {split}: use one of these."
        )
    return _stream(splits[split], f"{source}/{split}"), None


def reason(error: Exception) -> str:
    """The first line of what an error says, without full stop."""
    return next(iter(str(error).splitlines()), "").rstrip(".") or type(error).__name__


def _under(source: Path) -> Iterator[Picture | Skipped]:
    """All pictures of a file or folder, loose or in shards; hidden files and folders are left out."""
    if source.is_file():
        yield from _file(source, source.name, Tables(source.parent))
        return
    # Of a built set, each picture once: its other configs repeat it.
    folder = source / "data" / "all" if (source / BUILT_SET).exists() else source
    tables = Tables(source)
    for path in sorted(files_below(folder), key=str):
        name = path.relative_to(source)
        if not _hidden(name) and path.is_file():
            yield from _file(path, name.as_posix(), tables)


def _hidden(name: PurePath) -> bool:
    return any(part.startswith(".") for part in name.parts)


def _file(path: Path, name: str, tables: Tables) -> Iterator[Picture | Skipped]:
    suffix = path.suffix.lower()
    if suffix == ".tar":
        yield from _tar(path, name)
    elif suffix == ".parquet":
        yield from _parquet(path, name)
    elif suffix in SUFFIXES:
        try:
            row = tables.row(path)
        except (OSError, csv.Error) as error:
            yield Skipped(name, f"its table cannot be read: {reason(error)}")
        else:
            yield _picture(row, name, name, Span(path))


def _picture(row: Mapping[str, object], key: str, name: str, read: Callable[[], bytes]) -> Picture:
    """A picture named by its row in a table, or by `key` where the row is silent."""
    own = first(row, ID_COLUMNS, key)
    provenance = {column: first(row, (column,), "").strip() for column in PROVENANCE if column in row}
    return Picture(name, own, photograph(row, key), row.get("dark_channel"), provenance, read)


# Tar: a manifest.csv beside the shards says which members count; without one all do, named by KEY.json.


def _tar(path: Path, name: str) -> Iterator[Picture | Skipped]:
    try:
        rows = table(path.with_name("manifest.csv"), "id")
        with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
            members: dict[PurePosixPath, tarfile.TarInfo] = {}
            broken = _gather(tar, members)
            for inside, member in members.items():
                if (
                    _hidden(inside)
                    or inside.suffix.lower() not in SUFFIXES
                    or rows
                    and inside.stem not in rows
                ):
                    continue
                label, read = f"{name}:{inside}", Span(path, member.offset_data, member.size)
                try:
                    row = (
                        rows[inside.stem] if rows else _sidecar(tar, members.get(inside.with_suffix(".json")))
                    )
                except (tarfile.TarError, OSError, ValueError) as error:
                    yield Skipped(label, f"its .json cannot be read: {reason(error)}")
                else:
                    yield _picture(row, str(inside.with_suffix("")), label, read)
            if broken:
                yield Skipped(name, f"the rest of the shard is lost: {broken}")
    except (tarfile.TarError, OSError, csv.Error) as error:
        yield Skipped(name, reason(error))


def _gather(tar: tarfile.TarFile, members: dict[PurePosixPath, tarfile.TarInfo]) -> str | None:
    """Fill `members` with the files of an archive as far as it can be read; why it ends early, or None."""
    try:
        members.update((PurePosixPath(member.name), member) for member in tar if member.isfile())
    except (tarfile.TarError, OSError) as error:
        return reason(error)
    return None


def _sidecar(tar: tarfile.TarFile, member: tarfile.TarInfo | None) -> Mapping[str, object]:
    if member is None:
        return {}
    with tar.extractfile(member) as file:
        row = json.loads(file.read())
    return row if isinstance(row, dict) else {}


# Parquet and Hub: rows of one shape.


def _parquet(path: Path, name: str) -> Iterator[Picture | Skipped]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with (
            contextlib.nullcontext(path) if is_local(path) else path.open("rb") as opened,
            pq.ParquetFile(opened, memory_map=is_local(path)) as file,
        ):
            names = file.schema_arrow.names
            image, columns = _columns(names)
            if image is None:
                yield _no_image(name, names)
                return
            start = 0
            for group in range(file.num_row_groups):  # one by one: damage to a group leaves the others
                try:
                    for batch in file.iter_batches(_BATCH, [group], columns):
                        for number, row in enumerate(batch.to_pylist(), start):
                            yield _from_row(row, image, f"{name}:{number}")
                        start += batch.num_rows
                except (pa.ArrowException, OSError) as error:
                    yield Skipped(f"{name}, row group {group}", reason(error))
    except (pa.ArrowException, OSError) as error:
        yield Skipped(name, reason(error))


def _stream(dataset: "IterableDataset", name: str) -> Iterator[Picture | Skipped]:
    """The pictures of one split of a Hub dataset; when the connection breaks, those before it count."""
    try:
        image, columns = _columns(dataset.column_names or ())
        if image is None:
            yield _no_image(name, dataset.column_names or ())
            return
        # Datasets of loose files come with decoding threads attached; only decode(False) takes them off.
        for number, row in enumerate(dataset.decode(False).select_columns(columns)):
            yield _from_row(row, image, f"{name}:{number}")
    except Exception as error:  # HTTP clients, file systems, arrow: no common base
        yield Skipped(name, f"the rest is lost: {reason(error)}")


def _columns(names: Iterable[str]) -> tuple[str | None, list[str]]:
    """The column with the picture (None: there is none), and all columns that matter."""
    names = list(names)
    image = next((column for column in IMAGE_COLUMNS if column in names), None)
    return image, [column for column in names if column == image or column in COLUMNS]


def _no_image(name: str, names: Iterable[str]) -> Skipped:
    return Skipped(name, f"no column {' or '.join(IMAGE_COLUMNS)} among {', '.join(names) or 'none'}")


def _from_row(row: Mapping[str, object], image: str, name: str) -> Picture | Skipped:
    """A row without a name is named by its content, so that however it is stored it falls in one split."""
    value = row[image]
    data, path = (value.get("bytes"), value.get("path")) if isinstance(value, dict) else (value, None)
    if isinstance(data, bytes):
        return _picture(row, hashlib.sha256(data).hexdigest()[:12], name, lambda: data)
    if path:  # a Hub dataset of loose files
        return _picture(row, _ADDRESS.sub("", path), name, partial(_fetch, path))
    return Skipped(name, f"no picture in column {image}")


def _fetch(address: str) -> bytes:
    import fsspec

    with fsspec.open(address, "rb") as file:
        return file.read()
