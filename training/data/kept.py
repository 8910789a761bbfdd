"""Batches drawn once and kept as 8-bit values in a folder, for several runs that should see the same ones.

Degrading costs more than a step of a small network on a GPU: runs beside each other share the work.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

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

    What was drawn before stays; batches.json, which readers ask for, comes last.
    """
    folder.mkdir(parents=True, exist_ok=True)
    loader = BatchLoader(config, draw, parts, CPU)
    for place in range(count):
        batch, _ = loader(place)
        levels = {
            name: getattr(batch, name).mul(255).round().to(torch.uint8) for name in ("degraded", "target")
        }
        about = {"kind": batch.kind, "tasks": json.dumps(batch.tasks)}
        save_file(
            {name: x.contiguous() for name, x in levels.items()}, folder / f"{place}.safetensors", about
        )
    loader.close()
    sizes = {"count": count, "batch": config.batch, "crop": config.crop, "tasks": config.tasks}
    (folder / ABOUT).write_text(json.dumps(sizes) + "\n")


class KeptBatches:
    """`batches(step, micro)` -> (the batch, random numbers for its loss); mirrored in every second round."""

    def __init__(self, config: Config, device: torch.device) -> None:
        self.config, self.device, self.folder = config, device, Path(config.batches)
        file = self.folder / ABOUT
        if not file.exists():
            raise TrainingError(
                f"{self.folder} has no {ABOUT}, so its batches are not all there: draw them with "
                "python -m training.draw_batches."
            )
        self.about = json.loads(file.read_text())
        self.drawn: Sequence[str] = ()  # for messages

    def __call__(self, step: int, micro: int = 0) -> tuple[Batch, RngStreams]:
        """Images are on the device, in the network's memory format."""
        round_, place = divmod(step * self.config.accumulate + micro, self.about["count"])
        file = self.folder / f"{place}.safetensors"
        self.drawn = (str(file),)
        kept = load_file(file)
        photos = [kept[name].to(self.device).float().div(255) for name in ("degraded", "target")]
        if round_ % 2:
            photos = [photo.flip(-1) for photo in photos]
        batch = Batch(*photos, *self._about(file))
        config = replace(self.config, batch=len(photos[0]), group=None)
        return laid_out(batch, self.config), rng_streams(config, self.device, step, micro, 0, LOSS)

    def close(self) -> None:
        """Nothing is open."""

    @staticmethod
    def _about(file: Path) -> tuple[dict[str, float], str]:
        from safetensors import safe_open

        with safe_open(file, "pt") as opened:
            about = opened.metadata()
        return json.loads(about["tasks"]), about["kind"]
