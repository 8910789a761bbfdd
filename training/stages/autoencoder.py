"""The VAE learns to hold clean and degraded photos in f8 latents: L1, MSE and a weak KL term first;
then, with `perceptual` and `gan`, also LPIPS and a PatchGAN, for texture that does not blur.

Half of the crops get their colour channels shuffled: bright colours are rare in photos, and a green leaf once
came back brown.
"""

import torch
import torch.nn.functional as F
from accelerate.utils import reduce

from lwr.images.metrics import psnr
from lwr.tasks import TASKS
from training.config import Config
from training.data.mixture import Batch, degrade
from training.data.parts import Sampler
from training.data.rng import RngStreams
from training.losses.adversarial import AdversarialLoss
from training.losses.image import charbonnier
from training.losses.photo import PerceptualLoss
from training.stages.base import CPU, Logs, Stage

KL_WEIGHT = 1e-6
MSE_WEIGHT = 4.0  # large errors, which are wrong colours, count more than under L1 alone


class Autoencoder(Stage):
    """Trains the VAE; sets its scaling factor as it goes."""

    def __init__(self, config: Config, device: torch.device = CPU) -> None:
        super().__init__(config, device)
        self.train_parts(["prior.vae"])
        if config.checkpointing:
            self.network.prior.vae.enable_gradient_checkpointing()
        self.perceptual = PerceptualLoss(config, device) if config.perceptual else None
        self.adversarial = AdversarialLoss(config.gan, device) if config.gan else None
        self.register_buffer("variance", torch.ones(()))

    @staticmethod
    def draw(config: Config, sampler: Sampler, rng: RngStreams) -> Batch:
        """Photos to reconstruct: a quarter is degraded, half has shuffled colours."""
        photo = _varied(sampler.batch(rng), rng)
        return Batch(photo, photo, {}, "photo")

    def forward(self, batch: Batch, rng: RngStreams, progress: float) -> tuple[torch.Tensor, Logs]:
        """Reconstruction, a weak KL term, and what the config adds."""
        photo, prior = batch.target, self.network.prior
        posterior = prior.vae.encode(prior.to_vae(photo)).latent_dist
        mean, log_variance = posterior.mean.float(), posterior.logvar.float()
        latent = mean + rng.randn(*mean.shape[1:]) * torch.exp(log_variance / 2)
        kl = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).mean()
        output = prior.from_vae(prior.vae.decode(latent).sample).float()

        l1 = charbonnier(output, photo)
        loss = l1 + MSE_WEIGHT * F.mse_loss(output, photo) + KL_WEIGHT * kl
        gain = psnr(output.detach().clamp(0, 1), photo).mean()
        logs = {"l1": l1.detach(), "psnr": gain, "std": mean.std().detach()}
        if self.perceptual is not None:
            found = self.perceptual(output, photo, rng)
            loss, logs = loss + self.config.perceptual * found, logs | {"distance": found.detach()}
        if self.adversarial is not None:
            gan, more = self.adversarial(output, photo, loss, progress)
            loss, logs = loss + gan, logs | more
        self._measure(mean)
        return loss, logs

    def preview(self, batch: Batch, rng: RngStreams) -> torch.Tensor:
        """The clean photo, encoded and decoded."""
        encoded = self.network.encode(batch.target)
        return self.network.decode(encoded.latent, encoded, 0.0)

    @torch.no_grad()
    def _measure(self, mean: torch.Tensor) -> None:
        """The scaling factor follows the running variance of the latents (B,C,h,w)."""
        first, second = reduce(torch.stack([mean.mean(), mean.square().mean()]))
        self.variance.lerp_(second - first**2, 0.01)
        self.network.prior.vae.register_to_config(scaling_factor=float(self.variance.rsqrt()))


def _varied(photo: torch.Tensor, rng: RngStreams) -> torch.Tensor:
    """(B,3,H,W): every fourth crop degraded, every second with its colour channels in another order."""
    place = rng.first + torch.arange(len(photo), device=photo.device)[:, None]
    task = list(TASKS)[int(torch.randint(len(TASKS), (1,), generator=rng.shared))]
    photo = degrade(task, photo, rng, where=place[:, 0] % 4 == 0)
    order = torch.where(place % 2 == 1, rng.rand(3).argsort(1), torch.arange(3, device=photo.device))
    return photo.gather(1, order[:, :, None, None].expand_as(photo))
