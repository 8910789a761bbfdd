"""PSNR and LPIPS of every task, by the product's evaluation, on photos whose damage is the same for all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from tqdm import tqdm

from lwr.restore import Restorer
from training.benchmarks.fixed_damage import middle
from training.evaluation.baselines import Baseline
from training.evaluation.cases import Case, evaluate
from training.evaluation.samples import Sample, clean_photos, damaged_samples
from training.evaluation.scores import Judge, Row, row, summaries, summary

KEPT = ("psnr_input", "psnr_output", "psnr_gain", "psnr_gain_ci95", "lpips_input", "lpips_output", "photos")
Scores = dict[str, Row]  # {task: measures}


@dataclass(frozen=True, eq=False)
class Kept:
    """A damaged photo, (1,3,H,W) uint8 each."""

    id: str
    task: str
    degraded: torch.Tensor
    clean: torch.Tensor

    @property
    def sample(self) -> Sample:
        """As evaluation takes it."""
        return Sample(self.id, self.task, self.degraded / 255, self.clean / 255, 1)


class DamagedPhotos:
    """Validation photos as each task damages them, made once and the same for all that restore them."""

    def __init__(self, source: str, limit: int, side: int, tasks: Sequence[str]) -> None:
        """`side`: pixels, of the middles; photos that are smaller are left out."""
        self.judge, self.kept = Judge(), []
        photos = clean_photos(source, "validation", None, [])
        large = [photo for photo in photos if min(photo.pixels.shape[:2]) >= side][:limit]
        cut = (replace(p, pixels=_uint8(middle(p.pixels, side))[0].permute(1, 2, 0)) for p in large)
        for sample in damaged_samples(tqdm(list(cut), "damaging"), tasks):
            pair = _uint8(sample.degraded), _uint8(sample.clean)
            self.kept.append(Kept(sample.id, sample.damage, *pair))

    def of(self, tasks: Sequence[str], limit: int | None = None) -> list[Kept]:
        """Those of some tasks, at most `limit` of each."""
        return [one for task in tasks for one in [kept for kept in self.kept if kept.task == task][:limit]]

    def scores(self, restorer: Restorer, tasks: Sequence[str], limit: int | None = None) -> Scores:
        """Each task asked for on its damage, at the defaults, on at most `limit` photos."""
        cases = [Case(task, task, None) for task in tasks]
        photos = tqdm(self.of(tasks, limit), "restoring")
        found = evaluate(restorer, (one.sample for one in photos), cases, self.judge)
        if found.skipped:
            raise SystemExit(f"{found.skipped[0].name}: {found.skipped[0].reason}")
        return {case.split("|")[0]: _kept(one) for case, one in summaries(found.rows).items()}

    def baseline_scores(
        self, restorer: Restorer, task: str, baselines: Sequence[Baseline]
    ) -> dict[str, Scores]:
        """{method: its scores} on a task, and those of the photos as they came as "input" or "bicubic"."""
        photos = tqdm(self.of([task]), "peers")
        found = evaluate(restorer, (one.sample for one in photos), [], self.judge, {task: baselines})
        return by_method(summaries(found.rows))

    def picture_scores(self, samples: Sequence[Sample], restored: Sequence[torch.Tensor]) -> Row:
        """Of one task's photos, restored elsewhere, (1,3,H,W) in [0,1] each."""
        pairs = zip(samples, restored, strict=True)
        rows = [
            row(self.judge(s.degraded, s.clean), self.judge(one, s.clean), seconds=0.0) for s, one in pairs
        ]
        return _kept(summary(rows))


def by_method(rows: Mapping[str, Row]) -> dict[str, Scores]:
    """{"TASK|baseline METHOD|-": scores} -> {method: {task: scores}}."""
    found: dict[str, Scores] = {}
    for case, scored in rows.items():
        task, method, _ = case.split("|")
        found.setdefault(method.removeprefix("baseline "), {})[task] = _kept(scored)
    return found


def _kept(scored: Row) -> Row:
    return {name: scored[name] for name in KEPT if name in scored}


def _uint8(image: torch.Tensor) -> torch.Tensor:
    return (image * 255).round().clamp(0, 255).to(torch.uint8)
