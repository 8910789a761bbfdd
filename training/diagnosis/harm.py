"""What a sentence does to photos that need it and to photos that do not.

`python -m training.diagnosis.harm --photos PHOTOS` asks for each task on validation photos, damaged as in
training and good, once as a sentence does, which heeds the diagnosis, and once as who insists. White ones
without haze (snow, paper, overcast skies) are counted apart.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import torch

from lwr.images.files import to_pil
from lwr.images.metrics import psnr
from lwr.restore import Restored, Restorer
from lwr.tasks import TASKS
from training.benchmarks.record import RESULTS, made_with, write
from training.command_line import parse
from training.data.photos import Photo, load_photos
from training.diagnosis.examples import is_white
from training.evaluation.samples import damaged

COMMAND = "python -m training.diagnosis.harm"
SAME = 60.0  # dB, of a photo that did not change
FLOORS = {"dehaze": 40.0, "deblur": 38.0}  # dB, of a good photo to itself; SAFE for other tasks
SAFE = 38.0
THICKNESS, AIR = 1.6, 0.85  # of the haze on half of a photo: optical, at the top; brightness


@dataclass(frozen=True)
class Options:
    """What to measure on, and where to."""

    photos: Path  # a folder with photos or shards
    limit: int = 50
    out: Path = RESULTS / "harm.json"


def main() -> None:
    """Entry point."""
    options = parse(Options, None, COMMAND, __doc__)
    held_out = load_photos(options.photos, "validation")
    photos, white = chosen(held_out, options.limit), [each for each in held_out if is_white(each)]
    restorer, tasks, of_white = Restorer.load(), {}, {}
    for task in (name for name, each in TASKS.items() if each.default_scale == 1):
        tasks[task] = _damaged(restorer, task, photos) | _good(restorer, task, photos)
        print(task, json.dumps(tasks[task]), flush=True)
        of_white[task] = _good(restorer, task, white) if white else {}
        print(task, "of white ones", json.dumps(of_white[task]), flush=True)
    auto = _just_fix(restorer, photos)
    print("asked for nothing", json.dumps(auto))
    found = {"photos": len(photos), "tasks": tasks, "asked_for_nothing": auto}
    half = _half_hazy(restorer, photos)
    print("half hazy", json.dumps(half))
    found |= {"white_photos": len(white), "white": of_white, "half_hazy": half}
    write(made_with(COMMAND) | found, options.out)


def chosen(photos: Sequence[Photo], limit: int) -> list[Photo]:
    """Clear pictures, one of every photograph first, then second ones."""
    cut: Counter[str] = Counter()
    ranked = []
    for photo in (photo for photo in sorted(photos, key=lambda one: one.id) if photo.clear):
        ranked.append((cut[photo.photo], photo.id, photo))
        cut[photo.photo] += 1
    return [photo for _, _, photo in sorted(ranked, key=lambda one: one[:2])[:limit]]


def _damaged(restorer: Restorer, task: str, photos: list[Photo]) -> dict[str, float]:
    """Gains in dB on damaged photos, and the share of them that is left alone."""
    asked, insisted, alone = [], [], 0
    for photo in photos:
        clean = pixels_of(photo)
        bad = damaged(photo.id, clean, task)
        before = likeness(bad, clean)
        heeding, forced = _both(restorer, task, bad)
        asked.append(likeness(heeding.loaded.rgb, clean) - before)
        insisted.append(likeness(forced.loaded.rgb, clean) - before)
        alone += heeding.tasks[task] == 0
    return {
        "gain_db": round(mean(asked), 3),
        "gain_db_insisted": round(mean(insisted), 3),
        "damaged_left_alone": round(alone / len(photos), 3),
    }


def _good(restorer: Restorer, task: str, photos: list[Photo]) -> dict[str, float]:
    """Likeness in dB of good photos to themselves, and the shares left alone and harmed."""
    asked, insisted, alone, floor = [], [], 0, FLOORS.get(task, SAFE)
    for photo in photos:
        clean = pixels_of(photo)
        heeding, forced = _both(restorer, task, clean)
        asked.append(likeness(heeding.loaded.rgb, clean))
        insisted.append(likeness(forced.loaded.rgb, clean))
        alone += heeding.tasks[task] == 0
    return {
        "good_db": round(mean(asked), 2),
        "good_db_insisted": round(mean(insisted), 2),
        "good_left_alone": round(alone / len(photos), 3),
        "floor_db": floor,
        "good_under_floor": round(sum(value < floor for value in asked) / len(photos), 3),
        "good_under_floor_insisted": round(sum(value < floor for value in insisted) / len(photos), 3),
    }


def _half_hazy(restorer: Restorer, photos: list[Photo]) -> dict[str, float]:
    """Of photos with haze above and none below: how much the clear part changes, in dB."""
    near, gains, insisted = [], [], []
    for photo in photos:
        clean = pixels_of(photo)
        middle = clean.shape[-2] // 2
        passing = torch.exp(-THICKNESS * torch.linspace(2, 0, clean.shape[-2]).sub(1).clamp_min(0))[:, None]
        hazy = clean * passing + AIR * (1 - passing)
        heeding, forced = _both(restorer, "dehaze", hazy)
        near.append(likeness(heeding.loaded.rgb[..., middle:, :], clean[..., middle:, :]))
        gains.append(likeness(heeding.loaded.rgb, clean) - likeness(hazy, clean))
        insisted.append(likeness(forced.loaded.rgb, clean) - likeness(hazy, clean))
    return {
        "clear_part_db": round(mean(near), 2),
        "gain_db": round(mean(gains), 3),
        "gain_db_insisted": round(mean(insisted), 3),
    }


def _just_fix(restorer: Restorer, photos: list[Photo]) -> dict[str, float]:
    """The same of requests that leave it to the photo, on good photos and on those damaged for each task."""
    clean = [pixels_of(photo) for photo in photos]
    made = [restorer(to_pil(each)) for each in clean]
    same = [
        likeness(each.loaded.rgb, good) if each.loaded.size == good.shape[-2:] else 0.0
        for each, good in zip(made, clean, strict=True)
    ]
    found = {
        "good_left_alone": round(sum(not any(each.tasks.values()) for each in made) / len(made), 3),
        "good_db": round(mean(same), 2),
    }
    for task in TASKS:
        gains = []
        for photo, good in zip(photos, clean, strict=True):
            bad = damaged(photo.id, good, task)
            gains.append(
                likeness(restorer(to_pil(bad), auto=True, scale=1).loaded.rgb, good) - likeness(bad, good)
            )
        found[f"gain_db_{task}"] = round(mean(gains), 3)
    return found


def _both(restorer: Restorer, task: str, picture: torch.Tensor) -> tuple[Restored, Restored]:
    """What a sentence makes of it, and who insists."""
    heeding = restorer(to_pil(picture), TASKS[task].instruction)
    return heeding, heeding if heeding.tasks[task] == 1 else restorer(to_pil(picture), task=task)


def pixels_of(photo: Photo) -> torch.Tensor:
    """(1,3,H,W) in [0,1]."""
    return photo.pixels.permute(2, 0, 1)[None].float() / 255


def likeness(a: torch.Tensor, b: torch.Tensor) -> float:
    """PSNR in dB, SAME at most."""
    return min(SAME, psnr(a, b).item())


if __name__ == "__main__":
    main()
