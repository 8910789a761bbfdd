"""Losses of the ladder: the UNet's (noise, velocity or sample), L1, PSNR's, and a small hinge PatchGAN."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from accelerate.utils import reduce
from diffusers import DDIMScheduler
from torch import nn

from training.data.rng import RngStreams


def diffusion_loss(
    scheduler: DDIMScheduler,
    clean: torch.Tensor,
    rng: RngStreams,
    predict: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """Scalar MSE of the UNet's output to what the scheduler's prediction type asks for, at any timestep.

    `clean` (B,C,h,w) latents; epsilon: the noise (Ho et al. 2020, eq. 14), sample: the clean latent,
    v_prediction: the velocity (Salimans and Ho 2022, section 4).
    """
    noise, t = rng.randn(*clean.shape[1:]), rng.integers(scheduler.config.num_train_timesteps)
    noisy = scheduler.add_noise(clean, noise, t)
    kind = scheduler.config.prediction_type
    if kind not in ("epsilon", "sample", "v_prediction"):
        raise ValueError(f"Prediction type {kind!r} is not known: use epsilon, v_prediction or sample.")
    velocity = scheduler.get_velocity(clean, noise, t)
    target = {"epsilon": noise, "sample": clean, "v_prediction": velocity}[kind]
    return F.mse_loss(predict(noisy, t).float(), target.float())


def charbonnier(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Smooth L1 of two (B,3,H,W) images (Charbonnier et al. 1994), a scalar."""
    return torch.sqrt((output - target) ** 2 + 1e-6).mean()


def log_error(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """ln(MSE + floor) of each of two (B,3,H,W) images, averaged: PSNR as a loss (Chen et al. 2021, HINet).

    A dB on a slightly blurred photo counts as much as one on a dense fog, whatever the tasks' error sizes.
    The floor, 35 dB, keeps crops of plain sky, where nothing is to be won, from ruling the gradient.
    """
    return torch.log((output - target).square().mean((1, 2, 3)) + 3e-4).mean()


class PatchDiscriminator(nn.Module):
    """PatchGAN (Isola et al. 2017): (B,3,H,W) in [0,1] -> patch logits (B,1,H/16,W/16)."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.PixelUnshuffle(2),
            nn.Conv2d(12, width, 3, 1, 1),
            nn.LeakyReLU(0.2),
            _norm(nn.Conv2d(width, 2 * width, 4, 2, 1)),
            nn.LeakyReLU(0.2),
            _norm(nn.Conv2d(2 * width, 4 * width, 4, 2, 1)),
            nn.LeakyReLU(0.2),
            _norm(nn.Conv2d(4 * width, 4 * width, 3, 1, 1)),
            nn.LeakyReLU(0.2),
            nn.Conv2d(4 * width, 1, 3, 1, 1),
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(B,3,H,W) in [0,1] -> (B,1,H/8,W/8) logits, positive = looks like a photo."""
        return self.layers(image * 2 - 1)


def _norm(conv: nn.Conv2d) -> nn.Module:
    return nn.utils.parametrizations.spectral_norm(conv)


def hinge_discriminator(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """Hinge loss of the discriminator (Lim and Ye 2017), a scalar."""
    return (F.relu(1 - real).mean() + F.relu(1 + fake).mean()) / 2


def adaptive_weight(image_loss: torch.Tensor, gan_loss: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
    """Gradient ratio of the two losses at the output image (after Esser et al. 2021, eq. 7), in [0, 100].

    Over all processes, so that every one weighs alike.
    """
    squares = [
        torch.autograd.grad(x, output, retain_graph=True)[0].square().sum() for x in (image_loss, gan_loss)
    ]
    image, gan = reduce(torch.stack(squares)).sqrt()
    return (image / (gan + 1e-6)).clamp(0, 100).detach()
