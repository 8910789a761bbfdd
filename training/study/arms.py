"""The arms of the study as one table: what each trains, from what start, and what it hears of the prompt."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from lwr.tasks import TASKS
from training.config import Config
from training.presets import AROUND, LORAS

Prompt = Literal["sentence", "none", "embedding"]

BASE = "shared"  # what the others are compared with
HALF = 0.5  # of the budget, where arms that start from another leave it
MARKS = (0.25, 0.5, 0.75, 1.0)  # shares of the budget at which every network is measured
CONFLICT = "trained-on"  # the arm whose gradients are compared task by task


@dataclass(frozen=True)
class StudyConfig(Config):
    """A run of the study: a Config, with what only the arms differ in."""

    prompt: Prompt = "sentence"  # what the cross-attention reads: sentence, empty text, task embedding
    with_unet: bool = True  # False: the degraded photo's latent is passed through


@dataclass(frozen=True)
class Arm:
    """One row of the study."""

    question: Literal["sharing", "prior", "pairs"]
    what: str
    changes: dict[str, Any]  # of StudyConfig
    per_task: bool = False  # one network for each task
    starts_from: str | None = None  # the arm whose weights at half of the budget it starts with
    every_seed: bool = False  # whether the conclusion rests on it: it runs with every seed

    @property
    def deaf(self) -> bool:
        """Whether one network gets all tasks without a word of which: a wrong prompt is nothing to it."""
        return not self.per_task and self.changes.get("prompt", "sentence") == "none"


@dataclass(frozen=True)
class Unit:
    """One network of an arm and seed: what one process trains at a time."""

    arm: str
    seed: int
    tasks: tuple[str, ...]

    @property
    def name(self) -> str:
        """Of its folder."""
        return self.tasks[0] if ARMS[self.arm].per_task else "network"

    def folder(self, work: Path) -> Path:
        """Where its run is kept."""
        return work / self.arm / f"seed{self.seed}" / self.name


def _lora(rank: int) -> dict[str, Any]:
    return LORAS | {"rank": rank, "refiner_rank": rank}


_UNET_TOO = {"parts": (*AROUND["parts"], "prior.unet")}
_NO_UNET = {"parts": ("refiner",), "prompt": "none", "with_unet": False}

# fmt: off
ARMS: dict[str, Arm] = {
    # sharing: the same frozen prior, how tasks share what is around it
    "separate":         Arm("sharing", "one network a task",                                 AROUND, per_task=True, every_seed=True),
    "no-prompt":        Arm("sharing", "one network, which hears no prompt",                 AROUND | {"prompt": "none"}, every_seed=True),
    "shared":           Arm("sharing", "one network, told by its prompt",                    AROUND, every_seed=True),
    "embedding":        Arm("sharing", "one network, a trained embedding a task as prompt",  AROUND | {"prompt": "embedding"}),
    **{f"lora-{rank}":  Arm("sharing", f"shared, then frozen with LoRAs of rank {rank} a task", _lora(rank), starts_from=BASE, every_seed=rank == 8)
       for rank in (2, 4, 8, 16, 32)},
    "full":             Arm("sharing", "shared, then the whole network a task",              _UNET_TOO, per_task=True, starts_from=BASE),
    # prior: one network for all tasks, as "shared"
    "trained-on":       Arm("prior", "pretrained UNet, which trains on",                     _UNET_TOO, every_seed=True),
    "random-unet":      Arm("prior", "random UNet, trained equally long",                    _UNET_TOO | {"new_unet": True}, every_seed=True),
    "no-unet":          Arm("prior", "no UNet: the latent is passed through",                _NO_UNET, every_seed=True),
    "no-unet-separate": Arm("prior", "no UNet, one network a task",                          _NO_UNET, per_task=True, every_seed=True),
    # pairs: which two tasks train best together, by their gradients in `trained-on`
    "pair-best":        Arm("pairs", "the two tasks whose gradients agree most, one network",  AROUND),
    "pair-worst":       Arm("pairs", "the two tasks whose gradients agree least, one network", AROUND),
}
# fmt: on
PAIRS = tuple(name for name, arm in ARMS.items() if arm.question == "pairs")

# One rate for all, constant, so that the averaged weights of every mark are those of a finished run.
BUDGET = StudyConfig(
    "study", crop=96, batch=16, group=4, lr=1e-3, schedule="constant", warmup=40, clip=0.02, ema=0.99,
    exact=1.0, tracker="none", validate_minutes=0, save_minutes=3.0,
)  # fmt: skip


def units(arm: str, seed: int, tasks: tuple[str, ...] = tuple(TASKS)) -> list[Unit]:
    """The networks of an arm; those of a pair stand for all tasks, as their own are found on the way."""
    groups = [(task,) for task in tasks] if ARMS[arm].per_task else [tasks]
    return [Unit(arm, seed, group) for group in groups]


def config_of(unit: Unit, work: Path) -> StudyConfig:
    """What a unit trains; its length is counted in batches of each task, see run.py."""
    arm = ARMS[unit.arm]
    start = work / "start"
    if arm.starts_from:
        start = Unit(arm.starts_from, unit.seed, unit.tasks).folder(work) / "half"
    elif not arm.changes.get("new_unet") and arm.changes.get("with_unet", True):
        start = work / "prior"
    changes = {"tasks": unit.tasks, "seed": unit.seed, "init": str(start), "out": str(unit.folder(work))}
    return replace(BUDGET, **arm.changes, **changes)
