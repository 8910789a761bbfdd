"""Fewer adaptive filters in the refiner, by a singular value decomposition: hardly a pixel changes.

What a photo gets is sum_k a_k (B_k * photo), and the shares a are linear in what they read: a = C x. So
B^T C is all that counts, and its best approximation of rank r (Eckart and Young 1936) gives r filters, V, and
the matrix P that makes their shares from the old ones: a' = P a with P = V B^T.
"""

import torch
from torch import nn

from lwr.models.network import RestorationNetwork
from lwr.models.pruned import match_sizes
from training.checkpoint import TrainingError
from training.stages.adapted import TaskLoras

LAYERS = ("shares", "from_unet")  # that give the shares


@torch.no_grad()
def reduce_filters(network: RestorationNetwork, loras: TaskLoras, count: int) -> float:
    """Leave `count` filters, in place; gives back the share of their energy that is lost, 0 to 1."""
    if network.refiner is None:
        raise TrainingError(
            "--filters are those of a refiner, which this network does not have: leave it out."
        )
    filters = network.refiner.filters
    basis = filters.basis.flatten(1)  # (K, n)
    if not 0 < count <= len(basis):
        raise TrainingError(f"--filters is {count}, and the refiner has {len(basis)}: use 1 to {len(basis)}.")
    layers = {name: layer for name in LAYERS if (layer := getattr(filters, name)) is not None}
    pairs = [pairs[f"refiner/filters/{name}"] for name in layers for pairs in loras.values()
             if f"refiner/filters/{name}" in pairs]  # fmt: skip
    reads = [layer.weight.flatten(1) for layer in layers.values()] + [filters.shares.bias[:, None]]
    reads += [layer.perceptual_b @ layer.perceptual_a.flatten(1) for layer in layers.values()
              if hasattr(layer, "perceptual_a")]  # fmt: skip
    reads += [b.flatten(1) @ a.flatten(1) for a, b in pairs]
    _, sizes, vectors = torch.linalg.svd(torch.cat(reads, 1).T @ basis, full_matrices=False)
    project = vectors[:count] @ basis.T  # P (r, K)
    filters.basis = _frozen(vectors[:count].view(count, *filters.basis.shape[1:]))
    for layer in layers.values():
        layer.weight = _frozen(_times(project, layer.weight))
        if layer.bias is not None:
            layer.bias = _frozen(project @ layer.bias)
        if hasattr(layer, "perceptual_b"):
            layer.perceptual_b = _frozen(project @ layer.perceptual_b)
        match_sizes(layer)
    for pair in pairs:
        pair[1] = _frozen(_times(project, pair[1]))
    return float(sizes[count:].square().sum() / sizes.square().sum())


def _times(matrix: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """(r,K) times the outputs of a weight (K,in,1,1) -> (r,in,1,1)."""
    return (matrix @ weight.flatten(1)).view(len(matrix), *weight.shape[1:])


def _frozen(tensor: torch.Tensor) -> nn.Parameter:
    return nn.Parameter(tensor.contiguous(), requires_grad=False)
