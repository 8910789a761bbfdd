"""The defects that the diagnosis finds, in the order of its outputs, and how each is made."""

from dataclasses import dataclass
from typing import Any

import torch

from lwr.degrade.recompress import recompress
from lwr.degrade.severity import jpeg_severity
from lwr.tasks import TASKS
from lwr.tasks.base import Degradation, Severity


@dataclass(frozen=True)
class Damage:
    """How a defect is made, and how bad one photo's is."""

    degrade: Degradation
    severity: Severity


def _jpeg(params: dict[str, Any], degraded: torch.Tensor, clean: torch.Tensor) -> float:
    return jpeg_severity(params)


# What no task removes yet, under the name that its task will have, then the tasks' own.
DAMAGES: dict[str, Damage] = {"dejpeg": Damage(recompress, _jpeg)} | {
    name: Damage(task.degrade, task.severity) for name, task in TASKS.items() if task.severity is not None
}
