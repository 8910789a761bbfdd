"""The UNet's own loss, plain or conditioned on a degraded photo's latent."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler

from lwr.models.config import TextConditioning
from lwr.models.network import OnePass
from lwr.models.sampling import sample
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


def one_step(network: OnePass, batch: Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """One step from the degraded photos' own latents, without noise: (its latent, theirs, the clean photos').

    Each is (B,C,h,w), in the UNet's units.
    """
    with torch.no_grad():
        clean, degraded = (network.encode(photo).latent for photo in (batch.target, batch.degraded))
    context = network.context(batch.instructions, unguided(network))
    prior = network.prior
    latent = sample(
        lambda latent, t: network.predict(latent, t, degraded, context)[0],
        degraded,
        prior.scheduler,
        [prior.config.start_timestep],
        degraded.new_zeros,
    )
    return latent, degraded, clean


def unguided(network: OnePass) -> TextConditioning:
    """The prior's own text without guidance, as training conditions the UNet."""
    return TextConditioning(network.prior.config.positive, "", 1.0)
