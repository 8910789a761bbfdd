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
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if not parameters:
                continue
            ahead = self._ahead(parameters, group["momentum"])
            # Those of one shape move together: fewer, larger products.
            alike: dict[torch.Size, list[int]] = {}
            for place, parameter in enumerate(parameters):
                alike.setdefault(parameter.flatten(1).shape, []).append(place)
            changes = list(parameters)
            for shape, places in alike.items():
                matrices = torch.stack([ahead[place].flatten(1) for place in places])
                steps = 0.2 * max(shape) ** 0.5 * orthogonalised(matrices)
                for place, step in zip(places, steps.unbind(), strict=True):
                    changes[place] = step.view(parameters[place].shape)
            if group["weight_decay"]:
                torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
            torch._foreach_add_(parameters, changes, alpha=-group["lr"])

    def _ahead(self, parameters: list[nn.Parameter], momentum: float) -> list[torch.Tensor]:
        """Nesterov's momentum of each, of its shape; one call for all of them, as a GPU waits for each."""
        for parameter in parameters:
            if not self.state[parameter]:
                self.state[parameter]["momentum"] = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in parameters]
        averages = [self.state[parameter]["momentum"] for parameter in parameters]
        torch._foreach_lerp_(averages, gradients, 1 - momentum)
        return list(torch._foreach_lerp(gradients, averages, momentum))


def orthogonalised(matrices: torch.Tensor) -> torch.Tensor:
    """U V' of the singular value decomposition of (...,R,C), roughly: singular values of about 0.7 to 1.2.

    A round is X <- p(X X') X. All of them multiply from the left, by polynomials of the first X X', so they
    run on that square matrix alone: a kernel of 3x3 is nine times as long.
    """
    x = matrices / (torch.linalg.matrix_norm(matrices, keepdim=True) + 1e-12)
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    square = x @ x.mT
    rounds = None
    for left in reversed(range(_ROUNDS)):
        polynomial = _B * square + _C * (square @ square)
        polynomial.diagonal(dim1=-2, dim2=-1).add_(_A)
        rounds = polynomial if rounds is None else polynomial @ rounds
        if left:
            square = polynomial @ square @ polynomial
    x = rounds @ x
    return x.mT if tall else x
