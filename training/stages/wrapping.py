"""Rung 4: CFW's chain learns by itself what fidelity 1 shows, from the photo and its features.

Half the cost of a step through the whole network, and blur is learned from many examples or not at all: small
crops, so that a step sees many different photos and damages.
"""

import torch

from training.config import Config
from training.data import CropSampler
from training.losses import log_error
from training.mixture import draw
from training.stages.base import AdaptedStage, Logs, logged


class Wrapping(AdaptedStage):
    """Trains CFW and the LoRA pairs in it; the sampler and the decoder have no part."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.network.wrapping.requires_grad_(True)
        for pairs in self.loras.values():
            for name, pair in pairs.items():
                pair.requires_grad_(name.startswith("wrapping"))

    def forward(
        self, sampler: CropSampler, generator: torch.Generator, progress: float
    ) -> tuple[torch.Tensor, Logs]:
        """PSNR loss of the photo that the chain gives at fidelity 1."""
        batch = draw(self.config, sampler, generator)
        output = self.restore(batch, generator, steps=0, fidelity=1.0)[0]
        return log_error(output, batch.target), logged(output, batch, self.config)
