"""Peak memory of the command line for large photos: `python -m training.benchmarks.memory` writes
training/results/memory.json. Everything counts: Python, libraries, weights, the photo, its result, its file.

Each figure is the peak resident memory of a process of its own (VmHWM in Linux's words).
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from training.benchmarks.record import RESULTS, made_with, run, write
from training.command_line import parse
from training.machine import ROOT, commit

COMMAND = "python -m training.benchmarks.memory"
SAMPLE = ROOT / "lwr" / "samples" / "shaken-coffee.jpg"
SIZES = {"24": (6000, 4000), "50": (8660, 5773), "64": (8000, 8000)}  # by megapixels: (width, height)


@dataclass(frozen=True)
class Options:
    """What is measured."""

    megapixels: tuple[str, ...] = tuple(SIZES)
    tasks: tuple[str, ...] = (
        "dehaze",
        "deblur",
        "super-resolution",
    )  # the last to 64 megapixels, twice a side
    kinds: tuple[str, ...] = ("jpg",)  # suffixes of photo and result
    memory: float = 1.0  # GB
    out: Path = RESULTS / "memory.json"


def main() -> None:
    """Entry point."""
    options = parse(Options, None, COMMAND, __doc__)
    results = made_with(COMMAND) | {"commit": commit(), "memory_gb": options.memory, "photos": {}}
    with tempfile.TemporaryDirectory() as folder:
        for kind in options.kinds:
            for name in options.megapixels:
                for task in options.tasks:
                    enlarges = task == "super-resolution"
                    if enlarges and name != "64":
                        continue
                    width, height = (side // (2 if enlarges else 1) for side in SIZES[name])
                    photo = Path(folder) / f"photo.{kind}"
                    large_photo(width, height).save(photo)
                    words = (
                        "--prior",
                        "embedded",
                        "--task",
                        task,
                        "--scale",
                        "2" if enlarges else "1",
                        "--overwrite",
                    )
                    words += ("--memory", str(options.memory), "--out", f"{folder}/result.{kind}")
                    row = f"{name} megapixels, {task}, {kind}"
                    results["photos"][row] = run("-m", "lwr", "restore", str(photo), *words)
                    write(results, options.out)  # each takes many minutes


def large_photo(width: int, height: int) -> Image.Image:
    """A sample photo beside its mirror images, as often as it takes."""
    photo = np.asarray(Image.open(SAMPLE).convert("RGB"))
    row = np.concatenate([photo, photo[:, ::-1]], 1)
    block = np.concatenate([row, row[::-1]], 0)
    times = -(-height // block.shape[0]), -(-width // block.shape[1]), 1
    return Image.fromarray(np.tile(block, times)[:height, :width])


if __name__ == "__main__":
    main()
