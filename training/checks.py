"""What can be known to be wrong with a run before anything is loaded."""

import os
from pathlib import Path

import torch

from lwr.tasks import TASKS
from training.checkpoint import TrainingError
from training.config import Config
from training.stages import STAGES
from training.stages.base import LORA_PARTS

DEVICES = ("auto", "cpu", "cuda")


def check(config: Config) -> None:
    """TrainingError for what can be known to fail before anything is loaded."""
    for field, known in (
        ("stage", STAGES),
        ("device", DEVICES),
        ("tasks", TASKS),
        ("lora_parts", LORA_PARTS),
    ):
        value = getattr(config, field)
        for one in value if isinstance(value, tuple) else (value,):
            if one not in known:
                raise TrainingError(f"--{field.replace('_', '-')} has {one!r}: use {', '.join(known)}.")
    weights = config.task_weights[: len(config.tasks)]
    if len(weights) < len(config.tasks) or min(weights) < 0 or not sum(weights) or not config.tasks:
        raise TrainingError(
            f"--task-weights are {config.task_weights} for {len(config.tasks)} tasks: give each a number "
            "from 0 on, and one above 0."
        )
    cuda = torch.cuda.is_available() and config.device != "cpu"
    if config.device == "cuda" and not cuda:
        raise TrainingError("There is no CUDA device here: use --device cpu, or auto for whatever is there.")
    if config.precision == "fp16" and not cuda:
        raise TrainingError("fp16 needs a CUDA device: use --precision no on a CPU.")
    for name, values in (("precision", ("no", "bf16", "fp16")), ("schedule", ("cosine", "constant"))):
        if getattr(config, name) not in values:
            raise TrainingError(f"--{name} is {getattr(config, name)!r}: use {', '.join(values)}.")
    for name in ("crop", "validate_crop"):
        if getattr(config, name) % 32 or getattr(config, name) <= 0:
            raise TrainingError(
                f"--{name.replace('_', '-')} is {getattr(config, name)}: use a multiple of 32."
            )
    for name in ("batch", "accumulate", "steps", "log_steps"):
        if getattr(config, name) < 1:
            raise TrainingError(f"--{name.replace('_', '-')} is {getattr(config, name)}: use 1 or more.")
    if config.muon and os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true":
        raise TrainingError("Muon needs whole matrices, which FSDP does not keep: add --muon false.")
    if config.init and not (Path(config.init) / "network").is_dir():
        raise TrainingError(
            f"{config.init} has no network to start from: run the rung before it, or give another --init."
        )
