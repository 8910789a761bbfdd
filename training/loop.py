"""The one training loop, on accelerate: EMA, gradient clipping, time budget, atomic checkpoints, resume."""

import dataclasses
import json
import math
import os
import shutil
import time
from pathlib import Path

import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch import nn

from training.config import Config
from training.data import CropSampler, load_photos
from training.muon import Muon, hidden_matrices
from training.stages import STAGES


def train(config: Config) -> Path:
    """Run one stage and return the folder with its network. The same call again goes on where it stopped."""
    accelerator = Accelerator(mixed_precision=config.precision)
    device = accelerator.device
    out = Path(config.out)
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(json.dumps(dataclasses.asdict(config), indent=2) + "\n")

    stage = STAGES[config.stage](config).to(device)
    trainable = [p for p in stage.parameters() if p.requires_grad]
    trainable = [p for p in trainable if not any(p is q for q in stage.opponent_parameters())]
    matrices = hidden_matrices(stage) if config.muon else []
    others = [p for p in trainable if not any(p is q for q in matrices)]
    trainable = matrices + others
    optimizer = Muon(matrices, others, config.lr, weight_decay=config.weight_decay)
    ema = EMAModel(trainable, decay=config.ema, use_ema_warmup=True, power=0.75, foreach=True)
    ema.to(device)
    state = _State(stage, optimizer, ema, out / "state.pt")
    step, spent = state.load() if config.resume else (0, 0.0)
    photos = load_photos(Path(config.photos), "train", config.photos_limit)
    sampler = CropSampler(photos, config.crop, device)
    accelerator.print(
        f"{config.stage}: {len(photos)} photos, {sum(p.numel() for p in trainable):,} parameters train"
    )

    module, optimizer = accelerator.prepare(stage, optimizer)
    module.train()
    begun = time.monotonic() - spent
    saved = logged = time.monotonic()
    totals: dict[str, float] = {}
    while step < config.steps:
        progress = _progress(config, step, (time.monotonic() - begun) / 60)
        if progress >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = config.lr * min(1, (step + 1) / config.warmup) * (0.02 + 0.98 * _cosine(progress))
        # Reseeded from (seed, step): a resumed run draws what an unbroken one would have drawn.
        generator = torch.Generator(device).manual_seed(config.seed * 1_000_003 + step)
        loss, logs = module(sampler, generator, progress)
        accelerator.backward(loss)
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"The loss of step {step} is {loss.item()}; the last checkpoint is in {out}."
            )
        accelerator.clip_grad_norm_(trainable, config.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        stage.after_step()
        ema.step(trainable)
        step += 1
        for name, value in logs.items():
            totals[name] = totals.get(name, 0.0) + float(value)
        if step % config.log_steps == 0:
            means = _means(totals, config.log_steps)
            rate = config.log_steps / (time.monotonic() - logged)
            line = {
                "step": step,
                "minutes": round((time.monotonic() - begun) / 60, 2),
                "steps_per_s": round(rate, 2),
            }
            accelerator.print(json.dumps(line | means), flush=True)
            with (out / "log.jsonl").open("a") as file:
                file.write(json.dumps(line | means) + "\n")
            totals, logged = {}, time.monotonic()
        if time.monotonic() - saved > config.save_minutes * 60:
            state.save(step, time.monotonic() - begun)
            saved = time.monotonic()
    state.save(step, time.monotonic() - begun)
    return out


def _progress(config: Config, step: int, minutes: float) -> float:
    """How much of the run is over, 0 to 1, by steps or by time, whichever is further."""
    by_time = minutes / config.minutes if config.minutes else 0.0
    return max(step / config.steps, by_time)


def _means(totals: dict[str, float], steps: int) -> dict[str, float]:
    """Averages; "n_KIND" counts the steps that logged KIND or MEASURE_KIND, without it all steps did."""
    names = [name for name in totals if not name.startswith("n_")]
    return {name: round(totals[name] / totals.get(f"n_{name.split('_', 1)[-1]}", steps), 5) for name in names}


def _cosine(progress: float) -> float:
    return (1 + math.cos(math.pi * min(1.0, progress))) / 2


class _State:
    """What an interrupted run needs, written whole or not at all; and the network that others load."""

    def __init__(self, stage: nn.Module, optimizer: torch.optim.Optimizer, ema: EMAModel, path: Path) -> None:
        self.stage, self.optimizer, self.ema, self.path = stage, optimizer, ema, path

    def load(self) -> tuple[int, float]:
        """(step, seconds spent) of the last checkpoint; (0, 0) when there is none."""
        if not self.path.exists():
            return 0, 0.0
        state = torch.load(self.path, map_location="cpu", weights_only=True)
        self.stage.load_state_dict(state["stage"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.ema.load_state_dict(state["ema"])
        return state["step"], state["seconds"]

    def save(self, step: int, seconds: float) -> None:
        """Write state.pt, then the network folder with the averaged weights, each by rename."""
        state = {
            "stage": self.stage.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "ema": self.ema.state_dict(),
            "step": step,
            "seconds": seconds,
        }
        temporary = self.path.with_suffix(".tmp")
        torch.save(state, temporary)
        os.replace(temporary, self.path)
        trainable = self.ema_parameters()
        self.ema.store(trainable)
        self.ema.copy_to(trainable)
        target, fresh = self.path.parent / "network", self.path.parent / "network.tmp"
        shutil.rmtree(fresh, ignore_errors=True)
        self.stage.save(fresh)
        shutil.rmtree(target, ignore_errors=True)
        os.replace(fresh, target)
        self.ema.restore(trainable)

    def ema_parameters(self) -> list[nn.Parameter]:
        """The parameters that the optimiser and the EMA share, in their order."""
        return [p for group in self.optimizer.param_groups for p in group["params"]]
