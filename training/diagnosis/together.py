"""Two damages at once: are both found, and is it better to undo them in one pass or one after the other?

`python -m training.diagnosis.together --photos PHOTOS` damages validation photos twice, asks for nothing (so
the diagnosis decides), and compares orders that are given by name, and one pass with both adapters. The
product takes a pass for each task, in the order of `lwr.passes.order_of`.
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import permutations
from pathlib import Path
from statistics import mean

import torch

from lwr.images.canvas import Canvas
from lwr.images.files import to_pil
from lwr.passes import fidelity_of, restored_pixels
from lwr.restore import Restorer
from lwr.tasks import TASKS
from training.benchmarks.record import RESULTS, made_with, write
from training.command_line import parse
from training.data.photos import load_photos
from training.diagnosis.damages import DAMAGES
from training.diagnosis.harm import chosen, likeness, pixels_of
from training.losses.perceptual import distance

COMMAND = "python -m training.diagnosis.together"
# In the order in which they happen
PAIRS = (
    ("dehaze", "deblur"),
    ("dehaze", "super-resolution"),
    ("deblur", "super-resolution"),
    ("super-resolution", "denoise"),
)
Distance = Callable[[torch.Tensor, torch.Tensor], float]


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
    restorer, pairs, (network, kind) = Restorer.load(), {}, distance("alexnet")

    @torch.inference_mode()
    def perceptual(a: torch.Tensor, b: torch.Tensor) -> float:
        return network(a, b).mean().item()

    for pair in PAIRS:
        clean = [pixels_of(photo) for photo in photos]
        pairs[" and ".join(pair)] = _measured(restorer, pair, clean, perceptual)
        print(pair, json.dumps(pairs[" and ".join(pair)]), flush=True)
    write(made_with(COMMAND) | {"photos": len(photos), "perceptual": kind, "pairs": pairs}, options.out)


def _measured(
    restorer: Restorer, pair: tuple[str, str], clean: list[torch.Tensor], distance: Distance
) -> dict[str, float]:
    """Shares of photos in which each and both are found; gains of the ways to undo them."""
    generator = torch.Generator().manual_seed(0)
    tasks = dict.fromkeys((name for name in pair if name in TASKS), 1.0)
    ways = _ways(restorer, tasks) if len(tasks) > 1 else {}
    ways |= {"asked for nothing": lambda bad: restorer(to_pil(bad), scale=1).loaded.rgb}
    found: Counter[str] = Counter({name: 0 for name in (*pair, "both")})
    gains: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for good in clean:
        bad = good
        for name in pair:
            bad, _ = DAMAGES[name].degrade(bad, generator)
        present = [name for name in restorer.diagnose(to_pil(bad)).present if name in pair]
        found.update(present + ["both"] * (len(present) == len(pair)))
        for name, way in ways.items():
            made = way(bad)
            closer = distance(bad, good) - distance(made, good)
            gains[name].append((likeness(made, good) - likeness(bad, good), closer))
    shares = {f"found: {name}": round(count / len(clean), 3) for name, count in found.items()}
    return shares | {
        f"{what}: {name}": round(mean(each[place] for each in values), 3)
        for name, values in gains.items()
        for place, what in enumerate(("gain_db", "perceptual_gain"))
    }


def _ways(restorer: Restorer, tasks: dict[str, float]) -> dict[str, Callable[[torch.Tensor], torch.Tensor]]:
    """{name: photo (1,3,H,W) in [0,1] -> restored}: a pass for each task in either order, and one for all."""
    settings = restorer.resolve(task=tasks, scale=1)
    device, network, adapters = restorer.device, restorer.network, restorer.adapters

    def one_pass(bad: torch.Tensor) -> torch.Tensor:
        restorer._attachment.attach([adapters.of(name) for name in tasks], list(tasks.values()))
        photo = Canvas(bad, tuple(bad.shape[-2:]), network.multiple)
        return restored_pixels(network, photo, device, tasks, settings, lambda *_: None)

    def one_by_one(bad: torch.Tensor, order: Sequence[str]) -> torch.Tensor:
        for name in order:
            fidelity = fidelity_of(name, order, settings.fidelity)
            bad = restorer(to_pil(bad), task=name, scale=1, fidelity=fidelity).loaded.rgb
        return bad

    orders = {", then ".join(order): partial(one_by_one, order=order) for order in permutations(tasks)}
    return orders | {"in one pass": one_pass}


if __name__ == "__main__":
    main()
