"""The defects that the diagnosis finds, in the order of its outputs, and how each is made."""

from dataclasses import dataclass

from lwr.tasks import TASKS
from lwr.tasks.base import Degradation, Severity


@dataclass(frozen=True)
class Damage:
    """How a defect is made, and how bad one photo's is."""

    degrade: Degradation
    severity: Severity


DAMAGES: dict[str, Damage] = {
    name: Damage(task.degrade, task.severity) for name, task in TASKS.items() if task.severity is not None
}
