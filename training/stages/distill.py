"""The few-step sampler's result in one step: knowledge distillation (Luhman and Luhman 2021).

The teacher is the network as it was loaded, with `config.teacher_steps` steps of the sampler from the same
noise; the student's LoRAs in UNet, encoder and SFT learn to land on its latent in one step. Deterministic
DDIM makes the teacher's answer a function of photo and noise, so a plain squared error has something to find.
"""

import copy
import dataclasses
from pathlib import Path

import torch
import torch.nn.functional as F

from training.config import Config
from training.data.mixture import Batch
from training.data.rng import RngStreams
from training.losses.diffusion import unguided
from training.stages.adapted import TaskLoras
from training.stages.base import CPU, Logs, Stage


class Distill(Stage):
    """Trains the LoRA pairs in `config.lora_parts`: those that the sampler uses."""

    def __init__(self, config: Config, device: torch.device = CPU) -> None:
        super().__init__(config, device)
        self.loras = TaskLoras(config, self.network, self.start)
        self.teacher = copy.deepcopy(self.loras).to(device).pairs()  # a dict, so no part of the stage
        self.loras.train_parts(self.network, config.lora_parts)

    def forward(self, batch: Batch, rng: RngStreams, progress: float) -> tuple[torch.Tensor, Logs]:
        """MSE of the student's latent to the teacher's."""
        states = rng.states()
        with torch.no_grad():
            target = self.restore(batch, rng, self.config.teacher_steps, None, loras=self.teacher)[1]
        rng.rewind(states)  # the same noise
        latent = self.restore(batch, rng, 1, None, unguided(self.network))[1]
        loss = F.mse_loss(latent.float(), target.float())
        return loss, {"latent": loss.detach()}

    def preview(self, batch: Batch, rng: RngStreams) -> torch.Tensor:
        """One step, and the plain decoder."""
        return self.restore(batch, rng, 1, 0.0)[0]

    def save(self, folder: Path) -> None:
        """The network, which around a prior from elsewhere takes one step without guidance from now on."""
        config = self.network.config
        if config.base is not None:
            prior_config = dict(config.prior_config) | {"default_steps": 1, "guidance": 1.0}
            self.network.config = dataclasses.replace(config, prior_config=prior_config)
        super().save(folder)
