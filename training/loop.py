"""The one training loop, on accelerate: any stage, one process or many, stopped and resumed at will."""

import contextlib
import hashlib
import json
import math
import os
import pickle
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.utils import reduce
from diffusers.training_utils import EMAModel
from safetensors import SafetensorError

from lwr.loading.adapter import AdapterError
from lwr.loading.priors import PriorError
from training.checkpoint import TrainingError, recover, write_folder
from training.checks import check, check_machine
from training.config import Config
from training.data.crops import CropSampler
from training.data.photos import Photo, Skipped, load_photos
from training.data.rng import rng_streams
from training.logger import Logger, prepare_tracker
from training.muon import Muon, hidden_matrices
from training.stages import STAGES
from training.stages.base import Stage
from training.validation import Validation

LEAST_LR = 0.02  # of the peak, where the cosine ends
OPPONENT_LR = 2e-4


@dataclass(frozen=True)
class Outcome:
    """How a run ended: its folder, its last step, and whether it was asked to stop before the end."""

    out: Path
    step: int
    interrupted: bool


def train(config: Config, photos: Sequence[Photo] | None = None) -> Outcome:
    """Run one stage, on `photos` if they are read already. The same call again goes on where it stopped.

    Raises TrainingError with one sentence; checkpoint and network in `config.out` stay the last good ones.
    """
    check(config)
    check_machine(config)
    # Several processes on a machine without CUDA find each other only if accelerate is told so.
    spread_on_cpu = int(os.environ.get("WORLD_SIZE", 1)) > 1 and not torch.cuda.is_available()
    accelerator = Accelerator(
        cpu=config.device == "cpu" or spread_on_cpu,
        mixed_precision=config.precision,
        log_with=prepare_tracker(config),
        project_dir=config.out,
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )
    run = _Run(config, accelerator)
    with _signals() as stop:
        return run.train(stop, photos)


class _Run:
    """One stage with its optimisers, averages and data."""

    def __init__(self, config: Config, accelerator: Accelerator) -> None:
        self.config, self.accelerator = config, accelerator
        self.out, self.device = Path(config.out), accelerator.device
        torch.manual_seed(config.seed)  # new LoRAs and networks
        self.stage: Stage = _stage(config).to(self.device)
        matrices = hidden_matrices(self.stage) if config.muon else []
        taken = {id(p) for p in matrices}
        others = [p for p in self.stage.parameters() if p.requires_grad and id(p) not in taken]
        adam = {"betas": (0.9, 0.99), "weight_decay": config.weight_decay}
        optimizers = [torch.optim.AdamW(others, config.lr, **adam)] if others else []
        if matrices:
            optimizers.append(Muon(matrices, config.lr, weight_decay=config.weight_decay))
        if not optimizers:
            raise TrainingError(f"Nothing trains in stage {config.stage!r} with these parts: name others.")
        self.module, *self.optimizers = accelerator.prepare(self.stage, *optimizers)
        self.trainable = [p for p in self.module.parameters() if p.requires_grad]
        self.ema = EMAModel(self.trainable, decay=config.ema, use_ema_warmup=True, power=0.75, foreach=True)
        self.progress = _Progress()
        accelerator.register_for_checkpointing(self.progress, self.ema)
        if self.stage.opponent is not None:
            self.judge = torch.optim.AdamW(self.stage.opponent.parameters(), OPPONENT_LR, (0.5, 0.99))
            accelerator.register_for_checkpointing(self.stage.opponent, self.judge)
        self._resume()

    def train(self, stop: "_Stop", photos: Sequence[Photo] | None) -> Outcome:
        """Steps until the end or until `stop`, looking and saving on the way."""
        config, accelerator, progress = self.config, self.accelerator, self.progress
        skipped: list[Skipped] = []
        if photos is None:
            photos = load_photos(config.photos, "train", config.photos_limit, skipped)
        sampler = CropSampler(photos, config.crop, self.device)
        validation = self._validation()
        self.module.train()
        logger = Logger(config, accelerator, progress.step)
        trainable = sum(p.numel() for p in self.trainable)
        facts = {"photos": len(photos), "skipped": len(skipped), "trainable": trainable}
        logger.write({"step": progress.step} | facts)
        for one in skipped:
            logger.write({"skipped_photo": one.name, "reason": one.reason, "step": progress.step})
        accelerator.print(
            f"{config.stage}: {len(photos)} photos, {len(skipped)} skipped, {trainable:,} parameters train"
        )

        begun, first = time.monotonic() - progress.seconds, progress.step
        saved = looked = begun + progress.seconds
        while True:
            progress.seconds, interrupted = self._agree(time.monotonic() - begun, stop.asked)
            share = _share(config, progress)
            if share >= 1 or interrupted:
                break
            loss, logs = self._step(sampler, share)
            logger.step(progress.step, loss, logs, _share(config, progress), progress.seconds / 60)
            now = begun + progress.seconds
            if config.validate_minutes and now - looked > 60 * config.validate_minutes:
                self._look(validation, logger)
                looked = now
            if now - saved > 60 * config.save_minutes:
                self._save()
                logger.pause(self.progress.step)
                saved = now
        if progress.step > first:
            self._look(validation, logger)
            self._save()
        logger.close()
        return Outcome(self.out, progress.step, interrupted)

    def _step(self, sampler: CropSampler, share: float) -> tuple[float, dict[str, float]]:
        """One optimiser step; TrainingError names the crops when the loss is not a number."""
        config, accelerator, progress = self.config, self.accelerator, self.progress
        lr = config.lr * min(1, (progress.step + 1) / max(config.warmup, 1)) * _decay(config, share)
        for group in (group for optimizer in self.optimizers for group in optimizer.param_groups):
            group["lr"] = lr
        total, opponents, last = torch.zeros((), device=self.device), [], config.accumulate - 1
        for micro in range(config.accumulate):
            rng = rng_streams(
                config,
                self.device,
                progress.step,
                micro,
                accelerator.process_index,
            )
            with accelerator.no_sync(self.module) if micro < last else contextlib.nullcontext():
                loss, logs = self.module(sampler, rng, share)
                accelerator.backward(loss / config.accumulate)
            self.stage.after_backward()
            opponents.append(self.stage.opponent_gradients())
            total += loss.detach() / config.accumulate
        mean = reduce(total).item()
        if not math.isfinite(mean):
            raise self._broken("loss", mean, sampler)
        norm = float(accelerator.clip_grad_norm_(self.trainable, config.clip))
        if not math.isfinite(norm) and config.precision != "fp16":  # fp16's scaler skips such a step itself
            raise self._broken("gradient", norm, sampler)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self._judge([gradients for gradients in opponents if gradients is not None])
        self.ema.step(self.trainable)
        progress.step += 1
        return mean, {name: float(value) for name, value in logs.items()}

    def _broken(self, what: str, value: float, sampler: CropSampler) -> TrainingError:
        return TrainingError(
            f"The {what} of step {self.progress.step + 1} is {value}, on crops of "
            f"{', '.join(sampler.drawn)}; "
            f"the last checkpoint in {self.out} is from before it. Try a smaller --lr, or --precision no."
        )

    def _judge(self, gradients: list[list[torch.Tensor]]) -> None:
        """The discriminator's own step, on the mean gradient of micro-steps and processes."""
        if gradients:
            for parameter, parts in zip(
                self.stage.opponent.parameters(), zip(*gradients, strict=True), strict=True
            ):
                parameter.grad = reduce(torch.stack(parts).mean(0))
            self.judge.step()
            self.judge.zero_grad(set_to_none=True)

    def _agree(self, seconds: float, asked: bool) -> tuple[float, bool]:
        """The main process's clock, and whether any process was asked to stop: all must do the same."""
        seconds = seconds if self.accelerator.is_main_process else 0.0
        told = torch.tensor([seconds, float(asked)], dtype=torch.float64, device=self.device)
        total = reduce(told, "sum").tolist()
        return total[0], total[1] > 0

    def _validation(self) -> Validation | None:
        config = self.config
        if not config.validate_minutes or not self.accelerator.is_main_process or self._sharded:
            return None
        try:
            photos = load_photos(config.photos, "validation", 4 * config.validate_photos)
        except FileNotFoundError:
            self.accelerator.print("No photo of this source is held out: the run goes without validation.")
            return None
        validation = Validation(config, photos, self.device)
        if not len(validation.clean):
            size = config.validate_crop
            self.accelerator.print(f"No held-out photo has both sides of {size} pixels: no validation.")
            return None
        return validation

    def _look(self, validation: Validation | None, logger: Logger) -> None:
        if validation is not None:
            with self._averaged():
                self.stage.eval()
                grid = self.out / "samples" / f"step_{self.progress.step:07d}.png"
                scores = validation(self.stage, grid)
                self.stage.train()
            logger.write({"step": self.progress.step, "validation": True} | scores)
        logger.pause(self.progress.step)
        self.accelerator.wait_for_everyone()

    @contextlib.contextmanager
    def _averaged(self) -> Iterator[None]:
        """Within it the weights are their moving average."""
        self.ema.store(self.trainable)
        self.ema.copy_to(self.trainable)
        try:
            yield
        finally:
            self.ema.restore(self.trainable)

    @property
    def _sharded(self) -> bool:
        """Whether accelerate's config spreads the weights themselves over processes (FSDP, DeepSpeed)."""
        return self.accelerator.distributed_type.value in ("FSDP", "DEEPSPEED")

    def _save(self) -> None:
        """The network with averaged weights, then the checkpoint, each replaced whole.

        In this order: a run that is killed in between takes the last steps again and misses nothing.
        """
        accelerator = self.accelerator
        if not all(torch.isfinite(p).all() for p in self.trainable):
            raise TrainingError(
                f"The weights of step {self.progress.step} are not numbers any more, so they are not saved; "
                f"what is in {self.out} is from before. Try a smaller --lr."
            )
        with self._averaged():
            stage = self.stage
            if self._sharded:  # gather, on every process, and write from a whole copy
                state = accelerator.get_state_dict(self.module)
                if accelerator.is_main_process:
                    stage = _stage(self.config)
                    stage.load_state_dict(state)
            if accelerator.is_main_process:
                write_folder(self.out / "network", stage.save)
        accelerator.wait_for_everyone()

        def checkpoint(folder: Path) -> None:
            accelerator.save_state(str(folder))
            if accelerator.is_main_process:
                facts = {"step": self.progress.step, "architecture": self._architecture()}
                (folder / "facts.json").write_text(json.dumps(facts) + "\n")

        alone = accelerator.is_main_process, accelerator.wait_for_everyone
        write_folder(self.out / "checkpoint", checkpoint, *alone)
        accelerator.wait_for_everyone()

    def _resume(self) -> None:
        folder = self.out / "checkpoint"
        if self.accelerator.is_main_process:
            recover(folder)
            recover(self.out / "network")
        self.accelerator.wait_for_everyone()
        if not self.config.resume or not folder.exists():
            return
        anew = "give another --out, or --resume false to begin anew."
        try:
            facts = json.loads((folder / "facts.json").read_text())
        except (OSError, ValueError) as error:
            raise TrainingError(f"The checkpoint in {folder} is damaged ({error}): {anew}") from error
        if facts["architecture"] != self._architecture():
            raise TrainingError(
                f"The checkpoint in {folder} is of another architecture or stage than {self.config.stage!r} "
                f"with this start and these ranks: {anew}"
            )
        try:
            self.accelerator.load_state(str(folder))
        except (
            OSError,
            RuntimeError,
            ValueError,
            KeyError,
            SafetensorError,
            pickle.UnpicklingError,
        ) as error:
            reason = str(error).partition("\n")[0]
            raise TrainingError(f"The checkpoint in {folder} is damaged ({reason}): {anew}") from error

    def _architecture(self) -> str:
        """A name for the stage, the shapes of its network and LoRAs, and what of them trains."""
        shapes = [(name, *p.shape, p.requires_grad) for name, p in self.stage.named_parameters()]
        shapes += [(self.config.prior,)] if self.config.prior else []
        return f"{self.config.stage}-{hashlib.sha256(repr(shapes).encode()).hexdigest()[:16]}"


def _stage(config: Config) -> Stage:
    """The stage; TrainingError when the network to start from cannot be read."""
    try:
        return STAGES[config.stage](config)
    except (TrainingError, AdapterError, PriorError):
        raise
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        if config.init is None:
            raise
        reason = str(error).partition("\n")[0]
        raise TrainingError(
            f"The network in {config.init} is damaged or of another version ({reason}): give another --init."
        ) from error


class _Progress:
    """How far a run is; a checkpoint's part."""

    def __init__(self) -> None:
        self.step, self.seconds = 0, 0.0

    def state_dict(self) -> dict[str, float]:
        """Step and seconds, earlier parts of the run included."""
        return {"step": self.step, "seconds": self.seconds}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """The inverse."""
        self.step, self.seconds = int(state["step"]), state["seconds"]


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
    except ValueError:  # not in the main thread: whoever runs us so keeps the signals
        before = {}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _share(config: Config, progress: _Progress) -> float:
    """How much of the run is over, 0 to 1, by steps or by time, whichever is further."""
    by_time = progress.seconds / 60 / config.minutes if config.minutes else 0.0
    return min(1.0, max(progress.step / config.steps, by_time))


def _decay(config: Config, share: float) -> float:
    """The schedule's factor on the learning rate."""
    if config.schedule == "constant":
        return 1.0
    return LEAST_LR + (1 - LEAST_LR) * (1 + math.cos(math.pi * share)) / 2
