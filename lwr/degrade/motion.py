"""Camera shake: random trajectories after Boracchi and Foi (2012), splatted into point spread functions.

The model walks at constant speed. At each step the velocity gets a Gaussian shake, a pull back to the start
and, rarely, a big shake that nearly reverses it; then its length is restored. The ranges are those of
DeblurGAN's data (Kupyn et al. 2018: 2000 steps, path length 60). We walk 250 longer steps with the same
variance, pull and chance of a big shake per unit of path, then give the exposed path the extent asked for.
"""

import cmath
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from lwr.degrade.draw import log_uniform, working_dtype

STEPS = 250
PSF_SIZE = 65  # pixels; holds every path of an extent up to 32
_PATH = 60.0  # length of the whole walk in the model's own unit
_COARSENESS = 2000 / STEPS  # published steps in one of ours
# Corners, edges and middle of the photo, row by row, seen from the middle; a corner is 1 away.
PLACES = tuple(complex(x, y) / math.sqrt(2) for y in (-1, 0, 1) for x in (-1, 0, 1))
# smaller = smoother; the last two near-linear
_JERKINESS = (0.01, 0.009, 0.008, 0.007, 0.005, 0.003, 0.002, 0.001)


@dataclass(frozen=True)
class Shake:
    """One trajectory: with `walk_seed`, the whole of it."""

    extent: float  # pixels, longest distance between two corners of the path's bounding box; 0 = sharp
    exposure: float  # share of the walk that is exposed, in (0,1]
    angle: float  # radians, start direction
    jerkiness: float  # strength of all three forces
    gaussian: float  # Gaussian shake, 0..10
    pull: float  # towards the start, 0..0.7
    big_shake: float  # chance factor of a reversal, 0..0.2
    walk_seed: int  # of the random numbers along the way
    roll: float = 0.0  # pixels by which the corners of the photo move beside that, as the camera turns


def sample_shake(stream: random.Random, extent: tuple[float, float] = (2.0, 24.0)) -> Shake:
    """A trajectory whose extent is log-uniform in `extent` pixels: small shakes are the common ones.

    In half of them the camera also turns about its axis.
    """
    length = log_uniform(stream, *extent)
    most = max(0.0, min(0.6 * length, PSF_SIZE // 2 - 1 - length))
    return Shake(
        extent=length,
        exposure=stream.choice((0.1, 0.5, 1.0)),
        angle=stream.uniform(0, 2 * math.pi),
        jerkiness=stream.choice(_JERKINESS),
        gaussian=stream.uniform(0, 10),
        pull=stream.uniform(0, 0.7),
        big_shake=stream.uniform(0, 0.2),
        walk_seed=stream.getrandbits(32),
        roll=stream.uniform(0, most) if stream.random() < 0.5 else 0.0,
    )


def walk(shake: Shake) -> list[complex]:
    """The exposed positions x + iy in pixels, their mean at 0."""
    stream = random.Random(shake.walk_seed)
    step = _PATH / STEPS
    velocity = cmath.rect(step, shake.angle)
    # independent kicks add in variance
    shaking = shake.jerkiness * shake.gaussian * step / math.sqrt(_COARSENESS)
    pulling = shake.jerkiness * shake.pull * step
    reversal = shake.big_shake * shake.jerkiness * _COARSENESS
    position, path = 0j, [0j]
    for _ in range(round(STEPS * shake.exposure)):
        change = shaking * complex(stream.gauss(0, 1), stream.gauss(0, 1)) - pulling * position
        if stream.random() < reversal:
            change += 2 * velocity * cmath.exp(1j * (math.pi + stream.uniform(-0.5, 0.5)))
        velocity += change
        velocity *= step / max(abs(velocity), 1e-9)
        position += velocity
        path.append(position)
    mean = sum(path) / len(path)
    spans = [max(values) - min(values) for values in ([p.real for p in path], [p.imag for p in path])]
    scale = shake.extent / max(math.hypot(*spans), 1e-9)
    return [(point - mean) * scale for point in path]


def draw_shakes(shakes: Sequence[Shake], device: torch.device | str, size: int = PSF_SIZE) -> torch.Tensor:
    """(B,size,size) point spread functions, each summing to 1 with its centre of mass at the centre.

    Raises ValueError when an extent does not fit into half of `size`.
    """
    longest = max(shake.extent for shake in shakes)
    if longest > size // 2:
        raise ValueError(f"shake extent is {longest:.1f} px; a PSF of {size} px holds up to {size // 2}")
    return draw_paths([walk(shake) for shake in shakes], device, size)


def draw_field(shake: Shake, device: torch.device | str) -> torch.Tensor:
    """(9,PSF_SIZE,PSF_SIZE) point spread functions at the 3x3 `PLACES` of the photo."""
    middle = walk(shake)
    turning = walk(replace(shake, extent=1.0, walk_seed=shake.walk_seed ^ 1))
    along = [[p.real for p in turning], [p.imag for p in turning]]
    angles = max(along, key=lambda values: max(values) - min(values))
    scale = shake.roll / max(max(angles) - min(angles), 1e-9)
    paths = [
        [p + 1j * place * scale * angle for p, angle in zip(middle, angles, strict=True)] for place in PLACES
    ]
    return draw_paths(paths, device)


def draw_paths(
    paths: Sequence[Sequence[complex]], device: torch.device | str, size: int = PSF_SIZE
) -> torch.Tensor:
    """(B,size,size) point spread functions of paths around 0, each summing to 1."""
    # Every path to the same number of points, by weight 0 for the filling.
    points = torch.zeros(3, len(paths), STEPS + 1, dtype=working_dtype(device))
    for i, path in enumerate(paths):
        points[0, i, : len(path)] = torch.tensor([point.real for point in path], dtype=points.dtype)
        points[1, i, : len(path)] = torch.tensor([point.imag for point in path], dtype=points.dtype)
        points[2, i, : len(path)] = 1 / len(path)
    x, y, weight = points.to(device).unsqueeze(-1)
    axis = torch.arange(size, device=device) - size // 2
    # A bilinear splat is the product of two hat functions: no scatter, so the same sum on every device.
    across, along = (1 - (y - axis).abs()).clamp(min=0), (1 - (x - axis).abs()).clamp(min=0)
    return (weight * across).transpose(1, 2) @ along
