"""Where results go: names, numbers for twins, folders, formats. Looks at no photo."""

import os
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lwr.batch.inputs import Named
from lwr.request import option

FORMATS = {"png": ".png", "jpg": ".jpg", "jpeg": ".jpg", "webp": ".webp"}
LOSSY = (".jpg", ".jpeg", ".webp")
QUALITY = 95
LONGEST_STEM = 230  # bytes: with what we add, a name stays within the 255 of most disks


class UsageError(ValueError):
    """The command line asks for something that makes no sense; one sentence."""


@dataclass(frozen=True)
class Output:
    """Where results go, and as what."""

    out: str | None = option(
        None, "file, or folder for several photos; subfolders are mirrored there [default: beside each photo]"
    )
    format: str | None = option(None, "png, jpg or webp [default: png, or as --out FILE says]")
    quality: int | None = option(None, f"1 to 100, of jpg and webp [default: {QUALITY}]")
    overwrite: bool = option(False, "replace existing files")
    skip_existing: bool = option(False, "photos whose result is there are done: go on after an interruption")

    def check(self) -> None:
        """Raises UsageError for what can never be right."""
        if self.out == "":  # which a path takes for the folder one is in
            raise UsageError("The file or folder for --out has no name: give one.")
        if self.format is not None and self.format.lower() not in FORMATS:
            raise UsageError(f"The format is {self.format!r}: use png, jpg or webp.")
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise UsageError(f"The quality is {self.quality}: use 1 to 100.")
        if self.overwrite and self.skip_existing:
            raise UsageError("--overwrite and --skip-existing say the opposite: use one of them.")

    @property
    def suffix(self) -> str:
        """Of results that no --out FILE names."""
        return FORMATS[self.format.lower()] if self.format else ".png"

    def targets(
        self, photos: Sequence[Named], count: int, has_folders: bool = False
    ) -> tuple[list[Path], Path | None]:
        """(the file for each photo, the folder that --out names or None).

        `count`: photos that were named, with those named again; `has_folders`: they came from a folder.
        UsageError when --out is a file and there are several, or --format says otherwise than --out.
        """
        from lwr.images.formats import SUFFIXES, with_suffix

        beside = [_beside(photo.path, self.suffix) for photo in photos]
        order = sorted(range(len(photos)), key=lambda index: photos[index].path)
        taken = [photo.path for photo in photos]  # with --overwrite, too, no photo of the batch is replaced
        if self.out is None:
            return numbered(beside, order, taken), None
        out, is_folder = Path(self.out), os.path.isdir(self.out)
        is_file = os.path.isfile(self.out) or (out.suffix.lower() in SUFFIXES and not is_folder)
        several = count > 1 or has_folders
        if several and is_file:
            which = f"{count} photos" if count > 1 else "the photos of a folder"
            raise UsageError(f"--out {self.out} is a file: give a folder for {which}.")
        if several or is_folder or self.out.endswith(("/", "\\")):
            pairs = zip(photos, beside, strict=True)
            within = [out / photo.below / target.name for photo, target in pairs]
            return numbered(within, order, taken), out
        if self.format and not out.suffix:
            out = out.with_name(out.name + self.suffix)
        if self.format and FORMATS.get(out.suffix.lower().lstrip(".")) != self.suffix:
            raise UsageError(f"--out {self.out} and --format {self.format} disagree: leave one of them out.")
        return [with_suffix(out)], None


def numbered(
    targets: Sequence[Path], order: Iterable[int] | None = None, taken: Iterable[str] = ()
) -> list[Path]:
    """The same files, with a number in the name of each but the first of those that would be one file.

    Names that differ in case, or in how accents are composed, are one file on many disks. `order`: in which
    they are numbered, the given one otherwise. `taken`: files that are no place for a result.
    """
    found, known = list(targets), {_key(Path(one)) for one in taken}
    for index in range(len(found)) if order is None else order:
        target, number = found[index], 1
        while (key := _key(found[index])) in known:
            number += 1
            found[index] = target.with_name(f"{target.stem}-{number}{target.suffix}")
        known.add(key)
    return found


def short_stem(photo: str) -> str:
    """The name of a photo without folder and suffix, cut where what is added to it might not fit."""
    stem = Path(photo).stem or "photo"  # "." and "/" have no name
    while len(os.fsencode(stem)) > LONGEST_STEM:
        stem = stem[:-1]
    return stem


def is_lossy(target: Path) -> bool:
    """Does its format have a quality?"""
    return target.suffix.lower() in LOSSY


def _beside(photo: str, suffix: str) -> Path:
    path = Path(photo)
    path = path if path.name else path / "photo"  # "." and "/" have no name
    return path.with_name(f"{short_stem(photo)}.restored{suffix}")


def _key(target: Path) -> str:
    return unicodedata.normalize("NFC", os.path.abspath(target)).casefold()
