"""The damage of one row: drawn again where nobody sees it, or where it leaves nothing to restore.

Each draw has a seed of its own, see `row_seed`; most rows are their first.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch

from lwr.degrade.depth import Depth
from lwr.degrade.seeds import row_seed
from lwr.tasks.base import Task
from training.dataset.degrading import as_photo, degrade_one

DRAWS = 5  # for one row
HIDDEN = 37.0  # dB of PSNR from which on the damage is not seen: 3.6 levels of 255, root mean square
SLIGHT = 0.05  # `Task.severity` under which it is not; the diagnosis calls a defect present from 0.15 on
LEAST = 3.0  # levels of 255, of the photo's contrast, that the damage must leave: noise is as large


class UselessError(ValueError):
    """No draw for a row was of use; one sentence."""


@dataclass(frozen=True)
class Drawn:
    """A damaged photo and where it came from."""

    pixels: torch.Tensor  # (H,W,3) uint8
    params: dict[str, Any]
    seed: int
    again: int  # draws before it that were of no use


def draw(task: Task, clean: torch.Tensor, seed: int, image_id: str, depth: Depth | None = None) -> Drawn:
    """The first useful damage of a photo (1,3,H,W) in [0,1], of a set with this `seed`.

    Raises UselessError after DRAWS draws, and what `degrade_one` raises.
    """
    why = ""
    for number in range(DRAWS):
        own = row_seed(seed, task.name, image_id, number)
        pixels, params = degrade_one(task, clean, own, depth)
        why = fault(task, params, as_photo(pixels.numpy()), clean)
        if not why:
            return Drawn(pixels, params, own, number)
    raise UselessError(f"{why}: by {task.name}, in each of {DRAWS} draws")


def fault(task: Task, params: dict[str, Any], degraded: torch.Tensor, clean: torch.Tensor) -> str:
    """Why a pair (1,3,H,W) is of no use, "" where it is.

    In double precision and rounded, so that no processor's sums decide otherwise.
    """
    degraded, clean = degraded.double(), clean.double()
    error = (degraded - clean).square().mean().item()
    severity = 1.0 if task.severity is None else task.severity(params, degraded, clean)
    if round(error, 12) <= 10 ** (-HIDDEN / 10) or round(severity, 6) < SLIGHT:
        return "hardly damaged"
    return "nothing left to restore" if round(_contrast_left(degraded, clean), 6) < LEAST else ""


def _contrast_left(degraded: torch.Tensor, clean: torch.Tensor) -> float:
    """Standard deviation, in levels, of what in the damaged brightness follows that of `clean`.

    A photo that has as little itself is left as it is: infinite.
    """
    there, before = degraded.mean(1), clean.mean(1)
    spread = before.std(correction=0).item()
    if 255 * spread < 2 * LEAST:
        return math.inf
    return 255 * abs(((there - there.mean()) * (before - before.mean())).mean().item()) / spread
