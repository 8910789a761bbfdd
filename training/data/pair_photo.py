"""Which photo a pair shows, which its split goes by: the one that its target shows as a clean photo.

That is what its params or a table beside it say (lwr/batch/photographs.py), or else its name in the folder of
targets, suffix included. So a photo never trains as a pair and is held out as a clean photo, or the other way
round. Only a film's frames go by their scene, and go together.
"""

from pathlib import Path, PurePosixPath

from lwr.batch.photographs import PHOTO_COLUMNS, Tables, first, photograph
from training.data.layouts import Layout, apart, split_named


class PairPhotos:
    """The photos of the pairs of one folder; what stands beside many of them is read once."""

    def __init__(self, root: Path, layout: Layout) -> None:
        self._root, self._layout = root, layout
        self._tables: dict[Path, Tables] = {}

    def of(self, key: str, file: PurePosixPath, pattern: str) -> str:
        """The photo of a file of this key and side, relative to the root; mostly of a target.

        Raises OSError or csv.Error where a table beside it cannot be read.
        """
        below, rest = apart(file, pattern)
        folder = self._root / below
        row = self._tables.setdefault(folder, Tables(folder)).row(self._root / file)
        if scene := self._scene(key):
            return first(row, PHOTO_COLUMNS, scene)
        return photograph(row, rest)

    def _scene(self, key: str) -> str:
        """The scene of a frame, whether the folder of a split, such as train/, was given or one above it."""
        above = PurePosixPath(key).parts[:-1] if self._layout.scenes else ()
        return "/".join(folder for folder in above if not split_named(folder))
