"""Rung 4: CFW's chain learns by itself what fidelity 1 shows, from the photo and its features.

Half the cost of a step through the whole network, and blur is learned from many examples or not at all: small
crops, so that a step sees many different photos and damages.
"""

import torch

from training.config import Config
from training.data.crops import CropSampler
from training.data.mixture import Batch, draw
from training.data.rng import RngStreams
from training.losses.image import log_error
from training.stages.base import AdaptedStage, Logs, logged


class Wrapping(AdaptedStage):
    """Trains CFW and the LoRA pairs in it; the sampler and the decoder have no part."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.need_chain()
        self.train_parts(["wrapping"])
        self.train_loras(["wrapping"])
        for name, parameter in self.network.wrapping.named_parameters():
            if "look_" in name or ".leave." in name:  # neither takes part at fidelity 1 without the decoder
                parameter.requires_grad_(False)
        self.blindfold()

    def forward(self, sampler: CropSampler, rng: RngStreams, progress: float) -> tuple[torch.Tensor, Logs]:
        """PSNR loss of the photo that the chain gives at fidelity 1."""
        batch = draw(self.config, sampler, rng)
        output = self.restore(batch, rng, steps=0, fidelity=1.0)[0]
        return log_error(output, batch.target), logged(output, batch, self.config)

    def preview(self, batch: Batch, rng: RngStreams) -> torch.Tensor:
        """The chain's photo at fidelity 1."""
        return self.restore(batch, rng, steps=0, fidelity=1.0)[0]
