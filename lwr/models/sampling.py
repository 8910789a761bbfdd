"""Few-step and many-step sampling from the degraded photo's noised latent, over diffusers' schedulers."""

from collections.abc import Callable, Sequence

import torch
from diffusers import DDIMScheduler

# (latent (B,C,h,w), timestep) -> the UNet's raw output (B,C,h,w)
Predictor = Callable[[torch.Tensor, int], torch.Tensor]


def timesteps(start: int, steps: int) -> list[int]:
    """`steps` timesteps from `start` downwards, evenly spaced: start 400, steps 4 -> [400, 300, 200, 100]."""
    if not 1 <= steps <= start:
        raise ValueError(f"steps must be 1 to {start}, got {steps}.")
    return [round(start * (steps - i) / steps) for i in range(steps)]


def sample(
    predict: Predictor,
    lq_latent: torch.Tensor,
    scheduler: DDIMScheduler,
    schedule: Sequence[int],
    noise: Callable[[torch.Size], torch.Tensor],
    eta: float = 0.0,
) -> torch.Tensor:
    """DDIM (Song et al. 2021, eq. 12 and 16) from the noised LQ latent (B,C,h,w) to a clean latent.

    `schedule`: falling timesteps; the last step lands on the clean latent. `noise(shape)` gives standard
    normal numbers. `eta` 0 is deterministic; 1 adds as much fresh noise between steps as DDPM does, which is
    StableSR's own way. (diffusers' DDIMScheduler.step takes no uneven timesteps, and ends at timestep 0.)
    """
    latent = add_noise(scheduler, lq_latent, noise(lq_latent.shape), schedule[0])
    for now, after in zip(schedule, [*schedule[1:], None], strict=True):
        clean, epsilon = split(scheduler, latent, predict(latent, now), now)
        if after is None:
            return clean
        signal, sigma = levels(scheduler, after)
        fresh = eta * fresh_share(scheduler, now, after)
        kept = (sigma**2 - fresh**2) ** 0.5 if fresh else sigma
        latent = signal * clean + kept * epsilon
        if fresh:
            latent = latent + fresh * noise(latent.shape)
    raise ValueError("The schedule holds no timestep.")


def fresh_share(scheduler: DDIMScheduler, now: int, after: int) -> float:
    """Standard deviation of DDPM's noise between two timesteps (Song et al. 2021, eq. 16 with eta 1)."""
    before, later = (float(scheduler.alphas_cumprod[t]) for t in (now, after))
    return ((1 - later) / (1 - before) * (1 - before / later)) ** 0.5


def levels(scheduler: DDIMScheduler, timestep: int) -> tuple[float, float]:
    """(sqrt(alpha_bar), sqrt(1 - alpha_bar)) at a timestep."""
    alpha_bar = float(scheduler.alphas_cumprod[timestep])
    return alpha_bar**0.5, (1 - alpha_bar) ** 0.5


def add_noise(
    scheduler: DDIMScheduler, clean: torch.Tensor, noise: torch.Tensor, timestep: int
) -> torch.Tensor:
    """Forward process q(x_t | x_0); (B,C,h,w)."""
    signal, sigma = levels(scheduler, timestep)
    return signal * clean + sigma * noise


def split(
    scheduler: DDIMScheduler, latent: torch.Tensor, output: torch.Tensor, timestep: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """UNet output -> (clean latent, noise), for the scheduler's prediction type."""
    signal, sigma = levels(scheduler, timestep)
    kind = scheduler.config.prediction_type
    if kind == "epsilon":
        return (latent - sigma * output) / signal, output
    if kind == "v_prediction":  # Salimans and Ho 2022
        return signal * latent - sigma * output, sigma * latent + signal * output
    if kind == "sample":
        return output, (latent - signal * output) / sigma
    raise ValueError(f"Prediction type {kind!r} is not known: use epsilon, v_prediction or sample.")


def output_for(
    scheduler: DDIMScheduler, latent: torch.Tensor, clean: torch.Tensor, timestep: int
) -> torch.Tensor:
    """The UNet output by which `split` finds `clean` in `latent`."""
    signal, sigma = levels(scheduler, timestep)
    epsilon = (latent - signal * clean) / sigma
    velocity = signal * epsilon - sigma * clean
    kinds = {"epsilon": epsilon, "v_prediction": velocity, "sample": clean}
    return kinds[scheduler.config.prediction_type]
