"""One photo degraded for one row: seed and parameters in, pixels out, the same for builder and verifier."""

import hashlib
import inspect
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from lwr.degrade.depth import Depth
from lwr.tasks.base import Task


def as_photo(pixels: np.ndarray) -> torch.Tensor:
    """(H,W,3) uint8 to (1,3,H,W) float32 in [0,1]."""
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float().div(255)


def as_json(params: Mapping[str, Any]) -> str:
    """Parameters as the column `params` has them."""
    return json.dumps(params, sort_keys=True, allow_nan=False)


def accepts(task: Task, name: str) -> bool:
    """Whether the task's degradation takes a further argument: "params" of an earlier call, or "depth"."""
    return name in inspect.signature(task.degrade).parameters


def degrade_one(
    task: Task,
    clean: torch.Tensor,
    seed: int,
    depth: Depth | None = None,
    params: Mapping[str, Any] | None = None,
) -> tuple[torch.Tensor, dict[str, Any]]:
    """One photo (1,3,H,W) in [0,1] degraded: (H,W,3) uint8 and the parameters.

    `depth` (None: the task's own) and `params` (None: drawn) go to tasks that take them. Raises ValueError
    when the task does not keep its contract, and whatever the task raises.
    """
    given: dict[str, Any] = {}
    if depth is not None and accepts(task, "depth"):
        given["depth"] = depth
    if params is not None and accepts(task, "params"):
        given["params"] = [params]
    degraded, drawn = task.degrade(clean, torch.Generator().manual_seed(seed), **given)
    if degraded.shape != clean.shape or len(drawn) != len(clean):
        raise ValueError(f"{task.name} gave {tuple(degraded.shape)} for a photo {tuple(clean.shape)}")
    if not torch.isfinite(degraded).all():
        raise ValueError(f"{task.name} gave values that are no numbers")
    return (degraded[0].clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous(), drawn[0]


@lru_cache
def digest(task: Task) -> str:
    """What a task does to a pattern under some seeds, and its prompt, in 16 digits: in effect its version."""
    y, x = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    pattern = torch.stack([x * 4, y * 4, (x * y) % 256]).float().div(255).unsqueeze(0)
    record = hashlib.sha256(task.instruction.encode())
    for seed in range(4):
        degraded, params = degrade_one(task, pattern, seed)
        record.update(degraded.numpy().tobytes() + json.dumps(params, sort_keys=True).encode())
    return record.hexdigest()[:16]
