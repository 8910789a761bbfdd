"""Held-out photos during training: PSNR by task, and a grid input | output | target."""

from pathlib import Path

import torch

from lwr.images import files as images
from lwr.images.metrics import psnr
from lwr.tasks import TASKS
from training.config import Config
from training.data.mixture import Batch, degrade
from training.data.photos import Photo, load_photos
from training.data.rng import rng_streams
from training.stages.base import Stage

SHOWN = 2  # photos a task in the grid
PIECE = 4  # photos at a time


class Validation:
    """Fixed crops from the middle of held-out photos, each degraded by every task, always the same."""

    def __init__(self, config: Config, photos: list[Photo], device: torch.device) -> None:
        self.config, size = config, config.validate_crop
        first = list({photo.photo: photo for photo in reversed(photos)}.values())[::-1]  # a crop a photograph
        fitting = [photo for photo in first if min(photo.pixels.shape[:2]) >= size][: config.validate_photos]
        crops = [_middle(photo.pixels, size).permute(2, 0, 1).float() / 255 for photo in fitting]
        self.clean = torch.stack(crops).to(device) if crops else torch.empty(0, 3, size, size, device=device)

    @torch.no_grad()
    def __call__(self, stage: Stage, grid: Path) -> dict[str, float]:
        """{"psnr_TASK": mean dB of its photos, "gain_TASK": over its input}; writes the grid (PNG)."""
        scores, rows = {}, []
        for task in [t for t in TASKS if t in self.config.tasks]:
            before, after = [], []
            for start in range(0, len(self.clean), PIECE):
                batch, output = self._piece(stage, task, self.clean[start : start + PIECE], start)
                before.append(psnr(batch.degraded, batch.target))
                after.append(psnr(output, batch.target))
                if start == 0:
                    shown = zip(batch.degraded[:SHOWN], output[:SHOWN], batch.target[:SHOWN], strict=True)
                    rows += [torch.cat(row, 2) for row in shown]
            mean = torch.cat(after).mean().item()
            scores[f"psnr_{task}"] = round(mean, 3)
            scores[f"gain_{task}"] = round(mean - torch.cat(before).mean().item(), 3)
        if rows:
            grid.parent.mkdir(parents=True, exist_ok=True)
            images.to_pil(torch.cat(rows, 1)[None].float().cpu()).save(grid)
        return scores

    def _piece(self, stage: Stage, task: str, clean: torch.Tensor, start: int) -> tuple[Batch, torch.Tensor]:
        config = Config("none", batch=len(clean), group=1, seed=2**20 + start)
        rng = rng_streams(config, clean.device, step=list(TASKS).index(task))
        batch = Batch(degrade(task, clean, rng), clean, {task: 1.0}, task)
        return batch, stage.preview(batch, rng).float().clamp(0, 1)


def load_validation(config: Config, device: torch.device) -> Validation | None:
    """The held-out photos of a run; None, with a printed sentence, where there are none that fit."""
    if not config.validate_minutes:
        return None
    held_out: list[Photo] = []
    if config.photos is not None:
        try:
            held_out = load_photos(config.photos, "validation", 4 * config.validate_photos)
        except FileNotFoundError:
            print("No photo of this source is held out: the run goes without validation.")
            return None
    validation = Validation(config, held_out, device)
    if not len(validation.clean):
        print(f"No held-out photo has both sides of {config.validate_crop} pixels: no validation.")
        return None
    return validation


def _middle(pixels: torch.Tensor, size: int) -> torch.Tensor:
    top, left = ((side - size) // 2 for side in pixels.shape[:2])
    return pixels[top : top + size, left : left + size]
