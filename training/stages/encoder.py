"""The shared time-aware encoder and its SFT layers learn, on all tasks, to condition the frozen UNet.

StableSR's stage 1. Around a prior from elsewhere it is as published, with the empty text. The embedded
network reads the task's instruction, so its text encoder and the UNet's cross-attention (which the prior
never trained on text) train too; and it learns what it is used for, which is one step from the degraded
photo's own latent (after OSEDiff, Wu et al. 2024). With `--parts prior.unet` its UNet trains on beside them.
SFT starts from zero unless `public_sft` says otherwise.
"""

import dataclasses
from pathlib import Path

import torch
import torch.nn.functional as F

from training.config import Config
from training.data.crops import CropSampler
from training.data.mixture import Batch
from training.data.rng import RngStreams
from training.losses.diffusion import conditioned_loss, one_step, unguided
from training.stages.base import CPU, Logs, Stage

NOISED = 0.2  # share of the batches of a one-step network that train several steps


class Encoder(Stage):
    """Trains encoder, sft, text encoder and cross-attention, and `config.parts`."""

    def __init__(self, config: Config, device: torch.device = CPU) -> None:
        super().__init__(config, device)
        own = self.network.config.base is None
        self.train_parts(["encoder", "sft", *(["text"] if own else []), *config.parts])

    def forward(self, sampler: CropSampler, rng: RngStreams, progress: float) -> tuple[torch.Tensor, Logs]:
        """The UNet's error on the target's noised latent, given the degraded photo's; or that of one step."""
        batch = self.draw(sampler, rng)
        noised = self.network.prior.config.one_step_noise
        if noised or torch.rand(1, generator=rng.shared).item() < NOISED:
            loss = conditioned_loss(self.network, batch, rng)
            return loss, {"unet": loss.detach(), "n_unet": torch.ones(())}
        latent, degraded, clean = one_step(self.network, batch)
        loss = F.mse_loss(latent, clean)
        before = F.mse_loss(degraded, clean)
        logs = {f"latent_{batch.kind}": (loss / before.clamp_min(1e-6)).detach().clamp(max=2)}
        return loss, logs | {f"n_{batch.kind}": torch.ones(())}

    def preview(self, batch: Batch, rng: RngStreams) -> torch.Tensor:
        """One step of the sampler, and the plain decoder."""
        return self.restore(batch, rng, 1, 0.0, unguided(self.network))[0]

    def save(self, folder: Path) -> None:
        """The network, which around a prior from elsewhere does the tasks without adapters for now."""
        config = self.network.config
        if config.base is not None:
            self.network.config = dataclasses.replace(config, tasks=self.config.tasks)
        super().save(folder)
