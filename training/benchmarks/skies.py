"""How even plain skies come back from large photos, with little memory and with much:
`python -m training.benchmarks.skies` writes training/results/skies.json.

Made scenes, because only there is the sky known to be even: what differs along it comes from restoring it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from lwr.restore import Restorer
from lwr.tasks import TASKS
from training.benchmarks.record import RESULTS, made_with, write
from training.command_line import parse

COMMAND = "python -m training.benchmarks.skies"
SKY = 0.2  # share of the height, from above, that is measured
REACH = 60  # columns within which a step counts
Scene = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Options:
    """What is measured."""

    megapixels: float = 1.4
    memory: tuple[float, ...] = (8.0, 1.0)  # GB; results of the others are compared with the first's
    tasks: tuple[str, ...] = tuple(TASKS)
    out: Path = RESULTS / "skies.json"


def main() -> None:
    """Entry point."""
    options = parse(Options, None, COMMAND, __doc__)
    results = made_with(COMMAND) | {"megapixels": options.megapixels, "scenes": {}}
    restorers = {memory: Restorer.load(memory_gb=memory) for memory in options.memory}
    for name in SCENES:
        photo = scene(name, options.megapixels)
        for task in options.tasks:
            pictures = {m: np.asarray(one(photo, task=task, scale=1).image) for m, one in restorers.items()}
            results["scenes"][f"{name}, {task}"] = {
                f"{memory:g} GB, tiles of {restorers[memory].tile}": evenness(picture)
                | {"db_to_first": round(psnr(picture, pictures[options.memory[0]]), 1)}
                for memory, picture in pictures.items()
            }
    write(results, options.out)


def evenness(picture: np.ndarray) -> dict[str, float]:
    """(H,W,3) of 0 to 255 -> largest step and difference of both sides in its sky, in these levels."""
    height, width = picture.shape[:2]
    along = picture[height // 50 : round(SKY * height)].astype(float).mean((0, 2))
    edge = width // 20
    return {
        "step": round(float(np.abs(along[REACH:] - along[:-REACH]).max()), 2),
        "left_to_right": round(float(along[-edge:].mean() - along[:edge].mean()), 2),
    }


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Of two pictures of 0 to 255; equal ones have 99 dB."""
    error = np.square(a.astype(float) - b).mean()
    return min(99.0, 10 * float(np.log10(255**2 / max(error, 1e-9))))


def scene(name: str, megapixels: float) -> Image.Image:
    """One of SCENES, 7 to 5 in size."""
    width = round((megapixels * 1.4e6) ** 0.5)
    height = round(megapixels * 1e6 / width)
    down, across = np.linspace(0, 1, height)[:, None, None], np.linspace(0, 1, width)[None, :, None]
    grain = np.random.default_rng(0).normal(0, 1, (height // 4, width // 4))
    grain = np.asarray(Image.fromarray(grain.astype(np.float32)).resize((width, height)))[..., None]
    picture = SCENES[name](down, across, grain)
    return Image.fromarray(picture.clip(0, 255).round().astype(np.uint8))


def _hills(down: np.ndarray, across: np.ndarray, grain: np.ndarray) -> np.ndarray:
    """Under a plain sky, with a wall and dark bars that are not the same left and right."""
    ground = np.array([70, 110, 50]) * (0.6 + down) + 14 * grain
    picture = np.where(down > 0.55 + 0.06 * np.sin(7 * across), ground, np.array([120, 160, 220]))
    wall = (np.abs(across - 0.25) < 0.12) & (np.abs(down - 0.65) < 0.15)
    bars = (across > 0.5) & (across * 24 % 1 < 0.15) & (np.abs(down - 0.8) < 0.08)
    return np.where(bars, 30, np.where(wall, np.array([178, 92, 66]), picture))


def _haze(density: float) -> Scene:
    def hazy(down: np.ndarray, across: np.ndarray, grain: np.ndarray) -> np.ndarray:
        seen = np.exp(-density * (1 - 0.9 * down))
        return _hills(down, across, grain) * seen + np.array([205, 208, 212]) * (1 - seen)

    return hazy


def _below(start: float, above: Scene, ground: Scene) -> Scene:
    return lambda *at: np.where(at[0] > start, ground(*at), above(*at))


SCENES: dict[str, Scene] = {
    "haze": _haze(1.5),
    "dense haze": _haze(3.0),
    "fog": _below(0.5, lambda *_: np.full(3, 205.0), lambda _, x, grain: 170 - 50 * (x < 0.4) + 20 * grain),
    "pale wall": _below(
        0.8,
        lambda down, x, _: (225 - 25 * np.hypot(x - 0.5, down - 0.4)) * np.array([1, 0.98, 0.94]),
        lambda *at: 120 + 40 * at[2],
    ),
    "dusk": _below(
        0.7,
        lambda down, *_: np.array([70, 80, 130]) * (1 - down) + np.array([230, 150, 90]) * down,
        lambda *at: 25 + 12 * at[2],
    ),
    "sea": _below(
        0.5,
        lambda *_: np.array([185.0, 200, 215]),
        lambda down, _, grain: np.array([90, 120, 135]) + 30 * (1 - down) + 20 * down * grain,
    ),
}


if __name__ == "__main__":
    main()
