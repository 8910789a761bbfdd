"""Batches drawn once and kept as 8-bit values in a folder, for several runs that should see the same ones.

Degrading costs more than a step of a small network on a GPU: runs beside each other share the work.
"""

import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from training.checkpoint import TrainingError
from training.config import Config
from training.data.loader import BatchLoader, laid_out
from training.data.mixture import Batch
from training.data.parts import Part, Sampler
from training.data.rng import RngStreams, rng_streams

CPU = torch.device("cpu")
LOSS = 2  # names the numbers of the loss of a kept batch
ABOUT = "batches.json"
Draw = Callable[[Config, Sampler, RngStreams], Batch]


def keep(config: Config, draw: Draw, parts: Sequence[Part], folder: Path, count: int) -> None:
    """Draw the first `count` batches of a run into `folder`, a file each; `config.workers` draw them.

    batches.json, which readers ask for, goes first and comes last. TrainingError for a second damage of the
    same crops, which is not kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ABOUT).unlink(missing_ok=True)
    loader, checksum = BatchLoader(config, draw, parts, CPU), 0
    for place in range(count):
        batch, _ = loader(place)
        if batch.twin is not None:
            raise TrainingError("Kept batches have one damage of a crop: take SET/TASK in place of SET/all.")
        levels = {"degraded": batch.degraded, "target": batch.target}
        levels = {name: x.mul(255).round().to(torch.uint8).contiguous() for name, x in levels.items()}
        checksum = zlib.crc32(levels["degraded"].numpy(), checksum)
        about = {"kind": batch.kind, "tasks": json.dumps(batch.tasks)}
        save_file(levels, folder / f"{place}.safetensors", about)
    loader.close()
    sizes = {"count": count, "batch": config.batch, "crop": config.crop, "tasks": config.tasks}
    sizes["checksum"] = checksum  # by which a run that goes on knows them again
    (folder / ABOUT).write_text(json.dumps(sizes) + "\n")


class KeptBatches:
    """`batches(step, micro)` -> (the batch, random numbers for its loss); mirrored in every second round."""

    def __init__(self, config: Config, device: torch.device, rank: int = 0, processes: int = 1) -> None:
        """`rank` of so many processes, which take turns. TrainingError where they do not fit the config."""
        self.config, self.device, self.folder = config, device, Path(config.batches)
        self.rank, self.processes = rank, processes
        file = self.folder / ABOUT
        if not file.exists():
            raise TrainingError(
                f"{self.folder} has no {ABOUT}, so its batches are not all there: draw them with "
                "python -m training.draw_batches."
            )
        self.about = json.loads(file.read_text())
        if missing := set(self.about["tasks"]) - set(config.tasks):
            raise TrainingError(
                f"The batches in {self.folder} are of {', '.join(sorted(missing))}, too: add them to --tasks."
            )
        self.drawn: Sequence[str] = ()  # for messages

    def __call__(self, step: int, micro: int = 0) -> tuple[Batch, RngStreams]:
        """Images are on the device, in the network's memory format."""
        turn = (step * self.config.accumulate + micro) * self.processes + self.rank
        round_, place = divmod(turn, self.about["count"])
        file = self.folder / f"{place}.safetensors"
        self.drawn = (str(file),)
        with safe_open(file, "pt") as kept:
            about = kept.metadata()
            photos = [kept.get_tensor(name).to(self.device) for name in ("degraded", "target")]
        photos = [photo.float().div(255) for photo in photos]
        if round_ % 2:
            photos = [photo.flip(-1) for photo in photos]
        batch = Batch(*photos, json.loads(about["tasks"]), about["kind"])
        config = replace(self.config, batch=len(photos[0]), group=None)
        return laid_out(batch, self.config), rng_streams(config, self.device, step, micro, self.rank, LOSS)

    def close(self) -> None:
        """Nothing is open."""
