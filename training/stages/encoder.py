"""Rung 3: the shared time-aware encoder and its SFT layers learn, on all tasks, to steer the frozen UNet.

StableSR's stage 1. Around a prior from elsewhere it is as published, with the empty text. The embedded
network is told the task's instruction, so its text encoder and the UNet's cross-attention (which the prior
never trained on words) train too. SFT starts from zero unless `public_sft` says otherwise.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import torch

from lwr.models.config import TextConditioning
from lwr.models.network import RestorationNetwork
from lwr.models.sampling import sample
from training.config import Config
from training.data.crops import CropSampler
from training.data.mixture import Batch, draw
from training.data.rng import RngStreams
from training.losses.image import diffusion_loss
from training.stages.base import Logs, Stage


class Encoder(Stage):
    """Trains encoder, sft, text encoder and cross-attention."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        own = self.network.config.base is None
        self.train_parts(["encoder", "sft", *(["text"] if own else [])])

    def forward(self, sampler: CropSampler, rng: RngStreams, progress: float) -> tuple[torch.Tensor, Logs]:
        """The UNet's error on the target's noised latent, given the degraded photo's."""
        batch = draw(self.config, sampler, rng)
        loss = conditioned_loss(self.network, self.memory_format, batch, rng)
        return loss, {"unet": loss.detach()}

    def save(self, folder: Path) -> None:
        """The network, which around a prior from elsewhere does the tasks without adapters for now."""
        config = self.network.config
        if config.base is not None:
            self.network.config = dataclasses.replace(config, tasks=self.config.tasks)
        super().save(folder)

    def preview(self, batch: Batch, rng: RngStreams) -> torch.Tensor:
        """One step of the sampler, and the plain decoder."""
        network = self.network
        encoded = network.encode(batch.degraded)
        context = _context(network, batch)
        latent = sample(
            lambda x, t: network.predict(x, t, encoded.latent, context),
            encoded.latent,
            network.prior.scheduler,
            [network.prior.config.start_timestep],
            rng.randn(*encoded.latent.shape[1:]),
        )
        return network.decode(latent, encoded, 0.0)


def conditioned_loss(
    network: RestorationNetwork,
    memory_format: Callable[[torch.Tensor], torch.Tensor],
    batch: Batch,
    rng: RngStreams,
) -> torch.Tensor:
    """The conditioned UNet's error (a scalar) on the targets' noised latents at any timestep."""
    with torch.no_grad():
        clean = network.encode(memory_format(batch.target)).latent
        degraded = network.encode(memory_format(batch.degraded)).latent
    context = _context(network, batch).expand(len(clean), -1, -1)

    def predict(noisy: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        with network.conditioned(degraded, t):
            return network.prior.unet(noisy, t, context).sample

    return diffusion_loss(network.prior.scheduler, clean, rng, predict)


def _context(network: RestorationNetwork, batch: Batch) -> torch.Tensor:
    """What the UNet is told, without guidance."""
    return network.context(batch.instructions, TextConditioning(network.prior.config.positive))
