"""LoRAs of each task by the UNet's own loss, for priors that sample in many steps.

The photo-to-photo loss of the `adapter` stage sees one step from the noisiest timestep only; here every
timestep counts, and no VAE decoder has to be kept for the gradient.
"""

import torch

from training.config import Config
from training.data.mixture import Batch
from training.data.rng import RngStreams
from training.losses.diffusion import conditioned_loss
from training.stages.adapted import AdaptedNetwork, TaskLoras
from training.stages.base import CPU, Logs, Stage


class SamplerAdapters(Stage):
    """Trains the LoRA pairs in `config.lora_parts` of every task in the config."""

    def __init__(self, config: Config, device: torch.device = CPU) -> None:
        super().__init__(config, device)
        self.loras = TaskLoras(config, self.network, self.start)
        self.loras.train_parts(self.network, config.lora_parts)

    def forward(self, batch: Batch, rng: RngStreams, progress: float) -> tuple[torch.Tensor, Logs]:
        """The adapted UNet's error on the target's noised latent, given the degraded photo's."""
        adapted = AdaptedNetwork(self.network, self.loras.pairs(), batch.tasks)
        loss = conditioned_loss(adapted, batch, rng)
        return loss, {f"unet_{batch.kind}": loss.detach(), f"n_{batch.kind}": torch.ones(())}

    def preview(self, batch: Batch, rng: RngStreams) -> torch.Tensor:
        """A few steps of the sampler, and the plain decoder."""
        return self.restore(batch, rng, self.config.latent_steps, 0.0)[0]
