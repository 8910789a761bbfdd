"""Rung 1: the VAE learns to hold clean and degraded photos in f8 latents (L1, MSE, weak KL, perhaps LPIPS).

Half of the crops get their colour channels shuffled: bright colours are rare in photos, and a green leaf once
came back brown.
"""

import torch
import torch.nn.functional as F
from accelerate.utils import reduce
from diffusers.models.resnet import ResnetBlock2D
from lwr.models.decoder import decode_wrapped, encode_features

from lwr.images.metrics import psnr
from lwr.tasks import TASKS
from training.config import Config
from training.data.crops import CropSampler
from training.data.mixture import Batch, degrade
from training.data.rng import RngStreams
from training.losses.image import charbonnier
from training.losses.perceptual import distance
from training.stages.base import Logs, Stage, checkpointed

KL_WEIGHT = 1e-6
MSE_WEIGHT = 4.0  # large errors, which are wrong colours, count more than under L1 alone


class Autoencoder(Stage):
    """Trains the VAE; sets its scaling factor when it saves."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.train_parts(["prior.vae"])
        if config.checkpointing:
            for module in self.network.prior.vae.modules():
                if isinstance(module, ResnetBlock2D):
                    module.forward = checkpointed(module.forward)
        unlike = distance("vgg16", config.distance, taps=3)[0] if config.perceptual else None
        self.aside("unlike", unlike)
        self.register_buffer("variance", torch.ones(()))

    def forward(self, sampler: CropSampler, rng: RngStreams, progress: float) -> tuple[torch.Tensor, Logs]:
        """Reconstruction of a batch of which a quarter is degraded and half has shuffled colours."""
        photo = sampler.batch(rng)
        place = rng.first + torch.arange(len(photo), device=photo.device)[:, None]
        task = list(TASKS)[int(torch.randint(len(TASKS), (1,), generator=rng.shared))]
        photo = torch.where((place % 4 == 0)[..., None, None], degrade(task, photo, rng), photo)
        order = torch.where(place % 2 == 1, rng.rand(3).argsort(1), torch.arange(3, device=photo.device))
        photo = photo.gather(1, order[:, :, None, None].expand_as(photo))
        photo = self.memory_format(photo)

        prior = self.network.prior
        moments, _ = encode_features(prior.vae, prior.to_vae(photo))
        mean, log_variance = moments.float().chunk(2, 1)
        log_variance = log_variance.clamp(-30, 20)
        latent = mean + rng.randn(*mean.shape[1:]) * torch.exp(log_variance / 2)
        kl = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).mean()
        output = prior.from_vae(decode_wrapped(prior.vae, latent)).float()

        l1 = charbonnier(output, photo)
        loss = l1 + MSE_WEIGHT * F.mse_loss(output, photo) + KL_WEIGHT * kl
        gain = psnr(output.detach().clamp(0, 1), photo).mean()
        logs = {"l1": l1.detach(), "psnr": gain, "std": mean.std().detach()}
        if self.unlike is not None and progress > 0.3:
            half = slice(0, None, 2)  # half of the crops: the VGG costs as much as the network
            unlike = self.unlike(output[half].clamp(0, 1), photo[half]).mean()
            loss, logs = loss + self.config.perceptual * unlike, logs | {"distance": unlike.detach()}
        with torch.no_grad():
            first, second = reduce(torch.stack([mean.mean(), mean.square().mean()]))
            self.variance.lerp_(second - first**2, 0.01)
            prior.vae.register_to_config(scaling_factor=float(self.variance.rsqrt()))
        return loss, logs

    def preview(self, batch: Batch, rng: RngStreams) -> torch.Tensor:
        """The clean photo, encoded and decoded."""
        encoded = self.network.encode(batch.target)
        return self.network.decode(encoded.latent, encoded, 0.0)
