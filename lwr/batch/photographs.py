"""Which photograph a file of a folder shows: what a table beside it says, or else its own name.

Training keeps the files of one photograph on one side of its splits. So the pairs that `lwr degrade` makes
carry it along in params/NAME.json, and it is known of input/NAME.png and target/NAME.png wherever they are
read: as a pair, as clean photos, or to be damaged again.
"""

import csv
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

TABLES = ("manifest.csv", "metadata.csv")
ID_COLUMNS, PHOTO_COLUMNS = ("image_id", "id"), ("photo_id", "photo")
SIDES, PARAMS = ("input", "target"), "params"  # folders of pairs that `lwr degrade` makes


class Tables:
    """The tables that stand beside loose pictures, or in a folder above them, up to `root`; and params."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._read: dict[Path, dict[str, dict[str, str]]] = {}

    def row(self, picture: Path) -> Mapping[str, str]:
        """The row of a picture, by `file_name` relative to the table or by `id`; empty when none has it.

        Raises OSError or csv.Error where a table cannot be read.
        """
        made = _of_params(picture)
        row = self._in_tables(picture)
        return row if made is None else {**row, PHOTO_COLUMNS[0]: made}

    def _in_tables(self, picture: Path) -> Mapping[str, str]:
        for folder in picture.parents:
            rows = self._rows(folder)
            inside = picture.relative_to(folder)
            for key in (inside.as_posix(), inside.with_suffix("").as_posix()):
                if key in rows:
                    return rows[key]
            if folder == self._root:
                break
        return {}

    def _rows(self, folder: Path) -> dict[str, dict[str, str]]:
        if folder not in self._read:
            self._read[folder] = {}
            for name in TABLES:
                self._read[folder] |= table(folder / name, "file_name", "id")
        return self._read[folder]


def _of_params(file: Path) -> str | None:
    """The photograph that the params of a pair name; None: it is no file of such a pair."""
    if file.parent.name not in SIDES:
        return None
    with suppress(OSError, ValueError, KeyError, TypeError):  # others' files, or none
        about = file.parent.with_name(PARAMS) / f"{file.stem}.json"
        photo = json.loads(about.read_text("utf-8"))["photo"]
        return photo if isinstance(photo, str) else None
    return None


def table(path: Path, *keys: str) -> dict[str, dict[str, str]]:
    """Rows of a .csv by the first of the columns `keys` that is filled; none where there is no such file."""
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        rows = [{column: value for column, value in row.items() if column} for row in csv.DictReader(file)]
    return {name: row for row in rows if (name := first(row, keys, ""))}


def first(row: Mapping[str, object], columns: Iterable[str], default: str) -> str:
    """What stands in the first of some columns that is filled."""
    return next((str(row[column]) for column in columns if row.get(column) not in (None, "")), default)


def photograph(row: Mapping[str, object], name: str) -> str:
    """The photograph of a file with this row and this name relative to the folder of photos."""
    return first(row, PHOTO_COLUMNS, first(row, ID_COLUMNS, name))
