"""Everything around the prior trains through the few-step sampler, from photo to photo, at every fidelity.

The gradient goes on through the sampler into the time-aware encoder, its SFT layers, the text path and every
LoRA pair; a hinge PatchGAN helps the look. The prior itself (VAE and the UNet's own layers) stays frozen,
unless `config.parts` names it. The strategies that `training.study` compares are rows of this stage.
"""

import torch
import torch.nn.functional as F

from training.config import Config
from training.data.crops import CropSampler
from training.data.mixture import draw
from training.data.rng import RngStreams
from training.stages.base import Logs
from training.stages.fidelity import FidelityStage

LATENT_WEIGHT = 0.1  # of the distance to the clean photo's latent, which fidelity 0 lives by


class EndToEnd(FidelityStage):
    """Trains `config.parts` (encoder, SFT, text path, CFW) and the LoRAs in `config.lora_parts`."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.train_parts(config.parts)
        self.train_loras(config.lora_parts)

    def forward(self, sampler: CropSampler, rng: RngStreams, progress: float) -> tuple[torch.Tensor, Logs]:
        """Loss of the photo at the batch's fidelity and of its latent; one batch in ten takes two steps."""
        batch = draw(self.config, sampler, rng)
        fidelity = self.draw_fidelity(rng)
        steps = 2 if torch.rand(1, generator=rng.shared).item() < 0.1 else 1
        output, latent = self.restore(batch, rng, steps, fidelity)
        output = output.float()
        with torch.no_grad():
            clean = self.network.encode(self.memory_format(batch.target)).latent
        loss, logs = self.photo_loss(output, batch, fidelity, rng)
        loss = loss + LATENT_WEIGHT * F.mse_loss(latent.float(), clean)
        return self.against(output, batch, fidelity, progress, loss, logs)
