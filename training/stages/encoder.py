"""The shared time-aware encoder and its SFT layers learn, on all tasks, to condition the frozen UNet.

StableSR's stage 1. Around a prior from elsewhere it is as published, with the empty text. The embedded
network reads the task's instruction, so its text encoder and the UNet's cross-attention (which the prior
never trained on text) train too; and it learns what it is used for, which is one step from the degraded
photo's own latent (after OSEDiff, Wu et al. 2024), and what the refiner takes from the UNet directly, the
photo's tone and its shares of the sharpening filters, without the refiner's levels, which cost most. With
`--parts prior.unet` its UNet trains on beside them. SFT starts from zero unless `public_sft` says otherwise.
"""

import dataclasses
from pathlib import Path

import torch
import torch.nn.functional as F

from training.config import Config
from training.data.mixture import Batch
from training.data.rng import RngStreams
from training.losses.diffusion import conditioned_loss, one_step, unguided
from training.losses.image import log_error
from training.losses.photo import measures
from training.stages.base import CPU, Logs, Stage

LATENT_WEIGHT = 0.1  # of the latent's distance, beside the photo's
NOISED = 0.1  # share of the batches of a one-step network that train several steps


class Encoder(Stage):
    """Trains encoder, sft, text encoder and cross-attention, and `config.parts`."""

    def __init__(self, config: Config, device: torch.device = CPU) -> None:
        super().__init__(config, device)
        own = self.network.config.base is None
        self.train_parts(["encoder", "sft", *(["text"] if own else []), *config.parts])
        refiner = self.network.refiner
        if refiner is not None and refiner.tone is not None:
            refiner.tone.from_unet.requires_grad_(True)
            refiner.filters.from_unet.requires_grad_(True)

    def forward(self, batch: Batch, rng: RngStreams, progress: float) -> tuple[torch.Tensor, Logs]:
        """The UNet's error on the target's noised latent, given the degraded photo's; or that of one step."""
        noised = self.network.prior.config.one_step_noise
        if noised or torch.rand(1, generator=rng.shared).item() < NOISED:
            loss = conditioned_loss(self.network, batch, rng)
            return loss, {"unet": loss.detach(), "n_unet": torch.ones(())}
        step = one_step(self.network, batch)
        loss = F.mse_loss(step.latent, step.clean)
        before = F.mse_loss(step.degraded, step.clean)
        logs = {f"latent_{batch.kind}": (loss / before.clamp_min(1e-6)).detach().clamp(max=2)}
        if step.features is None:
            return loss, logs | {f"n_{batch.kind}": torch.ones(())}
        output = self.network.coarse(batch.degraded, step.features)
        loss = LATENT_WEIGHT * loss + log_error(output, batch.target)
        return loss, logs | measures(output, batch, self.config)

    def preview(self, batch: Batch, rng: RngStreams) -> torch.Tensor:
        """The photo that trains: by the UNet's tone and filters, or by one step and the plain decoder."""
        if not self.network.prior.config.one_step_noise:
            step = one_step(self.network, batch)
            if step.features is not None:
                return self.network.coarse(batch.degraded, step.features)
        return self.restore(batch, rng, 1, 0.0, unguided(self.network))[0]

    def save(self, folder: Path) -> None:
        """The network, which around a prior from elsewhere does the tasks without adapters for now."""
        config = self.network.config
        if config.base is not None:
            self.network.config = dataclasses.replace(config, tasks=self.config.tasks)
        super().save(folder)
