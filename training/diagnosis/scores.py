"""How well the head finds each defect on examples that it was not trained on."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from lwr.diagnose import PRESENT
from lwr.models.diagnosis import DiagnosisHead
from training.diagnosis.examples import MAPPED, Example

BINS = 10


@dataclass(frozen=True)
class Score:
    """Of one defect."""

    auc: float | None  # area under the ROC curve, present against absent; None where one has no example
    auc_alone: float | None  # the same of pictures with one defect at most
    calibration: float  # expected calibration error of the severity, over ten bins
    error: float  # mean absolute
    absent: tuple[float, ...]  # severity found where there is none: 50, 90 and 99 % are below
    present: tuple[float, ...]  # and where there is some: 1, 5 and 10 % are below
    map_correlation: float | None  # between found and true map, of cells where the truth is known


@torch.inference_mode()
def scores(head: DiagnosisHead, examples: Sequence[Example]) -> dict[str, Score]:
    """{defect: Score}."""
    found, maps = _found(head, examples)
    result, few = {}, torch.tensor([len(_defects(each)) < 2 for each in examples])
    for place, name in enumerate(head.defects):
        rows = [i for i, each in enumerate(examples) if name not in each.unknown]
        severity, target = found[rows, place], torch.tensor([examples[i].severities[name] for i in rows])
        absent, present = severity[target == 0], severity[target > PRESENT]
        lone = few[rows]
        result[name] = Score(
            auc=area(present, absent),
            auc_alone=area(severity[lone & (target > PRESENT)], severity[lone & (target == 0)]),
            calibration=calibration(severity, target),
            error=(severity - target).abs().mean().item(),
            absent=_quantiles(absent, (0.5, 0.9, 0.99)),
            present=_quantiles(present, (0.01, 0.05, 0.1)),
            map_correlation=_likeness(maps, examples, name) if name in MAPPED else None,
        )
    return result


@torch.inference_mode()
def confusion(head: DiagnosisHead, examples: Sequence[Example]) -> dict[str, dict[str, float]]:
    """{what a picture has, alone: {defect: mean severity found}}; "nothing" for good pictures."""
    found, _ = _found(head, examples)
    groups: dict[str, list[int]] = {}
    for i, each in enumerate(examples):
        there = _defects(each)
        if len(there) < 2:
            groups.setdefault(there[0] if there else "nothing", []).append(i)
    return {
        name: {d: round(found[groups[name], place].mean().item(), 3) for place, d in enumerate(head.defects)}
        for name in ("nothing", *head.defects)
        if name in groups
    }


def _defects(one: Example) -> list[str]:
    return [name for name, severity in one.severities.items() if severity > PRESENT]


def _found(head: DiagnosisHead, examples: Sequence[Example]) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """(N,T) severities, and of each example its maps (M,h,w)."""
    rows, maps = [], []
    for each in examples:
        severities, where = head(each.evidence.cells.float(), each.evidence.statistics[None])
        rows.append(severities[0].sigmoid())
        maps.append(where[0].sigmoid())
    return torch.stack(rows), maps


def _likeness(maps: Sequence[torch.Tensor], examples: Sequence[Example], name: str) -> float:
    place = MAPPED.index(name)
    truth = torch.cat([each.maps[name].flatten() for each in examples])
    found = torch.cat([each[place].flatten() for each in maps])
    return torch.corrcoef(torch.stack([found, truth])[:, truth >= 0])[0, 1].item()


def area(high: torch.Tensor, low: torch.Tensor) -> float | None:
    """Probability that one of `high` is above one of `low`; None where one of them is empty."""
    if not len(high) or not len(low):
        return None
    together = torch.cat([high, low])
    ranks = torch.empty_like(together)
    ranks[together.argsort()] = torch.arange(1.0, len(together) + 1)
    return ((ranks[: len(high)].sum() - len(high) * (len(high) + 1) / 2) / (len(high) * len(low))).item()


def calibration(found: torch.Tensor, target: torch.Tensor) -> float:
    """Mean distance of found and true severity over bins of the found one, weighed by their size.

    NaN where there is none.
    """
    if not len(found):
        return math.nan
    place = (found * BINS).long().clamp_max(BINS - 1)
    there = [place == each for each in range(BINS) if (place == each).any()]
    return sum(((found - target)[which].mean().abs() * which.sum()).item() for which in there) / len(found)


def _quantiles(values: torch.Tensor, at: tuple[float, ...]) -> tuple[float, ...]:
    if not len(values):
        return ()
    return tuple(round(value, 4) for value in values.quantile(torch.tensor(at)).tolist())
