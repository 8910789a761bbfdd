"""The small network learns the examples; which severity means how much strength is read off its mistakes."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from lwr.models.diagnosis import DiagnosisHead
from training.diagnosis.examples import DIAGNOSED, FINE, HAZE, Examples

BATCH, EPOCHS, RATE, DECAY = 128, 60, 3e-3, 0.02
DROPPED, NOISE = (0.08, 0.12), 0.05  # of the inputs and hidden units; standard deviations of the inputs
# Read off training.diagnosis.harm: light haze is easily missed, and deblurring a sharp photo gains nothing.
RAMPS = {HAZE: (0.015, 0.05)} | dict.fromkeys(FINE, (0.05, 0.15))
PRESENT = 0.05  # severity from which on a defect counts as present where only that is asked
BINS = 10


@dataclass(frozen=True)
class Score:
    """How well one severity is found on examples that were not trained on."""

    auc: float  # area under the ROC curve, present against absent
    calibration: float  # expected calibration error of the severity, over ten bins
    error: float  # mean absolute
    absent: tuple[float, float, float]  # severity found where there is none: 50, 90 and 99 % are below
    present: tuple[float, float, float]  # and where there is some: 1, 5 and 10 % are below


def fit(examples: Examples, seed: int = 0) -> DiagnosisHead:
    """Train a new diagnosis with AdamW and one cycle of the learning rate."""
    torch.manual_seed(seed)
    statistics, severities, known = examples.statistics, examples.severities, examples.known.float()
    model = DiagnosisHead(DIAGNOSED, FINE, statistics.shape[1])
    model.ramp.copy_(torch.tensor([RAMPS[task] for task in DIAGNOSED]))
    model.mean.copy_(statistics.mean(0))
    model.spread.copy_(statistics.std(0).clamp_min(1e-3))
    steps = EPOCHS * max(1, len(statistics) // BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, steps)
    for _ in range(steps):
        chosen = torch.randint(len(statistics), (BATCH,))
        inputs = statistics[chosen] + NOISE * model.spread * torch.randn(BATCH, statistics.shape[1])
        loss = F.binary_cross_entropy_with_logits(
            _with_dropout(model, inputs), severities[chosen], weight=known[chosen]
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval().requires_grad_(False)


def _with_dropout(model: DiagnosisHead, statistics: torch.Tensor) -> torch.Tensor:
    """The logits, with inputs and hidden units dropped."""
    first, activation, last = model.layers
    inputs = ((statistics - model.mean) / model.spread).clamp(-5, 5)
    hidden = activation(first(F.dropout(inputs, DROPPED[0])))
    return last(F.dropout(hidden, DROPPED[1]))


@torch.inference_mode()
def scores(model: nn.Module, examples: Examples) -> dict[str, Score]:
    """{task: Score}."""
    found, result = model(examples.statistics), {}
    for place, task in enumerate(DIAGNOSED):
        known = examples.known[:, place]
        severity, target = found[known, place], examples.severities[known, place]
        absent, present = severity[target == 0], severity[target > PRESENT]
        result[task] = Score(
            auc=_area(present, absent),
            calibration=_calibration(severity, target),
            error=(severity - target).abs().mean().item(),
            absent=_quantiles(absent, (0.5, 0.9, 0.99)),
            present=_quantiles(present, (0.01, 0.05, 0.1)),
        )
    return result


def _area(high: torch.Tensor, low: torch.Tensor) -> float:
    """Probability that one of `high` is above one of `low`."""
    together = torch.cat([high, low])
    ranks = torch.empty_like(together)
    ranks[together.argsort()] = torch.arange(1.0, len(together) + 1)
    return ((ranks[: len(high)].sum() - len(high) * (len(high) + 1) / 2) / (len(high) * len(low))).item()


def _calibration(found: torch.Tensor, target: torch.Tensor) -> float:
    """Mean distance of found and true severity over bins of the found one, weighed by their size."""
    place = (found * BINS).long().clamp_max(BINS - 1)
    there = [place == each for each in range(BINS) if (place == each).any()]
    return sum(((found - target)[which].mean().abs() * which.sum()).item() for which in there) / len(found)


def _quantiles(values: torch.Tensor, at: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(round(value, 4) for value in values.quantile(torch.tensor(at)).tolist())
