"""Haze by Koschmieder's law: I = J t + A (1 - t), t = exp(-beta d) (ranges after RESIDE, Li et al. 2019)."""

import math
import random
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F

from lwr.degrade.depth import Depth, depth_of
from lwr.degrade.draw import Degraded, Params, draw_or_read, per_photo, working_dtype
from lwr.degrade.light import round_to_8_bit, to_display, to_linear
from lwr.degrade.noise import Noise, add_noise


@dataclass(frozen=True)
class Haze:
    """One photo's haze, apart from its depth."""

    beta: float  # optical thickness at depth 1
    airlight: tuple[float, float, float]  # display RGB in [0,1]
    tint: str  # "none", "blue" or "yellow"
    patchy: bool  # beta varies by a factor 0.5..1.5 over the photo
    linear: bool  # mixed in linear light, else in display values as RESIDE does
    noise: Noise  # after the haze
    glow: float = 0.0  # how much brighter the airlight is at one side of the photo than at the other
    bearing: float = 0.0  # radians, of that side


def sample_haze(stream: random.Random) -> Haze:
    """Mostly beta 0.6 to 2.2, some heavier; an airlight of 0.7 to 1, nearly grey or slightly tinted."""
    beta = stream.uniform(2.2, 3.2) if stream.random() < 0.12 else stream.uniform(0.6, 2.2)
    tint = stream.choices(("none", "blue", "yellow"), (0.8, 0.1, 0.1))[0]
    level, strength = stream.uniform(0.7, 1.0), stream.uniform(0.04, 0.12)
    shift = {
        "none": (0, 0, 0),
        "blue": (-strength, -strength / 3, 0),
        "yellow": (0, -strength / 4, -strength),
    }[tint]
    jitter = 0.04 if tint == "none" else 0.015  # so that a tint stays the colour it is called
    return Haze(
        beta=beta,
        airlight=tuple(min(max(level + part + stream.uniform(-jitter, jitter), 0.0), 1.0) for part in shift),
        tint=tint,
        patchy=stream.random() < 0.3,
        linear=stream.random() < 0.3,
        noise=Noise(read=stream.uniform(0, 2) / 255, shot=stream.uniform(0, 2) / 255),
        glow=stream.uniform(0.05, 0.3) if stream.random() < 0.4 else 0.0,
        bearing=stream.uniform(0, 2 * math.pi),
    )


def apply_haze(clean: torch.Tensor, transmission: torch.Tensor, airlight: torch.Tensor) -> torch.Tensor:
    """I = J t + A (1 - t) for J (B,3,H,W), t (B,1,H,W) and A (B,3,H,W), all in [0,1]; (B,3,H,W) in [0,1]."""
    return clean * transmission + airlight * (1 - transmission)


def haze_photos(
    clean: torch.Tensor, generator: torch.Generator, params: Params | None = None, depth: Depth | None = None
) -> Degraded:
    """`clean` (B,3,H,W) in [0,1] with haze, 8-bit; the parameters are those of `Haze` and of the depth.

    With `params`, one dict a photo as an earlier call returned them, nothing is drawn but noise.
    Of the depth, `depth` decides; None = `random_depth`.
    """
    hazy, found, _ = haze_and_transmission(clean, generator, params, depth)
    return hazy, found


def haze_and_transmission(
    clean: torch.Tensor, generator: torch.Generator, params: Params | None = None, depth: Depth | None = None
) -> tuple[torch.Tensor, list[dict[str, Any]], torch.Tensor]:
    """`haze_photos`, and t (B,1,H,W) in (0,1]: how much of the scene's light passes where."""
    hazes = draw_or_read(Haze, sample_haze, generator, len(clean), params)
    clean = clean.to(working_dtype(clean.device))
    depths, depth_params = depth_of(depth, clean, generator, params)
    transmission = transmissions(depths, hazes, generator)
    airlight = airlights(clean, hazes)
    hazy = apply_haze(clean, transmission, airlight)
    if any(haze.linear for haze in hazes):
        in_light = to_display(apply_haze(to_linear(clean), transmission, to_linear(airlight)))
        hazy = torch.where(per_photo([haze.linear for haze in hazes], clean) > 0, in_light, hazy)
    hazy = round_to_8_bit(add_noise(hazy, [haze.noise for haze in hazes], generator))
    mean = transmission.mean((1, 2, 3)).tolist()
    found = [
        {**asdict(haze), "depth": drawn, "mean_transmission": round(share, 6)}
        for haze, drawn, share in zip(hazes, depth_params, mean, strict=True)
    ]
    return hazy.float(), found, transmission.float()


def airlights(clean: torch.Tensor, hazes: list[Haze]) -> torch.Tensor:
    """A (B,3,H,W) in [0,1] for photos of that size: brightest towards the sun's side, if it has one."""
    like = {"device": clean.device, "dtype": clean.dtype}
    y, x = (torch.linspace(-0.5, 0.5, side, **like) for side in clean.shape[-2:])
    across, down = (
        per_photo([turn(haze.bearing) * haze.glow for haze in hazes], clean) for turn in (math.cos, math.sin)
    )
    even = clean.new_tensor([haze.airlight for haze in hazes])[..., None, None]
    return (even * (1 + across * x + down * y[:, None])).clamp(0, 1)


def transmissions(depth: torch.Tensor, hazes: list[Haze], generator: torch.Generator) -> torch.Tensor:
    """t = exp(-beta d) as (B,1,H,W) in (0,1] for `depth` (B,1,H,W); the beta of patchy haze varies slowly."""
    like = {"device": depth.device, "dtype": depth.dtype}
    coarse = torch.rand(len(depth), 1, 5, 5, generator=generator, **like) + 0.5
    patches = F.interpolate(coarse, depth.shape[-2:], mode="bicubic", align_corners=True).clamp(0.5, 1.5)
    patches = torch.where(per_photo([haze.patchy for haze in hazes], depth) > 0, patches, 1.0)
    return torch.exp(-per_photo([haze.beta for haze in hazes], depth) * patches * depth)
