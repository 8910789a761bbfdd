"""Rung 3: the shared time-aware encoder and its SFT layers learn, on all tasks, to steer the frozen UNet.

StableSR's stage 1 with two changes: the sentence is the task's instruction, so the text encoder and the
UNet's cross-attention (which the prior never trained on words) train too; SFT starts from zero.
"""

import torch

from training.config import Config
from training.data import CropSampler
from training.mixture import draw
from training.stages.base import Logs, Stage, diffusion_loss


class Encoder(Stage):
    """Trains encoder, modulation, text encoder and cross-attention."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.train_conditioning()

    def forward(
        self, sampler: CropSampler, generator: torch.Generator, progress: float
    ) -> tuple[torch.Tensor, Logs]:
        """Velocity error of the target's noised latent, given the degraded photo's."""
        batch = draw(self.config, sampler, generator)
        network = self.network
        with torch.no_grad():
            clean = network.encode(batch.target).latent
            degraded = network.encode(batch.degraded).latent
        context = network.text_context(batch.instructions).expand(len(clean), -1, -1)

        def predict(noisy: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            with network.modulation.applied(network.prior.unet, network.encoder(degraded, t)):
                return network.prior.unet(noisy, t, context).sample

        loss = diffusion_loss(network.prior.scheduler, clean, generator, predict)
        return loss, {"velocity": loss.detach()}
