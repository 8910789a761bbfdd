"""Rung 3: the shared time-aware encoder and its SFT layers learn, on all tasks, to steer the frozen UNet.

StableSR's stage 1. Around a prior from elsewhere it is as published, with the empty text. The embedded
network is told the task's instruction, so its text encoder and the UNet's cross-attention (which the prior
never trained on words) train too. SFT starts from zero unless `public_sft` says otherwise.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import torch

from lwr.network import RestorationNetwork, Words
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
        own = self.network.config.base is None
        self.train_parts(["encoder", "modulation", *(["text"] if own else [])])

    def forward(self, sampler: CropSampler, draws: Draws, progress: float) -> tuple[torch.Tensor, Logs]:
        """The UNet's error on the target's noised latent, given the degraded photo's."""
        batch = draw(self.config, sampler, draws)
        loss = steering_loss(self.network, self.memory_format, batch, draws)
        return loss, {"unet": loss.detach()}

    def save(self, folder: Path) -> None:
        """The network, which around a prior from elsewhere does the tasks without adapters for now."""
        config = self.network.config
        if config.base is not None:
            self.network.config = dataclasses.replace(config, tasks=self.config.tasks)
        super().save(folder)

    def preview(self, batch: Batch, draws: Draws) -> torch.Tensor:
        """One step of the sampler, and the plain decoder."""
        network = self.network
        encoded = network.encode(batch.degraded)
        context = _context(network, batch)
        latent = sample(
            lambda x, t: network.predict(x, t, encoded.latent, context),
            encoded.latent,
            network.prior.scheduler,
            [network.prior.facts.start_timestep],
            draws.randn(*encoded.latent.shape[1:]),
        )
        return network.decode(latent, encoded, 0.0)


def steering_loss(
    network: RestorationNetwork,
    memory_format: Callable[[torch.Tensor], torch.Tensor],
    batch: Batch,
    draws: Draws,
) -> torch.Tensor:
    """The steered UNet's error (a scalar) on the targets' noised latents at any timestep."""
    with torch.no_grad():
        clean = network.encode(memory_format(batch.target)).latent
        degraded = network.encode(memory_format(batch.degraded)).latent
    context = _context(network, batch).expand(len(clean), -1, -1)

    def predict(noisy: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        with network.steered(degraded, t):
            return network.prior.unet(noisy, t, context).sample

    return diffusion_loss(network.prior.scheduler, clean, draws, predict)


def _context(network: RestorationNetwork, batch: Batch) -> torch.Tensor:
    """What the UNet is told, without guidance."""
    return network.context(batch.instructions, Words(network.prior.facts.positive))
