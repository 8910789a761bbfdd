"""`lwr degrade`: good photos damaged as the training data is, one as a file or many as pairs."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from lwr.batch.failures import said
from lwr.batch.folders import make_folder
from lwr.batch.inputs import find
from lwr.batch.kept import files, replaced
from lwr.batch.output_names import UsageError
from lwr.batch.pairs import Pairs, among, without
from lwr.batch.report import Line
from lwr.images.files import ImageError, load, save, writable
from lwr.images.formats import photo_suffixes
from lwr.tasks import TASKS


@dataclass(frozen=True)
class Damages:
    """What a command line asks for."""

    task: str
    out: str | None  # a file, of one photo
    pairs: str | None  # a folder, of many
    seed: int = 0
    recursive: bool = False
    overwrite: bool = False
    skip_existing: bool = False

    def check(self, photos: Sequence[str]) -> None:
        """Raises UsageError for what can never be right."""
        if self.task not in TASKS:
            raise UsageError(f"There is no task {self.task!r}: use {', '.join(TASKS)}.")
        where = "--out FILE for one photo, or --pairs FOLDER for many"
        if self.out is not None and self.pairs is not None:
            raise UsageError(f"--out and --pairs do not go together: give one of them, {where}.")
        if self.out is None and self.pairs is None:
            raise UsageError(f"Say where to: {where}.")
        if self.pairs == "":  # which a path takes for the folder one is in
            raise UsageError("The folder for --pairs has no name: give one.")
        if self.out is not None and len(photos) > 1:
            raise UsageError(f"--out is one file: give --pairs FOLDER for {len(photos)} photos.")
        if self.out is not None and Path(photos[0] or "x").is_dir():
            raise UsageError(f"{photos[0]} is a folder, and --out one file: give --pairs FOLDER.")
        if self.out is not None and (self.recursive or self.skip_existing):
            raise UsageError("--recursive and --skip-existing go with --pairs: --out is one file.")
        if self.overwrite and self.skip_existing:
            raise UsageError("--overwrite and --skip-existing say the opposite: use one of them.")
        if self.pairs is not None and (where := among(Path(self.pairs), photos)) is not None:
            raise UsageError(
                f"--pairs {self.pairs} would lie among the photos of {where}, where pairs are taken for "
                "photos the next time: choose a folder outside."
            )


def damaged(photos: Sequence[str], asked: Damages) -> Iterator[Line]:
    """A line for each photo; UsageError, before anything is written, for what makes no sense."""
    asked.check(photos)
    if asked.out is not None:
        yield _one(photos[0], asked.out, asked)
        return
    found, folder = find(photos, photo_suffixes(), asked.recursive), Path(str(asked.pairs))
    try:
        make_folder(folder, "--pairs")
    except ImageError as error:
        raise UsageError(str(error)) from error
    good = without(folder, found.photos)
    if lost := len(found.photos) - len(good):
        found.remarks.append(f"Left out {lost} of the photos: they are of pairs in {folder}.")
    for remark in found.remarks:
        print(remark, file=sys.stderr)
    kept = files([*photos, *(photo.path for photo in good)])
    yield from Pairs(folder, TASKS[asked.task], asked.seed, asked.overwrite, asked.skip_existing, kept).made(
        good
    )


def _one(photo: str, out: str, asked: Damages) -> Line:
    """Write one damaged photo."""
    try:
        if replaced([writable(out, asked.overwrite)], files([photo])):
            raise ImageError(f"The result would replace the photo {photo}: choose another --out.")
        loaded = load(photo)
        generator = torch.Generator().manual_seed(asked.seed)
        degraded, params = TASKS[asked.task].degrade(loaded.rgb, generator)
        written = save(loaded.with_rgb(degraded), out, overwrite=asked.overwrite)
    except ImageError as error:
        return {"input": photo, "error": said(error)}
    return {
        "input": photo,
        "output": str(written),
        "task": asked.task,
        "seed": asked.seed,
        "params": params[0],
    }
