"""Weights in 8 bits, as files hold them; what is loaded has its floating point back.

A tensor of two dimensions or more is stored as whole numbers q from -127 to 127 under its own name, beside
NAME.scale, a float16 s for each row (output channel): the weight is q s, and the largest of its row is 127 s.
(The s of least squared error would leave 1 % less of it.) Vectors stay float16, as they are few and steer
whole channels, and so do tensors that 8 bits would change too much, such as filters whose middle is far
larger than all around it.
"""

from collections.abc import Iterable, Mapping

import torch

SCALE = ".scale"
LARGEST = 127
MOST_LOST = 0.016  # of a tensor's norm; one that would lose more stays float16


def in_eight_bits(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """{name: tensor} as a file holds it: int8 and its scales, and float16 for vectors; other kinds as is."""
    stored: dict[str, torch.Tensor] = {}
    for name, tensor in state.items():
        stored[name] = (tensor.half() if tensor.is_floating_point() else tensor).contiguous()
        if tensor.is_floating_point() and tensor.dim() >= 2:
            numbers, scales = rounded(tensor)
            if (restored(numbers, scales) - tensor.float()).norm() <= MOST_LOST * tensor.float().norm():
                stored[name], stored[name + SCALE] = numbers, scales
    return stored


def rounded(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(q int8 in the weight's shape, s float16 of (rows,)) with q s nearest to the weight."""
    rows = weight.detach().float().flatten(1)
    scales = (rows.abs().amax(1) / LARGEST).half()
    steps = scales.float()[:, None]  # 0 of a row that is all zeros, or too small for float16
    numbers = torch.where(steps > 0, rows / steps, 0).round_().clamp_(-LARGEST, LARGEST)
    return numbers.to(torch.int8).view(weight.shape).contiguous(), scales


def restored(numbers: torch.Tensor, scales: torch.Tensor | None) -> torch.Tensor:
    """The weight in float32; ValueError says what is wrong with its scales."""
    if scales is None:
        raise ValueError("it has no scale")
    if scales.shape != numbers.shape[:1] or not scales.is_floating_point():
        kind = f"{tuple(scales.shape)} {str(scales.dtype).removeprefix('torch.')}"
        raise ValueError(f"its scales are {kind} numbers for {len(numbers) if numbers.dim() else 1} rows")
    if not (torch.isfinite(scales) & (scales >= 0)).all():
        raise ValueError("its scales are no positive numbers")
    return numbers.float() * scales.float().view(-1, *[1] * (numbers.dim() - 1))


def is_scale(name: str, eight_bit: Iterable[str]) -> bool:
    """Whether a tensor of this name holds the scales of one of these, which are in 8 bits."""
    return name.endswith(SCALE) and name.removesuffix(SCALE) in eight_bit
