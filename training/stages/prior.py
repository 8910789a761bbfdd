"""Rung 2: the UNet learns to denoise latents of clean photos, with the empty sentence (v-prediction MSE)."""

import torch

from training.config import Config
from training.data import CropSampler
from training.stages.base import Logs, Stage, diffusion_loss


class Prior(Stage):
    """Trains the UNet; the VAE is frozen."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.network.prior.unet.requires_grad_(True)

    def forward(
        self, sampler: CropSampler, generator: torch.Generator, progress: float
    ) -> tuple[torch.Tensor, Logs]:
        """Velocity error at uniformly drawn timesteps."""
        photo = sampler.batch(self.config.batch, generator).contiguous(memory_format=torch.channels_last)
        prior = self.network.prior
        with torch.no_grad():
            clean = self.network.encode(photo).latent
            context = prior.encode_text([""]).expand(len(photo), -1, -1)
        loss = diffusion_loss(
            prior.scheduler, clean, generator, lambda noisy, t: prior.unet(noisy, t, context).sample
        )
        return loss, {"velocity": loss.detach()}
