"""The head learns the examples; which severity means how much strength is read off its mistakes."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from lwr.models.diagnosis import DiagnosisHead, Kinds
from training.diagnosis.damages import DAMAGES
from training.diagnosis.examples import FINE, HAZE, MAPPED, Example

BATCH, EPOCHS, RATE, DECAY = 64, 30, 2e-3, 0.05
DROPPED, NOISE = 0.1, 0.05  # share of the cells' channels and statistics; standard deviations of both
MAP_WEIGHT = 0.3  # of the maps' loss
AVERAGED = 0.999  # decay of the weights' moving average, less in the first steps
# Read off training.diagnosis.harm: light haze is easily missed, and deblurring a sharp photo gains nothing.
RAMPS = {HAZE: (0.015, 0.05)} | dict.fromkeys(FINE, (0.05, 0.15))
RAMP = (0.1, 0.3)  # of all others
KINDS = Kinds(tuple(DAMAGES), (HAZE,), FINE, MAPPED)


@dataclass(frozen=True)
class Batch:
    """Examples of one size, stacked."""

    cells: torch.Tensor  # (N,C,h,w)
    statistics: torch.Tensor  # (N,D)
    severities: torch.Tensor  # (N,T)
    known: torch.Tensor  # (N,T), 0 or 1
    maps: torch.Tensor  # (N,M,h,w); below 0 where unknown


def fit(examples: Sequence[Example], seed: int = 0, epochs: int = EPOCHS) -> DiagnosisHead:
    """Train a new head with AdamW and one cycle of the learning rate; its moving average is what remains."""
    torch.manual_seed(seed)
    head = DiagnosisHead(KINDS, len(examples[0].evidence.statistics))
    head.ramp.copy_(torch.tensor([RAMPS.get(name, RAMP) for name in head.defects]))
    _scale_inputs(head, examples)
    averaged = copy.deepcopy(head)
    steps = epochs * sum(1 for _ in _batches(examples, BATCH))
    optimizer = torch.optim.AdamW(head.parameters(), RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, steps)
    step = 0
    for _ in range(epochs):
        for batch in _batches(examples, BATCH, shuffled=True):
            step += 1
            loss = _loss(head, batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            for mean, now in zip(averaged.parameters(), head.parameters(), strict=True):
                mean.data.lerp_(now.data, max(1 - AVERAGED, 9 / (9 + step)))
    return averaged.eval().requires_grad_(False)


def _loss(head: DiagnosisHead, batch: Batch) -> torch.Tensor:
    cells, statistics = batch.cells, batch.statistics
    cells = cells + NOISE * head.cell_spread[:, None, None] * torch.randn(*cells.shape[:2], 1, 1)
    kept = (torch.rand(len(cells), cells.shape[1], 1, 1) > DROPPED).float()
    mean = head.cell_mean[:, None, None]
    cells = mean + (cells - mean) * kept
    own = (torch.rand(statistics.shape) > DROPPED).float()
    noisy = statistics + NOISE * head.statistic_spread * torch.randn(statistics.shape)
    statistics = head.statistic_mean + (noisy - head.statistic_mean) * own
    severities, where = head(cells, statistics)
    whole = F.binary_cross_entropy_with_logits(severities, batch.severities, weight=batch.known)
    known = (batch.maps >= 0).float()
    places = F.binary_cross_entropy_with_logits(where, batch.maps.clamp_min(0), weight=known)
    return whole + MAP_WEIGHT * places


def _scale_inputs(head: DiagnosisHead, examples: Sequence[Example]) -> None:
    statistics = torch.stack([example.evidence.statistics for example in examples])
    head.statistic_mean.copy_(statistics.mean(0))
    head.statistic_spread.copy_(statistics.std(0).clamp_min(1e-3))
    some = examples[:: max(1, len(examples) // 500)]
    cells = torch.cat([example.evidence.cells[0].float().flatten(1) for example in some], 1)
    head.cell_mean.copy_(cells.mean(1))
    head.cell_spread.copy_(cells.std(1).clamp_min(1e-3))


def _batches(examples: Sequence[Example], size: int, shuffled: bool = False) -> Iterator[Batch]:
    """All examples, those of one shape together."""
    order = torch.randperm(len(examples)).tolist() if shuffled else range(len(examples))
    waiting: dict[torch.Size, list[Example]] = {}
    for place in order:
        shape = examples[place].evidence.cells.shape
        waiting.setdefault(shape, []).append(examples[place])
        if len(waiting[shape]) == size:
            yield stacked(waiting.pop(shape))
    yield from (stacked(rest) for rest in waiting.values())


def stacked(examples: Sequence[Example]) -> Batch:
    """Examples of one shape as a batch."""
    return Batch(
        torch.cat([each.evidence.cells for each in examples]).float(),
        torch.stack([each.evidence.statistics for each in examples]),
        torch.tensor([[each.severities[name] for name in DAMAGES] for each in examples]),
        torch.tensor([[float(name not in each.unknown) for name in DAMAGES] for each in examples]),
        torch.stack([torch.stack([each.maps[name] for name in MAPPED]) for each in examples]),
    )
