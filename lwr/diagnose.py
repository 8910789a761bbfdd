"""What is wrong with a photo, and what that means for what is done to it.

A severity is how bad a defect is, in [0,1]: 0 = not there, 1 = as bad as the strongest training damage. The
small network that finds it (`lwr.models.diagnosis`) ships with the package and serves every prior.
"""

from functools import cache
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from lwr.loading.priors import EMBEDDED
from lwr.models.diagnosis import Diagnosis

FILE = "diagnosis.safetensors"


@cache
def load_diagnosis(folder: Path = EMBEDDED) -> Diagnosis:
    """The network that `save_diagnosis` wrote, in evaluation mode on the CPU."""
    with safe_open(folder / FILE, "pt") as file:
        weights = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
        tasks = file.metadata()["tasks"].split(",")
    model = Diagnosis(tasks, len(weights["mean"]), len(weights["layers.0.bias"]))
    model.load_state_dict(weights)
    return model.eval().requires_grad_(False)


def save_diagnosis(model: Diagnosis, folder: Path) -> None:
    """Write FILE: weights and the names of the tasks."""
    weights = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(weights, folder / FILE, metadata={"tasks": ",".join(model.tasks)})


@torch.inference_mode()
def diagnose(photo: torch.Tensor) -> dict[str, float]:
    """{task: severity} of a photo (1,3,H,W) in [0,1]."""
    return load_diagnosis().of_photo(photo)
