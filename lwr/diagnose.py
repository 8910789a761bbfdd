"""What is wrong with a photo, and what that means for what is done to it.

A severity is how bad a defect is, in [0,1]: 0 = not there, 1 = as bad as the strongest training damage. The
small network that finds it (`lwr.models.diagnosis`) ships with the package and serves every prior.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from lwr.images.canvas import Canvas
from lwr.images.pixels import to_unit
from lwr.images.toning import find_toning
from lwr.models.bands import reduced
from lwr.models.diagnosis import DiagnosisHead, overview_size, tiles_of
from lwr.tasks import TASKS

FILE = "diagnosis.safetensors"
NEEDED = 0.4  # from which on a photo needs a task that nobody named
SMALL, SMALL_SCALE = 500_000, 2.0  # pixels of a photo under which it is enlarged, and how much
SLIGHT, STRONG = 0.4, 0.75  # severities under which a defect is called slight, and from which on strong
WITHOUT_TASK: dict[str, str] = {}  # what is found and no task removes: {name: "noisy"}


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong with one photo; a defect has the name of the task that removes it."""

    severities: dict[str, float]  # {defect: severity in [0,1]}, of every defect
    # {defect: (h,w) float32 in [0,1]}: how bad it is where, spread evenly over the photo; of haze and blur
    maps: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def present(self) -> dict[str, float]:
        """{defect: severity} of those that are there, the worst first."""
        head = load_diagnosis()
        there = {name: s for name, s in self.severities.items() if head.strength(name, s) > 0}
        return dict(sorted(there.items(), key=lambda one: -one[1]))

    @property
    def tasks(self) -> dict[str, float]:
        """{task: strength}: what the photo needs; of defects that look alike the worst."""
        head = load_diagnosis()
        worst = max(head.alike, key=lambda name: self.severities[name])
        return {
            name: round(head.strength(name, severity), 2)
            for name, severity in self.severities.items()
            if name in TASKS and severity >= NEEDED and (name == worst or name not in head.alike)
        }

    @property
    def sentence(self) -> str:
        """What is wrong, for a person: "The photo is hazy and slightly blurred."."""
        found = [described(name, severity) for name, severity in self.present.items()]
        if not found:
            return "Nothing wrong was found."
        *first, last = found
        return f"The photo is {', '.join(first)}{' and ' if first else ''}{last}."

    def json(self) -> dict[str, Any]:
        """Severities, sentence and {task: strength} of what it needs."""
        return {"severities": self.severities, "sentence": self.sentence, "tasks": self.tasks}


def defect_of(name: str) -> str:
    """What a photo with this defect is: "hazy"."""
    return TASKS[name].defect if name in TASKS else WITHOUT_TASK[name]


def described(name: str, severity: float) -> str:
    """The same with how much: "slightly blurred", "very hazy"."""
    degree = "slightly " if severity < SLIGHT else "very " if severity >= STRONG else ""
    return degree + defect_of(name)


@cache
def load_diagnosis(folder: Path = Path(__file__).parent) -> DiagnosisHead:
    """The network that `save_diagnosis` wrote, in evaluation mode on the CPU."""
    with safe_open(folder / FILE, "pt") as file:
        weights = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
        tasks, alike = (file.metadata()[name].split(",") for name in ("tasks", "alike"))
    model = DiagnosisHead(tasks, alike, len(weights["mean"]), len(weights["layers.0.bias"]))
    model.load_state_dict(weights)
    return model.eval().requires_grad_(False)


def save_diagnosis(model: DiagnosisHead, folder: Path) -> None:
    """Write FILE: weights, the names of the tasks, and those whose defects look alike."""
    weights = {name: value.contiguous() for name, value in model.state_dict().items()}
    names = {"tasks": ",".join(model.tasks), "alike": ",".join(model.alike)}
    save_file(weights, folder / FILE, metadata=names)


@torch.inference_mode()
def diagnose(photo: torch.Tensor) -> Diagnosis:
    """What is wrong with a photo (1,3,H,W), levels (uint8) or floats in [0,1]; no float copy is whole."""
    size = (photo.shape[-2], photo.shape[-1])
    small = overview_size(size)
    overview = to_unit(photo) if small == size else reduced(Canvas(photo, size), small)
    if find_toning(overview) is not None:  # sepia is no haze, and hides none
        overview = overview.mean(1, keepdim=True).expand_as(overview)
    tiles = [to_unit(photo[..., rows, columns]) for rows, columns in tiles_of(size)]
    found = load_diagnosis().severities(overview, tiles)
    return Diagnosis({name: round(severity, 3) for name, severity in found.items()})


def needed_scale(tasks: Mapping[str, float], size: tuple[int, int]) -> float:
    """Output side / input side of a photo (H, W) when nobody has named one: only a small one is enlarged."""
    enlarges = any(TASKS[name].default_scale > 1 for name in tasks)
    return SMALL_SCALE if enlarges and size[0] * size[1] < SMALL else 1.0


def harmless(
    tasks: Mapping[str, float], named: Collection[str], severities: Mapping[str, float]
) -> tuple[dict[str, float], tuple[str, ...]]:
    """(tasks, remarks): those that were only `named` are done as far as the photo shows their defect.

    Defects that look alike count for each other: an enlarged photo is blurred too.
    """
    model, kept, remarks = load_diagnosis(), dict(tasks), []
    for name in (name for name in named if name in severities):
        kin = model.alike if name in model.alike else (name,)
        share = model.strength(name, max(severities[one] for one in kin))
        kept[name] = round(tasks[name] * share, 2)
        if kept[name] < tasks[name]:
            remarks.append(_remark(TASKS[name].title, share))
    return kept, tuple(remarks)


def _remark(title: str, share: float) -> str:
    ask = "say “strongly” or ask for strength 1 to have"
    if share == 0:
        return f"{title}: not done, as the photo shows no need of it; {ask} it done anyway."
    return f"{title}: done in part ({share:.0%}), as the photo shows little need of it; {ask} all of it done."
