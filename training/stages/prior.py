"""The UNet learns to denoise latents of clean photos, with the empty sentence."""

import torch

from lwr.models.sampling import sample
from training.config import Config
from training.data.mixture import Batch
from training.data.parts import Sampler
from training.data.rng import RngStreams
from training.losses.diffusion import diffusion_loss
from training.stages.base import CPU, Logs, Stage

PREVIEW_TIMESTEP = 300


class Prior(Stage):
    """Trains the UNet; the VAE is frozen."""

    def __init__(self, config: Config, device: torch.device = CPU) -> None:
        super().__init__(config, device)
        self.train_parts(["prior.unet"])
        if config.checkpointing:
            self.network.prior.unet.enable_gradient_checkpointing()

    @staticmethod
    def draw(config: Config, sampler: Sampler, rng: RngStreams) -> Batch:
        """Photos as they are."""
        photo = sampler.batch(rng)
        return Batch(photo, photo, {}, "photo")

    def forward(self, batch: Batch, rng: RngStreams, progress: float) -> tuple[torch.Tensor, Logs]:
        """The UNet's error at uniformly drawn timesteps."""
        with torch.no_grad():
            clean = self.network.encode(batch.target).latent
        loss = diffusion_loss(self.network.prior.scheduler, clean, rng, self._predict)
        return loss, {"unet": loss.detach()}

    def preview(self, batch: Batch, rng: RngStreams) -> torch.Tensor:
        """The target, noised to timestep 300 and denoised in one step."""
        encoded, scheduler = self.network.encode(batch.target), self.network.prior.scheduler
        latent = sample(
            lambda noisy, t: self._predict(noisy, torch.full((len(noisy),), t, device=noisy.device)),
            encoded.latent,
            scheduler,
            [PREVIEW_TIMESTEP],
            rng.noise,
        )
        return self.network.decode(latent, encoded, 0.0)

    def _predict(self, noisy: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        context = self.network.prior.encode_text([""]).detach().expand(len(noisy), -1, -1)
        return self.network.prior.unet(noisy, t, context).sample
