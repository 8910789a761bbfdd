"""Rung 4: one LoRA per task on the frozen network, all that a new task needs (latent MSE, L1 and LPIPS)."""

import torch
import torch.nn.functional as F

from training.config import Config
from training.data import CropSampler
from training.losses import charbonnier
from training.mixture import draw
from training.perceptual import Lpips
from training.stages.base import AdaptedStage, Logs

LATENT_WEIGHT = 0.1


class Adapters(AdaptedStage):
    """Trains the LoRA pairs in `config.parts` of every task in the config; each batch those of its own."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        prefixes = tuple(f"{part}/".replace(".", "/") for part in config.parts)
        for pairs in self.loras.values():
            for name, pair in pairs.items():
                pair.requires_grad_(name.startswith(prefixes))
        self.lpips = Lpips("vgg16", taps=3) if config.perceptual else None

    def forward(
        self, sampler: CropSampler, generator: torch.Generator, progress: float
    ) -> tuple[torch.Tensor, Logs]:
        """Errors of one sampling step from the noised LQ latent, as a latent and as a photo at fidelity 1."""
        batch = draw(self.config, sampler, generator)
        output, latent = self.restore(batch, generator, steps=1, fidelity=1.0)
        output = output.float()
        loss = l1 = charbonnier(output, batch.target)
        logs = {f"l1_{batch.kind}": l1.detach(), f"n_{batch.kind}": torch.ones(())}
        if latent.requires_grad:
            with torch.no_grad():
                clean = self.network.encode(batch.target).latent
            loss = loss + LATENT_WEIGHT * F.mse_loss(latent.float(), clean.float())
        if self.lpips is not None:
            few = slice(0, None, 4)  # every fourth crop: the VGG costs more than the network
            distance = self.lpips(output[few].clamp(0, 1), batch.target[few]).mean()
            loss, logs = loss + self.config.perceptual * distance, logs | {"lpips3": distance.detach()}
        return loss, logs
