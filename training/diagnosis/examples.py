"""Examples: statistics of damaged and good pictures, and how bad each defect is.

Damages are the tasks' own (`Task.degrade`). For haze the label is how little light of the scene passes; for
blur and a small size how much of the photo's differences between neighbours is lost, whatever the kernel was.
1 is about as bad as training's worst. What a camera or an editor does to a good photo is no defect here:
noise, JPEG, other tones, no colour, sharpening.
"""

import io
import random
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from lwr.images.files import to_pil, to_tensor
from lwr.models.diagnosis import coarse_statistics, fine_statistics
from lwr.tasks import TASKS
from training.data.photos import Photo
from training.diagnosis.made_pictures import KINDS

HAZE, FINE = "dehaze", ("deblur", "super-resolution")  # what is lost: contrast at large, or detail
DIAGNOSED = (HAZE, *FINE)
MADE = 0.28  # share of pictures that are no photographs
GRAY = 0.15  # share of pictures without colour; `lwr.diagnose` sees those of one hue so, too
SIDES = (256, 256, 320, 384, 512)  # pixels
WORST_HAZE = 0.75  # 1 - mean transmission of training's densest haze, about
LEAST_DETAIL = 2e-6  # mean square of neighbours' differences under which a picture has nothing to blur


@dataclass(frozen=True)
class Examples:
    """Statistics (N,D), severities (N,T) in [0,1], and which of them say something (N,T) bool."""

    statistics: torch.Tensor
    severities: torch.Tensor
    known: torch.Tensor
    kinds: list[str]  # "photo", or a key of KINDS


def make_examples(photos: Sequence[Photo], count: int, seed: int, workers: int = 1) -> Examples:
    """`count` examples; the same photos and seed give the same ones, with any number of workers."""
    places = range(count)
    if workers == 1:
        rows = [_example(photos, seed, place) for place in places]
    else:
        with ProcessPoolExecutor(workers, initializer=_share, initargs=(photos, seed)) as pool:
            rows = list(pool.map(_shared_example, places, chunksize=32))
    statistics, severities, known, kinds = zip(*rows, strict=True)
    return Examples(torch.stack(statistics), torch.tensor(severities), torch.tensor(known), list(kinds))


Row = tuple[torch.Tensor, list[float], list[bool], str]
_shared: tuple[Sequence[Photo], int] | None = None


def _share(photos: Sequence[Photo], seed: int) -> None:
    global _shared
    _shared = photos, seed
    torch.set_num_threads(1)


def _shared_example(place: int) -> Row:
    return _example(*_shared, place)


def _example(photos: Sequence[Photo], seed: int, place: int) -> Row:
    stream = random.Random(f"{seed}:{place}")
    generator = torch.Generator().manual_seed(stream.getrandbits(62))
    kind, clear = "photo", True
    if stream.random() < MADE:
        kind = stream.choice(["screen", "screen", "drawing", "scene", "scene", "plain"])
        picture = KINDS[kind](stream, (stream.choice(SIDES[1:4]), stream.choice(SIDES[1:4])))
    else:
        photo = stream.choice(photos)
        picture, clear = _crop(photo, stream), photo.clear
    picture = _edited(picture, stream)
    picture, severities = _damaged(picture, kind, clear, stream, generator)
    picture = _taken(picture, stream, generator)
    if stream.random() < GRAY:  # last, for haze has a colour
        picture = picture.mean(1, keepdim=True).expand_as(picture)
    statistics = torch.cat([fine_statistics(picture), coarse_statistics(picture)])
    return statistics, severities, [clear or severities[0] > 0, True, True], kind


def _crop(photo: Photo, stream: random.Random) -> torch.Tensor:
    """A part of the photo, at times of the whole reduced: (1,3,H,W) in [0,1]."""
    picture = photo.pixels.permute(2, 0, 1)[None].float() / 255
    factor = stream.choice([1.0, 1.0, 1.0, stream.uniform(0.5, 1), 0.5])
    if factor < 1:
        size = [max(16, round(side * factor)) for side in picture.shape[-2:]]
        picture = F.interpolate(picture, size, mode="bicubic", antialias=True).clamp(0, 1)
    for dim in (-2, -1):
        length = min(picture.shape[dim], stream.choice(SIDES))
        picture = picture.narrow(dim, stream.randint(0, picture.shape[dim] - length), length)
    return picture.flip(-1) if stream.random() < 0.5 else picture


def _edited(picture: torch.Tensor, stream: random.Random) -> torch.Tensor:
    """At times with other tones."""
    if stream.random() < 0.25:
        picture = picture.clamp(0, 1) ** stream.uniform(0.6, 1.8)
    if stream.random() < 0.15:
        picture = (picture - 0.5) * stream.uniform(0.6, 1.2) + 0.5
    return picture.clamp(0, 1)


def _damaged(
    picture: torch.Tensor, kind: str, clear: bool, stream: random.Random, generator: torch.Generator
) -> tuple[torch.Tensor, list[float]]:
    """The picture with none, one or two defects, and the severities."""
    severity = dict.fromkeys(DIAGNOSED, 0.0)
    if clear and stream.random() < {"photo": 0.3, "scene": 0.35}.get(kind, 0.0):
        picture, params = TASKS[HAZE].degrade(picture, generator)
        severity[HAZE] = min(1.0, (1 - params[0]["mean_transmission"]) / WORST_HAZE)
    roll = stream.random()
    if roll < 0.42 and kind != "plain":
        task = FINE[0] if roll < 0.25 else FINE[1]
        before = picture
        picture, _ = TASKS[task].degrade(picture, generator)
        severity[task] = 1 - _detail_kept(picture, before)
    elif roll < 0.47:
        smooth = F.avg_pool2d(F.pad(picture, (1,) * 4, mode="replicate"), 3, 1)
        picture = picture + stream.uniform(0.3, 1.5) * (picture - smooth)
    return picture.clamp(0, 1), list(severity.values())


def _detail_kept(damaged: torch.Tensor, good: torch.Tensor) -> float:
    """How much of the differences between neighbours is left, in [0,1]; noise is none of it."""
    both = square = 0.0
    for dim in (-1, -2):
        after, before = (x.mean(1).diff(dim=dim) for x in (damaged, good))
        both, square = both + (after * before).sum().item(), square + before.square().sum().item()
    if square < LEAST_DETAIL * good[0, 0].numel():
        return 1.0
    return min(1.0, max(0.0, both / square))


def _taken(picture: torch.Tensor, stream: random.Random, generator: torch.Generator) -> torch.Tensor:
    """At times with sensor noise and as JPEG; 8-bit."""
    if stream.random() < 0.3:
        sigma = stream.uniform(0, 6) / 255
        picture = (picture + sigma * torch.randn(picture.shape, generator=generator)).clamp(0, 1)
    if stream.random() < 0.35:
        buffer = io.BytesIO()
        to_pil(picture).save(buffer, "JPEG", quality=stream.randint(60, 97))
        return to_tensor(Image.open(buffer))
    return torch.from_numpy(np.asarray(to_pil(picture)).copy()).permute(2, 0, 1)[None].float() / 255
