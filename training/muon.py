"""Muon (Jordan et al. 2024): momentum whose matrices are made nearly orthogonal before each step.

For the hidden layers of a network; convolution kernels (out,in,k,k) count as matrices (out, in*k*k). All
other parameters (biases, norms, LoRA factors) are left to AdamW. `torch.optim.Muon` takes no kernels.
"""

from collections.abc import Callable, Iterable

import torch
from torch import nn

# Coefficients of the quintic iteration, chosen there so that five rounds bring singular values near 1.
_A, _B, _C = 3.4445, -4.7750, 2.0315
_ROUNDS = 5
_SMALLEST_SIDE = 24  # of a matrix that Muon takes: layers next to pixels and latents are left to AdamW


def hidden_matrices(module: nn.Module) -> list[nn.Parameter]:
    """The weights that train in convolutions and linear layers and are at least 24 either way."""
    layers = (m.weight for m in module.modules() if isinstance(m, nn.Conv2d | nn.Linear))
    return [w for w in layers if w.requires_grad and min(w.flatten(1).shape) >= _SMALLEST_SIDE]


class Muon(torch.optim.Optimizer):
    """The step of `hidden_matrices`.

    It is scaled by 0.2 sqrt(max(rows, columns)), which gives it the size of an Adam step (Liu et al. 2025,
    "Muon is scalable for LLM training", section 2.2), so that both optimisers can use the same `lr`.
    """

    def __init__(
        self, matrices: Iterable[nn.Parameter], lr: float, momentum: float = 0.95, weight_decay: float = 0.0
    ) -> None:
        super().__init__(list(matrices), {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:
        """One step of every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["momentum"] = torch.zeros_like(parameter)
                state["momentum"].lerp_(parameter.grad, 1 - group["momentum"])
                ahead = parameter.grad.lerp(state["momentum"], group["momentum"])  # Nesterov
                matrix = ahead.flatten(1)
                change = 0.2 * max(matrix.shape) ** 0.5 * orthogonalised(matrix).view_as(parameter)
                parameter.mul_(1 - group["lr"] * group["weight_decay"]).add_(change, alpha=-group["lr"])


def orthogonalised(matrix: torch.Tensor) -> torch.Tensor:
    """U V' of the singular value decomposition of (R,C), roughly: singular values of about 0.7 to 1.2.

    A round is X <- p(X X') X. All of them multiply from the left, by polynomials of the first X X', so they
    run on that square matrix alone: a kernel of 3x3 is nine times as long.
    """
    x = matrix / (matrix.norm() + 1e-12)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    square = x @ x.T
    rounds = None
    for left in reversed(range(_ROUNDS)):
        polynomial = torch.addmm(square, square, square, beta=_B, alpha=_C)
        polynomial.diagonal().add_(_A)
        rounds = polynomial if rounds is None else polynomial @ rounds
        if left:
            square = polynomial @ square @ polynomial
    x = rounds @ x
    return x.T if tall else x
