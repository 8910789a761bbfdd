"""Rain in a photo: streaks before the scene, a veil of drops too far to be seen singly, drops on the lens.

A streak shows a little of what is behind it and else the light of the whole bright surroundings, which a
drop gathers from nearly everywhere (Garg and Nayar 2007): I = B (1 - a) + L a in linear light, so rain is
seen before what is dark and hardly before the sky. The veil is haze (`lwr.degrade.haze`) of the same light.
"""

import random
from dataclasses import asdict, dataclass, field

import torch

from lwr.degrade.depth import Depth, depth_of
from lwr.degrade.draw import Degraded, Params, draw_or_read, log_uniform, own_generator, pick, working_dtype
from lwr.degrade.drops import Drops, sample_drops, see_through
from lwr.degrade.finish import Finish, finish
from lwr.degrade.haze import apply_haze
from lwr.degrade.light import luminance, to_display, to_linear
from lwr.degrade.noise import Noise, add_noise
from lwr.degrade.streaks import Streaks, draw_streaks, sample_streaks

KINDS = {"streaks": 0.72, "streaks and drops": 0.16, "drops": 0.12}
_FADE = 0.2  # depth over which a layer of streaks vanishes behind the scene


@dataclass(frozen=True)
class Rain:
    """One photo's rain, apart from the depth of its scene."""

    kind: str  # of KINDS
    streaks: Streaks | None
    drops: Drops | None  # on the lens
    veil: float  # optical thickness of the rain at depth 1
    shine: float  # how bright drops are, relative to the bright surroundings
    wet: float  # share of the light that near surfaces lose as they are wet
    noise: Noise  # after all that
    seed: int  # of depth and noise
    finish: Finish = field(default_factory=Finish)


def sample_rain(stream: random.Random, kind: str | None = None) -> Rain:
    """Any rain, or that of one kind."""
    kind = kind or pick(stream, KINDS)
    falling = kind != "drops"
    return Rain(
        kind=kind,
        streaks=sample_streaks(stream) if falling else None,
        drops=sample_drops(stream) if "drops" in kind else None,
        veil=log_uniform(stream, 0.03, 0.5) if falling and stream.random() < 0.8 else 0.0,
        shine=log_uniform(stream, 0.9, 2.0),
        wet=stream.uniform(0.05, 0.3) if falling and stream.random() < 0.3 else 0.0,
        noise=Noise(read=stream.uniform(0, 2) / 255, shot=stream.uniform(0, 2) / 255),
        seed=stream.getrandbits(32),
        finish=Finish(quality=stream.randint(75, 98) if stream.random() < 0.4 else 0),
    )


def rain_photos(
    clean: torch.Tensor, generator: torch.Generator, params: Params | None = None, depth: Depth | None = None
) -> Degraded:
    """`clean` (B,3,H,W) in [0,1] in the rain, 8-bit; the parameters are those of `Rain` and of the depth.

    With them come `streak_cover`, `drop_cover` (mean shares of the scene's light that streaks and drops
    hide) and `mean_transmission` (of the veil). With `params`, one dict a photo as an earlier call returned
    them, the same photo comes out, whatever the generator; a dict without "depth" gets one that its seed
    draws. Of the depth, `depth` decides; None = `random_depth`.
    """
    rains = draw_or_read(Rain, sample_rain, generator, len(clean), params)
    clean = clean.to(working_dtype(clean.device))
    rainy, found = torch.empty_like(clean), []
    for i, rain in enumerate(rains):
        numbers = own_generator(rain.seed, clean.device)
        light, entry = to_linear(clean[i : i + 1]), asdict(rain)
        entry |= {"streak_cover": 0.0, "drop_cover": 0.0, "mean_transmission": 1.0}
        if rain.streaks:
            given = params[i : i + 1] if params and "depth" in params[i] else None
            depths, drawn = depth_of(depth, clean[i : i + 1], numbers, given)
            light, seen, veiled = fall(light, depths, rain)
            entry |= {"depth": drawn[0], "streak_cover": _mean(1 - seen), "mean_transmission": _mean(veiled)}
        if rain.drops:
            light, cover = see_through(light, rain.drops)
            entry["drop_cover"] = _mean(cover)
        rainy[i : i + 1] = add_noise(to_display(light), [rain.noise], numbers)
        found.append(entry)
    return finish(rainy, [rain.finish for rain in rains]).float(), found


def fall(
    light: torch.Tensor, depth: torch.Tensor, rain: Rain
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """One photo (1,3,H,W) in linear light with the streaks and the veil of `rain`, of a scene of `depth`.

    Beside it, shares (1,1,H,W) in (0,1] of the scene's light that pass the streaks, and the veil.
    """
    surroundings = bright_light(light)
    veiled = torch.exp(-rain.veil * depth)
    light = apply_haze(light * (1 - rain.wet * (1 - depth)), veiled, surroundings)
    drop = (rain.shine * surroundings).clamp(max=1)
    opacity = draw_streaks(rain.streaks, *light.shape[-2:], light.device, light.dtype)
    seen = torch.ones_like(depth)
    for layer, hides in zip(rain.streaks.layers, opacity[:, None], strict=True):
        passes = 1 - hides * ((depth - layer.depth) / _FADE + 1).clamp(0, 1)
        light = apply_haze(light, passes, torch.maximum(drop, light))  # no streak is darker than the sky
        seen = seen * passes
    return light, seen, veiled


def bright_light(light: torch.Tensor) -> torch.Tensor:
    """(B,3,1,1): what is bright in (B,3,H,W) in linear light on the mean, half as colourful."""
    weight = luminance(light).square()
    mean = (light * weight).sum((2, 3), keepdim=True) / weight.sum((2, 3), keepdim=True).clamp(min=1e-9)
    return (mean + luminance(mean)) / 2


def _mean(shares: torch.Tensor) -> float:
    return round(shares.mean().item(), 6)
