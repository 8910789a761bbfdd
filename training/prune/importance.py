"""How much a channel matters: by the size of its weights, or by what the loss would do without it."""

import torch
import torch_pruning as tp
from torch import nn

from training.prune.widths import Importance
from training.stages.base import Stage


def magnitude() -> Importance:
    """Squared size of all weights of a channel (Li et al. 2017), summed over the layers that hold it."""
    return tp.importance.GroupMagnitudeImportance(p=2, group_reduction="sum", normalizer=None)


def taylor() -> Importance:
    """|weight * gradient|, the loss's first-order change (Molchanov et al. 2019); see `add_gradients`."""
    return tp.importance.GroupTaylorImportance(group_reduction="sum", normalizer=None)


def add_gradients(stage: Stage, batches: list[tuple[object, object]]) -> None:
    """Leave in every weight of the stage's network the sum of its gradients over these batches."""
    stage.network.requires_grad_(True)
    for batch, rng in batches:
        loss, _ = stage(batch, rng, 0.0)
        loss.backward()
    stage.network.requires_grad_(False)
    for parameter in stage.network.parameters():
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)


def drop_gradients(network: nn.Module) -> None:
    """Forget them."""
    for parameter in network.parameters():
        parameter.grad = None
