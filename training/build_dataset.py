"""Build the multi-task dataset: every photo under the degradation of every task, as Parquet for `datasets`.

  python -m training.build_dataset --photos PHOTOS --out runs/multitask --per-task 200 --workers 2
  python -m training.build_dataset --out runs/multitask --verify

The same command again continues where it was stopped. PHOTOS is a folder of pictures, a folder or file of
tar or parquet shards, or a Hub dataset NAMESPACE/NAME[:CONFIG][@REVISION]; a metadata.csv (file_name, author,
license, source) beside pictures, or the columns of the shards, say whose they are. PHOTOS and the set's
folder may be addresses of object storage. Exit status: 0 built (or verified), 1 built without photos that
failed (or found faulty), 2 not built.
"""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import OmitArgPrefixes, arg

from training.command_line import fail, parse
from training.dataset.errors import DatasetError
from training.dataset.recipe import Recipe

if TYPE_CHECKING:
    from training.dataset.build import Built

COMMAND = "python -m training.build_dataset"
RANGES = {
    "per_task": (1, None),
    "size": (32, 4096),
    "seed": (0, 2**62),
    "max_blur": (0, 1),
    "max_dark_channel": (0, 1),
    "duplicate_distance": (-1, 64),
    "shard_photos": (1, None),
    "workers": (1, None),
    "rows": (1, None),
}


@dataclass(frozen=True)
class Options:
    """Of the command line."""

    out: str  # the set's folder
    photos: str | None = None  # where the clean photos are
    recipe: OmitArgPrefixes[Recipe] = Recipe()
    workers: int = os.cpu_count() or 1  # processes; all cores unless said otherwise
    engine: Literal["local", "ray"] = "local"  # what does the work
    ray_address: str | None = None  # of a running Ray cluster, or auto
    verify: bool = False  # check the set instead of building it
    rows: int = 8  # with --verify: rows a config to degrade again
    as_json: Annotated[bool, arg(name="json")] = False  # print the result as JSON


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; one sentence on stderr when what was asked for cannot be done."""
    options = parse(Options, argv, COMMAND, __doc__)
    for name, (least, most) in RANGES.items():
        value = getattr(options if hasattr(options, name) else options.recipe, name)
        if value is not None and not (least <= value and (most is None or value <= most)):
            limit = f"at least {least}" if most is None else f"{least} to {most}"
            fail(COMMAND, f"--{name.replace('_', '-')} is {value}: use a number, {limit}.")
    try:
        return _verify(options) if options.verify else _build(options)
    except (DatasetError, OSError) as error:
        print(f"{COMMAND}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; finished shards are kept, and the same command continues", file=sys.stderr)
        return 130


def _build(options: Options) -> int:
    from training.dataset.engines import Local, Ray

    if not options.photos:
        raise DatasetError("--photos is missing: say where the clean photos are.")
    recipe, ray = options.recipe.resolved(), options.engine == "ray"
    # The workers come first: while they import torch, this process does.
    with Ray(options.workers, options.ray_address) if ray else Local(options.workers) as engine:
        import torch

        from training.data.storage import place
        from training.dataset.build import build
        from training.dataset.depth import model_depth

        torch.set_num_threads(1)  # the cores belong to the workers
        if recipe.depth:
            model_depth(recipe.depth)  # before anything is written
        built = build(options.photos, place(options.out), recipe, engine)
    _report(built, recipe, options)
    return 1 if built.lost else 0


def _report(built: "Built", recipe: Recipe, options: Options) -> None:
    photos, tasks = built.manifest["photos"], len(recipe.tasks)
    for name, why in built.lost:
        print(f"failed: {name}: {why}", file=sys.stderr)
    if options.as_json:
        counts = {name: photos[name] for name in ("offered", "chosen", "rejected", "failed")}
        counts |= {"drawn_again": sum(built.manifest["drawn_again"].values())}
        counts |= {"written": built.images, "tasks": tasks, "seconds": round(built.seconds, 2)}
        print(json.dumps(counts | {"peak_gb_a_worker": built.peak_gb, "splits": built.manifest["splits"]}))
        return
    if not built.images:
        print(f"{options.out} is complete already: {photos['chosen']} images x {tasks} tasks.")
        return
    rate = f"{built.images / built.seconds:.2f} images/s, {built.peak_gb:.2f} GB the largest process"
    print(f"{photos['chosen']} images x {tasks} tasks in {built.seconds:.1f} s: {rate}.")
    out, failed = photos["rejected"], photos["failed"]
    print(f"Of {photos['offered']} photos, {out} were left out and {failed} failed (rejected.csv).")
    again = sum(built.manifest["drawn_again"].values())
    print(f"{again} damages were hardly there, or left nothing, and were drawn again.")
    print(f'Read it: datasets.load_dataset("{options.out}", "{recipe.tasks[0]}")')


def _verify(options: Options) -> int:
    from training.data.storage import place
    from training.dataset.verify import verify

    findings = verify(place(options.out), options.rows)
    if options.as_json:
        print(json.dumps({"checked": findings.checked, "faults": findings.faults}))
    else:
        for fault in findings.faults:
            print(f"fault: {fault}", file=sys.stderr)
        print(f"{options.out}: {findings.checked}; {len(findings.faults) or 'no'} faults.")
    return 1 if findings.faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
