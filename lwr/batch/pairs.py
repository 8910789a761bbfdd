"""`lwr degrade --pairs FOLDER`: good photos as pairs for training and measuring, damaged as training does.

FOLDER/input/NAME.png is the damaged photo, FOLDER/target/NAME.png the good one, and FOLDER/params/NAME.json
says what was done to which photo. A photo's name is that below the folder given, so nothing tells where the
folder lies; its seed follows from `--seed`, the task and that name.
"""

import csv
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import torch

from lwr.batch.failures import SKIP, line_of
from lwr.batch.folders import make_folder
from lwr.batch.inputs import Named
from lwr.batch.kept import Files, replaced
from lwr.batch.output_names import numbered, short_stem
from lwr.batch.photographs import PARAMS, SIDES, Tables, photograph
from lwr.batch.report import Line
from lwr.degrade.light import round_to_8_bit
from lwr.degrade.seeds import row_seed
from lwr.images.disk import write_whole
from lwr.images.files import ImageError, load, save
from lwr.images.writing import write_errors
from lwr.loading.limits import too_little_for
from lwr.tasks.base import Task

KINDS = dict.fromkeys(SIDES, ".png") | {PARAMS: ".json"}  # subfolders


@dataclass(frozen=True)
class Pairs:
    """Where pairs go, and how they are made."""

    folder: Path
    task: Task
    seed: int
    overwrite: bool = False
    skip_existing: bool = False
    kept: Files = frozenset()  # which no file replaces: the photos
    tables: dict[Path, Tables] = field(default_factory=dict)  # by folder, each read once

    def names(self, photos: Sequence[Named]) -> list[str]:
        """NAME of each pair: its subfolders and its stem, numbered where several would have one name."""
        flat = [Path("-".join([*_parts(photo), short_stem(photo.path)])) for photo in photos]
        flat = [Path(short_stem(f"{one}.png")) for one in flat]
        known = self._known()
        own = [self._own(photo, known) for photo in photos]
        new = sorted((i for i in range(len(photos)) if own[i] is None), key=lambda i: photos[i].path)
        there = [name for names in known.values() for name in names.values()]
        taken = there if self.skip_existing else [name for name in own if name is not None]
        named = numbered([flat[i] for i in new], taken=taken)
        fresh = dict(zip(new, named, strict=True))
        return [own[i] or fresh[i].name for i in range(len(photos))]

    def _known(self) -> dict[str, dict[str, str]]:
        """{name of a photo: {checksum: NAME}} of the pairs that are there already, whatever their task."""
        found: dict[str, dict[str, str]] = {}
        for path in sorted((self.folder / "params").glob("*.json")):
            with suppress(OSError, ValueError, KeyError, TypeError):  # not ours
                about = json.loads(path.read_text("utf-8"))
                found.setdefault(str(about["input"]), {}).setdefault(str(about["sha256"]), path.stem)
        return found

    def _own(self, photo: Named, known: dict[str, dict[str, str]]) -> str | None:
        """The NAME of the pair that was made of this photo, and not of another album's of that name."""
        of_name = known.get(_name(photo))
        with suppress(OSError, ValueError):  # which is said when it is read for its pair
            return of_name and of_name.get(_checksum(photo))
        return None

    def _seed(self, photo: Named) -> int:
        return row_seed(self.seed, self.task.name, _name(photo))

    def made(self, photos: Sequence[Named]) -> Iterator[Line]:
        """A line for each photo: its pair, or why there is none."""
        for photo, name in zip(photos, self.names(photos), strict=True):
            files = {kind: self.folder / kind / f"{name}{suffix}" for kind, suffix in KINDS.items()}
            output = {"input": photo.path, "output": str(files["input"]), "target": str(files["target"])}
            if self.skip_existing and all(path.is_file() for path in files.values()):
                yield output | {"skipped": True}
                continue
            line = line_of(photo.path, self._write, photo, files, remedy=SKIP)
            yield line if "error" in line else output | line

    def _write(self, photo: Named, files: dict[str, Path]) -> Line:
        """Write one pair whole or not at all; what was drawn. ImageError where a file is in the way."""
        if photo.error:
            raise ImageError(photo.error)
        for path in files.values():
            make_folder(path.parent, "--pairs")
            with write_errors(path):
                if path.is_dir() or (os.path.lexists(path) and not self.overwrite):
                    raise FileExistsError
        if (lost := replaced(files.values(), self.kept)) is not None:
            raise ImageError(f"The pair would replace the photo {lost}: choose another --pairs.")
        loaded = load(photo.path, refuse=_refusal)
        identity = self._identity(photo)
        clean = round_to_8_bit(loaded.rgb)  # as the target has it
        seed = self._seed(photo)
        degraded, params = self.task.degrade(clean, torch.Generator().manual_seed(seed))
        line = {"task": self.task.name, "seed": seed, "params": params[0]}
        with _taken_back(not self.overwrite) as written:
            written.append(save(loaded.with_rgb(degraded), files["input"], self.overwrite))
            written.append(save(loaded.with_rgb(clean), files["target"], self.overwrite))
            about = json.dumps({**identity, **line}, indent=2) + "\n"
            with write_errors(files["params"]):
                write_whole(about.encode(), files["params"], self.overwrite)
        return line

    def _identity(self, photo: Named) -> dict[str, str]:
        """Which photo it is, the same on every machine; ImageError where its table cannot be read."""
        path, name = Path(photo.path), _name(photo)
        root = path.parents[len(_parts(photo))]
        try:
            row = self.tables.setdefault(root, Tables(root)).row(path)
        except (OSError, csv.Error) as error:
            raise ImageError(f"The table beside {path} cannot be read ({error}): move it away.") from error
        return {"input": name, "photo": photograph(row, name), "sha256": _checksum(photo)}


def among(folder: Path, arguments: Sequence[str]) -> str | None:
    """The folder, of those that were named or hold a photo that was, among whose photos pairs would lie.

    There a later command would take them for photos and damage them again. None: there is none.
    """
    places = [os.path.realpath(one) for one in (folder, *(folder / kind for kind in KINDS))]
    for argument in filter(None, arguments):
        if os.path.isdir(argument):
            named = os.path.realpath(argument)
            inside = os.path.join(named, "")  # which ends with a separator
            if any(one == named or one.startswith(inside) for one in (*places, os.path.abspath(folder))):
                return argument
        elif os.path.realpath(os.path.dirname(argument)) == places[0]:
            return os.path.dirname(argument) or "."
    return None


def without(folder: Path, photos: Sequence[Named]) -> list[Named]:
    """The photos but those of pairs in this folder, which a shell's `*` may name with others."""
    inside = tuple(os.path.realpath(folder / kind) + os.sep for kind in KINDS)
    return [photo for photo in photos if not os.path.realpath(photo.path).startswith(inside)]


def _parts(photo: Named) -> tuple[str, ...]:
    """The subfolders of the folder that was named in which a photo lies."""
    return tuple(part for part in Path(photo.below).parts if part != ".")


def _name(photo: Named) -> str:
    """A photo's name below the folder that was named."""
    return "/".join([*_parts(photo), Path(photo.path).name])


def _checksum(photo: Named) -> str:
    with open(photo.path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _taken_back(new: bool) -> Iterator[list[Path]]:
    """Files that are written in here and go again if, being `new`, they do not become a whole pair."""
    written: list[Path] = []
    try:
        yield written
    except BaseException:
        for path in written if new else ():
            path.unlink(missing_ok=True)
        raise


def _refusal(size: tuple[int, int], decoding: int) -> str | None:
    return too_little_for(f"{size[1]}x{size[0]} pixels", decoding)
