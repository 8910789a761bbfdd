"""Rung 3: the shared time-aware encoder and its SFT layers learn, on all tasks, to steer the frozen UNet.

StableSR's stage 1 with two changes: the sentence is the task's instruction, so the text encoder and the
UNet's cross-attention (which the prior never trained on words) train too; SFT starts from zero.
"""

import torch

from lwr.sampling import sample
from training.config import Config
from training.data import CropSampler
from training.draws import Draws
from training.losses import diffusion_loss
from training.mixture import Batch, draw
from training.stages.base import Logs, Stage


class Encoder(Stage):
    """Trains encoder, modulation, text encoder and cross-attention."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.train_parts(["encoder", "modulation", "text"])

    def forward(self, sampler: CropSampler, draws: Draws, progress: float) -> tuple[torch.Tensor, Logs]:
        """The UNet's error on the target's noised latent, given the degraded photo's."""
        batch = draw(self.config, sampler, draws)
        network = self.network
        with torch.no_grad():
            clean = network.encode(self.memory_format(batch.target)).latent
            degraded = network.encode(self.memory_format(batch.degraded)).latent
        context = network.text_context(batch.instructions).expand(len(clean), -1, -1)

        def predict(noisy: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            with network.modulation.applied(network.prior.unet, network.encoder(degraded, t)):
                return network.prior.unet(noisy, t, context).sample

        loss = diffusion_loss(network.prior.scheduler, clean, draws, predict)
        return loss, {"unet": loss.detach()}

    def preview(self, batch: Batch, draws: Draws) -> torch.Tensor:
        """One step of the sampler, and the plain decoder."""
        network = self.network
        encoded, context = network.encode(batch.degraded), network.text_context(batch.instructions)
        latent = sample(
            lambda x, t: network.predict(x, t, encoded.latent, context),
            encoded.latent,
            network.prior.scheduler,
            [network.prior.facts.start_timestep],
            draws.randn(*encoded.latent.shape[1:]),
        )
        return network.decode(latent, encoded, 0.0)
