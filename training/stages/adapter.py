"""LoRAs alone, on the frozen network: all that a new task needs, or more training for one task."""

import torch

from training.config import Config
from training.data.mixture import Batch
from training.data.rng import RngStreams
from training.losses.photo import PhotoLoss
from training.stages import fidelity
from training.stages.adapted import TaskLoras
from training.stages.base import CPU, Logs, Stage, need_refiner


class Adapters(Stage):
    """Trains the LoRA pairs in `config.lora_parts` of every task in the config."""

    def __init__(self, config: Config, device: torch.device = CPU) -> None:
        super().__init__(config, device)
        self.loras = TaskLoras(config, self.network, self.start)
        self.loras.train_parts(self.network, config.lora_parts)
        if config.refiner_only:
            need_refiner(self)
            self.loras.zero_sampler_inputs(self.network)
        self.steps = 0 if config.refiner_only else 1
        self.loss = PhotoLoss(config, device)
        self.adversarial = self.loss.adversarial

    def forward(self, batch: Batch, rng: RngStreams, progress: float) -> tuple[torch.Tensor, Logs]:
        """Loss of the photo at the batch's fidelity."""
        level = fidelity.draw(self.config, rng)
        return self.loss.of_stage(
            lambda one: self.restore(one, rng, self.steps, level)[0], batch, level, rng, progress
        )

    def preview(self, batch: Batch, rng: RngStreams) -> torch.Tensor:
        """At the fidelity that trains most."""
        return self.restore(batch, rng, self.steps, fidelity.mostly(self.config))[0]
