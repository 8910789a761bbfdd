"""What one prediction of a network gives, to compare with another."""

from collections.abc import Mapping

import torch

from lwr.models.config import TextConditioning
from lwr.models.network import RestorationNetwork


def context(network: RestorationNetwork, instructions: Mapping[str, float] | None = None) -> torch.Tensor:
    return network.context(instructions or {}, TextConditioning())


def prediction(network: RestorationNetwork) -> torch.Tensor:
    channels = network.prior.unet.config.in_channels
    latent = torch.randn(1, channels, 8, 12, generator=torch.Generator().manual_seed(5))
    return network.predict(latent, 200, latent.flip(-1), context(network, {"remove the blur": 1.0}))[0]


def distance(a: torch.Tensor, b: torch.Tensor) -> float:
    """The largest difference."""
    return float((a - b).abs().max())
