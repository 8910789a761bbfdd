"""The refiner learns by itself what fidelity 1 shows, from the photo and the features of the VAE's encoder.

Half the cost of a step through the whole network, and blur is learned from many examples or not at all: small
crops, so that a step sees many different photos and damages.
"""

import torch

from training.config import Config
from training.data.mixture import Batch
from training.data.rng import RngStreams
from training.losses.image import log_error
from training.losses.photo import measures
from training.stages.adapted import TaskLoras
from training.stages.base import CPU, Logs, Stage, need_refiner


class Refiner(Stage):
    """Trains the refiner's distortion weights and the LoRA pairs in it; sampler and decoder have no part."""

    def __init__(self, config: Config, device: torch.device = CPU) -> None:
        super().__init__(config, device)
        need_refiner(self)
        self.loras = TaskLoras(config, self.network, self.start)
        self.train_parts(["refiner"])
        self.loras.train_parts(self.network, ["refiner"])
        for name, parameter in self.network.refiner.named_parameters():
            if "perceptual_" in name or ".leave." in name:  # neither takes part at fidelity 1, alone
                parameter.requires_grad_(False)
        self.loras.zero_sampler_inputs(self.network)

    def forward(self, batch: Batch, rng: RngStreams, progress: float) -> tuple[torch.Tensor, Logs]:
        """PSNR's loss of the photo at fidelity 1."""
        output = self.preview(batch, rng)
        return log_error(output, batch.target), measures(output, batch, self.config)

    def preview(self, batch: Batch, rng: RngStreams) -> torch.Tensor:
        """The refiner's photo at fidelity 1."""
        return self.restore(batch, rng, 0, 1.0)[0]
