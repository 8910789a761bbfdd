"""Everything around the prior trains through the few-step sampler, from photo to photo, at every fidelity.

The gradient goes on through the sampler into the time-aware encoder, its SFT layers, the text path and every
LoRA pair; a hinge PatchGAN helps the look. The prior itself (VAE and the UNet's own layers) stays frozen.
"""

import torch
import torch.nn.functional as F
from torch import nn

from training.config import Config
from training.data import CropSampler
from training.losses import PatchDiscriminator, adaptive_weight, hinge_discriminator
from training.mixture import draw
from training.stages.base import Logs
from training.stages.decoder import FidelityStage

LATENT_WEIGHT = 0.1  # of the distance to the clean photo's latent, which fidelity 0 lives by
GAN_START = 0.2  # of the run


class EndToEnd(FidelityStage):
    """Trains encoder, SFT, text path, CFW and every task's LoRA."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.train_conditioning()
        self.network.wrapping.requires_grad_(True)
        self.loras.requires_grad_(True)
        self.discriminator = PatchDiscriminator() if config.gan else None
        self.opponent = (
            torch.optim.AdamW(self.discriminator.parameters(), 2e-4, (0.5, 0.99))
            if self.discriminator
            else None
        )

    def opponent_parameters(self) -> list[nn.Parameter]:
        """The discriminator's."""
        return list(self.discriminator.parameters()) if self.discriminator else []

    def forward(
        self, sampler: CropSampler, generator: torch.Generator, progress: float
    ) -> tuple[torch.Tensor, Logs]:
        """Loss of the photo at the batch's fidelity and of its latent; one batch in ten takes two steps."""
        batch = draw(self.config, sampler, generator)
        fidelity = self.draw_fidelity(generator)
        steps = 2 if torch.rand(1, generator=generator).item() < 0.1 else 1
        output, latent = self.restore(batch, generator, steps, fidelity)
        output = output.float()
        with torch.no_grad():
            clean = self.network.encode(batch.target).latent
        loss, logs = self.photo_loss(output, batch, fidelity)
        loss = loss + LATENT_WEIGHT * F.mse_loss(latent.float(), clean)
        adversarial = self.discriminator is not None and progress > GAN_START and fidelity < 1
        if adversarial and batch.kind in self.config.tasks:
            gan = -self.discriminator(output).mean()
            weight = adaptive_weight(loss, gan, output) if gan.requires_grad else 0.0
            self._judge(batch.target, output.detach())
            logs |= {"gan": gan.detach(), "n_gan": torch.ones(())}
            loss = loss + self.config.gan * weight * gan
        return loss, logs

    def _judge(self, real: torch.Tensor, fake: torch.Tensor) -> None:
        if not torch.is_grad_enabled():
            return
        loss = hinge_discriminator(self.discriminator(real), self.discriminator(fake))
        self.pending = torch.autograd.grad(loss, list(self.discriminator.parameters()))

    def after_step(self) -> None:
        """The discriminator's own step, after the generator's."""
        gradients = self.__dict__.pop("pending", None)
        if gradients is None or self.opponent is None:
            return
        for parameter, gradient in zip(self.discriminator.parameters(), gradients, strict=True):
            parameter.grad = gradient
        self.opponent.step()
        self.opponent.zero_grad(set_to_none=True)
