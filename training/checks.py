"""What can be known to be wrong with a run before anything is loaded: a sentence each."""

import math
import os
from pathlib import Path

import torch

from lwr.tasks import TASKS
from training.checkpoint import TrainingError
from training.config import Config
from training.data.mixture import weights_of
from training.data.pair_mixture import TOGETHER
from training.data.parts import load_part, sources_of
from training.data.shards import NEEDED, open_source
from training.data.sources import ALL
from training.stages import STAGES
from training.stages.adapted import ATTENTION, LORA_PARTS
from training.stages.base import TRAINED_PARTS, start_folder

CHOICES = {
    "stage": STAGES,
    "device": ("auto", "cpu", "cuda"),
    "precision": ("no", "bf16", "fp16"),
    "tracker": ("trackio", "tensorboard", "none"),
    "schedule": ("cosine", "constant"),
    "prediction": ("epsilon", "v_prediction", "sample"),
    "distance": ("auto", "lpips", "dists", "gradient"),
    "tasks": TASKS,
    "parts": TRAINED_PARTS,
    "lora_parts": (*LORA_PARTS, ATTENTION),
}
# (least, most) of every number; None as a value means that the field is left open
WHOLE = {
    "photos_limit": (1, math.inf),
    "batch": (1, math.inf),
    "scene": (1, 8),
    "accumulate": (1, math.inf),
    "group": (1, math.inf),
    "workers": (0, 1024),
    "steps": (1, math.inf),
    "warmup": (0, math.inf),
    "log_steps": (1, math.inf),
    "seed": (0, 2**62),
    "rank": (1, 4096),
    "refiner_rank": (1, 4096),
    "perceptual_rank": (1, 4096),
    "teacher_steps": (2, 250),
    "latent_steps": (1, 250),
    "validate_photos": (1, math.inf),
}
ABOVE_ZERO = ("minutes", "lr", "clip", "save_minutes")
RANGES = {
    "weight_decay": (0, 1),
    "ema": (0, 0.999999),
    "scene_weight": (0, 1e6),
    "exact": (0, 1),
    "sampled": (0, 1),
    "perceptual": (0, 1e6),
    "perceptual_exact": (0, 1e6),
    "gan": (0, 1e6),
    "consistency": (0, 1e6),
    "distill": (0, 1),
    "data_memory": (0, 1e6),
    "validate_minutes": (0, 1e9),
}


def check(config: Config) -> None:
    """TrainingError for sources, names and numbers that no run can have."""
    if config.data is not None:
        sources_of(config)
    for field, known in CHOICES.items():
        value = getattr(config, field)
        for one in value if isinstance(value, tuple) else (value,):
            if one not in known:
                raise _refusal(field, repr(one), f"use {', '.join(known)}")
    for field, (least, most) in WHOLE.items():
        value = getattr(config, field)
        if value is not None and not least <= value <= most:
            raise _refusal(
                field, value, f"use {least} or more" if most == math.inf else f"use {least} to {most}"
            )
    for field in ABOVE_ZERO:
        value = getattr(config, field)
        if value is not None and not (value > 0 and math.isfinite(value)):
            raise _refusal(field, value, "use a number above 0")
    for field, (least, most) in RANGES.items():
        if not least <= getattr(config, field) <= most:
            raise _refusal(field, getattr(config, field), f"use {least:g} to {most:g}")
    for field in ("crop", "validate_crop"):
        if getattr(config, field) % 32 or getattr(config, field) <= 0:
            raise _refusal(field, getattr(config, field), "use a multiple of 32")
    _check_together(config)


def _check_together(config: Config) -> None:
    """TrainingError for numbers that are right alone and not beside each other."""
    if config.consistency and not (config.stage in TOGETHER and config.data and config.exact):
        raise TrainingError(
            "--consistency compares at fidelity 1 what comes of two damages of a photo: use it in the stages "
            f"{', '.join(TOGETHER)}, with --data SET/all and an --exact above 0."
        )
    if config.exact + config.sampled > 1 or (config.sampled and config.refiner_only):
        raise TrainingError(
            f"--exact {config.exact:g} and --sampled {config.sampled:g} are shares of one whole, and the "
            "refiner alone is never at fidelity 0: lower them, or leave out --refiner-only."
        )
    fewer, group = config.scene**2, config.group or 1
    if config.batch % fewer or (group % fewer and config.batch // group % fewer):
        raise TrainingError(
            f"--scene {config.scene} takes one of {fewer} crops: use a --batch that is a multiple of {fewer} "
            "and no --group, or one that is a multiple too."
        )
    weights = weights_of(config)
    if not config.tasks or len(weights) < len(config.tasks) or not sum(weights) > 0 or not min(weights) >= 0:
        raise TrainingError(
            f"--task-weights are {config.task_weights} for {len(config.tasks)} tasks: give each a number "
            "from 0 on, and one above 0."
        )


def check_sources(config: Config) -> list[str]:
    """A sentence for each source, of which one photo is read; TrainingError or FileNotFoundError if not."""
    if config.photos is None and config.data is None:
        return []
    said = []
    for source in sources_of(config):
        part = load_part(source, config, "train", 1)
        kind = f"pairs of {', '.join(part.tasks)}" if part.tasks else "clean photos"
        said.append(f"{source.place} can be read: {kind}.")
    return said


def check_machine(config: Config, with_photos: bool = False) -> None:
    """TrainingError or FileNotFoundError for what is not here: photos, unless they are read already; device,
    start, folder."""
    if not with_photos and config.batches is None:
        if config.photos is None and config.data is None:
            raise TrainingError(NEEDED)
        sources = sources_of(config)
        if config.consistency and (len(config.tasks) < 2 or all(source.config != ALL for source in sources)):
            raise TrainingError(
                "--consistency needs a source with several damages of a photo, SET/all, and two --tasks."
            )
        for source in sources:
            if source.kind == "photos":
                open_source(source.place, "train")  # FileNotFoundError with a sentence
    cuda = torch.cuda.is_available() and config.device != "cpu"
    if config.device == "cuda" and not cuda:
        raise TrainingError("There is no CUDA device here: use --device cpu, or auto for what there is.")
    if config.precision == "fp16" and not cuda:
        raise TrainingError("fp16 needs a CUDA device: use --precision no on a CPU.")
    if config.muon and os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true":
        raise TrainingError("Muon needs whole matrices, which FSDP does not keep: add --muon false.")
    if config.prior == "":
        raise TrainingError("--prior is empty: name a prior such as sd-2.1-base, a folder or a repository.")
    if config.prior and config.init:
        raise TrainingError(
            f"--prior is for new parts, and the network in {config.init} has its prior already: "
            "give one of --prior and --init."
        )
    if config.init and start_folder(config) is None:
        raise TrainingError(
            f"{config.init} has no network to start from: run the stage before it, or give another --init."
        )
    try:
        Path(config.out).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(
            f"--out {config.out} cannot be a folder ({error.strerror}): give another."
        ) from error


def _refusal(field: str, value: object, remedy: str) -> TrainingError:
    return TrainingError(f"--{field.replace('_', '-')} is {value}: {remedy}.")
