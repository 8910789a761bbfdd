"""What a network of the study makes of the validation photos: scores of each photo, and of wrong prompts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import torch

from lwr.images.metrics import psnr, ssim
from training.checkpoint import TrainingError
from training.data.mixture import Batch
from training.data.photos import Photo, load_photos
from training.evaluation.samples import damaged
from training.losses.perceptual import distance
from training.study.arms import StudyConfig
from training.study.batches import numbers
from training.study.files import write_json
from training.study.stage import StudyStage

CROP = 192  # pixels, of the middle of a validation photo
CHUNK = 12  # photos restored at once
SWAPPED = 24  # photos that every wrong prompt is tried on

Scores = dict[str, list[float]]  # measure -> a number for each photo


@dataclass(frozen=True)
class HeldOut:
    """The photos that are measured on: (N,3,H,W) in [0,1], and each as every task damages it."""

    ids: list[str]
    clean: torch.Tensor
    degraded: dict[str, torch.Tensor]

    def to(self, device: torch.device) -> "HeldOut":
        """The same on a device."""
        degraded = {task: photos.to(device) for task, photos in self.degraded.items()}
        return replace(self, clean=self.clean.to(device), degraded=degraded)


def make_held_out(source: str, count: int, tasks: Sequence[str], path: Path) -> None:
    """Cut, damage and keep the validation photos; TrainingError when `source` has none that fit."""
    first: dict[str, Photo] = {}
    for photo in load_photos(source, "validation"):
        if photo.clear and min(photo.pixels.shape[:2]) >= CROP:
            first.setdefault(photo.photo, photo)
    photos = list(first.values())[:count]
    if not photos:
        raise TrainingError(
            f"No clear photo of split validation in {source} has both sides of {CROP} pixels or more: add "
            "some to measure on."
        )
    clean = torch.cat([_middle(photo) for photo in photos])
    degraded = {
        task: torch.cat(
            [damaged(photo.id, one[None], task) for photo, one in zip(photos, clean, strict=True)]
        )
        for task in tasks
    }
    part = path.with_suffix(".part")
    torch.save({"ids": [photo.id for photo in photos], "clean": clean, "degraded": degraded}, part)
    part.replace(path)


def make_inputs(held_out: Path, path: Path, device: str) -> None:
    """Score the damaged photos themselves: what every gain is counted from."""
    place = torch.device("cpu" if device == "cpu" or not torch.cuda.is_available() else "cuda")
    photos, judge = read_held_out(held_out).to(place), judge_on(place)
    scores = {task: judge(degraded, photos.clean) for task, degraded in photos.degraded.items()}
    write_json(path, {"ids": photos.ids, "scores": scores})


def read_held_out(path: Path) -> HeldOut:
    """What `make_held_out` kept."""
    return HeldOut(**torch.load(path, weights_only=True))


@cache
def judge_on(device: torch.device) -> "Judge":
    """The one of this process."""
    return Judge(device)


class Judge:
    """PSNR, SSIM, LPIPS and DISTS of batches of photos, on a device."""

    def __init__(self, device: torch.device) -> None:
        """FileNotFoundError with what to install when the weights of LPIPS or DISTS are not here."""
        self.lpips = distance("alexnet", "lpips")[0].to(device)
        self.dists = distance("vgg16", "dists")[0].to(device)

    @torch.inference_mode()
    def __call__(self, photos: torch.Tensor, clean: torch.Tensor) -> Scores:
        """(N,3,H,W) in [0,1] twice -> each measure's N numbers."""
        found: Scores = {}
        measures = {"psnr": psnr, "ssim": ssim, "lpips": self.lpips, "dists": self.dists}
        for one, target in zip(photos.split(CHUNK), clean.split(CHUNK), strict=True):
            for name, measure in measures.items():
                found.setdefault(name, []).extend(_rounded(measure(one, target)))
        return found


def scores_of(stage: StudyStage, held_out: HeldOut, judge: Judge) -> dict[str, Scores]:
    """{task: measures} of the tasks that the stage trains, each on its own damage."""
    return {
        task: judge(restored(stage, held_out.degraded[task], task), held_out.clean)
        for task in stage.config.tasks
    }


def swap_of(stage: StudyStage, held_out: HeldOut) -> dict[str, dict[str, Scores]]:
    """{damage: {task asked for: PSNR, and how far the photo was moved (mean absolute change)}}."""
    clean = held_out.clean[:SWAPPED]
    found: dict[str, dict[str, Scores]] = {}
    for damage, photos in held_out.degraded.items():
        photos = photos[:SWAPPED]
        for asked in stage.config.tasks:
            output = restored(stage, photos, asked)
            moved = (output - photos).abs().mean((1, 2, 3))
            found.setdefault(damage, {})[asked] = {
                "psnr": _rounded(psnr(output, clean)), "moved": _rounded(moved),
            }  # fmt: skip
    return found


@torch.inference_mode()
def restored(stage: StudyStage, photos: torch.Tensor, task: str) -> torch.Tensor:
    """(N,3,H,W) in [0,1], 8-bit values, as the stage restores them when it is asked for a task."""
    found = []
    for chunk in photos.split(CHUNK):
        config: StudyConfig = replace(stage.config, batch=len(chunk), group=None)
        rng = numbers(config, chunk.device, task, 0)
        output = stage.restore(Batch(chunk, chunk, {task: 1.0}, task), rng)[0]
        found.append(output.float().clamp(0, 1).mul(255).round().div(255))
    return torch.cat(found)


def _middle(photo: Photo) -> torch.Tensor:
    """(1,3,CROP,CROP) in [0,1]."""
    top, left = ((side - CROP) // 2 for side in photo.pixels.shape[:2])
    middle = photo.pixels[top : top + CROP, left : left + CROP]
    return middle.permute(2, 0, 1)[None].float().div(255)


def _rounded(values: torch.Tensor) -> list[float]:
    return [round(value, 5) for value in values.tolist()]
