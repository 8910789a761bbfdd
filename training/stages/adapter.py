"""Rung 4: one LoRA per task, on the frozen network, learns the task's few-step latent (MSE to the target's)."""

import torch
import torch.nn.functional as F

from training.config import Config
from training.data import CropSampler
from training.mixture import draw
from training.stages.base import AdaptedStage, Logs


class Adapters(AdaptedStage):
    """Trains the LoRA pairs of every task in the config; each batch those of its own task."""

    def forward(
        self, sampler: CropSampler, generator: torch.Generator, progress: float
    ) -> tuple[torch.Tensor, Logs]:
        """Latent error of one sampling step from the noised LQ latent."""
        batch = draw(self.config, sampler, generator)
        with torch.no_grad():
            clean = self.network.encode(batch.target).latent
        _, latent = self.restore(batch, generator, steps=1, fidelity=None)
        loss = F.mse_loss(latent.float(), clean.float())
        return loss, {"latent": loss.detach()}
