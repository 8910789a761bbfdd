"""The head learns the examples; which severity means how much strength is read off its mistakes."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace

import torch
import torch.nn.functional as F
from torch import nn

from lwr.models.diagnosis import DiagnosisHead, Kinds
from training.diagnosis.damages import DAMAGES
from training.diagnosis.examples import DARK, FINE, HAZE, MAPPED, RAIN, Example
from training.muon import Muon, hidden_matrices

READERS = 2
BATCH, EPOCHS, RATE, DECAY = 64, 16, 2e-3, 0.05
DROPPED, NOISE = 0.1, 0.05  # share of what is read; standard deviations of the statistics
MAP_WEIGHT = 0.3  # of the maps' loss
AVERAGED = 0.999  # decay of the weights' moving average, less in the first steps
# Read off training.diagnosis.harm, so that about 0.1 dB is lost on damaged photos: just above what is found
# in good ones
RAMPS = {HAZE: (0.11, 0.13), DARK: (0.05, 0.08), RAIN: (0.01, 0.03), "denoise": (0.01, 0.03)}
RAMPS |= dict.fromkeys(FINE, (0.03, 0.18))
RAMP = (0.1, 0.3)  # of all others
KINDS = Kinds(tuple(DAMAGES), (HAZE, DARK, RAIN), FINE, MAPPED)


@dataclass(frozen=True)
class Batch:
    """Examples of one size, stacked."""

    cells: torch.Tensor  # (N,C,h,w), in half precision
    statistics: torch.Tensor  # (N,D)
    severities: torch.Tensor  # (N,T)
    known: torch.Tensor  # (N,T), 0 or 1
    maps: torch.Tensor  # (N,M,h,w); below 0 where unknown

    def __getitem__(self, rows: torch.Tensor) -> "Batch":
        return Batch(*(getattr(self, one.name)[rows] for one in fields(self)))

    def to(self, device: torch.device) -> "Batch":
        """The same on a device."""
        return Batch(*(getattr(self, one.name).to(device) for one in fields(self)))


@dataclass(frozen=True)
class Chance:
    """What is random in one step, drawn on the CPU."""

    noise: torch.Tensor  # (N,D), of the statistics, standard deviation 1
    kept: tuple[torch.Tensor, torch.Tensor]  # (N,width) and (N,D): factors, 0 where something is dropped

    @classmethod
    def drawn(cls, count: int, width: int, statistics: int, device: torch.device) -> "Chance":
        """Of `count` examples."""
        noise = torch.randn(count, statistics)
        kept = [(torch.rand(count, each) >= DROPPED) / (1 - DROPPED) for each in (width, statistics)]
        return cls(noise.to(device), (kept[0].to(device), kept[1].to(device)))

    def part(self, start: int, count: int) -> "Chance":
        """Of so many examples."""
        rows = slice(start, start + count)
        return Chance(self.noise[rows], (self.kept[0][rows], self.kept[1][rows]))


def fit(
    examples: Sequence[Example],
    seed: int = 0,
    epochs: int = EPOCHS,
    readers: int = READERS,
    device: torch.device | str = "cpu",
    init: DiagnosisHead | None = None,
) -> DiagnosisHead:
    """Train a head of new readers, which differ by their seeds alone, or those of `init` on; on the CPU.

    All that is random is drawn on the CPU, so it is the same on every `device`.
    """
    scale = copy.deepcopy(init) or DiagnosisHead(KINDS, len(examples[0].evidence.statistics), readers=0)
    scale.ramp.copy_(torch.tensor([RAMPS.get(name, RAMP) for name in scale.defects]))
    if init is None:
        _scale_inputs(scale, examples)
    groups = _groups(scale.to(device), examples)
    starts = [None] * readers if init is None else scale.readers
    heads = [_fit_one(groups, scale, seed + place, epochs, start) for place, start in enumerate(starts)]
    return DiagnosisHead.joined(heads).eval().requires_grad_(False)


def _fit_one(
    groups: Sequence[Batch], scale: DiagnosisHead, seed: int, epochs: int, start: nn.Module | None
) -> DiagnosisHead:
    """By Muon and AdamW with one cycle of the learning rate; returns the moving average of its weights."""
    torch.manual_seed(seed)
    device = scale.ramp.device
    head = DiagnosisHead(KINDS, len(scale.statistic_mean))
    head.load_state_dict(scale.state_dict(), strict=False)
    if start is not None:
        head.readers[0].load_state_dict(start.state_dict())
    head.to(device)
    averaged, step = copy.deepcopy(head), 0
    means, weights = [[each.data for each in one.parameters()] for one in (averaged, head)]
    steps = epochs * sum(-(-len(group.statistics) // BATCH) for group in groups)
    optimizers = _optimizers(head)
    cycle = torch.optim.lr_scheduler.OneCycleLR
    schedules = [cycle(one, RATE, steps, cycle_momentum=False) for one in optimizers]
    for _ in range(epochs):
        for batch, chance in _shuffled(groups, head.readers[0].read.out_channels):
            step += 1
            loss = _loss(head, batch, chance)
            head.zero_grad()
            loss.backward()
            for one in (*optimizers, *schedules):
                one.step()
            torch._foreach_lerp_(means, weights, max(1 - AVERAGED, 9 / (9 + step)))
    return averaged.cpu()


def _optimizers(head: DiagnosisHead) -> list[torch.optim.Optimizer]:
    """Muon for hidden matrices, which finds haze in a third of the epochs (training/README.md)."""
    matrices = hidden_matrices(head)
    taken = {id(each) for each in matrices}
    others = [each for each in head.parameters() if id(each) not in taken]
    return [Muon(matrices, RATE, weight_decay=DECAY), torch.optim.AdamW(others, RATE, weight_decay=DECAY)]


def _loss(head: DiagnosisHead, batch: Batch, chance: Chance) -> torch.Tensor:
    noise = NOISE * head.statistic_spread * chance.noise
    severities, where = head.judge(batch.cells.float(), batch.statistics + noise, chance.kept)
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


def _groups(head: DiagnosisHead, examples: Sequence[Example]) -> list[Batch]:
    """All examples of one shape each, their cells scaled once and for all."""
    shapes: dict[torch.Size, list[Example]] = {}
    for example in examples:
        shapes.setdefault(example.evidence.cells.shape, []).append(example)
    groups = [stacked(group).to(head.ramp.device) for group in shapes.values()]
    return [replace(group, cells=_scaled_in_half(head, group.cells)) for group in groups]


def _scaled_in_half(head: DiagnosisHead, cells: torch.Tensor) -> torch.Tensor:
    return torch.cat([head.scaled(part.float()).half() for part in cells.split(BATCH)])


def _shuffled(groups: Sequence[Batch], width: int) -> Iterator[tuple[Batch, Chance]]:
    """All examples once, in batches of one shape, in random order."""
    parts = [(group, rows) for group in groups for rows in torch.randperm(len(group.statistics)).split(BATCH)]
    device = groups[0].statistics.device
    parts = [(group, rows.to(device)) for group, rows in parts]
    count, read = sum(len(rows) for _, rows in parts), groups[0].statistics.shape[1]
    chance, start = Chance.drawn(count, width, read, device), 0
    for i in torch.randperm(len(parts)).tolist():
        group, rows = parts[i]
        yield group[rows], chance.part(start, len(rows))
        start += len(rows)


def stacked(examples: Sequence[Example]) -> Batch:
    """Examples of one shape as a batch."""
    return Batch(
        torch.cat([each.evidence.cells for each in examples]),
        torch.stack([each.evidence.statistics for each in examples]),
        torch.tensor([[each.severities[name] for name in DAMAGES] for each in examples]),
        torch.tensor([[float(name not in each.unknown) for name in DAMAGES] for each in examples]),
        torch.stack([torch.stack([each.maps[name] for name in MAPPED]) for each in examples]),
    )
