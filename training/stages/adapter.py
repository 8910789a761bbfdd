"""Rung 4: one LoRA per task, on the frozen network; all that a new task needs (latent MSE + photo L1)."""

import torch
import torch.nn.functional as F

from training.data import CropSampler
from training.losses import charbonnier
from training.mixture import draw
from training.stages.base import AdaptedStage, Logs


class Adapters(AdaptedStage):
    """Trains the LoRA pairs of every task in the config; each batch those of its own task."""

    def forward(
        self, sampler: CropSampler, generator: torch.Generator, progress: float
    ) -> tuple[torch.Tensor, Logs]:
        """Errors of one sampling step from the noised LQ latent, as a latent and as a photo at fidelity 1."""
        batch = draw(self.config, sampler, generator)
        with torch.no_grad():
            clean = self.network.encode(batch.target).latent
        output, latent = self.restore(batch, generator, steps=1, fidelity=1.0)
        error = F.mse_loss(latent.float(), clean.float())
        l1 = charbonnier(output.float(), batch.target)
        return error + l1, {"latent": error.detach(), "l1": l1.detach()}
