"""The refiner's perceptual weights: what the photo shows at fidelity 0.5.

Trains nothing that fidelity 1 uses, so the distortion weights stay as stage refiner made them.
"""

import torch

from training.config import Config
from training.create import grow_refiner
from training.data.mixture import Batch
from training.data.rng import RngStreams
from training.losses.photo import PhotoLoss
from training.stages import fidelity
from training.stages.adapted import TaskLoras
from training.stages.base import CPU, Logs, Stage, need_refiner


class Perceptual(Stage):
    """Trains the low-rank difference of perceptual from distortion weights, all tasks together."""

    def __init__(self, config: Config, device: torch.device = CPU) -> None:
        super().__init__(config, device)
        need_refiner(self)
        self.loras = TaskLoras(config, self.network, self.start)
        if config.new_perceptual or not self.network.config.refiner.perceptual_rank:
            grow_refiner(self.network, perceptual_rank=config.perceptual_rank)
        for name, parameter in self.network.refiner.named_parameters():
            parameter.requires_grad_("perceptual_" in name)
        if config.refiner_only:
            self.loras.zero_sampler_inputs(self.network)
        self.steps = 0 if config.refiner_only else 1
        self.loss = PhotoLoss(config, device)
        self.adversarial = self.loss.adversarial

    def forward(self, batch: Batch, rng: RngStreams, progress: float) -> tuple[torch.Tensor, Logs]:
        """Loss of the photo at the batch's fidelity."""
        level = fidelity.draw(self.config, rng)
        return self.loss(self.restore(batch, rng, self.steps, level)[0], batch, level, rng, progress)

    def preview(self, batch: Batch, rng: RngStreams) -> torch.Tensor:
        """At the fidelity that trains most."""
        return self.restore(batch, rng, self.steps, fidelity.mostly(self.config))[0]
