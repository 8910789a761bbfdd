"""What the stages share that train photos at any fidelity: the exact photo at 1, the look below it."""

import torch

from training.config import Config
from training.data.crops import CropSampler
from training.data.mixture import Batch, draw
from training.data.rng import RngStreams
from training.losses.image import (
    PatchDiscriminator,
    adaptive_weight,
    charbonnier,
    hinge_discriminator,
    log_error,
)
from training.losses.perceptual import distance
from training.stages.base import AdaptedStage, Logs, logged

L1_WEIGHT = 10.0  # brings L1 to about the size of the logarithmic error
LOOK_FIDELITY = 0.5  # where CFW has taken all of its weights for the look
MOST_SHIFT = 8  # pixels, of the corner that the perceptual distance starts from
ALEX_WEIGHT = 0.5
VGG_CROPS = slice(0, None, 2)  # every other crop: the VGG costs more than the network
GAN_START = 0.2  # of the run


class FidelityStage(AdaptedStage):
    """Trains for the least error at fidelity 1 and for the look below it, where a hinge PatchGAN may help."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        wanted = config.perceptual or config.perceptual_exact
        kind = config.distance
        self.aside("vgg", distance("vgg16", kind, taps=3)[0] if wanted else None)
        # AlexNet's LPIPS costs next to nothing and sees the coarser texture that three levels of VGG miss.
        alex = wanted and self.vgg is not None and kind in ("auto", "lpips") and hasattr(self.vgg, "features")
        self.aside("alex", distance("alexnet", kind)[0] if alex else None)
        self.aside("discriminator", PatchDiscriminator() if config.gan else None)
        self._pending: list[torch.Tensor] | None = None

    def forward(self, sampler: CropSampler, rng: RngStreams, progress: float) -> tuple[torch.Tensor, Logs]:
        """Loss of the photo at the batch's fidelity."""
        batch = draw(self.config, sampler, rng)
        fidelity = self.draw_fidelity(rng)
        output = self.restore(batch, rng, 0 if self.config.chain_only else 1, fidelity)[0].float()
        loss, logs = self.photo_loss(output, batch, fidelity, rng)
        return self.against(output, batch, fidelity, progress, loss, logs)

    def against(
        self,
        output: torch.Tensor,
        batch: Batch,
        fidelity: float,
        progress: float,
        loss: torch.Tensor,
        logs: Logs,
    ) -> tuple[torch.Tensor, Logs]:
        """Add the PatchGAN's loss: below fidelity 1, of a task on its own damage, after the run's start."""
        playing = self.discriminator is not None and progress > GAN_START and fidelity < 1
        if not playing or batch.kind not in self.config.tasks:
            return loss, logs
        self.discriminator.requires_grad_(False)
        gan = -self.discriminator(output).mean()
        weight = adaptive_weight(loss, gan, output)
        self.discriminator.requires_grad_(True)
        judged = hinge_discriminator(self.discriminator(batch.target), self.discriminator(output.detach()))
        self._pending = list(torch.autograd.grad(judged, list(self.discriminator.parameters())))
        logs |= {"gan": gan.detach(), "judged": judged.detach()} | dict.fromkeys(
            ("n_gan", "n_judged"), torch.ones(())
        )
        return loss + self.config.gan * weight * gan, logs

    def opponent_gradients(self) -> list[torch.Tensor] | None:
        """The discriminator's, once."""
        gradients, self._pending = self._pending, None
        return gradients

    def draw_fidelity(self, rng: RngStreams) -> float:
        """1 with the chance `config.exact`; else mostly 0.5, or anything from 0 (chain only: 0.5) to 1."""
        roll, kind, free = torch.rand(3, generator=rng.shared).tolist()
        free = 0.5 + free / 2 if self.config.chain_only else free
        return 1.0 if roll < self.config.exact else LOOK_FIDELITY if kind < 0.75 else free

    def photo_loss(
        self, output: torch.Tensor, batch: Batch, fidelity: float, rng: RngStreams
    ) -> tuple[torch.Tensor, Logs]:
        """PSNR's loss at fidelity 1, L1 below it, and the perceptual distance.

        That is taken from a corner drawn anew each time (after E-LPIPS, Kettunen et al. 2019): AlexNet looks
        at every fourth pixel, and a chain in step with it once learned to weave a grid that only it likes.
        """
        logs, exact = logged(output, batch, self.config), fidelity == 1
        weight = self.config.perceptual_exact if exact else self.config.perceptual
        loss = log_error(output, batch.target) if exact else L1_WEIGHT * charbonnier(output, batch.target)
        if weight and self.vgg is not None:
            down, right = torch.randint(MOST_SHIFT, (2,), generator=rng.shared).tolist()
            seen, target = (x[..., down:, right:] for x in (output.clamp(0, 1), batch.target))
            unlike = self.vgg(seen[VGG_CROPS], target[VGG_CROPS]).mean()
            if self.alex is not None:
                unlike = unlike + ALEX_WEIGHT * self.alex(seen, target).mean()
            loss = loss + weight * unlike
            logs |= {"distance_look": unlike.detach(), "n_look": torch.ones(())}
        return loss, logs

    def preview(self, batch: Batch, rng: RngStreams) -> torch.Tensor:
        """One step of the sampler at the fidelity that mostly trains."""
        fidelity = 1.0 if self.config.exact >= 0.5 else LOOK_FIDELITY
        return self.restore(batch, rng, 0 if self.config.chain_only else 1, fidelity)[0]
