"""The UNet's own loss, plain or conditioned on a degraded photo's latent."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler

from lwr.models.config import TextConditioning
from lwr.models.network import OnePass
from lwr.models.sampling import add_noise, split
from training.data.mixture import Batch
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


def conditioned_loss(network: OnePass, batch: Batch, rng: RngStreams) -> torch.Tensor:
    """The conditioned UNet's error (a scalar) on the targets' noised latents at any timestep."""
    with torch.no_grad():
        clean, degraded = (network.encode(photo).latent for photo in (batch.target, batch.degraded))
    context = network.context(batch.instructions, unguided(network))
    return diffusion_loss(
        network.prior.scheduler, clean, rng, lambda noisy, t: network.predict(noisy, t, degraded, context)[0]
    )


@dataclass(frozen=True)
class OneStep:
    """One step from the degraded photos' latents, without noise; latents (B,C,h,w) in the UNet's units."""

    latent: torch.Tensor
    features: torch.Tensor | None  # the UNet's, (B,F,h,w)
    degraded: torch.Tensor  # the photos' own latents
    clean: torch.Tensor  # those of the clean photos


def one_step(network: OnePass, batch: Batch) -> OneStep:
    """The step that a one-step network restores by."""
    with torch.no_grad():
        clean, degraded = (network.encode(photo).latent for photo in (batch.target, batch.degraded))
    prior, context = network.prior, network.context(batch.instructions, unguided(network))
    start = prior.config.start_timestep
    noised = add_noise(prior.scheduler, degraded, torch.zeros_like(degraded), start)
    output, features = network.predict(noised, start, degraded, context)
    return OneStep(split(prior.scheduler, noised, output, start)[0], features, degraded, clean)


def unguided(network: OnePass) -> TextConditioning:
    """The prior's own text without guidance, as training conditions the UNet."""
    return TextConditioning(network.prior.config.positive, "", 1.0)
