"""Two damages at once: are both found, and is it better to undo them in one pass or one after the other?

`python -m training.diagnosis.together --photos PHOTOS` damages validation photos twice, asks for nothing (so
the diagnosis decides), and compares with orders that are given by name.
"""

import json
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from statistics import mean

import torch

from lwr.images.files import to_pil
from lwr.restore import Restorer
from lwr.tasks import TASKS
from training.benchmarks.record import RESULTS, made_with, write
from training.command_line import parse
from training.data.photos import load_photos
from training.diagnosis.damages import DAMAGES
from training.diagnosis.harm import chosen, likeness, pixels_of

COMMAND = "python -m training.diagnosis.together"
PAIRS = (("dehaze", "deblur"), ("super-resolution", "denoise"))  # in the order in which they happen


@dataclass(frozen=True)
class Options:
    """What to measure on, and where to."""

    photos: Path  # a folder with photos or shards
    limit: int = 24
    out: Path = RESULTS / "together.json"


def main() -> None:
    """Entry point."""
    options = parse(Options, None, COMMAND, __doc__)
    photos = chosen(load_photos(options.photos, "validation"), options.limit)
    restorer, pairs = Restorer.load(), {}
    for pair in PAIRS:
        pairs[" and ".join(pair)] = _measured(restorer, pair, [pixels_of(photo) for photo in photos])
        print(pair, json.dumps(pairs[" and ".join(pair)]))
    write(made_with(COMMAND) | {"photos": len(photos), "pairs": pairs}, options.out)


def _measured(restorer: Restorer, pair: tuple[str, str], clean: list[torch.Tensor]) -> dict[str, float]:
    """Shares of photos in which each and both are found; gains in dB of the ways to undo them."""
    generator = torch.Generator().manual_seed(0)
    tasks = [name for name in pair if name in TASKS]
    ways = {f"{', then '.join(way)}": way for way in permutations(tasks)} if len(tasks) > 1 else {}
    found, gains = {name: 0 for name in (*pair, "both")}, {name: [] for name in ("asked for nothing", *ways)}
    for good in clean:
        bad = good
        for name in pair:
            bad, _ = DAMAGES[name].degrade(bad, generator)
        before = likeness(bad, good)
        auto = restorer(to_pil(bad), scale=1)
        present = restorer.diagnose(to_pil(bad)).present
        for name in pair:
            found[name] += name in present
        found["both"] += all(name in present for name in pair)
        gains["asked for nothing"].append(likeness(auto.loaded.rgb, good) - before)
        for name, way in ways.items():
            gains[name].append(likeness(_one_by_one(restorer, bad, way), good) - before)
        if ways:
            once = restorer(to_pil(bad), task=dict.fromkeys(tasks, 1.0))
            gains.setdefault("both in one pass", []).append(likeness(once.loaded.rgb, good) - before)
    shares = {f"found: {name}": round(count / len(clean), 3) for name, count in found.items()}
    return shares | {f"gain_db: {name}": round(mean(values), 3) for name, values in gains.items()}


def _one_by_one(restorer: Restorer, picture: torch.Tensor, tasks: tuple[str, ...]) -> torch.Tensor:
    for name in tasks:
        picture = restorer(to_pil(picture), task=name).loaded.rgb
    return picture


if __name__ == "__main__":
    main()
