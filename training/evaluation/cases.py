"""Restoring photos case by case and measuring what comes out; the prompt-swap matrix."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch

from lwr.images import files as images
from lwr.request import Request, RestoreError
from lwr.restore import Restorer
from lwr.tasks import TASKS
from training.data.shards import Skipped
from training.evaluation.baselines import Baseline, apply
from training.evaluation.pictures import Sheet, SheetRow
from training.evaluation.samples import Sample
from training.evaluation.scores import Judge, Row, Rows, Summary, row


@dataclass(frozen=True)
class Case:
    """One row of the table: the damage, the task or prompt that is asked for, and the fidelity."""

    damage: str  # a task's or a benchmark's name, "pairs" or "photos"
    asked: str  # a task's name, or else a prompt
    fidelity: float | None  # None: the prior's default
    steps: int | None = None  # None: the prior's default

    @property
    def name(self) -> str:
        """The row's key in the results."""
        fidelity = "default" if self.fidelity is None else f"{self.fidelity:g}"
        asked = " ".join(self.asked.replace("|", "/").split())
        return f"{self.damage}|{asked}|fidelity {fidelity}"

    def request(self, scale: float | None = None) -> Request:
        """What the Restorer is asked for."""
        asked = {"task" if self.asked in TASKS else "prompt": self.asked}
        return Request(**asked, scale=scale, fidelity=self.fidelity, steps=self.steps)


@dataclass
class Evaluation:
    """What `evaluate` found."""

    rows: Rows
    skipped: list[Skipped] = field(default_factory=list)
    sheet: Sheet = field(default_factory=Sheet)


def evaluate(
    restorer: Restorer,
    photos: Iterable[Sample],
    cases: Sequence[Case],
    judge: Judge,
    baselines: Mapping[str, Sequence[Baseline]] | None = None,
) -> Evaluation:
    """Restore every photo in the cases of its damage, as a user's call would.

    `baselines` {damage: methods} are measured beside, and so is the input itself; None leaves both out.
    """
    found = Evaluation({case.name: {} for case in cases})
    shown = _shown(cases, restorer.network.prior.config.default_fidelity)
    for sample in photos:
        photo = images.to_pil(sample.degraded)
        height, width = (round(side * sample.scale) for side in sample.degraded.shape[-2:])
        enlarged = images.resize(sample.degraded, (height, width))
        before = judge(enlarged, sample.clean, sample.scale)
        for case in (case for case in cases if case.damage == sample.damage):
            try:
                restored = restorer(photo, case.request(sample.scale))
            except (RestoreError, images.ImageError) as error:
                found.skipped.append(Skipped(f"{sample.id} ({case.name})", str(error)))
                continue
            output = images.to_tensor(restored.image)
            scored = row(before, judge(output, sample.clean, sample.scale), restored.seconds)
            found.rows[case.name][sample.id] = scored
            if case is shown.get(case.damage):
                gain = scored.get("psnr_gain")  # no target, or an input equal to it: no finite gain
                shown_row = SheetRow(sample.id, case.name, case.damage, gain, sample.credit)
                found.sheet.add(shown_row, (enlarged, output, sample.clean))
        if baselines is not None:
            for name, scored in _beside(sample, enlarged, before, judge, baselines[sample.damage]):
                found.rows.setdefault(f"{sample.damage}|baseline {name}|-", {})[sample.id] = scored
    return found


def swap_cases(damages: Sequence[str], fidelity: float | None = None, steps: int | None = None) -> list[Case]:
    """Every damage under the prompt of every task."""
    return [Case(damage, asked, fidelity, steps) for damage in damages for asked in TASKS]


def swap_matrix(scores: Mapping[str, Summary], cases: Sequence[Case]) -> dict[str, dict[str, float | None]]:
    """{damage: {task asked for: PSNR gain in dB}} of the cases that have scores."""
    found: dict[str, dict[str, float | None]] = {}
    for case in cases:
        if case.name in scores:
            found.setdefault(case.damage, {})[case.asked] = scores[case.name].get("psnr_gain")
    return found


def _shown(cases: Sequence[Case], default: float) -> dict[str, Case]:
    """{damage: the case for the sheet of pictures}: the right task, nearest to its default fidelity."""
    right = [case for case in cases if case.damage == case.asked or case.damage not in TASKS]

    def distance(case: Case) -> float:
        wanted = TASKS[case.damage].default_fidelity if case.damage in TASKS else None
        return abs(
            (default if case.fidelity is None else case.fidelity) - (default if wanted is None else wanted)
        )

    right.sort(key=distance)
    return {case.damage: case for case in reversed(right)}


def _beside(
    sample: Sample, enlarged: torch.Tensor, before: Row, judge: Judge, baselines: Sequence[Baseline]
) -> Iterator[tuple[str, Row]]:
    """(name, scores) of the input (bicubic, if it was small) and of each method on the 8-bit input."""
    small = sample.scale != 1 or sample.damage == "super-resolution"
    yield "bicubic" if small else "input", row(before, before, 0.0)
    photo = images.to_tensor(images.to_pil(enlarged))
    for baseline in baselines:
        start = time.perf_counter()
        output = apply(baseline, photo)
        seconds = time.perf_counter() - start
        yield baseline.name, row(before, judge(output, sample.clean, sample.scale), seconds)
