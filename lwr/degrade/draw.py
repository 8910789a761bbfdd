"""Random parameters: one stream of plain numbers per photo, all fed by the caller's torch.Generator."""

import math
import random
from collections.abc import Sequence

import torch

Range = tuple[float, float]


def photo_streams(generator: torch.Generator, count: int) -> list[random.Random]:
    """`count` independent number streams that follow from the state of `generator`.

    Parameters are drawn as plain numbers (one read from the device, then no more waiting for it), and a
    photo's parameters do not depend on how many numbers its neighbours in the batch have used.
    """
    seeds = torch.randint(2**62, (count,), generator=generator, device=generator.device)
    return [random.Random(seed) for seed in seeds.tolist()]


def pick(stream: random.Random, chances: dict[str, float]) -> str:
    """One key of `chances`, in proportion to its value."""
    return stream.choices(list(chances), list(chances.values()))[0]


def log_uniform(stream: random.Random, low: float, high: float) -> float:
    """A number in [low, high] whose logarithm is uniform; `low` > 0."""
    return math.exp(stream.uniform(math.log(low), math.log(high)))


def per_photo(values: Sequence[float], like: torch.Tensor) -> torch.Tensor:
    """B numbers as a (B,1,1,1) tensor on the device of `like`, ready to broadcast over a batch of images."""
    return torch.tensor(values, dtype=torch.float32, device=like.device).view(-1, 1, 1, 1)
