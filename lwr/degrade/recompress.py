"""Files saved too small, once or again: JPEG at low qualities, chat apps that reduce photos, WebP's look."""

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F

from lwr.degrade.draw import Degraded, Params, draw_or_read, log_uniform, per_photo, pick, working_dtype
from lwr.degrade.filtering import smooth_flat
from lwr.degrade.jpeg import jpeg, photo_of, planes_of, quantise
from lwr.degrade.light import luminance, round_to_8_bit
from lwr.degrade.resize import scaled_size

KINDS = {"once": 0.45, "again": 0.25, "chat": 0.18, "webp-like": 0.12}
QUALITY = (5, 60)
_BLOCK = 4  # pixels, of what stands in for WebP


@dataclass(frozen=True)
class Save:
    """One time that a photo was written to a file."""

    codec: str  # "jpeg" or "webp-like"
    quality: int  # 1 to 100
    full_color: bool  # 4:4:4, else 4:2:0
    shift: tuple[int, int]  # rows and columns cut off since blocks were laid out before, 0 to 7


@dataclass(frozen=True)
class Saved:
    """How one photo was stored."""

    kind: str  # of KINDS
    side: float  # of the photo as a chat app sends it, relative to its own; 1 = not reduced
    saves: tuple[Save, ...]  # in their order; those of a chat app at the smaller size but the first


def sample_saved(stream: random.Random) -> Saved:
    """Once, again with other blocks, reduced by a chat app, or as WebP does it."""
    kind = pick(stream, KINDS)
    bad, good = sample_quality(stream), stream.randint(40, 90)
    if kind == "once":
        return Saved(kind, 1.0, (_jpeg(stream, bad),))
    if kind == "again":
        qualities = stream.choice(((bad, good), (good, bad), (bad, sample_quality(stream))))
        return Saved(kind, 1.0, (_jpeg(stream, qualities[0]), _jpeg(stream, qualities[1], shifted=True)))
    if kind == "chat":
        first, last = Save("jpeg", good, False, (0, 0)), Save("jpeg", stream.randint(25, 70), False, (0, 0))
        return Saved(kind, stream.uniform(0.5, 0.9), (first, last))
    return Saved(kind, 1.0, (Save("webp-like", bad, False, (0, 0)),))


def sample_quality(stream: random.Random) -> int:
    """5 to 60: a fifth from 5 to 11, a fifth from 45 on."""
    if stream.random() < 0.5:
        return stream.randint(*QUALITY)
    return round(log_uniform(stream, *QUALITY))


def _jpeg(stream: random.Random, quality: int, shifted: bool = False) -> Save:
    shift = (stream.randint(0, 7), stream.randint(0, 7)) if shifted else (0, 0)
    return Save("jpeg", quality, stream.random() < 0.25, shift)


def recompress(clean: torch.Tensor, generator: torch.Generator, params: Params | None = None) -> Degraded:
    """`clean` (B,3,H,W) in [0,1] saved too small, 8-bit; the parameters are those of `Saved`.

    With `params`, one dict a photo as an earlier call returned them, nothing is drawn.
    """
    photos = draw_or_read(Saved, sample_saved, generator, len(clean), params)
    images = clean.to(working_dtype(clean.device))
    images = save_each(images, [photo.saves[0] for photo in photos])
    rest = [i for i, photo in enumerate(photos) if len(photo.saves) > 1 and photo.side == 1]
    if rest:
        images[rest] = save_each(images[rest], [photos[i].saves[1] for i in rest])
    for i, photo in enumerate(photos):
        if photo.side != 1:  # each has a size of its own
            images[i : i + 1] = send(images[i : i + 1], photo)
    return images.float(), [asdict(photo) for photo in photos]


def save_each(images: torch.Tensor, saves: Sequence[Save]) -> torch.Tensor:
    """(B,3,H,W) in [0,1] through one file each; 8-bit, same shape."""
    saved = torch.empty_like(images)
    for codec, full in (("jpeg", False), ("jpeg", True), ("webp-like", False)):
        where = [i for i, save in enumerate(saves) if (save.codec, save.full_color) == (codec, full)]
        if not where:
            continue
        qualities, shifts = ([getattr(saves[i], name) for i in where] for name in ("quality", "shift"))
        if codec == "jpeg":
            moved = shifts if any(map(any, shifts)) else None
            saved[where] = jpeg(images[where], qualities, 1 if full else 2, moved)
        else:
            saved[where] = webp_like(images[where], qualities)
    return saved


def send(image: torch.Tensor, photo: Saved) -> torch.Tensor:
    """One photo (1,3,H,W) as a chat app sends it, smaller, and enlarged back to its size."""
    size = image.shape[-2:]
    small = F.interpolate(
        image, scaled_size(*size, photo.side), mode="bilinear", align_corners=False, antialias=True
    )
    for save in photo.saves[1:]:
        small = save_each(small, [save])
    return round_to_8_bit(F.interpolate(small, size, mode="bicubic", align_corners=False))


def webp_like(images: torch.Tensor, qualities: Sequence[int]) -> torch.Tensor:
    """What lossy WebP looks like, for (B,3,H,W) in [0,1], 8-bit: not its codec, which predicts blocks.

    Blocks of 4x4 pixels with the same step for all frequencies, 4:2:0, and then, as its loop filter does,
    smoothing of all that is weaker than such a step.
    """
    steps = images.new_tensor([4 + 56 * (1 - quality / 100) ** 2 for quality in qualities])
    light, color = planes_of(images)
    table = steps[:, None].expand(-1, _BLOCK**2).clone()
    light, color = quantise(light, table.to(light.dtype)), quantise(color, 1.5 * table.to(light.dtype))
    blocky = photo_of(light, color, images)
    brightness = luminance(blocky)
    weak = per_photo([(0.3 * step / 255) ** 2 for step in steps.tolist()], blocky)
    smooth = smooth_flat(brightness, 1.2, weak)
    return round_to_8_bit(blocky + smooth - brightness)
