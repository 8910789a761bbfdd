"""Out-of-focus blur: the image of a point is the lens aperture, a disk or a polygon of blades."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from lwr.degrade.draw import log_uniform, per_photo, working_dtype

PSF_SIZE = 33  # pixels; holds a radius up to 15


@dataclass(frozen=True)
class Aperture:
    """The blur spot of one photo."""

    radius: float  # pixels; 0 = sharp
    blades: int  # corners of the polygon; 0 = disk
    rotation: float  # radians, of the polygon
    edge: float  # pixels over which the spot fades out, >= 1
    # depth in [0,1] that is sharp, the blur growing away from it; None = blurred all over
    focus: float | None


def sample_aperture(stream: random.Random, radius: tuple[float, float] = (1.0, 7.0)) -> Aperture:
    """A spot with a radius log-uniform in `radius` pixels; half polygons; one in three has a sharp depth."""
    blades = stream.choice((5, 6, 7, 8)) if stream.random() < 0.5 else 0
    return Aperture(
        radius=log_uniform(stream, *radius),
        blades=blades,
        rotation=stream.uniform(0, 2 * math.pi) if blades else 0.0,
        edge=stream.uniform(1.0, 2.0),
        focus=stream.random() if stream.random() < 1 / 3 else None,
    )


def draw_apertures(
    apertures: Sequence[Aperture], device: torch.device | str, size: int = PSF_SIZE
) -> torch.Tensor:
    """(B,size,size) point spread functions, each summing to 1.

    Raises ValueError when a radius does not fit into half of `size`.
    """
    widest = max(aperture.radius for aperture in apertures)
    if widest > size // 2 - 1:
        raise ValueError(
            f"aperture radius is {widest:.1f} px; a PSF of {size} px holds up to {size // 2 - 1}"
        )

    dtype = working_dtype(device)

    def column(values: list[float]) -> torch.Tensor:
        return torch.tensor(values, dtype=dtype, device=device).view(-1, 1, 1)

    axis = torch.arange(size, dtype=dtype, device=device) - size // 2
    y, x = axis.view(1, -1, 1), axis.view(1, 1, -1)
    distance, bearing = torch.hypot(x, y).expand(len(apertures), -1, -1), torch.atan2(y, x)
    # A disk is a polygon whose sectors have no width.
    sector = column([2 * math.pi / a.blades if a.blades else 0.0 for a in apertures])
    bearing = bearing - column([a.rotation for a in apertures])
    turned = torch.remainder(bearing, sector.clamp(min=1e-6)) - sector / 2
    flattened = torch.where(sector > 0, distance * turned.cos(), distance)
    rim = column([a.radius for a in apertures]) * (sector / 2).cos()
    spot = (0.5 - (flattened - rim) / column([a.edge for a in apertures])).clamp(0, 1)
    return spot / spot.sum((-2, -1), keepdim=True)


def focal_planes(aperture: Aperture) -> list[Aperture]:
    """What a photo with a sharp depth shows at depths 0, 0.5 and 1; `aperture.radius` where it is worst.

    Raises ValueError for an aperture without a sharp depth.
    """
    if aperture.focus is None:
        raise ValueError("the aperture's focus is None, so it has one plane; give a focus in [0,1]")
    farthest = max(aperture.focus, 1 - aperture.focus)
    radii = [aperture.radius * abs(depth - aperture.focus) / farthest for depth in (0.0, 0.5, 1.0)]
    return [replace(aperture, radius=radius) for radius in radii]


def blend_planes(planes: torch.Tensor, depth: torch.Tensor) -> torch.Tensor:
    """Three photos (3,C,H,W) of depths 0, 0.5 and 1, blended by `depth` (1,1,H,W) in [0,1] to (1,C,H,W)."""
    places = per_photo([0.0, 0.5, 1.0], planes)
    shares = (1 - 2 * (depth - places).abs()).clamp(min=0)
    return (planes * shares).sum(0, keepdim=True)
