"""Rung 5: CFW learns to bring the photo's own detail into the decoder, on the sampler's real latents."""

import torch

from training.config import Config
from training.data import CropSampler
from training.losses import charbonnier
from training.mixture import draw
from training.stages.base import AdaptedStage, Logs


class Decoder(AdaptedStage):
    """Trains CFW and the LoRA pairs in it at fidelity 1; latents come from one step of the frozen sampler."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.network.wrapping.requires_grad_(True)
        for pairs in self.loras.values():
            for name, pair in pairs.items():
                pair.requires_grad_(name.startswith("wrapping"))

    def forward(
        self, sampler: CropSampler, generator: torch.Generator, progress: float
    ) -> tuple[torch.Tensor, Logs]:
        """L1 of the decoded photo."""
        batch = draw(self.config, sampler, generator)
        output, _ = self.restore(batch, generator, steps=1, fidelity=1.0)
        loss = charbonnier(output.float(), batch.target)
        return loss, {"l1": loss.detach()}
