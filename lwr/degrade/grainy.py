"""Noise of every kind that people want gone: a camera's at high ISO, plain Gaussian, the grain of film."""

import random
from dataclasses import asdict, dataclass, field

import torch

from lwr.degrade.camera import Sensor, sample_sensor, take
from lwr.degrade.draw import Degraded, Params, draw_or_read, log_uniform, per_photo, pick, working_dtype
from lwr.degrade.filtering import gaussian_each
from lwr.degrade.finish import Finish, finish
from lwr.degrade.light import luminance
from lwr.degrade.noise import Noise, add_noise

KINDS = {"camera": 0.55, "gaussian": 0.3, "film": 0.15}
SIGMA = (5.0, 50.0)  # of Gaussian noise, on the scale white = 255
GRAIN = (4.0, 22.0)  # of film, the same at mid-grey


@dataclass(frozen=True)
class Grain:
    """The grain of film: clumps of silver or dye."""

    level: float  # standard deviation at mid-grey, white = 1
    size: float  # pixels, standard deviation of a clump
    color: float  # share of the grain that each channel has for itself, 0 for black-and-white film
    shadows: float  # how much of it is left at black; at white there is a third of that


@dataclass(frozen=True)
class Noisy:
    """How one photo became noisy."""

    kind: str  # of KINDS
    noise: Sensor | Noise | Grain
    finish: Finish = field(default_factory=Finish)


def sample_noisy(stream: random.Random) -> Noisy:
    """A kind with its strength: from hardly seen to hardly more than noise."""
    kind = pick(stream, KINDS)
    if kind == "camera":
        noise: Sensor | Noise | Grain = sample_sensor(stream)
    elif kind == "gaussian":
        noise = Noise(read=stream.uniform(*SIGMA) / 255, grey=stream.random() < 0.1)
    else:
        noise = Grain(
            level=log_uniform(stream, *GRAIN) / 255,
            size=stream.uniform(0.4, 1.1),
            color=stream.choice((0.0, stream.uniform(0.2, 1.0))),
            shadows=stream.uniform(0.2, 0.8),
        )
    developed = kind == "camera"
    return Noisy(
        kind=kind,
        noise=noise,
        finish=Finish(
            sharpening=stream.uniform(0.2, 1.0) if developed and stream.random() < 0.4 else 0.0,
            radius=stream.uniform(0.6, 1.4),
            quality=stream.randint(70, 98) if stream.random() < (0.6 if developed else 0.2) else 0,
        ),
    )


def add_any_noise(clean: torch.Tensor, generator: torch.Generator, params: Params | None = None) -> Degraded:
    """`clean` (B,3,H,W) in [0,1] with noise, 8-bit; the parameters are those of `Noisy`.

    With `params`, one dict a photo as an earlier call returned them, nothing is drawn but noise.
    """
    photos = draw_or_read(Noisy, sample_noisy, generator, len(clean), params)
    clean = clean.to(working_dtype(clean.device))
    noisy = torch.empty_like(clean)
    for kind, add in (("camera", take), ("gaussian", add_noise), ("film", add_grain)):
        where = [i for i, photo in enumerate(photos) if photo.kind == kind]
        if where:
            noisy[where] = add(clean[where], [photos[i].noise for i in where], generator)
    for sharp in (True, False):  # apart, as sharpening takes most of the time
        where = [i for i, photo in enumerate(photos) if (photo.finish.sharpening > 0) == sharp]
        if where:
            noisy[where] = finish(noisy[where].clamp(0, 1), [photos[i].finish for i in where])
    return noisy.float(), [asdict(photo) for photo in photos]


def add_grain(clean: torch.Tensor, grains: list[Grain], generator: torch.Generator) -> torch.Tensor:
    """Display values (B,3,H,W) in [0,1] with one `Grain` each; not clamped."""
    like = {"generator": generator, "device": clean.device, "dtype": clean.dtype}
    white = torch.randn(len(clean), 4, *clean.shape[-2:], **like)
    color = per_photo([grain.color for grain in grains], clean)
    clumps = gaussian_each(
        white[:, :1] * (1 - color) + white[:, 1:] * color, [grain.size for grain in grains]
    )
    deviation = clumps.square().mean((1, 2, 3), keepdim=True).sqrt().clamp(min=1e-6)
    light = luminance(clean)
    dark = per_photo([grain.shadows for grain in grains], clean)
    # A parabola through `shadows` at black, 1 at mid-grey and a third of `shadows` at white
    strength = dark + light * (4 - 10 / 3 * dark) + light * light * (8 / 3 * dark - 4)
    level = per_photo([grain.level for grain in grains], clean)
    return clean + clumps / deviation * level * strength.clamp(min=0)
