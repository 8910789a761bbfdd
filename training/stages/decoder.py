"""Rung 6: CFW learns on the latents that the sampler gives: exact at fidelity 1, good-looking below it.

The sampler is frozen and gets no gradient. Fidelity 1 is trained for the least error, anything below for the
look (L1 + LPIPS-VGG), most of all the default, so the slider means something.
"""

import torch

from training.config import Config
from training.data import CropSampler
from training.losses import charbonnier, log_error
from training.mixture import draw
from training.perceptual import Lpips
from training.stages.base import AdaptedStage, Logs, logged

EXACT = 0.4  # share of the batches that have fidelity 1; as many have the default, the rest any other
L1_WEIGHT = 10.0  # brings L1 to about the size of the logarithmic error
LPIPS_CROPS = slice(0, None, 4)  # every fourth crop: the VGG costs more than the network


class Decoder(AdaptedStage):
    """Trains CFW and the LoRA pairs in it."""

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
        """Loss of the decoded photo at the batch's fidelity."""
        batch = draw(self.config, sampler, generator)
        fidelity = self.draw_fidelity(generator)
        output = self.restore(batch, generator, steps=1, fidelity=fidelity)[0].float()
        if fidelity == 1:
            return log_error(output, batch.target), logged(output, batch, self.config)
        return self.look(output, batch.target)

    def draw_fidelity(self, generator: torch.Generator) -> float:
        """1 and the prior's default 4 times of 10 each, else anything from 0 to 1."""
        roll, free = torch.rand(2, generator=generator).tolist()
        return (
            1.0 if roll < EXACT else self.network.prior.facts.default_fidelity if roll < 2 * EXACT else free
        )

    def look(self, output: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, Logs]:
        """L1 of all crops and LPIPS of some."""
        loss = L1_WEIGHT * charbonnier(output, target)
        logs = {"l1_look": loss.detach() / L1_WEIGHT, "n_look": torch.ones(())}
        if self.lpips is not None:
            distance = self.lpips(output[LPIPS_CROPS].clamp(0, 1), target[LPIPS_CROPS]).mean()
            loss = loss + self.config.perceptual * distance
            logs |= {"lpips_look": distance.detach()}
        return loss, logs
