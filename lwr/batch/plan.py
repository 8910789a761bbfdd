"""The jobs of a batch: every photo that the arguments name, with the file that its result becomes."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lwr.batch.inputs import Inputs, Named, find
from lwr.batch.kept import files, replaced
from lwr.batch.output_names import Output, UsageError, is_lossy
from lwr.batch.report import Line
from lwr.images.formats import photo_suffixes, pixel_count


@dataclass(frozen=True)
class Job:
    """One photo of a batch and where its result goes."""

    number: int
    photo: Named
    target: Path

    def settled(self, output: Output) -> Line | None:
        """The line of a photo that needs no work, as it is done or cannot be; else None."""
        if self.photo.error:
            return self.failed(self.photo.error)
        return self.skipped() if output.skip_existing and self.is_done else None

    @property
    def is_done(self) -> bool:
        """Is there a result? An empty file is none: some disks claim a name before the file comes."""
        try:
            return os.path.isfile(self.target) and os.path.getsize(self.target) > 0
        except (OSError, ValueError):
            return False

    def failed(self, error: str) -> Line:
        """The line of a photo that was not restored."""
        return {"input": self.photo.path, "error": error}

    def skipped(self) -> Line:
        """The line of a photo that was restored earlier."""
        return {"input": self.photo.path, "output": str(self.target), "skipped": True}


@dataclass(frozen=True)
class Plan:
    """What a batch will do."""

    jobs: list[Job]
    folder: Path | None  # to be made: --out, when it is a folder
    remarks: list[str]  # what was left out or has no part in this

    def weights(self, output: Output) -> list[int]:
        """How much work each photo is: its pixels, as its header says."""
        return [0 if job.settled(output) else pixel_count(job.photo.path) for job in self.jobs]


def plan(
    arguments: Sequence[str],
    output: Output,
    recursive: bool = False,
    mask: str | None = None,
    like: str | None = None,
) -> Plan:
    """Find the photos and name their results; UsageError when --out or --format do not fit them.

    The `mask` of photos is none of them. No result replaces a photo, the mask or the file to be `like`.
    """
    found = find(arguments, photo_suffixes(), recursive)
    _leave_out(mask, found)
    has_folders = any(argument and os.path.isdir(argument) for argument in arguments)
    targets, folder = output.targets(found.photos, found.count, has_folders)
    kept = {"photo": [photo.path for photo in found.photos], "mask": [mask]}
    kept |= {"file": [like]} if output.overwrite else {}  # else it is there already, and done
    for what, names in kept.items():
        if (lost := replaced(targets, files(names))) is not None:
            raise UsageError(f"The result would replace the {what} {lost}: choose another --out.")
    remarks = list(found.remarks)
    if output.quality is not None and not any(map(is_lossy, targets)):
        remarks.append("--quality has no part in this: it is for --format jpg or webp, which lose detail.")
    pairs = zip(found.photos, targets, strict=True)
    return Plan([Job(number, *pair) for number, pair in enumerate(pairs)], folder, remarks)


def _leave_out(mask: str | None, found: Inputs) -> None:
    """Take the mask from the photos, which a folder or a shell's `*` names too, unless it is all there is."""
    photos = [one for one in found.photos if replaced([one.path], files([mask])) is None]
    if photos and len(photos) < len(found.photos):
        found.count -= len(found.photos) - len(photos)
        found.photos = photos
        found.remarks.append(f"Left out {mask}, as it is the mask.")
