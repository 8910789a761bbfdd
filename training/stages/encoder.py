"""The shared time-aware encoder and its SFT layers learn, on all tasks, to condition the frozen UNet.

StableSR's stage 1. Around a prior from elsewhere it is as published, with the empty text. The embedded
network reads the task's instruction, so its text encoder and the UNet's cross-attention (which the prior
never trained on text) train too. SFT starts from zero unless `public_sft` says otherwise.
"""

import dataclasses
from pathlib import Path

import torch

from training.config import Config
from training.data.crops import CropSampler
from training.data.mixture import Batch
from training.data.rng import RngStreams
from training.losses.diffusion import conditioned_loss, unguided
from training.stages.base import CPU, Logs, Stage


class Encoder(Stage):
    """Trains encoder, sft, text encoder and cross-attention."""

    def __init__(self, config: Config, device: torch.device = CPU) -> None:
        super().__init__(config, device)
        own = self.network.config.base is None
        self.train_parts(["encoder", "sft", *(["text"] if own else [])])

    def forward(self, sampler: CropSampler, rng: RngStreams, progress: float) -> tuple[torch.Tensor, Logs]:
        """The UNet's error on the target's noised latent, given the degraded photo's."""
        loss = conditioned_loss(self.network, self.draw(sampler, rng), rng)
        return loss, {"unet": loss.detach()}

    def preview(self, batch: Batch, rng: RngStreams) -> torch.Tensor:
        """One step of the sampler, and the plain decoder."""
        return self.restore(batch, rng, 1, 0.0, unguided(self.network))[0]

    def save(self, folder: Path) -> None:
        """The network, which around a prior from elsewhere does the tasks without adapters for now."""
        config = self.network.config
        if config.base is not None:
            self.network.config = dataclasses.replace(config, tasks=self.config.tasks)
        super().save(folder)
