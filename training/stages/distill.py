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

from lwr.models.config import TextConditioning
from training.config import Config
from training.data.crops import CropSampler
from training.data.mixture import Batch, draw
from training.data.rng import RngStreams
from training.stages.base import AdaptedStage, Logs


class Distill(AdaptedStage):
    """Trains the LoRA pairs in `config.lora_parts`: those that the sampler uses."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.aside("teacher", copy.deepcopy(self.loras))
        self.train_loras(config.lora_parts)

    def forward(self, sampler: CropSampler, rng: RngStreams, progress: float) -> tuple[torch.Tensor, Logs]:
        """MSE of the student's latent to the teacher's."""
        batch = draw(self.config, sampler, rng)
        states = rng.states()
        with torch.no_grad():
            taught = self.restore(batch, rng, self.config.teacher_steps, None, self.teacher)[1]
        rng.rewind(states)  # the same noise
        plain = TextConditioning(self.network.prior.config.positive)  # the student answers without guidance
        loss = F.mse_loss(self.restore(batch, rng, 1, None, words=plain)[1].float(), taught.float())
        return loss, {"latent": loss.detach()}

    def preview(self, batch: Batch, rng: RngStreams) -> torch.Tensor:
        """One step, and the plain decoder."""
        return self.restore(batch, rng, 1, 0.0)[0]

    def save(self, folder: Path) -> None:
        """The network, which around a prior from elsewhere takes one step without guidance from now on."""
        config = self.network.config
        if config.base is not None:
            facts = dict(config.facts) | {"default_steps": 1, "guidance": 1.0}
            self.network.config = dataclasses.replace(config, facts=facts)
        super().save(folder)
