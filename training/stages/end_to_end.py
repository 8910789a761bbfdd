"""Rung 6: everything around the prior trains through the few-step sampler, from photo to photo.

Fidelity 1 is trained for the least error (L1), fidelity 0.75 for the look (L1 + LPIPS-VGG + hinge
PatchGAN), so the slider means something. The VAE's encoder and the UNet stay frozen: they are the latent
space and the prior in it. The VAE's decoder, which no latent depends on, trains with CFW.
"""

import torch
import torch.nn.functional as F
from torch import nn

from training.config import Config
from training.data import CropSampler
from training.losses import PatchDiscriminator, adaptive_weight, charbonnier, hinge_discriminator
from training.mixture import Batch, draw
from training.perceptual import Lpips
from training.stages.base import AdaptedStage, Logs

LOOK_FIDELITY = 0.75
LATENT_WEIGHT = 0.02
LOOK_START = 0.3  # of the run: first the coarse things, at which L1 is faster
GAN_START = 0.6  # of the run: a discriminator has nothing to say while the photo is still wrong


class EndToEnd(AdaptedStage):
    """Trains encoder, SFT, text path, CFW, VAE decoder and every task's LoRA."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.train_conditioning()
        self.network.wrapping.requires_grad_(True)
        self.network.prior.vae.decoder.requires_grad_(True)
        self.lpips = Lpips("vgg16", taps=3) if config.perceptual else None
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
        """Of ten batches four have fidelity 1, four 0.75, the rest 0 or anything; one or two steps."""
        batch = draw(self.config, sampler, generator)
        roll, free, extra = torch.rand(3, generator=generator).tolist()
        fidelity = 1.0 if roll < 0.45 else LOOK_FIDELITY if roll < 0.9 else 0.0 if roll < 0.95 else free
        output, latent = self.restore(batch, generator, steps=2 if extra < 0.1 else 1, fidelity=fidelity)
        output = output.float()
        l1 = charbonnier(output, batch.target)
        with torch.no_grad():
            clean = self.network.encode(batch.target).latent.float()
        loss = l1 + LATENT_WEIGHT * F.mse_loss(latent.float(), clean)
        logs = {f"l1_{batch.kind}": l1.detach(), f"n_{batch.kind}": torch.ones(())}
        if fidelity < 1 and self.lpips is not None and progress > LOOK_START:
            loss = loss + self._look(output, batch, l1, logs, progress > GAN_START)
        return loss, logs

    def _look(
        self, output: torch.Tensor, batch: Batch, l1: torch.Tensor, logs: Logs, adversarial: bool
    ) -> torch.Tensor:
        few = slice(0, None, 4)  # every fourth crop: the VGG costs more than the network
        shown, target = output[few].clamp(0, 1), batch.target[few]
        distance = self.lpips(shown, target).mean()
        logs |= {"lpips3": distance.detach(), "n_lpips3": torch.ones(())}
        look = self.config.perceptual * distance
        if adversarial and self.discriminator is not None and batch.kind in self.config.tasks:
            gan = -self.discriminator(output).mean()
            weight = adaptive_weight(l1 + look, gan, output) if gan.requires_grad else 0.0
            self._train_discriminator(batch.target, output.detach())
            logs |= {"gan": gan.detach(), "n_gan": torch.ones(())}
            look = look + self.config.gan * weight * gan
        return look

    def _train_discriminator(self, real: torch.Tensor, fake: torch.Tensor) -> None:
        if not torch.is_grad_enabled():
            return
        loss = hinge_discriminator(self.discriminator(real), self.discriminator(fake))
        gradients = torch.autograd.grad(loss, list(self.discriminator.parameters()))
        self.pending = gradients

    def after_step(self) -> None:
        """The discriminator's own step, after the generator's."""
        gradients = self.__dict__.pop("pending", None)
        if gradients is None or self.opponent is None:
            return
        for parameter, gradient in zip(self.discriminator.parameters(), gradients, strict=True):
            parameter.grad = gradient
        self.opponent.step()
        self.opponent.zero_grad(set_to_none=True)
