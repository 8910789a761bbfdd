"""What a step trains on: mostly one task on its own damage, at times the cases that make prompts honest.

A photo with haze under "remove the blur" must keep its haze, two tasks in one sentence must both be done,
half strength must go half way, a good photo must stay as it is, and so must plain paper, walls and skies.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from lwr.tasks import TASKS
from lwr.tasks.base import SCENE, WAY
from training.config import Config
from training.data.crops import CropSampler
from training.data.rng import RngStreams

# Share of the crops that show twice as much, at half the size: haze is a matter of the whole scene.
WIDE, WIDE_SCENES = 1 / 3, 1.0


@dataclass(frozen=True)
class Batch:
    """(B,3,H,W) images in [0,1], and what the sentence asks for: {task: strength}."""

    degraded: torch.Tensor
    target: torch.Tensor
    tasks: dict[str, float]
    kind: str
    twin: "Batch | None" = None  # the same crops with another damage, which the step restores as well

    @property
    def instructions(self) -> dict[str, float]:
        """{sentence: strength}, as the network reads it."""
        return {TASKS[name].instruction: strength for name, strength in self.tasks.items()}


@torch.autocast("cuda", enabled=False)
@torch.autocast("cpu", enabled=False)
def draw(config: Config, sampler: CropSampler, rng: RngStreams) -> Batch:
    """One batch; all of it has one task and one kind, because adapters belong to a whole batch.

    Degrading is exact work (JPEG's transform is a matrix product): float32, whatever the loop runs in.
    """
    weights = torch.tensor(weights_of(config))
    task = config.tasks[int(torch.multinomial(weights, 1, generator=rng.shared))]
    others = [t for t in TASKS if t != task and (TASKS[t].distinct or TASKS[task].distinct)]
    roll, choice = torch.rand(2, generator=rng.shared).tolist()
    other = others[int(choice * len(others))] if others and roll < 0.12 else None
    scenic = any(TASKS[name].arises == SCENE for name in (task, other) if name)
    clean = sampler.batch(rng, scenic, wide=WIDE_SCENES if scenic else WIDE)

    if other is not None:
        if roll < 0.05:  # wrong prompt: nothing of what it asks for is there
            damaged = degrade(other, clean, rng)
            return Batch(damaged, damaged, {task: 1.0}, "wrong")
        # haze lies in the scene, blur and small size come from the camera
        first, then = sorted((task, other), key=lambda name: WAY.index(TASKS[name].arises))
        veiled = degrade(first, clean, rng)
        states = rng.states()
        both = degrade(then, veiled, rng)
        if roll < 0.09 and other in config.tasks:  # it has an adapter that trains, too
            return Batch(both, clean, {task: 1.0, other: 1.0}, "both")
        if task == then:
            return Batch(both, veiled, {task: 1.0}, "one-of-two")
        rng.rewind(states)  # the same blur on the clear photo
        return Batch(both, degrade(then, clean, rng), {task: 1.0}, "one-of-two")
    return alone(task, clean, lambda: degrade(task, clean, rng), roll, choice, rng)


def alone(
    task: str,
    clean: torch.Tensor,
    degraded: Callable[[], torch.Tensor],
    roll: float,
    choice: float,
    rng: RngStreams,
) -> Batch:
    """The cases of one damage; `roll` in [0,1) picks among them, `choice` gives the strength."""
    # more for haze: the colours of a clear photo are easily taken for a veil
    good_from = 0.865 if TASKS[task].arises == SCENE else 0.925
    if roll > 0.955:
        plain = plain_pictures(clean, rng)
        return Batch(plain, plain, {task: 1.0}, "plain")
    if roll > good_from:
        return Batch(clean, clean, {task: 1.0}, "good")
    damaged = degraded()
    if roll > good_from - 0.06:
        strength = 0.25 + 0.5 * choice
        return Batch(damaged, torch.lerp(damaged, clean, strength), {task: strength}, "partial")
    return Batch(damaged, clean, {task: 1.0}, task)


def weights_of(config: Config) -> tuple[float, ...]:
    """How often each of the config's tasks is drawn, relative to the others."""
    if config.task_weights:
        return config.task_weights[: len(config.tasks)]
    tasks = [TASKS[name] for name in config.tasks]
    return tuple(one.weight * (config.scene_weight if one.arises == SCENE else 1.0) for one in tasks)


def plain_pictures(like: torch.Tensor, rng: RngStreams) -> torch.Tensor:
    """(B,3,H,W) in [0,1] without detail: a colour, often grey or white, that changes evenly across."""
    height, width = like.shape[-2:]
    ends = rng.rand(2, 3)  # colours of two sides
    grey, white, even, upright = rng.rand(4)[..., None, None].unbind(1)
    ends = torch.where(grey < 0.6, ends.mean(2, keepdim=True), ends)
    ends = torch.where(white < 0.3, 1.0, ends)
    ends = torch.where(even < 0.4, ends[:, :1], ends)
    down, across = (torch.linspace(0, 1, side, device=like.device) for side in (height, width))
    ramp = torch.where(upright < 0.5, down[:, None].expand(height, width), across)[:, None]  # (B,1,H,W)
    first, last = (end[..., None, None] for end in ends.unbind(1))
    return (first * (1 - ramp) + last * ramp).mul(255).round().div(255)


def degrade(
    task: str, clean: torch.Tensor, rng: RngStreams, where: torch.Tensor | None = None
) -> torch.Tensor:
    """`clean` (B,3,H,W) as `task` damages it, each group of crops by its own numbers.

    With `where` (B,) bool only those crops; groups without any cost nothing.
    """
    parts = []
    for place, (crops, generator) in enumerate(zip(clean.split(rng.group), rng.groups, strict=True)):
        chosen = None if where is None else where[place * rng.group :][: len(crops)]
        if chosen is not None and not chosen.any():
            parts.append(crops)
            continue
        damaged = TASKS[task].degrade(crops, generator)[0]
        parts.append(damaged if chosen is None else torch.where(chosen[:, None, None, None], damaged, crops))
    return torch.cat(parts)
