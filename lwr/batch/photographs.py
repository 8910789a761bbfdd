"""Which photograph a file of a folder shows: what a table beside it says, or else its own name.

Training keeps the files of one photograph on one side of its splits, so pairs made here carry it along.
"""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

TABLES = ("manifest.csv", "metadata.csv")
ID_COLUMNS, PHOTO_COLUMNS = ("image_id", "id"), ("photo_id", "photo")


class Tables:
    """The tables that stand beside loose pictures, or in a folder above them, up to `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._read: dict[Path, dict[str, dict[str, str]]] = {}

    def row(self, picture: Path) -> Mapping[str, str]:
        """The row of a picture, by `file_name` relative to the table or by `id`; empty when none has it.

        Raises OSError or csv.Error where a table cannot be read.
        """
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
