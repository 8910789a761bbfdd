"""Held-out photos during training: PSNR by task, and a grid input | output | target."""

from collections.abc import Sequence
from pathlib import Path

import torch

from lwr.images import files as images
from lwr.images.metrics import psnr
from lwr.tasks import TASKS
from training.config import Config
from training.data.built_set import CLEAN
from training.data.mixture import Batch, degrade
from training.data.parts import Part, load_part, sources_of
from training.data.rng import RngStreams, rng_streams
from training.stages.base import Stage

SHOWN = 2  # photos a task in the grid
PIECE = 4  # photos at a time


class Validation:
    """Fixed crops from the middle of held-out photos, each degraded by every task, always the same; and of
    held-out pairs."""

    def __init__(self, config: Config, parts: Sequence[Part], device: torch.device) -> None:
        self.config, self.device = config, device
        photos = [photo for part in parts if not part.tasks for photo in part.photos]
        self.clean = self._middles([(photo.photo, photo.pixels) for photo in photos])
        self.pairs: dict[
            str, dict[str, torch.Tensor]
        ] = {}  # {task: {task: degraded, "clean": (N,3,size,size)}}
        for part in parts:
            read = [(view.photo, view.read()) for view in part.photos] if part.tasks else []
            for task in part.tasks:
                sides = {
                    s: self._middles([(photo, pixels[s]) for photo, pixels in read]) for s in (task, CLEAN)
                }
                self.pairs.setdefault(task, sides)

    def __len__(self) -> int:
        return len(self.clean) + sum(len(pair[CLEAN]) for pair in self.pairs.values())

    def _middles(self, pictures: Sequence[tuple[str, torch.Tensor]]) -> torch.Tensor:
        """One crop (3,size,size) of each photograph that is large enough."""
        size = self.config.validate_crop
        first = {photo: pixels for photo, pixels in reversed(pictures)}
        fitting = [pixels for pixels in list(first.values())[::-1] if min(pixels.shape[:2]) >= size]
        crops = [_middle(pixels, size).permute(2, 0, 1) for pixels in fitting[: self.config.validate_photos]]
        crops = torch.stack(crops) if crops else torch.empty(0, 3, size, size)
        return crops.to(self.device).float() / 255

    @torch.no_grad()
    def __call__(self, stage: Stage, grid: Path) -> dict[str, float]:
        """{"psnr_TASK": mean dB of its photos, "gain_TASK": over its input}; writes the grid (PNG).

        Those of pairs have the names "psnr_TASK_pairs" and "gain_TASK_pairs".
        """
        scores, rows = {}, []
        for task, name, count in self._measured():
            before, after = [], []
            for start in range(0, count, PIECE):
                batch, rng = self._piece(task, name != task, start)
                output = stage.preview(batch, rng).float().clamp(0, 1)
                before.append(psnr(batch.degraded, batch.target))
                after.append(psnr(output, batch.target))
                if start == 0:
                    shown = zip(batch.degraded[:SHOWN], output[:SHOWN], batch.target[:SHOWN], strict=True)
                    rows += [torch.cat(row, 2) for row in shown]
            mean = torch.cat(after).mean().item()
            scores[f"psnr_{name}"] = round(mean, 3)
            scores[f"gain_{name}"] = round(mean - torch.cat(before).mean().item(), 3)
        if rows:
            grid.parent.mkdir(parents=True, exist_ok=True)
            images.to_pil(torch.cat(rows, 1)[None].float().cpu()).save(grid)
        return scores

    def _measured(self) -> list[tuple[str, str, int]]:
        """(task, its name in the scores, photos): made damage, then pairs, in the order of tasks."""
        tasks = [task for task in TASKS if task in self.config.tasks]
        made = [(task, task, len(self.clean)) for task in tasks]
        given = [(t, f"{t}_pairs", len(self.pairs[t][CLEAN])) for t in tasks if t in self.pairs]
        return [one for one in (*made, *given) if one[2]]

    def _piece(self, task: str, given: bool, start: int) -> tuple[Batch, RngStreams]:
        pair = self.pairs[task] if given else {CLEAN: self.clean}
        clean = pair[CLEAN][start : start + PIECE]
        config = Config("none", batch=len(clean), group=1, seed=2**20 + start)
        rng = rng_streams(config, clean.device, step=list(TASKS).index(task))
        degraded = pair[task][start : start + PIECE] if given else degrade(task, clean, rng)
        return Batch(degraded, clean, {task: 1.0}, task), rng


def load_validation(config: Config, device: torch.device) -> Validation | None:
    """The held-out photos of a run; None, with a printed sentence, where there are none that fit."""
    if not config.validate_minutes:
        return None
    held_out = []
    for source in sources_of(config) if config.photos or config.data else ():
        try:
            held_out.append(load_part(source, config, "validation", 4 * config.validate_photos))
        except FileNotFoundError:
            print(f"No photo of {source.place} is held out.")
    if not held_out:
        print("No validation: 4 of 100 photos are held out for it, by their names; give more photos.")
        return None
    validation = Validation(config, held_out, device)
    if not len(validation):
        print(
            f"No held-out photo has both sides of {config.validate_crop} pixels: no validation; try a "
            "smaller --validate-crop."
        )
        return None
    return validation


def _middle(pixels: torch.Tensor, size: int) -> torch.Tensor:
    top, left = ((side - size) // 2 for side in pixels.shape[:2])
    return pixels[top : top + size, left : left + size]
