"""The loss of a restored photo: least error at fidelity 1; L1, perceptual distance, PatchGAN below it."""

from collections.abc import Callable

import torch

from lwr.images.metrics import psnr
from training.config import Config
from training.data.mixture import Batch
from training.data.rng import RngStreams
from training.losses.adversarial import AdversarialLoss
from training.losses.image import charbonnier, log_error
from training.losses.perceptual import distance

L1_WEIGHT = 10.0  # brings L1 to about the size of the logarithmic error
MOST_SHIFT = 8  # pixels, of the corner that the perceptual distance starts from
ALEX_WEIGHT = 0.5
VGG_CROPS = slice(0, None, 2)  # every other crop: the VGG costs more than the network

Logs = dict[str, torch.Tensor]
Restore = Callable[[Batch], torch.Tensor]  # degraded photos of a batch -> restored (B,3,H,W)


class PhotoLoss:
    """`(output, batch, fidelity, rng, progress)` -> (scalar loss, logs), for stages from photo to photo."""

    def __init__(self, config: Config, device: torch.device) -> None:
        self.config = config
        needed = config.perceptual or config.perceptual_exact
        self.perceptual = PerceptualLoss(config, device) if needed else None
        self.adversarial = AdversarialLoss(config.gan, device) if config.gan else None

    def __call__(
        self, output: torch.Tensor, batch: Batch, fidelity: float, rng: RngStreams, progress: float
    ) -> tuple[torch.Tensor, Logs]:
        """`output` (B,3,H,W) about [0,1]; the PatchGAN counts for a task on its own degradation."""
        output, config = output.float(), self.config
        logs, exact = measures(output, batch, config), fidelity == 1
        weight = config.perceptual_exact if exact else config.perceptual
        loss = log_error(output, batch.target) if exact else L1_WEIGHT * charbonnier(output, batch.target)
        if weight and self.perceptual is not None:
            found = self.perceptual(output, batch.target, rng)
            loss = loss + weight * found
            logs |= {"distance_perceptual": found.detach(), "n_perceptual": torch.ones(())}
        if self.adversarial is not None and not exact and batch.kind in config.tasks:
            gan, more = self.adversarial(output, batch.target, loss, progress)
            loss, logs = loss + gan, logs | more
        return loss, logs

    def of_stage(
        self, restore: Restore, batch: Batch, fidelity: float, rng: RngStreams, progress: float
    ) -> tuple[torch.Tensor, Logs]:
        """The loss of what `restore(batch)` gives; of a batch with a twin the mean of both.

        At fidelity 1 `config.consistency` times their L1 distance is added: whatever was wrong with a photo,
        the same should come back.
        """
        output = restore(batch)
        loss, logs = self(output, batch, fidelity, rng, progress)
        if batch.twin is None:
            return loss, logs
        other = restore(batch.twin)
        more, logs_too = self(other, batch.twin, fidelity, rng, progress)
        loss, logs = (loss + more) / 2, logs_too | logs
        if fidelity == 1:
            apart = charbonnier(output.float(), other.float())
            logs |= {"l1_consistency": apart.detach(), "n_consistency": torch.ones(())}
            if self.config.consistency:
                loss = loss + self.config.consistency * L1_WEIGHT * apart
        return loss, logs


class PerceptualLoss:
    """`(output, target, rng)` -> scalar distance by VGG16, with LPIPS also by AlexNet.

    It is taken from a random corner (after E-LPIPS, Kettunen et al. 2019): AlexNet sees every fourth pixel,
    and a refiner in step with it once learned to weave a grid that only AlexNet likes.
    """

    def __init__(self, config: Config, device: torch.device) -> None:
        self.vgg = distance("vgg16", config.distance, taps=3)[0].to(device)
        # AlexNet's LPIPS costs next to nothing and sees the coarser texture that three levels of VGG miss.
        learned = config.distance in ("auto", "lpips") and hasattr(self.vgg, "features")
        self.alex = distance("alexnet", config.distance)[0].to(device) if learned else None

    def __call__(self, output: torch.Tensor, target: torch.Tensor, rng: RngStreams) -> torch.Tensor:
        """(B,3,H,W) in about [0,1] twice -> a scalar."""
        down, right = torch.randint(MOST_SHIFT, (2,), generator=rng.shared).tolist()
        seen, target = (x[..., down:, right:] for x in (output.clamp(0, 1), target))
        found = self.vgg(seen[VGG_CROPS], target[VGG_CROPS]).mean()
        if self.alex is not None:
            found = found + ALEX_WEIGHT * self.alex(seen, target).mean()
        return found


def measures(output: torch.Tensor, batch: Batch, config: Config) -> Logs:
    """Mean absolute error by kind of batch; for a task on its own damage also the median PSNR gain in dB."""
    logs = {f"l1_{batch.kind}": (output - batch.target).abs().mean().detach()}
    logs |= {f"n_{batch.kind}": torch.ones(())}
    if batch.kind in config.tasks:
        gain = psnr(output.detach().clamp(0, 1), batch.target) - psnr(batch.degraded, batch.target)
        logs |= {f"gain_{batch.kind}": gain.median()}
    return logs
