"""What a camera does to a photo before it saves it: sharpening and JPEG."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from lwr.degrade.blur import Kernel, draw_kernels
from lwr.degrade.draw import per_photo
from lwr.degrade.filtering import filter_each
from lwr.degrade.jpeg import jpeg
from lwr.degrade.light import round_to_8_bit

_KERNEL = 11  # pixels


@dataclass(frozen=True)
class Finish:
    """One photo's finish; the default leaves it as the sensor saw it."""

    sharpening: float = 0.0  # share of the unsharp mask (the photo less its blur) that is added
    radius: float = 1.0  # pixels, standard deviation of that blur
    quality: int = 0  # of the JPEG; 0 = none


def sample_finish(stream: random.Random) -> Finish:
    """Half are sharpened, half go through a JPEG of quality 75 to 98."""
    return Finish(
        sharpening=stream.uniform(0.2, 1.2) if stream.random() < 0.5 else 0.0,
        radius=stream.uniform(0.6, 1.6),
        quality=stream.randint(75, 98) if stream.random() < 0.5 else 0,
    )


def finish(photos: torch.Tensor, finishes: Sequence[Finish]) -> torch.Tensor:
    """(B,3,H,W) display values, one `Finish` each -> the same in [0,1], 8-bit."""
    if any(one.sharpening for one in finishes):
        kernels = [Kernel("iso", _KERNEL, one.radius, one.radius) for one in finishes]
        mask = photos - filter_each(photos, draw_kernels(kernels, photos.device))
        photos = photos + per_photo([one.sharpening for one in finishes], photos) * mask
    photos = round_to_8_bit(photos)
    saved = [i for i, one in enumerate(finishes) if one.quality]
    if saved:
        photos[saved] = jpeg(photos[saved], [finishes[i].quality for i in saved])
    return photos
