"""Sensor noise: a part that is always there (read) and a part that grows with the light (shot)."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from lwr.degrade.draw import Range, per_photo
from lwr.degrade.light import luminance

_PHOTONS_AT_WHITE = 256  # makes the published "Poisson scale" 1 the shot noise of an 8-bit count


@dataclass(frozen=True)
class Noise:
    """One photo's noise; its variance at value v is read^2 + shot^2 v, all on the scale white = 1."""

    read: float = 0.0  # standard deviation at black
    shot: float = 0.0  # standard deviation that shot noise has at white
    grey: bool = False  # the same noise in all three channels


@dataclass(frozen=True)
class NoiseRanges:
    """From where `sample_noise` draws; either Gaussian or Poisson, never both."""

    gaussian: float  # chance of Gaussian noise, else Poisson
    sigma: Range  # of Gaussian noise, on the scale white = 255
    poisson: Range  # factor on the shot noise of an 8-bit count
    grey: float = 0.4  # chance of colourless noise


def sample_noise(stream: random.Random, ranges: NoiseRanges) -> Noise:
    """Any noise that `ranges` allow."""
    grey = stream.random() < ranges.grey
    if stream.random() < ranges.gaussian:
        return Noise(read=stream.uniform(*ranges.sigma) / 255, grey=grey)
    return Noise(shot=stream.uniform(*ranges.poisson) / _PHOTONS_AT_WHITE**0.5, grey=grey)


def add_noise(images: torch.Tensor, noises: Sequence[Noise], generator: torch.Generator) -> torch.Tensor:
    """(B,3,H,W) plus one `Noise` per photo; not clamped. Shot noise is Poisson's Gaussian limit: faster."""
    sample = torch.randn(images.shape, generator=generator, device=images.device, dtype=images.dtype)
    light = images
    if any(noise.grey for noise in noises):
        grey = per_photo([noise.grey for noise in noises], images) > 0
        sample = torch.where(grey, sample[:, :1], sample)
        light = torch.where(grey, luminance(images), images)
    read = per_photo([noise.read**2 for noise in noises], images)
    shot = per_photo([noise.shot**2 for noise in noises], images)
    return images + sample * (read + shot * light.clamp(min=0)).sqrt()
