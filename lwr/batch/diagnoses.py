"""`lwr diagnose`: what is wrong with each of many photos, and maps of where. Loads no network but its own."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from lwr.batch.failures import line_of
from lwr.batch.folders import make_folder
from lwr.batch.inputs import Named
from lwr.batch.kept import Files, replaced
from lwr.batch.output_names import numbered, short_stem
from lwr.batch.report import Line
from lwr.diagnose import Diagnosis, defect_of, diagnose, needed_scale
from lwr.images.files import ImageError, Loaded, load, writable
from lwr.images.writing import save_grey
from lwr.loading.limits import too_little_for


@dataclass(frozen=True)
class Maps:
    """Where maps go: NAME.DEFECT.png for each photo and defect, grey, white where it is worst."""

    folder: Path
    overwrite: bool = False
    kept: Files = frozenset()  # which no map replaces: the photos

    def bases(self, photos: Sequence[Named]) -> list[Path]:
        """FOLDER/NAME for each photo, numbered where several have one name; subfolders are mirrored."""
        bases = [self.folder / photo.below / short_stem(photo.path) for photo in photos]
        return numbered(bases, sorted(range(len(photos)), key=lambda index: photos[index].path))

    def write(self, found: Diagnosis, size: tuple[int, int], base: Path) -> dict[str, str]:
        """{defect: file} of a photo of `size` (H,W); ImageError, before any is written, when one exists."""
        files = {name: base.with_name(f"{base.name}.{name}.png") for name in found.maps}
        make_folder(base.parent, "--maps")
        for file in files.values():
            writable(file, self.overwrite)
        if (lost := replaced(files.values(), self.kept)) is not None:
            raise ImageError(f"The map would replace the photo {lost}: choose another --maps.")
        for name, file in files.items():
            grey = Image.fromarray((found.maps[name] * 255).round().clip(0, 255).astype(np.uint8))
            enlarged = grey.resize((size[1], size[0]), Image.Resampling.BILINEAR)
            save_grey(enlarged, file, self.overwrite)
        return {name: str(file) for name, file in files.items()}


def diagnoses(photos: Sequence[Named], maps: Maps | None = None) -> Iterator[Line]:
    """A line for each photo: what is wrong with it, or why nobody knows."""
    bases = maps.bases(photos) if maps else [None] * len(photos)
    for photo, base in zip(photos, bases, strict=True):
        yield {"input": photo.path} | line_of(photo.path, _diagnosed, photo, maps, base)


def in_words(line: Line) -> str:
    """The same for a person, of a photo that was read."""
    listed = ", ".join(f"{defect_of(name)} {severity:.2f}" for name, severity in line["severities"].items())
    maps = f" -> {', '.join(line['maps'].values())}" if line.get("maps") else ""
    return f"{line['input']}: {line['sentence'].removesuffix('.')} ({listed}).{maps}"


def _diagnosed(photo: Named, maps: Maps | None, base: Path | None) -> Line:
    """The line without the photo's name."""
    if photo.error:
        return {"error": photo.error}
    loaded: Loaded = load(photo.path, refuse=_refusal)
    found = diagnose(loaded.pixels)
    line = found.json() | {"scale": needed_scale(found.tasks, loaded.size)}
    if maps is not None:
        line["maps"] = maps.write(found, loaded.size, base)
    return line


def _refusal(size: tuple[int, int], decoding: int) -> str | None:
    return too_little_for(f"{size[1]}x{size[0]} pixels", decoding)
