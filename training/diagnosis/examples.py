"""Examples: what the diagnosis reads of damaged and good pictures, and how bad each defect is.

Damages are the tasks' own (`Task.degrade`), and so are the labels (`Task.severity`). What a camera or an
editor does to a good photo is no defect here: other tones, no colour, sharpening, a blurred background.
"""

import random
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from lwr.degrade.dark import darken, relit, sample_dark
from lwr.degrade.depth import Depth, random_depth, sample_mix
from lwr.degrade.draw import Degraded, Params, single_precision
from lwr.degrade.finish import Finish
from lwr.degrade.haze import haze_and_transmission
from lwr.degrade.jpeg import jpeg
from lwr.degrade.light import luminance, round_to_8_bit, to_display
from lwr.degrade.noise import Noise
from lwr.degrade.rain import rain_photos, sample_rain
from lwr.degrade.severity import (
    WORST_HAZE,
    detail_lost_in_cells,
    haze_severity,
    jpeg_quality_severity,
    noise_severity,
)
from lwr.diagnose import evidence_of
from lwr.models.diagnosis import CELL, Evidence
from training.data.photos import Photo
from training.diagnosis.damages import DAMAGES
from training.diagnosis.looks import LOOKS
from training.diagnosis.made_pictures import KINDS

HAZE, FINE = "dehaze", ("deblur", "super-resolution")  # what is lost: contrast at large, or detail
DARK, RAIN = "low-light", "derain"
MAPPED = (HAZE, FINE[0])  # those of which there is a map
MADE, LOOKING = 0.28, 0.2  # shares of pictures that are no photographs, and of photographs with a look
PARTLY = 0.3  # share of hazy training pictures whose near part is clear
WHITE = 0.1  # share of training pictures that are white and not hazy, above those that chance brings
HAZED, HAZED_INDOORS = 0.32, 0.2  # shares of photos and scenes that get haze, and of other made pictures
SCENIC = ("scene", "sky", "snow", "art")  # made pictures with a distance
RAINY, RAINY_INDOORS = 0.18, 0.08  # the same of rain
DIM, DIM_MADE = 0.2, 0.1  # shares of photos and of made pictures that get too little light
UNLIT = ("plain", "screen", "drawing", "night")  # made pictures whose light nobody could tell
WHITISH = ("plain", "snow", "screen")  # on which rain does not show
DARKER, BRIGHTER = 1.25, 0.8  # exponents of an edit, beyond which it is not said whether light is missing
BARELY = 0.06  # mean brightness of a photo, below which little shows how sharp it is
GRAY = 0.12  # share of pictures without colour; `lwr.diagnose` sees those of one hue so, too
SIDES = (256, 256, 256, 384)  # pixels; squares, so that examples stack
LOSES_DETAIL = 0.7  # severity of JPEG from which on it takes visible detail away
HAZE_FREE = {
    line
    for line in Path(__file__).with_name("haze_free.txt").read_text().splitlines()
    if not line.startswith("#")
}
CHANCE = {"denoise": 0.2, "dejpeg": 0.22}  # after what happened to the light


@dataclass
class Example:
    """One picture, as the head reads it, with its labels."""

    evidence: Evidence
    severities: dict[str, float]
    unknown: set[str]  # defects of which nothing is known
    maps: dict[str, torch.Tensor]  # {defect of MAPPED: (h,w) severities; below 0 where unknown}
    kind: str  # "photo", or a key of KINDS


@dataclass
class _Picture:
    """A picture on its way through what happens to it."""

    pixels: torch.Tensor  # (1,3,H,W) in [0,1]
    kind: str
    clear: bool  # without haze of its own
    white: bool = False  # as white as haze, so that some on it could not be told
    wet: bool = False  # seen through drops, which blur it
    severities: dict[str, float] = field(default_factory=lambda: dict.fromkeys(DAMAGES, 0.0))
    unknown: set[str] = field(default_factory=set)
    maps: dict[str, torch.Tensor] = field(default_factory=dict)


def make_examples(
    photos: Sequence[Photo], count: int, seed: int, workers: int = 1, hard: bool = False
) -> list[Example]:
    """`count` examples; the same photos and seed give the same ones, with any number of workers.

    `hard`, for training: more of what is mistaken, as WHITE and PARTLY say, and rain's veil is thin haze,
    so that little of it is said to be there; scores leave out whether a photo with such a veil is hazy.
    """
    places = range(count)
    if workers == 1:
        return [example(photos, seed, place, hard) for place in places]
    with ProcessPoolExecutor(workers, initializer=_share, initargs=(photos, seed, hard)) as pool:
        return [_unpacked(each) for each in pool.map(_shared_example, places, chunksize=16)]


_shared: tuple[Sequence[Photo], int, bool] | None = None


def _share(photos: Sequence[Photo], seed: int, hard: bool) -> None:
    global _shared
    _shared = photos, seed, hard
    torch.set_num_threads(1)


def _shared_example(place: int) -> Example:
    """With arrays for tensors: PyTorch would pass each of them through shared memory, which may be small."""
    photos, seed, hard = _shared
    one = example(photos, seed, place, hard)
    arrays = Evidence(one.evidence.cells.numpy(), one.evidence.statistics.numpy())
    return replace(one, evidence=arrays, maps={name: each.numpy() for name, each in one.maps.items()})


def _unpacked(packed: Example) -> Example:
    own = Evidence(_tensor(packed.evidence.cells), _tensor(packed.evidence.statistics))
    return replace(packed, evidence=own, maps={name: _tensor(each) for name, each in packed.maps.items()})


def _tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array)


def example(photos: Sequence[Photo], seed: int, place: int, hard: bool = False) -> Example:
    """The example at `place`."""
    with single_precision():
        picture = draw_picture(photos, seed, place, hard)
    evidence = evidence_of(picture.pixels)
    evidence = Evidence(evidence.cells.half(), evidence.statistics)
    return Example(evidence, picture.severities, picture.unknown, picture.maps, picture.kind)


def draw_picture(photos: Sequence[Photo], seed: int, place: int, hard: bool = False) -> _Picture:
    """The picture at `place`: good or damaged, with its labels."""
    stream = random.Random(f"{seed}:{place}")
    generator = torch.Generator().manual_seed(stream.getrandbits(62))
    picture = _good(photos, stream, WHITE if hard else 0.0)
    _edit(picture, stream)
    _veil(picture, stream, generator, PARTLY if hard else 0.0)
    _rain(picture, stream, generator, veil_is_haze=hard)
    _soften(picture, stream, generator)
    if _dim(picture, stream, generator):
        _save(picture, stream, generator)
    else:
        _take(picture, stream, generator)
    if stream.random() < GRAY:  # last, for haze has a colour
        picture.pixels = picture.pixels.mean(1, keepdim=True).expand_as(picture.pixels)
    return picture


def _good(photos: Sequence[Photo], stream: random.Random, white: float) -> _Picture:
    side = stream.choice(SIDES)
    if stream.random() < MADE:
        kind = stream.choice(list(KINDS))
        return _Picture(KINDS[kind](stream, (side, side)), kind, True)
    pale = [photo for photo in photos if photo.photo in HAZE_FREE] if stream.random() < white else []
    photo = stream.choice(pale or photos)
    picture = _Picture(_crop(photo, side, stream), "photo", photo.clear or is_white(photo), is_white(photo))
    if stream.random() < LOOKING:
        picture.kind = stream.choice(list(LOOKS))
        picture.pixels = LOOKS[picture.kind](stream, picture.pixels)
        if picture.kind == "dusk":  # which is less light, and may be meant
            picture.unknown.add(DARK)
    return picture


def is_white(photo: Photo) -> bool:
    """Whether its dark channel is as high as that of haze, and there is none."""
    return photo.photo in HAZE_FREE and not photo.clear


def _crop(photo: Photo, side: int, stream: random.Random) -> torch.Tensor:
    """A square of the photo, at times of the photo reduced: (1,3,side,side) in [0,1]."""
    picture = photo.pixels.permute(2, 0, 1)[None].float() / 255
    least = side / min(picture.shape[-2:])
    factor = max(least, stream.choice([1.0, 1.0, 1.0, stream.uniform(0.5, 1), 0.5]))
    if factor != 1:
        size = [max(side, round(length * factor)) for length in picture.shape[-2:]]
        picture = F.interpolate(picture, size, mode="bicubic", antialias=True).clamp(0, 1)
    for dim in (-2, -1):
        picture = picture.narrow(dim, stream.randint(0, picture.shape[dim] - side), side)
    return picture.flip(-1) if stream.random() < 0.5 else picture


def _edit(picture: _Picture, stream: random.Random) -> None:
    """At times other tones."""
    pixels = picture.pixels.clamp(0, 1)
    if stream.random() < 0.25:
        power = stream.uniform(0.6, 1.8)
        pixels = pixels**power
        if not BRIGHTER < power < DARKER:
            picture.unknown.add(DARK)
    if stream.random() < 0.15:
        pixels = (pixels - 0.5) * stream.uniform(0.6, 1.2) + 0.5
    picture.pixels = pixels.clamp(0, 1)


def _veil(picture: _Picture, stream: random.Random, generator: torch.Generator, partly: float) -> None:
    """At times haze; the share `partly` of it in the distance alone."""
    cells = [side // CELL for side in picture.pixels.shape[-2:]]
    picture.maps[HAZE] = torch.zeros(cells) if picture.clear else torch.full(cells, -1.0)
    if not picture.clear:
        picture.unknown.add(HAZE)
    elif stream.random() < _share_hazed(picture):
        clean = picture.pixels
        depth = _distant(stream.uniform(0.2, 0.6)) if stream.random() < partly else None
        picture.pixels, params, passing = haze_and_transmission(clean, generator, depth=depth)
        picture.severities[HAZE] = DAMAGES[HAZE].severity(params[0], picture.pixels, clean)
        mean = F.avg_pool2d(passing, CELL)[0, 0]
        picture.maps[HAZE] = torch.tensor([[haze_severity(t) for t in row] for row in mean.tolist()])


def _distant(start: float) -> Depth:
    """The product's depth, but 0 up to the share `start` of it: what is near stays clear."""

    def depth(clean: torch.Tensor, generator: torch.Generator, params: Params | None = None) -> Degraded:
        depths, drawn = random_depth(clean, generator, params)
        nearest = depths.amin((-2, -1), keepdim=True)
        return ((depths - nearest) / (1 - nearest).clamp_min(1e-6) - start).clamp_min(0) / (1 - start), drawn

    return depth


def _share_hazed(picture: _Picture) -> float:
    if picture.white:
        return 0.0
    return HAZED_INDOORS if picture.kind in KINDS and picture.kind not in SCENIC else HAZED


def _rain(picture: _Picture, stream: random.Random, generator: torch.Generator, veil_is_haze: bool) -> None:
    """At times rain; its noise and JPEG come with those of all pictures."""
    scenic = picture.kind not in KINDS or picture.kind in SCENIC
    if stream.random() >= (RAINY if scenic else RAINY_INDOORS) or picture.white or picture.kind in WHITISH:
        return
    rain = replace(sample_rain(stream), noise=Noise(), finish=Finish())
    params = asdict(rain) | {"depth": asdict(sample_mix(stream))}
    clean = picture.pixels
    picture.pixels, found = rain_photos(clean, generator, [params])
    picture.severities[RAIN] = DAMAGES[RAIN].severity(found[0], picture.pixels, clean)
    picture.wet = rain.drops is not None
    if rain.veil:  # which is thin haze; whether a person would call it that is not known
        passing = (1 - WORST_HAZE * picture.severities[HAZE]) * found[0]["mean_transmission"]
        if veil_is_haze and HAZE not in picture.unknown:
            picture.severities[HAZE] = haze_severity(passing)
        else:
            picture.unknown.add(HAZE)
        picture.maps[HAZE] = torch.full_like(picture.maps[HAZE], -1.0)


def _soften(picture: _Picture, stream: random.Random, generator: torch.Generator) -> None:
    """At times blur, a small size or sharpening."""
    clean, roll = picture.pixels, stream.random()
    blur = torch.zeros([side // CELL for side in clean.shape[-2:]])
    if roll < 0.38 and picture.kind != "plain":  # which has nothing to lose
        task = FINE[0] if roll < 0.22 else FINE[1]
        picture.pixels, params = DAMAGES[task].degrade(clean, generator)
        picture.severities[task] = DAMAGES[task].severity(params[0], picture.pixels, clean)
        picture.unknown |= CHANCE.keys()  # both bring some noise and JPEG of their own
        blur, known = detail_lost_in_cells(picture.pixels, clean, CELL)
        blur = torch.where(known, blur, -1.0) if task == FINE[0] else torch.full_like(blur, -1.0)
    elif roll < 0.43:
        smooth = F.avg_pool2d(F.pad(clean, (1,) * 4, mode="replicate"), 3, 1)
        picture.pixels = (clean + stream.uniform(0.3, 1.5) * (clean - smooth)).clamp(0, 1)
    elif picture.kind in LOOKS:  # which may have a blurred background
        blur = torch.full_like(blur, -1.0)
    if picture.wet:
        picture.unknown |= _sharp_in(picture)
        blur = torch.full_like(blur, -1.0)
    picture.maps[FINE[0]] = blur


def _dim(picture: _Picture, stream: random.Random, generator: torch.Generator) -> bool:
    """At times too little light, with the noise that comes with it, 8-bit; returns whether it was so.

    Good photos that are dark are as they are meant to be: their severity is 0.
    """
    if stream.random() >= (DIM_MADE if picture.kind in KINDS else DIM) or picture.kind in UNLIT:
        return False
    dark, clean = sample_dark(stream), picture.pixels
    picture.pixels, found = darken(clean, generator, [asdict(dark)])
    picture.severities[DARK] = DAMAGES[DARK].severity(found[0], picture.pixels, clean)
    dim = to_display(relit(clean, [dark])[0])
    dim = ((dim - dark.black) / (1 - dark.black)).clamp(0, 1)
    picture.severities["denoise"] = noise_severity(picture.pixels, dim)
    _label_finish(picture, dark.finish.quality)
    if (
        dark.sensor.smear or luminance(picture.pixels).mean() < BARELY
    ):  # detail went with the noise or is black
        picture.unknown |= _sharp_in(picture)
        blur = picture.maps[FINE[0]]
        picture.maps[FINE[0]] = torch.where(blur > 0, blur, -1.0)
    return True


def _take(picture: _Picture, stream: random.Random, generator: torch.Generator) -> None:
    """At times noise and JPEG, much or little; 8-bit."""
    before = picture.pixels
    if stream.random() < CHANCE["denoise"]:
        picture.pixels, params = DAMAGES["denoise"].degrade(before, generator)
        _label(picture, "denoise", params[0], before)
        _label_finish(picture, params[0]["finish"]["quality"])
        if params[0]["noise"].get("smear"):  # some detail went with the noise
            picture.unknown |= _sharp_in(picture)
    elif stream.random() < 0.3:
        sigma = stream.uniform(0, 3) / 255
        grain = sigma * torch.randn(before.shape, generator=generator)
        picture.pixels = (before + grain).clamp(0, 1)
        if "denoise" not in picture.unknown:
            picture.severities["denoise"] = noise_severity(picture.pixels, before)
    picture.pixels = round_to_8_bit(picture.pixels)
    _save(picture, stream, generator)


def _save(picture: _Picture, stream: random.Random, generator: torch.Generator) -> None:
    """At times JPEG, much or little."""
    before = picture.pixels
    if stream.random() < CHANCE["dejpeg"]:
        picture.pixels, params = DAMAGES["dejpeg"].degrade(before, generator)
        _label(picture, "dejpeg", params[0], before)
        if params[0]["kind"] == "chat" or picture.severities["dejpeg"] > LOSES_DETAIL:
            picture.unknown |= _sharp_in(picture)
        if picture.severities["denoise"]:
            picture.unknown.add("denoise")  # and noise
    elif stream.random() < 0.3:
        quality = stream.randint(60, 97)
        picture.pixels = jpeg(before, [quality])
        if "dejpeg" not in picture.unknown:
            picture.severities["dejpeg"] = max(picture.severities["dejpeg"], jpeg_quality_severity(quality))


def _label(picture: _Picture, name: str, params: dict, before: torch.Tensor) -> None:
    picture.severities[name] = DAMAGES[name].severity(params, picture.pixels, before)
    picture.unknown.discard(name)


def _label_finish(picture: _Picture, quality: int) -> None:
    """That of a camera's JPEG; 0 = none."""
    if quality:
        picture.severities["dejpeg"] = jpeg_quality_severity(quality)
        picture.unknown.discard("dejpeg")


def _sharp_in(picture: _Picture) -> set[str]:
    return {name for name in FINE if picture.severities[name] == 0}
