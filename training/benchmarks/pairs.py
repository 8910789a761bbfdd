"""What it costs to read pairs instead of making the damage: `python -m training.benchmarks.pairs` writes
training/results/pairs-cost.json.

Crops of the data alone for each second of CPU time, whatever else the machine does, at the same crop
and batch: damage made as the crops are drawn, pairs that are kept decoded in memory, and pairs that are
decoded whenever a crop of them is drawn. The pairs are the sample photos, damaged whole, as PNG files.
"""

import dataclasses
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from lwr.images.files import load, resize, to_pil
from lwr.tasks import TASKS
from training.benchmarks.record import RESULTS, made_with, write
from training.benchmarks.speed import SAMPLES, rate
from training.command_line import parse
from training.config import Config
from training.data.loader import CPU, BatchLoader
from training.data.parts import load_parts
from training.data.photos import split_of
from training.evaluation.samples import damaged
from training.stages.base import Stage

COMMAND = "python -m training.benchmarks.pairs"
WAYS = ("made", "kept", "decoded")


@dataclass(frozen=True)
class Options:
    """What is measured."""

    tasks: tuple[str, ...] = tuple(TASKS)
    batch: int = 8
    crop: int = 128  # pixels
    side: int = 512  # pixels, of the square photos
    seconds: float = 2.0  # of each measurement
    out: Path = RESULTS / "pairs-cost.json"


def main() -> None:
    """Entry point."""
    options = parse(Options, None, COMMAND, __doc__)
    results = made_with(COMMAND, ("torch", "pillow"))
    results |= {"batch": options.batch, "crop": options.crop, "side": options.side}
    results["crops_per_cpu_s"] = {task: rates(task, options) for task in options.tasks}
    write(results, options.out)


def rates(task: str, options: Options) -> dict[str, float]:
    """Crops a second of one task, by each way."""
    with tempfile.TemporaryDirectory() as folder:
        make_pairs(Path(folder), task, options.side)
        pairs = f"{task}={folder}/pairs"
        plain = Config("adapter", tasks=(task,), batch=options.batch, crop=options.crop)
        configs = {
            "made": dataclasses.replace(plain, photos=f"{folder}/pairs/target"),
            "kept": dataclasses.replace(plain, data=pairs),
            "decoded": dataclasses.replace(plain, data=pairs, data_memory=0.0),
        }
        found = {}
        for way in WAYS:
            loader = BatchLoader(configs[way], Stage.draw, load_parts(configs[way]), CPU)
            found[way] = round(rate(loader, options.batch, options.seconds, time.process_time), 1)
    return found


def make_pairs(folder: Path, task: str, side: int) -> None:
    """`folder`/pairs: the sample photos under names of the training split, and as the task damages them."""
    for name in ("input", "target"):
        (folder / "pairs" / name).mkdir(parents=True)
    for path in sorted(SAMPLES.glob("*.jpg")):
        names = (f"{path.stem}-{number}" for number in range(1000))
        name = next(n for n in names if split_of(f"{n}.png") == "train")
        photo = load(path).rgb
        least = min(photo.shape[-2:])
        clean = resize(photo[..., :least, :least], (side, side))
        for where, pixels in (("target", clean), ("input", damaged(name, clean, task))):
            to_pil(pixels).save(folder / "pairs" / where / f"{name}.png")


if __name__ == "__main__":
    main()
