"""Rung 5: CFW learns to bring the photo's own detail into the decoder, on latents that the sampler gives."""

import torch

from training.config import Config
from training.data import CropSampler
from training.losses import charbonnier
from training.mixture import draw
from training.perceptual import Lpips
from training.stages.base import AdaptedStage, Logs


class Decoder(AdaptedStage):
    """Trains CFW and the LoRA pairs in it at fidelity 1; latents come from one step of the frozen sampler."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.network.wrapping.requires_grad_(True)
        for pairs in self.loras.values():
            for name, pair in pairs.items():
                pair.requires_grad_(name.startswith("wrapping"))
        self.lpips = Lpips("vgg16", taps=3) if config.perceptual else None

    def forward(
        self, sampler: CropSampler, generator: torch.Generator, progress: float
    ) -> tuple[torch.Tensor, Logs]:
        """L1 of the decoded photo, and LPIPS on a quarter of the crops."""
        batch = draw(self.config, sampler, generator)
        output = self.restore(batch, generator, steps=1, fidelity=1.0)[0].float()
        loss = l1 = charbonnier(output, batch.target)
        logs = {f"l1_{batch.kind}": l1.detach(), f"n_{batch.kind}": torch.ones(())}
        if self.lpips is not None:
            few = slice(0, None, 4)  # every fourth crop: the VGG costs more than the network
            distance = self.lpips(output[few].clamp(0, 1), batch.target[few]).mean()
            loss, logs = loss + self.config.perceptual * distance, logs | {"lpips3": distance.detach()}
        return loss, logs
