"""Rung 5: what the photo shows below fidelity 1, for the look (L1, LPIPS-VGG), on the frozen latents.

Trains only the parts of CFW behind the chain's own photo, so the exact result nearly stays as the rung before
made it (the LoRAs of the chain's entry see a little of the decoder, which these parts change).
"""

import torch

from training.config import Config
from training.data import CropSampler
from training.losses import charbonnier, log_error
from training.mixture import Batch, draw
from training.perceptual import Lpips
from training.stages.base import AdaptedStage, Logs, logged

L1_WEIGHT = 10.0  # brings L1 to about the size of the logarithmic error
LPIPS_CROPS = slice(0, None, 2)  # every other crop: the VGG costs more than the network
LOOK_FIDELITY = 0.9
LOOK_PARTS = ("look_head", "leave")


class FidelityStage(AdaptedStage):
    """A stage that trains for the least error at fidelity 1 and for the look below it."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.lpips = Lpips("vgg16", taps=3) if config.perceptual or config.perceptual_exact else None

    def forward(
        self, sampler: CropSampler, generator: torch.Generator, progress: float
    ) -> tuple[torch.Tensor, Logs]:
        """Loss of the decoded photo at the batch's fidelity."""
        batch = draw(self.config, sampler, generator)
        fidelity = self.draw_fidelity(generator)
        output = self.restore(batch, generator, steps=1, fidelity=fidelity)[0]
        return self.photo_loss(output.float(), batch, fidelity)

    def draw_fidelity(self, generator: torch.Generator) -> float:
        """1 with the chance `config.exact`; else mostly 0.9, or anything from 0 to 1."""
        roll, kind, free = torch.rand(3, generator=generator).tolist()
        return 1.0 if roll < self.config.exact else LOOK_FIDELITY if kind < 0.75 else free

    def photo_loss(self, output: torch.Tensor, batch: Batch, fidelity: float) -> tuple[torch.Tensor, Logs]:
        """PSNR's loss at fidelity 1, L1 below it, of all crops; and LPIPS of some."""
        logs, exact = logged(output, batch, self.config), fidelity == 1
        weight = self.config.perceptual_exact if exact else self.config.perceptual
        loss = log_error(output, batch.target) if exact else L1_WEIGHT * charbonnier(output, batch.target)
        if weight and self.lpips is not None:
            distance = self.lpips(output[LPIPS_CROPS].clamp(0, 1), batch.target[LPIPS_CROPS]).mean()
            loss = loss + weight * distance
            logs |= {"lpips_look": distance.detach(), "n_look": torch.ones(())}
        return loss, logs


class Decoder(FidelityStage):
    """Trains the look's head and the chain's way into the decoder, and the LoRA pairs in them."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        for name, parameter in self.network.wrapping.named_parameters():
            parameter.requires_grad_(any(part in name for part in LOOK_PARTS))
        for pairs in self.loras.values():
            for name, pair in pairs.items():
                pair.requires_grad_(any(part in name for part in LOOK_PARTS))
