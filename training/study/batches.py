"""What the study trains on: batches drawn once, kept as 8-bit values, and read by every arm in one order.

The k-th batch of a task is the same in every arm, and holds crops as the product's own training degrades
them: `WRONG` of the batches show another task's damage, which a wrong prompt must leave as it is.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from lwr.degrade.draw import single_precision
from lwr.tasks import TASKS
from lwr.tasks.base import SCENE
from training.checkpoint import TrainingError
from training.config import Config
from training.data.mixture import WIDE, WIDE_SCENES, Batch, degrade
from training.data.pair_mixture import PairSampler
from training.data.parts import Part, Sampler, sampler_of
from training.data.rng import RngStreams, rng_streams
from training.data.views import CLEAN

WRONG = 0.1  # share of the batches with another task's damage
CPU = torch.device("cpu")
Drawn = tuple[torch.Tensor, torch.Tensor, str]  # degraded and clean (B,3,H,W) uint8; "right" or "wrong"


def make_batches(
    folder: Path, task: str, count: int, config: Config, parts: Sequence[Part], workers: int = 0
) -> None:
    """Draw the first `count` batches of a task into `folder`/TASK.npy, (count,2,B,3,H,W) uint8.

    Beside it TASK.json has the kind of each, and of how many photos they are. Files are whole or not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shape = (count, 2, config.batch, 3, config.crop, config.crop)
    part = folder / f"{task}.part.npy"
    kept = np.lib.format.open_memmap(part, "w+", np.uint8, shape)
    draws = DataLoader(
        _Draws(task, config, parts),
        batch_size=None,
        sampler=range(count),
        num_workers=workers,
        collate_fn=_as_it_is,
    )
    kinds = []
    for place, (degraded, clean, kind) in enumerate(draws):
        kept[place, 0], kept[place, 1] = degraded.numpy(), clean.numpy()
        kinds.append(kind)
    kept.flush()
    about = {"kinds": kinds, "photos": sum(len(part.photos) for part in parts)}
    (folder / f"{task}.json").write_text(json.dumps(about) + "\n")
    os.replace(part, folder / f"{task}.npy")


class Batches:
    """`batches(step)` -> (the batch, random numbers for its loss), the tasks in turn; see `BatchLoader`."""

    def __init__(
        self,
        folder: Path,
        tasks: Sequence[str],
        config: Config,
        device: torch.device,
        deaf: bool = False,
        first: int = 0,
    ) -> None:
        """`first`: batches of each task that were seen before; `deaf`: no prompt says what should stay."""
        self.tasks, self.config, self.device, self.deaf, self.first = tasks, config, device, deaf, first
        self.kept = {task: np.load(folder / f"{task}.npy", mmap_mode="r") for task in tasks}
        self.kinds = {task: json.loads((folder / f"{task}.json").read_text())["kinds"] for task in tasks}
        self.drawn: Sequence[str] = ()  # for messages

    def __call__(self, step: int, micro: int = 0) -> tuple[Batch, RngStreams]:
        """Images on the device, in the network's memory format; `micro` is always 0."""
        round_, turn = divmod(step, len(self.tasks))
        return self.of(self.tasks[turn], self.first + round_)

    def right(self, task: str) -> list[int]:
        """The places of the batches with the task's own damage."""
        return [place for place, kind in enumerate(self.kinds[task]) if kind == "right"]

    def of(self, task: str, place: int) -> tuple[Batch, RngStreams]:
        """The batch of a task at a place."""
        self.drawn = (f"batch {place} of {task}",)
        layout = torch.channels_last if self.config.channels_last else torch.contiguous_format
        pair = torch.from_numpy(self.kept[task][place].copy()).to(self.device).float().div(255)
        degraded, clean = (photo.contiguous(memory_format=layout) for photo in pair)
        kind = self.kinds[task][place]
        target = degraded if kind == "wrong" and not self.deaf else clean
        return Batch(degraded, target, {task: 1.0}, kind), numbers(self.config, self.device, task, place)


def numbers(config: Config, device: torch.device, task: str, place: int) -> RngStreams:
    """The random numbers of a task's batch, whichever arm draws it."""
    return rng_streams(config, device, place * len(TASKS) + list(TASKS).index(task))


class _Draws(Dataset[Drawn]):
    """Place of a batch -> the batch."""

    def __init__(self, task: str, config: Config, parts: Sequence[Part]) -> None:
        self.task, self.config = task, config
        self.samplers = [
            sampler_of(part, config, CPU) for part in parts if not part.tasks or task in part.tasks
        ]
        self.weights = torch.tensor([part.weight for part in parts if not part.tasks or task in part.tasks])
        if not self.samplers or not self.weights.sum() > 0:
            raise TrainingError(f"No source has pictures for {task}: add one to --data.")

    def __getitem__(self, place: int) -> Drawn:
        rng = numbers(self.config, CPU, self.task, place)
        chosen = 0
        if len(self.samplers) > 1:
            chosen = int(torch.multinomial(self.weights, 1, generator=rng.shared))
        with single_precision():
            degraded, clean, kind = draw(self.task, self.config, self.samplers[chosen], rng)
        degraded, clean = (photo.mul(255).round().to(torch.uint8) for photo in (degraded, clean))
        return degraded, clean, kind


def draw(
    task: str, config: Config, sampler: Sampler, rng: RngStreams
) -> tuple[torch.Tensor, torch.Tensor, str]:
    """(degraded, clean, kind) of a batch: clean photos get their damage here, pairs bring it."""
    roll, choice = torch.rand(2, generator=rng.shared).tolist()
    others = [t for t in TASKS if t != task and (TASKS[t].distinct or TASKS[task].distinct)]
    wrong = others[int(choice * len(others))] if others and roll < WRONG else None
    kind, shown = ("wrong", wrong) if wrong else ("right", task)
    scenic = any(TASKS[name].arises == SCENE for name in (task, shown))
    if isinstance(sampler, PairSampler) and shown in sampler.tasks:
        # halving changes a damage of pixels, such as noise, and leaves one of the scene what it is
        wide = WIDE_SCENES if TASKS[shown].arises == SCENE else 0.0
        crops = sampler.crops(rng, (shown,), scenic, wide)
        return crops[shown], crops[CLEAN], kind
    clean = sampler.batch(rng, scenic, wide=WIDE_SCENES if scenic else WIDE)
    return degrade(shown, clean, rng), clean, kind


def _as_it_is(drawn: Drawn) -> Drawn:
    return drawn
