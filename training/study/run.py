"""One network of the study: trained from mark to mark, measured at each, resumed where it was stopped."""

import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from accelerate import Accelerator

from lwr.loading.load import load_network
from lwr.loading.save import save_network
from training.checkpoint import write_folder
from training.create import create_network
from training.data.parts import Part
from training.loop import train
from training.machine import processor
from training.optimise import Optimisation
from training.saving import resume, save
from training.stages import STAGES
from training.study.arms import ARMS, BUDGET, CONFLICT, HALF, MARKS, Unit, config_of
from training.study.batches import Batches
from training.study.conflict import cosines
from training.study.files import write_json
from training.study.measure import judge_on, read_held_out, scores_of, swap_of
from training.study.stage import StudyStage

STAGES.setdefault(BUDGET.stage, StudyStage)
PRIOR_BATCH, PRIOR_CROP = 32, 128


def make_start(work: Path) -> None:
    """A new network around the shipped VAE: the only part of it that has learned anything."""
    network, shipped = create_network(BUDGET), load_network().prior.vae
    network.prior.vae.load_state_dict(shipped.state_dict())
    network.prior.vae.register_to_config(scaling_factor=shipped.config.scaling_factor)
    write_folder(work / "start", lambda folder: save_network(network, folder))


def pretrain(work: Path, samples: int, parts: Sequence[Part], device: str = "auto") -> None:
    """The prior: the start's UNet learns to denoise latents of clean photos, and nothing else."""
    out = work / "prior-run"
    steps = max(1, samples // PRIOR_BATCH)
    config = replace(
        BUDGET, stage="prior", init=str(work / "start"), out=str(out), device=device, steps=steps, group=None,
        batch=PRIOR_BATCH, crop=PRIOR_CROP, schedule="cosine", clip=1.0, ema=0.999, save_minutes=2.0,
    )  # fmt: skip
    if train(config, parts).interrupted:
        raise KeyboardInterrupt  # what it has learned so far is kept, and is no prior yet
    shutil.copytree(out / "network", work / "prior.new", dirs_exist_ok=True)
    (work / "prior.new").replace(work / "prior")


def run(unit: Unit, work: Path, count: int, device: str = "auto") -> None:
    """Train and measure a unit, `count` batches of each of its tasks less those its start has seen.

    In its folder it leaves `scores-MARK.json` of every mark, for arms that start from it the network `half`,
    and at the end `done.json`.
    """
    arm, config = ARMS[unit.arm], replace(config_of(unit, work), device=device)
    accelerator = Accelerator(cpu=device == "cpu")
    place = accelerator.device
    if place.type == "cuda":
        torch.set_float32_matmul_precision("high")  # TF32
    torch.manual_seed(config.seed)
    optimisation = Optimisation(config, StudyStage(config, place).to(place), accelerator)
    resume(optimisation)
    seen = round(HALF * count) if arm.starts_from else 0
    data = work / f"data-seed{unit.seed}"
    batches = Batches(data, unit.tasks, config, place, arm.deaf, seen)
    marks = [mark for mark in MARKS if round(mark * count) > seen]
    measurer = _Measurer(unit, work, place, optimisation, Batches(data, unit.tasks, config, place))
    optimisation.module.train()
    saved = start = time.monotonic()
    for mark in marks:
        goal = len(unit.tasks) * (round(mark * count) - seen)
        while optimisation.progress.step < goal:
            optimisation.step(batches)
            if time.monotonic() - saved > 60 * config.save_minutes:
                optimisation.progress.seconds += time.monotonic() - start
                save(optimisation)
                saved = start = time.monotonic()
        optimisation.progress.seconds += time.monotonic() - start
        measurer.at(mark)
        start = time.monotonic()
    measurer.done()


class _Measurer:
    """Scores of a unit at its marks, each kept in its folder."""

    def __init__(
        self, unit: Unit, work: Path, device: torch.device, optimisation: Optimisation, batches: Batches
    ) -> None:
        self.unit, self.folder = unit, unit.folder(work)
        self.optimisation, self.batches = optimisation, batches
        self.held_out = read_held_out(work / "held-out.pt").to(device)
        self.judge = judge_on(device)

    def at(self, mark: float) -> None:
        """Measure with averaged weights, unless that was done before."""
        path, half = self.folder / f"scores-{mark}.json", self.folder / "half"
        arm, stage = ARMS[self.unit.arm], self.optimisation.stage
        leaves = mark == HALF and any(self.unit.arm == other.starts_from for other in ARMS.values())
        with self.optimisation.averaged():
            if leaves and not half.exists():
                write_folder(half, stage.save)
            if path.exists():
                return
            stage.eval()
            found: dict[str, object] = {"scores": scores_of(stage, self.held_out, self.judge)}
            if mark == MARKS[-1] and arm.question != "pairs":
                found["swap"] = swap_of(stage, self.held_out)
            if self.unit.arm == CONFLICT:
                found["cosines"] = cosines(stage, self.batches)
            stage.train()
        write_json(path, found)

    def done(self) -> None:
        """What is known at the end; checkpoints are not needed any more."""
        optimisation = self.optimisation
        trainable = sum(p.numel() for p in optimisation.trainable)
        progress = optimisation.progress
        write_json(
            self.folder / "done.json",
            {
                "steps": progress.step,
                "seconds": round(progress.seconds, 1),
                "trainable": trainable,
                "tasks": self.unit.tasks,
                "device": device_name(optimisation.accelerator.device),
                "torch": torch.__version__,
            },
        )
        for name in ("checkpoint", "network"):
            shutil.rmtree(self.folder / name, ignore_errors=True)


def device_name(device: torch.device) -> str:
    """The GPU's name, or the processor's and the threads on it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{processor()}, {torch.get_num_threads()} threads"
