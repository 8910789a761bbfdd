"""One optimiser step of a stage: micro-steps, clipping, Muon and AdamW, and the weights' moving average."""

import contextlib
import math
from collections.abc import Callable, Iterator

import torch
from accelerate import Accelerator
from accelerate.utils import reduce
from diffusers.training_utils import EMAModel

from training.checkpoint import TrainingError
from training.config import Config
from training.data.mixture import Batch
from training.data.rng import RngStreams
from training.muon import Muon, hidden_matrices
from training.stages.base import Stage

LEAST_LR = 0.02  # of the peak, where the cosine ends
# (step, micro-step) -> its batch, and random numbers for its loss
Loader = Callable[[int, int], tuple[Batch, RngStreams]]


class Progress:
    """How far a run is; saved with its checkpoint."""

    def __init__(self) -> None:
        self.step, self.seconds = 0, 0.0

    def share(self, config: Config) -> float:
        """How much of the run is over, 0 to 1, by steps or by time, whichever is further."""
        by_time = self.seconds / 60 / config.minutes if config.minutes else 0.0
        return min(1.0, max(self.step / config.steps, by_time))

    def state_dict(self) -> dict[str, float]:
        """Step and seconds, earlier parts of the run included."""
        return {"step": self.step, "seconds": self.seconds}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """The inverse."""
        self.step, self.seconds = int(state["step"]), state["seconds"]


class Optimisation:
    """A stage with its optimisers and the average of its weights; accelerate saves and loads all of it."""

    def __init__(self, config: Config, stage: Stage, accelerator: Accelerator) -> None:
        self.config, self.stage, self.accelerator = config, stage, accelerator
        self.module, *self.optimizers = accelerator.prepare(stage, *_optimizers(config, stage))
        self.trainable = [p for p in self.module.parameters() if p.requires_grad]
        self.ema = EMAModel(self.trainable, decay=config.ema, use_ema_warmup=True, power=0.75, foreach=True)
        self.progress = Progress()
        self.data: list[dict[str, object]] = []  # what it trains on, see training/data/identity.py
        accelerator.register_for_checkpointing(self.progress, self.ema)
        if stage.adversarial is not None:
            accelerator.register_for_checkpointing(
                stage.adversarial.discriminator, stage.adversarial.optimizer
            )

    def step(self, loader: Loader) -> tuple[float, dict[str, float]]:
        """One optimiser step: its loss and logs; TrainingError names the crops when one is not finite."""
        config, accelerator, progress = self.config, self.accelerator, self.progress
        share = progress.share(config)
        lr = config.lr * min(1, (progress.step + 1) / max(config.warmup, 1)) * decay(config, share)
        for group in (group for optimizer in self.optimizers for group in optimizer.param_groups):
            group["lr"] = lr
        total, last = torch.zeros((), device=accelerator.device), config.accumulate - 1
        for micro in range(config.accumulate):
            batch, rng = loader(progress.step, micro)
            with accelerator.no_sync(self.module) if micro < last else contextlib.nullcontext():
                loss, logs = self.module(batch, rng, share)
                accelerator.backward(loss / config.accumulate)
            total += loss.detach() / config.accumulate
        mean = reduce(total).item()
        self._check("loss", mean, loader)
        norm = float(accelerator.clip_grad_norm_(self.trainable, config.clip))
        if config.precision != "fp16":  # fp16's scaler skips such a step itself
            self._check("gradient", norm, loader)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        if self.stage.adversarial is not None:
            self.stage.adversarial.step()
        self.ema.step(self.trainable)
        progress.step += 1
        return mean, {name: float(value) for name, value in logs.items()}

    def _check(self, what: str, value: float, loader: Loader) -> None:
        if not math.isfinite(value):
            raise TrainingError(
                f"The {what} of step {self.progress.step + 1} is {value}, on crops of "
                f"{', '.join(getattr(loader, 'drawn', ()))}; the last checkpoint in {self.config.out} is "
                "from before it. Try a smaller --lr, or --precision no."
            )

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """Within it the weights are their moving average."""
        self.ema.store(self.trainable)
        self.ema.copy_to(self.trainable)
        try:
            yield
        finally:
            self.ema.restore(self.trainable)

    @property
    def sharded(self) -> bool:
        """Whether accelerate's config spreads the weights themselves over processes (FSDP, DeepSpeed)."""
        return self.accelerator.distributed_type.value in ("FSDP", "DEEPSPEED")


def _optimizers(config: Config, stage: Stage) -> list[torch.optim.Optimizer]:
    """Muon for hidden layers if wanted, AdamW for all else that trains."""
    matrices = hidden_matrices(stage) if config.muon else []
    taken = {id(p) for p in matrices}
    others = [p for p in stage.parameters() if p.requires_grad and id(p) not in taken]
    optimizers: list[torch.optim.Optimizer] = []
    if others:
        optimizers.append(torch.optim.AdamW(others, config.lr, (0.9, 0.99), weight_decay=config.weight_decay))
    if matrices:
        optimizers.append(Muon(matrices, config.lr, weight_decay=config.weight_decay))
    if not optimizers:
        raise TrainingError(f"Nothing trains in stage {config.stage!r} with these parts: name others.")
    return optimizers


def decay(config: Config, share: float) -> float:
    """The schedule's factor on the learning rate."""
    if config.schedule == "constant":
        return 1.0
    return LEAST_LR + (1 - LEAST_LR) * (1 + math.cos(math.pi * share)) / 2
