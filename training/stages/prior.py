"""Rung 2: the UNet learns to denoise latents of clean photos, with the empty sentence."""

import torch

from lwr.models.sampling import add_noise, split
from training.config import Config
from training.data.crops import CropSampler
from training.data.mixture import Batch
from training.data.rng import RngStreams
from training.losses.image import diffusion_loss
from training.stages.base import Logs, Stage

PREVIEW_TIMESTEP = 300


class Prior(Stage):
    """Trains the UNet; the VAE is frozen."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.train_parts(["prior.unet"])
        if config.checkpointing:
            self.network.prior.unet.enable_gradient_checkpointing()

    def forward(self, sampler: CropSampler, rng: RngStreams, progress: float) -> tuple[torch.Tensor, Logs]:
        """The UNet's error at uniformly drawn timesteps."""
        with torch.no_grad():
            clean = self.network.encode(self.memory_format(sampler.batch(rng))).latent
        prior = self.network.prior
        loss = diffusion_loss(prior.scheduler, clean, rng, lambda noisy, t: self._predict(noisy, t))
        return loss, {"unet": loss.detach()}

    def preview(self, batch: Batch, rng: RngStreams) -> torch.Tensor:
        """The target, noised to timestep 300 and denoised in one step."""
        encoded, scheduler = self.network.encode(batch.target), self.network.prior.scheduler
        noisy = add_noise(scheduler, encoded.latent, rng.randn(*encoded.latent.shape[1:]), PREVIEW_TIMESTEP)
        output = self._predict(noisy, torch.full((len(noisy),), PREVIEW_TIMESTEP, device=noisy.device))
        return self.network.decode(split(scheduler, noisy, output, PREVIEW_TIMESTEP)[0], encoded, 0.0)

    def _predict(self, noisy: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        context = self.network.prior.encode_text([""]).detach().expand(len(noisy), -1, -1)
        return self.network.prior.unet(noisy, t, context).sample
