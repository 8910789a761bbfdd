"""The blur kernels of Real-ESRGAN (Wang et al. 2021): Gaussians, their generalised and plateau kin, and sinc.

Sampling (`sample_kernel`, `sample_sinc`) is apart from drawing (`draw_kernels`): a `Kernel` says it all.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from lwr.degrade.draw import Range, pick, working_dtype

KIND_CHANCES = {
    "iso": 0.45,
    "aniso": 0.25,
    "generalized-iso": 0.12,
    "generalized-aniso": 0.03,
    "plateau-iso": 0.12,
    "plateau-aniso": 0.03,
}
_SMALLEST_SIGMA = 1e-3  # below it a Gaussian is a single pixel


@dataclass(frozen=True)
class Kernel:
    """One blur kernel; `draw_kernels` makes it a tensor."""

    kind: str  # a key of KIND_CHANCES, or "sinc"
    size: int  # side in pixels, odd; outside it the kernel is zero
    sigma_x: float = 0.0  # pixels, before rotation
    sigma_y: float = 0.0
    angle: float = 0.0  # radians
    beta: float = 1.0  # shape exponent of the generalised and plateau kinds; 1 = as the plain kind
    cutoff: float = math.pi  # of the sinc kind, radians per pixel; pi = nothing cut


@dataclass(frozen=True)
class KernelRanges:
    """From where `sample_kernel` draws."""

    sigma: Range  # pixels
    generalized_beta: Range = (0.5, 2.0)
    plateau_beta: Range = (1.0, 1.5)
    sinc: float = 0.1  # chance of a sinc kernel instead of a Gaussian kind
    sizes: tuple[int, int] = (7, 21)  # odd, both ends included


def sample_kernel(stream: random.Random, ranges: KernelRanges) -> Kernel:
    """Any kernel that `ranges` allow."""
    if stream.random() < ranges.sinc:
        return sample_sinc(stream, ranges.sizes)
    kind = pick(stream, KIND_CHANCES)
    size = _odd_size(stream, ranges.sizes)
    sigma_x = stream.uniform(*ranges.sigma)
    sigma_y, angle, beta = sigma_x, 0.0, 1.0
    if kind.endswith("aniso"):
        sigma_y, angle = stream.uniform(*ranges.sigma), stream.uniform(-math.pi, math.pi)
    if kind.startswith(("generalized", "plateau")):
        low, high = ranges.generalized_beta if kind.startswith("generalized") else ranges.plateau_beta
        # Half of the draws on either side of 1, as published, so heavy and light tails are equally common.
        beta = stream.uniform(low, 1.0) if low < 1 and stream.random() < 0.5 else stream.uniform(1.0, high)
    return Kernel(kind, size, sigma_x, sigma_y, angle, beta)


def sample_sinc(stream: random.Random, sizes: tuple[int, int] = (7, 21)) -> Kernel:
    """A circular low-pass filter, the source of ringing; small windows cannot hold the lowest cut-offs."""
    size = _odd_size(stream, sizes)
    lowest = math.pi / 3 if size < 13 else math.pi / 5
    return Kernel("sinc", size, cutoff=stream.uniform(lowest, math.pi))


def draw_kernels(kernels: Sequence[Kernel], device: torch.device | str) -> torch.Tensor:
    """(B,K,K), each summing to 1 and centred; K is the largest of their sizes, zeros fill the rest."""

    dtype = working_dtype(device)

    def column(values: list[float]) -> torch.Tensor:
        return torch.tensor(values, dtype=dtype, device=device).view(-1, 1, 1)

    half = max(kernel.size for kernel in kernels) // 2
    axis = torch.arange(-half, half + 1, dtype=dtype, device=device)
    y, x = axis.view(1, -1, 1), axis.view(1, 1, -1)
    cos, sin = column([math.cos(k.angle) for k in kernels]), column([math.sin(k.angle) for k in kernels])
    along = (cos * x + sin * y) / column([max(k.sigma_x, _SMALLEST_SIGMA) for k in kernels])
    across = (cos * y - sin * x) / column([max(k.sigma_y, _SMALLEST_SIGMA) for k in kernels])
    form = (along.square() + across.square()).pow(column([k.beta for k in kernels]))
    plateau = column([k.kind.startswith("plateau") for k in kernels]) > 0
    drawn = torch.where(plateau, 1 / (1 + form), torch.exp(-0.5 * form))
    if any(k.kind == "sinc" for k in kernels):
        ring = _jinc(column([k.cutoff for k in kernels]), torch.hypot(x, y))
        drawn = torch.where(column([k.kind == "sinc" for k in kernels]) > 0, ring, drawn)
    inside = torch.maximum(x.abs(), y.abs()) <= column([k.size // 2 for k in kernels])
    drawn = drawn * inside
    return drawn / drawn.sum((-2, -1), keepdim=True)


def _jinc(cutoff: torch.Tensor, distance: torch.Tensor) -> torch.Tensor:
    """Impulse response of the ideal circular low-pass: c J1(c r) / (2 pi r), and c^2 / (4 pi) at r = 0."""
    safe = distance.clamp(min=1e-6)
    ring = cutoff * torch.special.bessel_j1(cutoff * safe) / (2 * math.pi * safe)
    return torch.where(distance == 0, cutoff.square() / (4 * math.pi), ring)


def _odd_size(stream: random.Random, sizes: tuple[int, int]) -> int:
    return stream.randrange(sizes[0], sizes[1] + 1, 2)
