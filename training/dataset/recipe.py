"""What decides the bytes of a set: one frozen record, whose fields are options of the command line."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from importlib.metadata import version
from typing import Annotated, Any

from tyro.conf import arg

from lwr.tasks import TASKS
from training.dataset.errors import DatasetError
from training.dataset.licences import DEFAULT, LICENCES

FORMAT = 2  # of the folder; a reader of another format refuses
PACKAGES = ("torch", "pillow", "pyarrow", "numpy", "scikit-image", "imagehash")  # any may change bytes


@dataclass(frozen=True)
class Recipe:
    """All choices that a set follows from, besides the photos."""

    tasks: tuple[str, ...] = tuple(TASKS)  # names with commas between
    per_task: int | None = None  # at most so many images, the same ones in each task; none = all
    size: int = 512  # pixels, both sides
    seed: int = 0  # of all damage
    licences: Annotated[tuple[str, ...], arg(name="licenses")] = DEFAULT  # of photos that may come in
    max_blur: float = 0.5  # skimage.measure.blur_effect, 0 (sharp) to 1
    max_dark_channel: float = 0.45  # above it the photo is hazy, snowy or white itself; 1 keeps those
    duplicate_distance: int = 8  # bits of 64 in which perceptual hashes differ; up to it, the same picture
    shard_photos: int = 32  # images a shard
    depth: str | None = None  # depth-estimation model of transformers; none = random depths, without network
    license: str | None = None  # of photos that state none, such as CC0-1.0
    author: str | None = None  # of photos that state none
    source: str | None = None  # where photos that do not say so are from

    def resolved(self) -> "Recipe":
        """The same, its names spelt and ordered as here. Raises DatasetError for one that is unknown."""
        tasks = _known(self.tasks, TASKS, "task")
        return replace(self, tasks=tasks, licences=_known(self.licences, LICENCES, "licence"))

    def identity(self) -> dict[str, Any]:
        """All that two builds must share to give the same bytes, as it comes back from JSON."""
        from training.dataset.degrading import digest  # imports torch, which `--help` does not wait for

        tasks = {name: digest(TASKS[name]) for name in self.tasks}
        values = asdict(self) | {"licences": list(self.licences), "tasks": tasks}
        versions = {package: version(package) for package in PACKAGES}
        if self.depth:
            versions["transformers"] = version("transformers")
        return {"format": FORMAT, **values, "versions": versions}


def _known(given: Iterable[str], known: Iterable[str], what: str) -> tuple[str, ...]:
    """The given names in the order of `known`. Raises DatasetError for an unknown one, or for none."""
    by_lower = {name.lower(): name for name in known}
    names = [name.strip() for name in given] or [""]
    for name in names:
        if name.lower() not in by_lower:
            near = get_close_matches(name.lower(), by_lower, 1)
            hint = f"did you mean {by_lower[near[0]]}?" if near else f"use {', '.join(by_lower.values())}."
            raise DatasetError(f"There is no {what} {name!r}: {hint}")
    return tuple(name for lower, name in by_lower.items() if lower in {one.lower() for one in names})
