"""Low-rank weights (LoRA, Hu et al. 2021): the only place that knows W + s B A.

Adapters are folded into the weights, in the product as in training: an adapted network is as fast as the
plain one, and several adapters share one pass.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import nn

# (A, B): (r,in), (out,r) of a linear layer; (r,in,k,k), (out,r,1,1) of a convolution
Pair = tuple[torch.Tensor, torch.Tensor]


def add_low_rank(weight: torch.Tensor, a: torch.Tensor, b: torch.Tensor, factor: float = 1.0) -> torch.Tensor:
    """W + factor * B A in the weight's shape; differentiable."""
    return weight + factor * (b.flatten(1) @ a.flatten(1)).view(weight.shape)


def folded(
    weights: Mapping[str, torch.Tensor], adapters: Sequence[tuple[Mapping[str, Pair], float]]
) -> dict[str, torch.Tensor]:
    """{"MODULE.weight": W + sum of factor * B A} of every layer that an adapter changes.

    `weights` are the network's parameters by name, `adapters` the pairs by module name, each with its factor
    (strength * alpha / rank). Sums in float32, on the weight's device and in the order given; differentiable.

    Raises:
        KeyError: a pair belongs to no weight of the network, or to one of another shape; names the module.
    """
    found: dict[str, torch.Tensor] = {}
    for pairs, factor in adapters:
        for module, change in _products(pairs, factor).items():
            name = f"{module}.weight"
            weight = found.get(name, weights.get(name))
            if weight is None or weight.shape != change.shape:
                raise KeyError(module)
            found[name] = _sum(change.to(weight.device), weight)
    return found


def _sum(change: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """W + change, in the memory format of W: convolutions round differently in another.

    Where nothing is differentiated and the format is the same, in the change's memory: new pages are slow.
    """
    if torch.is_grad_enabled() or change.stride() != weight.stride():
        return weight.float() + change
    return change.add_(weight)


def _products(pairs: Mapping[str, Pair], factor: float) -> dict[str, torch.Tensor]:
    """{module: factor * B A}. Pairs of one shape are multiplied together: a GPU waits for each call."""
    alike: dict[tuple[torch.Size, torch.Size], list[str]] = {}
    for module, (a, b) in pairs.items():
        alike.setdefault((a.shape, b.shape), []).append(module)
    found: dict[str, torch.Tensor] = {}
    for (shape, _), modules in alike.items():
        a, b = (torch.stack([pairs[module][side] for module in modules]).flatten(2) for side in (0, 1))
        changes = (b @ a).mul_(factor).unflatten(2, shape[1:])
        found |= zip(modules, changes.unbind(), strict=True)
    return {module: found[module] for module in pairs}


def new_pair(module: nn.Conv2d | nn.Linear, rank: int) -> Pair:
    """A random and B zero, as in Hu et al. 2021: a new adapter changes nothing."""
    weight = module.weight
    a = torch.empty(rank, *weight.shape[1:])
    nn.init.kaiming_uniform_(a, a=5**0.5)
    return a, torch.zeros(weight.shape[0], rank, *([1] * (weight.dim() - 2)))


def target_modules(network: nn.Module, prefixes: Sequence[str]) -> dict[str, nn.Conv2d | nn.Linear]:
    """Every ungrouped convolution and linear layer under the named parts of the network."""
    return {
        name: module
        for name, module in network.named_modules()
        if name.startswith(tuple(f"{prefix}." for prefix in prefixes))
        and (isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.groups == 1))
    }
