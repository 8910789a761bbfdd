"""How long an arm's step takes: a few steps from the start network, alone on the machine's CPU."""

import statistics
import time
from dataclasses import replace
from pathlib import Path

import torch
from accelerate import Accelerator

from training.data.mixture import Batch
from training.data.rng import RngStreams
from training.optimise import Optimisation
from training.study.arms import config_of, units
from training.study.batches import CPU, numbers
from training.study.files import write_json
from training.study.run import device_name
from training.study.stage import StudyStage

WARM, TIMED = 1, 4  # steps


def measure(arm: str, work: Path) -> None:
    """Write the median of a few steps of an arm's first network, on random pictures, as timing.json."""
    unit = units(arm, 0)[0]
    out = str(work / arm / "timing")
    config = replace(config_of(unit, work), init=str(work / "start"), out=out, device="cpu")
    optimisation = Optimisation(config, StudyStage(config), Accelerator(cpu=True))
    photo = torch.rand(config.batch, 3, config.crop, config.crop, generator=torch.Generator().manual_seed(0))
    photo = photo.contiguous(memory_format=torch.channels_last)

    def drawn(step: int, micro: int) -> tuple[Batch, RngStreams]:
        task = unit.tasks[step % len(unit.tasks)]
        return Batch(photo, photo.flip(2), {task: 1.0}, "right"), numbers(config, CPU, task, step)

    seconds = []
    for _ in range(WARM + TIMED):
        start = time.perf_counter()
        optimisation.step(drawn)
        seconds.append(time.perf_counter() - start)
    found = {"seconds_per_step": round(statistics.median(seconds[WARM:]), 3), "device": device_name(CPU)}
    write_json(work / arm / "timing.json", found)
