"""Where pictures lie: loose in a folder, in tar or parquet shards, or in a dataset on the Hugging Face Hub.

Every source becomes one stream of `Picture` (named, not yet decoded) and `Skipped` (what could not be read),
in a fixed order. Tables (manifest.csv, KEY.json, parquet, Hub) may have the columns `image_id` or `id`,
`photo_id` or `photo` (the photograph that a crop was cut from) and `dark_channel`; parquet and Hub rows hold
the picture in `clean` or `image`, as the bytes of its file or as the Hub's {bytes, path}.
"""

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

if TYPE_CHECKING:
    from datasets import IterableDataset

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}
IMAGE_COLUMNS = ("clean", "image")
ID_COLUMNS, PHOTO_COLUMNS = ("image_id", "id"), ("photo_id", "photo")
COLUMNS = {*ID_COLUMNS, *PHOTO_COLUMNS, "dark_channel"}
USABLE = "give a folder of pictures, uncompressed .tar or .parquet shards, or a Hub dataset NAMESPACE/NAME"

_BATCH = 16  # parquet rows unpacked at a time; pyarrow itself holds pages, at most a row group
_ADDRESS = re.compile(r"hf://datasets/[^/]+/[^/]+@[^/]+/")  # of a Hub file, up to its path
_HUB = re.compile(r"(?P<name>\w[\w.-]*/\w[\w.-]*)(:(?P<config>[^@]+))?(@(?P<revision>.+))?")


@dataclass(frozen=True)
class Skipped:
    """What could not be read, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Picture:
    """A picture that is named but not yet decoded; read it before asking the stream for the next one."""

    name: str  # where it lies, for messages
    id: str
    photo: str  # the photograph that it was cut from
    dark_channel: object  # as the table has it; None or "": not known
    read: Callable[[], bytes]  # the bytes of the picture file


def open_source(source: str | Path, split: str | None) -> tuple[Iterator[Picture | Skipped], str | None]:
    """The pictures of a file, a folder or else a Hub dataset, and the split that is still to be picked out.

    A Hub dataset `NAMESPACE/NAME[:CONFIG][@REVISION]` of several splits gives the split of the wanted name.
    One of a single split, whatever its name, is left to be divided as files are: what trains must not test.

    Raises FileNotFoundError with a sentence when there is no such file, folder, dataset or split.
    """
    if Path(source).exists():
        return _under(Path(source)), split
    name = _HUB.fullmatch(str(source))
    if name is None:
        raise FileNotFoundError(f"There is no file or folder {source}: {USABLE}.")
    import datasets  # here: a second that no other source needs

    try:
        splits = datasets.load_dataset(
            name["name"], name["config"], revision=name["revision"], streaming=True
        )
    except Exception as error:  # whatever the Hub, the network and a faulty dataset card lead to
        text = f"There is no file or folder {source} here, and no such Hub dataset could be opened"
        raise FileNotFoundError(f"{text} ({reason(error)}): {USABLE}.") from error
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
        yield from _file(source, source.name)
        return
    for path in sorted(source.rglob("*")):
        name = path.relative_to(source)
        if not _hidden(name) and path.is_file():
            yield from _file(path, name.as_posix())


def _hidden(name: PurePath) -> bool:
    return any(part.startswith(".") for part in name.parts)


def _file(path: Path, name: str) -> Iterator[Picture | Skipped]:
    suffix = path.suffix.lower()
    if suffix == ".tar":
        yield from _tar(path, name)
    elif suffix == ".parquet":
        yield from _parquet(path, name)
    elif suffix in SUFFIXES:
        yield _picture({}, name, name, path.read_bytes)


def _picture(row: Mapping[str, object], key: str, name: str, read: Callable[[], bytes]) -> Picture:
    """A picture named by its row in a table, or by `key` where the row is silent."""
    own = _first(row, ID_COLUMNS, key)
    return Picture(name, own, _first(row, PHOTO_COLUMNS, own), row.get("dark_channel"), read)


def _first(row: Mapping[str, object], columns: Iterable[str], default: str) -> str:
    return next((str(row[column]) for column in columns if row.get(column) not in (None, "")), default)


# Tar: a manifest.csv beside the shards says which members count; without one all do, named by KEY.json.


def _tar(path: Path, name: str) -> Iterator[Picture | Skipped]:
    try:
        rows = _manifest(path.with_name("manifest.csv"))
        with tarfile.open(path, "r:") as tar:
            members: dict[PurePosixPath, tarfile.TarInfo] = {}
            broken = _gather(tar, members)
            for place, member in members.items():
                if _hidden(place) or place.suffix.lower() not in SUFFIXES or rows and place.stem not in rows:
                    continue
                label, read = f"{name}:{place}", partial(_read_member, tar, member)
                try:
                    row = rows[place.stem] if rows else _sidecar(tar, members.get(place.with_suffix(".json")))
                except (tarfile.TarError, OSError, ValueError) as error:
                    yield Skipped(label, f"its .json cannot be read: {reason(error)}")
                else:
                    yield _picture(row, str(place.with_suffix("")), label, read)
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


def _read_member(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    with tar.extractfile(member) as file:
        return file.read()


def _sidecar(tar: tarfile.TarFile, member: tarfile.TarInfo | None) -> Mapping[str, object]:
    row = json.loads(_read_member(tar, member)) if member else {}
    return row if isinstance(row, dict) else {}


def _manifest(path: Path) -> dict[str, dict[str, str]]:
    """Rows by id; none where there is no manifest."""
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        return {row["id"]: row for row in csv.DictReader(file) if row.get("id")}


# Parquet and Hub: rows of one shape.


def _parquet(path: Path, name: str) -> Iterator[Picture | Skipped]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, memory_map=True) as file:
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
