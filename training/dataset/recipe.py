"""What decides the bytes of a set: one frozen record, and the digest of how each task degrades."""

import hashlib
import inspect
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.metadata import version
from typing import Any

import torch

from lwr.degrade.depth import Depth
from lwr.tasks import TASKS
from lwr.tasks.base import Task
from training.dataset.licences import DEFAULT

FORMAT = 1  # of the folder; a reader of another format refuses
PACKAGES = ("torch", "pillow", "pyarrow", "numpy", "scikit-image", "imagehash")  # any may change bytes


@dataclass(frozen=True)
class Recipe:
    """All choices that a set follows from, besides the photos."""

    tasks: tuple[str, ...]
    per_task: int | None = None  # at most so many images, the same ones in each task; None = all
    size: int = 512  # pixels, both sides
    seed: int = 0
    licences: tuple[str, ...] = DEFAULT  # names from licences.py
    max_blur: float = 0.5  # skimage.measure.blur_effect, 0 (sharp) to 1
    max_dark_channel: float = 0.45  # above it the photo is hazy, snowy or white itself
    duplicate_distance: int = 8  # bits of 64 in which perceptual hashes differ; up to it, the same picture
    shard_photos: int = 32  # images a shard
    depth: str | None = None  # depth-estimation model; None = random depths, without network
    license: str | None = None  # of photos that state none
    author: str | None = None
    source: str | None = None

    def identity(self) -> dict[str, Any]:
        """All that two builds must share to give the same bytes, as it comes back from JSON."""
        tasks = {name: digest(TASKS[name]) for name in self.tasks}
        facts = asdict(self) | {"licences": list(self.licences), "tasks": tasks}
        versions = {package: version(package) for package in PACKAGES}
        if self.depth:
            versions["transformers"] = version("transformers")
        return {"format": FORMAT, **facts, "versions": versions}


def row_seed(seed: int, task: str, image_id: str) -> int:
    """The seed of one row, 62 bits: of the generator that its degradation got."""
    text = f"{seed}|{task}|{image_id}".encode(errors="surrogateescape")
    return int.from_bytes(hashlib.sha256(text).digest()[:8]) >> 2


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
