"""Where tasks pull a shared network in different directions: cosines between their losses' gradients."""

import itertools
import statistics
from collections.abc import Sequence

import torch

from training.data.mixture import Batch
from training.data.rng import RngStreams
from training.study.batches import Batches
from training.study.stage import StudyStage

BATCHES = 4  # in each of the two estimates of a task's gradient
PARTS = {"encoder": ("encoder", "sft"), "unet": ("prior.unet",), "decoder": ("refiner",)}

Cosines = dict[str, list[list[float]]]  # part of the network -> task by task


def cosines(stage: StudyStage, batches: Batches) -> Cosines:
    """Cosines of the tasks' gradients, as Yu et al. 2020 (PCGrad, arXiv 2001.06782) define conflict.

    Each gradient is estimated twice, on different batches, and a cosine is the mean over the two ways to
    pair them. So the diagonal, a task with itself, is no 1 but says how much of the estimate is not chance.
    """
    tasks = stage.config.tasks
    places = {task: batches.right(task)[: 2 * BATCHES] for task in tasks}
    halves = [
        [_gradient(stage, [batches.of(task, place) for place in _half(places[task], k)]) for task in tasks]
        for k in range(2)
    ]
    found: Cosines = {}
    for part in PARTS:
        first, second = (torch.stack([gradient[part] for gradient in half]) for half in halves)
        product = first @ second.T
        found[part] = [[round(value, 4) for value in row] for row in ((product + product.T) / 2).tolist()]
    return found


def groups(found: Sequence[Cosines], tasks: Sequence[str]) -> dict[str, list[str]]:
    """The two tasks whose gradients agree most and least: mean cosine over the parts and the marks."""

    def agreement(pair: tuple[int, int]) -> float:
        a, b = pair
        return statistics.fmean(matrix[a][b] for one in found for matrix in one.values())

    ordered = sorted(itertools.combinations(range(len(tasks)), 2), key=agreement)
    return {"worst": [tasks[i] for i in ordered[0]], "best": [tasks[i] for i in ordered[-1]]}


def _half(places: Sequence[int], which: int) -> Sequence[int]:
    """Every other place; of a single one that one."""
    return places[which::2] or places


def _gradient(stage: StudyStage, drawn: Sequence[tuple[Batch, RngStreams]]) -> dict[str, torch.Tensor]:
    """{part: unit gradient of the mean loss}, flat."""
    stage.zero_grad(set_to_none=True)
    for batch, rng in drawn:
        (stage(batch, rng, 0.0)[0] / len(drawn)).backward()
    found = {}
    for part, names in PARTS.items():
        parameters = (p for name in names for p in stage.network.get_submodule(name).parameters())
        flat = torch.cat([p.grad.flatten() for p in parameters if p.grad is not None])
        found[part] = flat / flat.norm().clamp_min(1e-12)
    stage.zero_grad(set_to_none=True)
    return found
