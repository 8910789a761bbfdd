"""Which fidelity the stages from photo to photo train: 1 for the least error, mostly 0.5 below it."""

import torch

from training.config import Config
from training.data.rng import RngStreams

PERCEPTUAL = 0.5  # where the refiner has all of its perceptual weights


def draw(config: Config, rng: RngStreams) -> float:
    """1 with the chance `config.exact`, 0 with the chance `config.sampled`.

    Else mostly 0.5, or anything from 0 (refiner only: 0.5) to 1.
    """
    roll, kind, free = torch.rand(3, generator=rng.shared).tolist()
    free = 0.5 + free / 2 if config.refiner_only else free
    if roll < config.exact:
        return 1.0
    if roll >= 1 - config.sampled:
        return 0.0
    return PERCEPTUAL if kind < 0.75 else free


def mostly(config: Config) -> float:
    """The fidelity that trains most, for previews."""
    return 1.0 if config.exact >= 0.5 else PERCEPTUAL
