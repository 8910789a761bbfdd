"""Rung 1: the VAE learns to hold clean and degraded photos in f8 latents (L1, MSE, weak KL, perhaps LPIPS).

Half of the crops get their colour channels shuffled: bright colours are rare in photos, and a green leaf once
came back brown.
"""

import torch
import torch.nn.functional as F

from lwr.decoder import decode_wrapped, encode_features
from lwr.metrics import psnr
from lwr.tasks import TASKS
from training.config import Config
from training.data import CropSampler
from training.losses import charbonnier
from training.perceptual import Lpips
from training.stages.base import Logs, Stage

KL_WEIGHT = 1e-6
MSE_WEIGHT = 4.0  # large errors, which are wrong colours, count more than under L1 alone


class Autoencoder(Stage):
    """Trains the VAE; sets its scaling factor when it saves."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.network.prior.vae.requires_grad_(True)
        self.lpips = Lpips("vgg16", taps=3) if config.perceptual else None
        self.register_buffer("variance", torch.ones(()))

    def forward(
        self, sampler: CropSampler, generator: torch.Generator, progress: float
    ) -> tuple[torch.Tensor, Logs]:
        """Reconstruction of a batch of which a quarter is degraded."""
        photo = sampler.batch(self.config.batch, generator)
        quarter = max(1, self.config.batch // 4)
        task = list(TASKS)[int(torch.randint(len(TASKS), (1,), generator=generator))]
        photo[:quarter] = TASKS[task].degrade(photo[:quarter], generator)[0]
        order = torch.rand(len(photo), 3, generator=generator, device=photo.device).argsort(1)
        order[::2] = torch.arange(3, device=photo.device)
        photo = photo.gather(1, order[:, :, None, None].expand_as(photo))
        photo = photo.contiguous(memory_format=torch.channels_last)

        prior = self.network.prior
        moments, _ = encode_features(prior.vae, prior.to_vae(photo))
        mean, log_variance = moments.float().chunk(2, 1)
        log_variance = log_variance.clamp(-30, 20)
        noise = torch.randn(mean.shape, generator=generator, device=mean.device)
        latent = mean + noise * torch.exp(log_variance / 2)
        kl = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).mean()
        output = prior.from_vae(decode_wrapped(prior.vae, latent)).float()

        l1 = charbonnier(output, photo)
        loss = l1 + MSE_WEIGHT * F.mse_loss(output, photo) + KL_WEIGHT * kl
        gain = psnr(output.detach().clamp(0, 1), photo).mean()
        logs = {"l1": l1.detach(), "psnr": gain, "std": mean.std().detach()}
        if self.lpips is not None and progress > 0.3:
            half = slice(0, None, 2)  # half of the crops: the VGG costs as much as the network
            distance = self.lpips(output[half].clamp(0, 1), photo[half]).mean()
            loss, logs = loss + self.config.perceptual * distance, logs | {"lpips3": distance.detach()}
        with torch.no_grad():
            self.variance.lerp_(mean.var(), 0.01)
            prior.vae.register_to_config(scaling_factor=float(self.variance.rsqrt()))
        return loss, logs
