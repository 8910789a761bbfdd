"""Light and numbers: display values <-> linear light, and the rounding of every stored photo."""

import torch

GAMMA = 2.2
_GRID = 2.0**20  # steps between two whole numbers; the last bits of a double are 2^23 times finer at 255


def to_linear(display: torch.Tensor) -> torch.Tensor:
    """Display values in [0,1], any shape, to linear light in [0,1] by the power law 2.2."""
    return display.clamp(0, 1).pow(GAMMA)


def to_display(linear: torch.Tensor) -> torch.Tensor:
    """Linear light, any shape, to display values in [0,1]; light above 1 saturates, as in a sensor."""
    return linear.clamp(0, 1).pow(1 / GAMMA)


def round_half(values: torch.Tensor) -> torch.Tensor:
    """Round to whole numbers, any shape, exact halves to the even one; in double precision on any machine.

    Sums and resizes of 8-bit values often lie exactly half-way between two, up to the last bits, which depend
    on the processor; rounding to a fine grid first takes those bits away.
    """
    return values.mul(_GRID).round().div(_GRID).round()


def round_to_8_bit(images: torch.Tensor) -> torch.Tensor:
    """Clamp to [0,1] and round to multiples of 1/255, any shape."""
    return round_half(images.clamp(0, 1).mul(255)).div(255)


def luminance(images: torch.Tensor) -> torch.Tensor:
    """(B,3,H,W) to (B,1,H,W) with the BT.601 weights, the same range."""
    weights = torch.tensor([0.299, 0.587, 0.114], device=images.device, dtype=images.dtype)
    return (images * weights.view(1, 3, 1, 1)).sum(1, keepdim=True)
