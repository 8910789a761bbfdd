"""Depth for haze and focus without a network. 0 is near, 1 is far.

A provider is any `Depth`: `random_depth` here; one that runs a learned model has the same signature and
returns what it drew, or empty dicts.
"""

import math
import random
from dataclasses import asdict, dataclass
from typing import Protocol

import torch
import torch.nn.functional as F

from lwr.degrade.draw import Degraded, Params, draw_or_read, normal, per_photo, working_dtype
from lwr.degrade.filtering import guided_filter
from lwr.degrade.light import luminance


class Depth(Protocol):
    """A provider of depth: see the module's docstring."""

    def __call__(
        self, clean: torch.Tensor, generator: torch.Generator, params: Params | None = None
    ) -> Degraded:
        """Of photos (B,3,H,W) in [0,1]: depth (B,1,H,W) in [0,1], and a JSON-able dict of how, per photo.

        With `params`, dicts that an earlier call returned, the depth is that of the earlier call.
        """


_CELLS = (2, 4, 8, 16, 32)  # of the short side, per octave of noise
_EPSILON = 1e-3  # variance of luminance that counts as an edge
_EDGE = 0.1  # span of luminance over which what is in front ends


@dataclass(frozen=True)
class DepthMix:
    """One photo's depth as a weighted sum of sources, stretched to [0,1]; weight 0 = not used."""

    plane: float  # weight of a tilted plane
    noise: float  # weight of fractal noise
    # weight of brightness minus saturation: haze and distance wash colours out (Zhu et al. 2015)
    prior: float
    tilt: float  # radians; 0 = the plane recedes straight upwards
    horizon: float  # height, as a share of the photo from its top, above which the plane is all far
    bend: float  # exponent of the plane's growth towards the horizon
    persistence: float  # amplitude of an octave of noise relative to the coarser one
    veil: float  # share of the depth that is constant
    near: float = 1.0  # factor on the depth of what is darker than `cut`, with sharp edges; 1 = none
    cut: float = 0.5  # luminance between dark objects and the bright distance


def random_depth(clean: torch.Tensor, generator: torch.Generator, params: Params | None = None) -> Degraded:
    """A `Depth`: 2 or 3 random sources, aligned to the photo's edges, with the parameters of `DepthMix`."""
    mixes = draw_or_read(DepthMix, sample_mix, generator, len(clean), params)
    clean = clean.to(working_dtype(clean.device))
    noise = fractal_noise(clean, [mix.persistence for mix in mixes], generator)
    depth = per_photo([mix.plane for mix in mixes], clean) * tilted_planes(clean, mixes)
    depth = depth + per_photo([mix.noise for mix in mixes], clean) * noise
    depth = depth + per_photo([mix.prior for mix in mixes], clean) * washed_out(clean)
    radius = max(min(clean.shape[-2:]) // 20, 1)
    depth = _stretched(guided_filter(luminance(clean), depth, radius, _EPSILON))
    depth = _stretched(depth * in_front(clean, mixes))
    veil = per_photo([mix.veil for mix in mixes], clean)
    return depth * (1 - veil) + veil, [asdict(mix) for mix in mixes]


def depth_of(
    depth: Depth | None, clean: torch.Tensor, generator: torch.Generator, params: Params | None
) -> Degraded:
    """Depth by `depth` (None: `random_depth`), or again that of `params`, which hold it as "depth"."""
    depth = depth or random_depth
    if params is None:
        depths, drawn = depth(clean, generator)
    else:
        depths, drawn = depth(clean, generator, [entry["depth"] for entry in params])
    return depths.to(clean), drawn


def sample_mix(stream: random.Random) -> DepthMix:
    """Two sources or all three, of weights 0.2 to 1; mostly with a plane, as most photos show ground."""
    weights = {name: stream.uniform(0.2, 1.0) for name in ("plane", "noise", "prior")}
    left_out = stream.choices(("plane", "noise", "prior", None), (0.15, 0.25, 0.2, 0.4))[0]
    if left_out is not None:
        weights[left_out] = 0.0
    # Detail of the noise is not depth: beside other sources it stays the lesser one.
    weights["noise"] *= 0.6
    return DepthMix(
        **weights,
        tilt=normal(stream, 0, 0.35),
        horizon=stream.uniform(0.0, 0.5),
        bend=stream.uniform(0.7, 2.0),
        persistence=stream.uniform(0.3, 0.7),
        veil=stream.uniform(0.1, 0.7) if stream.random() < 0.4 else 0.0,
        near=stream.uniform(0.1, 0.6) if stream.random() < 0.35 else 1.0,
        cut=stream.uniform(0.3, 0.7),
    )


def tilted_planes(clean: torch.Tensor, mixes: list[DepthMix]) -> torch.Tensor:
    """(B,1,H,W) in [0,1]: near at the bottom, far at and above the horizon, both turned by the tilt."""
    height, width = clean.shape[-2:]
    like = {"device": clean.device, "dtype": clean.dtype}
    y = torch.linspace(0, 1, height, **like).view(1, 1, -1, 1)
    x = torch.linspace(-0.5, 0.5, width, **like).view(1, 1, 1, -1)
    tilts = per_photo([math.tan(max(min(mix.tilt, 1.2), -1.2)) for mix in mixes], clean)
    horizons = per_photo([mix.horizon for mix in mixes], clean)
    rise = ((1 - y - tilts * x) / (1 - horizons)).clamp(0, 1)
    return rise.pow(per_photo([mix.bend for mix in mixes], clean))


def fractal_noise(clean: torch.Tensor, persistence: list[float], generator: torch.Generator) -> torch.Tensor:
    """(B,1,H,W) stretched to [0,1]: five octaves of smooth noise of 2 to 32 cells along the short side."""
    size = clean.shape[-2:]
    decay = per_photo(persistence, clean)
    total = clean.new_zeros(len(clean), 1, *size)
    for octave, cells in enumerate(_CELLS):
        grid = [round(cells * side / min(size)) + 1 for side in size]
        values = torch.rand(len(clean), 1, *grid, generator=generator, device=clean.device, dtype=clean.dtype)
        total = total + decay**octave * F.interpolate(values, size, mode="bicubic", align_corners=True)
    return _stretched(total)


def washed_out(clean: torch.Tensor) -> torch.Tensor:
    """(B,1,H,W) stretched to [0,1]: brightness minus saturation, smoothed within edges."""
    brightest, darkest = clean.amax(1, keepdim=True), clean.amin(1, keepdim=True)
    saturation = (brightest - darkest) / brightest.clamp(min=1e-3)
    radius = max(min(clean.shape[-2:]) // 10, 1)
    return _stretched(guided_filter(luminance(clean), brightest - saturation, radius, 10 * _EPSILON))


def in_front(clean: torch.Tensor, mixes: list[DepthMix]) -> torch.Tensor:
    """(B,1,H,W) factors on the depth: `near` where the photo is dark, as trees are before a sky, else 1."""
    light = luminance(clean)
    radius = max(min(clean.shape[-2:]) // 40, 1)
    calm = guided_filter(light, light, radius, 10 * _EPSILON)
    far = ((calm - per_photo([mix.cut for mix in mixes], clean)) / _EDGE + 0.5).clamp(0, 1)
    near = per_photo([mix.near for mix in mixes], clean)
    return near + (1 - near) * far


def _stretched(maps: torch.Tensor) -> torch.Tensor:
    """Each map of (B,1,H,W) to the full [0,1]; a flat one becomes 0."""
    low, high = maps.amin((-2, -1), keepdim=True), maps.amax((-2, -1), keepdim=True)
    return ((maps - low) / (high - low).clamp(min=1e-6)).clamp(0, 1)
