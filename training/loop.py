"""The one training loop, on accelerate: any stage, one process or many, stopped and resumed at any moment."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.utils import reduce

from training.checks import check, check_machine
from training.config import Config
from training.data.identity import identity
from training.data.kept import KeptBatches
from training.data.loader import BatchLoader
from training.data.parts import Part, load_parts
from training.data.shards import Skipped
from training.logger import Logger, prepare_tracker
from training.optimise import Optimisation
from training.saving import check_data, load_stage, resume, save
from training.validation import Validation, load_validation


@dataclass(frozen=True)
class Outcome:
    """How a run ended: its folder, its last step, and whether it was asked to stop before the end."""

    out: Path
    step: int
    interrupted: bool


def train(config: Config, parts: Sequence[Part] | None = None) -> Outcome:
    """Run one stage, on `parts` if they are read already. The same call again continues where it stopped.

    Raises TrainingError with one sentence; checkpoint and network in `config.out` stay the last good ones.
    """
    check(config)
    check_machine(config, parts is not None)
    # Several processes on a machine without CUDA find each other only if accelerate is asked for a CPU.
    spread_on_cpu = int(os.environ.get("WORLD_SIZE", 1)) > 1 and not torch.cuda.is_available()
    accelerator = Accelerator(
        cpu=config.device == "cpu" or spread_on_cpu,
        mixed_precision=config.precision,
        log_with=prepare_tracker(config),
        project_dir=config.out,
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )
    torch.manual_seed(config.seed)  # of new LoRAs and networks
    if accelerator.device.type == "cuda":
        torch.set_float32_matmul_precision("high")  # TF32, for folding LoRAs and for Muon's products
    optimisation = Optimisation(config, load_stage(config, accelerator.device), accelerator)
    resume(optimisation)
    with _signals() as stop:
        return _Run(config, optimisation, parts).train(stop)


class _Run:
    """Steps on photos, with logs, validations and checkpoints between them."""

    def __init__(self, config: Config, optimisation: Optimisation, parts: Sequence[Part] | None) -> None:
        self.config, self.optimisation = config, optimisation
        self.accelerator, self.progress = optimisation.accelerator, optimisation.progress
        skipped: list[Skipped] = []
        if parts is None and config.batches is None:
            parts = load_parts(config, "train", config.photos_limit, skipped)
        parts, accelerator = parts or (), self.accelerator
        device, rank = accelerator.device, accelerator.process_index
        self.loader: BatchLoader | KeptBatches
        if config.batches is None:
            self.loader = BatchLoader(config, optimisation.stage.draw, parts, device, rank)
            optimisation.data = identity(parts)
        else:
            self.loader = KeptBatches(config, device, rank, accelerator.num_processes)
            optimisation.data = [self.loader.about]
        check_data(optimisation)
        self.validation: Validation | None = None
        if self.accelerator.is_main_process and not optimisation.sharded:
            self.validation = load_validation(config, self.accelerator.device)
        optimisation.module.train()
        self.logger = Logger(config, self.accelerator, self.progress.step)
        self._announce(parts, skipped)

    def train(self, stop: "_Stop") -> Outcome:
        """Steps until the end or until `stop`."""
        config, progress = self.config, self.progress
        start, first = time.monotonic() - progress.seconds, progress.step
        saved = validated = progress.seconds
        while True:
            progress.seconds, interrupted = self._agree(time.monotonic() - start, stop.asked)
            if progress.share(config) >= 1 or interrupted:
                break
            loss, logs = self.optimisation.step(self.loader)
            share = progress.share(config)
            self.logger.step(progress.step, loss, logs, share, progress.seconds / 60)
            if config.validate_minutes and progress.seconds - validated > 60 * config.validate_minutes:
                self._validate()
                validated = progress.seconds
            if progress.seconds - saved > 60 * config.save_minutes:
                save(self.optimisation)
                self.logger.pause(progress.step)
                saved = progress.seconds
        if progress.step > first:
            self._validate()
            save(self.optimisation)
        self.logger.close()
        self.loader.close()
        return Outcome(Path(config.out), progress.step, interrupted)

    def _announce(self, parts: Sequence[Part], skipped: Sequence[Skipped]) -> None:
        """The first lines of log.jsonl: what the run trains, on what."""
        trainable, step = sum(p.numel() for p in self.optimisation.trainable), self.progress.step
        photos = sum(len(part.photos) for part in parts)
        self.logger.write({"step": step, "photos": photos, "skipped": len(skipped), "trainable": trainable})
        for one in skipped:
            self.logger.write({"skipped_photo": one.name, "reason": one.reason, "step": step})
        read = f"{photos} photos, {len(skipped)} skipped"
        self.accelerator.print(f"{self.config.stage}: {read}, {trainable:,} parameters train")

    def _agree(self, seconds: float, asked: bool) -> tuple[float, bool]:
        """The main process's clock, and whether any process was asked to stop: all must do the same."""
        seconds = seconds if self.accelerator.is_main_process else 0.0
        own = torch.tensor([seconds, float(asked)], dtype=torch.float64, device=self.accelerator.device)
        total = reduce(own, "sum").tolist()
        return total[0], total[1] > 0

    def _validate(self) -> None:
        if self.validation is not None:
            stage, step = self.optimisation.stage, self.progress.step
            with self.optimisation.averaged():
                stage.eval()
                scores = self.validation(stage, Path(self.config.out) / "samples" / f"step_{step:07d}.png")
                stage.train()
            self.logger.write({"step": step, "validation": True} | scores)
        self.logger.pause(self.progress.step)
        self.accelerator.wait_for_everyone()


@dataclass
class _Stop:
    asked: bool = False


@contextlib.contextmanager
def _signals() -> Iterator[_Stop]:
    """SIGTERM and the first Ctrl-C ask the run to save and stop after its step."""
    stop = _Stop()

    def ask(number: int, _frame: object) -> None:
        if stop.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.asked = True

    try:
        before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    except ValueError:  # not in the main thread: the caller keeps the signals
        before = {}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
