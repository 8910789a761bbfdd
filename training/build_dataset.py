"""Build the multi-task dataset: every photo under the degradation of every task, as Parquet for `datasets`.

  python -m training.build_dataset --photos ../shared/photos --out runs/multitask --per-task 200 --workers 2
  python -m training.build_dataset --out runs/multitask --verify

The same command again goes on where it was stopped. SOURCE is a folder of pictures, a folder or file of tar
or parquet shards, or a Hub dataset NAMESPACE/NAME[:CONFIG][@REVISION]; a metadata.csv (file_name, author,
license, source) beside pictures, or the columns of the shards, say whose they are. SOURCE and DIR may be
addresses of object storage. Exit status: 0 built (or verified), 1 built without photos that failed (or found
faulty), 2 not built.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from difflib import get_close_matches
from typing import TYPE_CHECKING, NoReturn

from training.dataset.errors import DatasetError

if TYPE_CHECKING:
    from training.dataset.build import Built
    from training.dataset.recipe import Recipe


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message}", file=sys.stderr)
        raise SystemExit(2)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; one sentence on stderr when what was asked for cannot be done."""
    arguments = _parser().parse_args(argv)
    try:
        return _verify(arguments) if arguments.verify else _build(arguments)
    except (DatasetError, OSError) as error:
        print(f"python -m training.build_dataset: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; finished shards are kept, and the same command goes on", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m training.build_dataset",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    whole = _number(int, 1)
    parser.add_argument("--photos", metavar="SOURCE", help="where the clean photos are")
    parser.add_argument("--out", metavar="DIR", required=True, help="the set's folder")
    parser.add_argument("--tasks", help="names with commas between; default: all")
    parser.add_argument("--per-task", type=whole, metavar="N", help="at most N images, the same in each task")
    parser.add_argument(
        "--size", type=_number(int, 32, 4096), default=512, help="side in pixels; default 512"
    )
    parser.add_argument("--seed", type=_number(int, 0, 2**62), default=0, help="default 0")
    parser.add_argument("--workers", type=whole, default=os.cpu_count() or 1, help="default: all cores")
    parser.add_argument("--verify", action="store_true", help="check the set in DIR instead of building it")
    parser.add_argument("--rows", type=whole, default=8, help="with --verify: rows a config to degrade again")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    curation = parser.add_argument_group("which photos")
    curation.add_argument(
        "--licenses", help="allowed ones, with commas; default: the open ones, see the card"
    )
    curation.add_argument("--license", help="licence of photos that state none, such as CC0-1.0")
    curation.add_argument("--author", help="author of photos that state none")
    curation.add_argument("--source", help="where photos that do not say so are from")
    curation.add_argument(
        "--max-blur", type=_number(float, 0, 1), default=0.5, help="0 sharp to 1; default 0.5"
    )
    curation.add_argument(
        "--max-dark-channel", type=_number(float, 0, 1), default=0.45, help="1 keeps hazy ones; default 0.45"
    )
    curation.add_argument(
        "--duplicate-distance",
        type=_number(int, -1, 64),
        default=8,
        help="of 64 bits; default 8",
    )
    other = parser.add_argument_group("how")
    other.add_argument("--depth", metavar="MODEL_ID", help="depth-estimation model of transformers, for haze")
    other.add_argument("--shard-photos", type=whole, default=32, help="images a shard; default 32")
    other.add_argument("--engine", choices=("local", "ray"), default="local", help="who does the work")
    other.add_argument("--ray-address", metavar="ADDRESS", help="of a running Ray cluster, or auto")
    return parser


def _number(kind: type, least: float, most: float = float("inf")) -> object:
    def parse(text: str) -> float:
        with suppress(ValueError):
            value = kind(text)
            if least <= value <= most:
                return value
        limit = f"{least} to {most}" if most < float("inf") else f"at least {least}"
        raise argparse.ArgumentTypeError(
            f"{text!r} is not {'a whole' if kind is int else 'a'} number, {limit}"
        )

    return parse


def _build(arguments: argparse.Namespace) -> int:
    from training.dataset.engines import Local, Ray

    if not arguments.photos:
        raise DatasetError("--photos is missing: say where the clean photos are.")
    ray = arguments.engine == "ray"
    # The workers come first: while they import torch, this process does.
    with Ray(arguments.workers, arguments.ray_address) if ray else Local(arguments.workers) as engine:
        from training.data.storage import place
        from training.dataset.build import build
        from training.dataset.depth import model_depth

        recipe = _recipe(arguments)
        if recipe.depth:
            model_depth(recipe.depth)  # before anything is written
        built = build(arguments.photos, place(arguments.out), recipe, engine)
    _report(built, recipe, arguments)
    return 1 if built.lost else 0


def _recipe(arguments: argparse.Namespace) -> "Recipe":
    import torch

    from lwr.tasks import TASKS
    from training.dataset.licences import DEFAULT, LICENCES
    from training.dataset.recipe import Recipe

    torch.set_num_threads(1)  # the cores belong to the workers
    tasks = _chosen(arguments.tasks, TASKS, TASKS, "task")
    licences = _chosen(arguments.licenses, LICENCES, DEFAULT, "licence")
    same = ("per_task", "size", "seed", "max_blur", "max_dark_channel", "duplicate_distance", "shard_photos")
    same += ("depth", "license", "author", "source")
    return Recipe(tasks=tasks, licences=licences, **{name: getattr(arguments, name) for name in same})


def _chosen(text: str | None, known: Iterable[str], default: Iterable[str], what: str) -> tuple[str, ...]:
    """The names in a text with commas, in the order of `known`. Raises DatasetError for an unknown one."""
    if text is None:
        return tuple(default)
    by_lower = {name.lower(): name for name in known}
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names or [text]:
        if name.lower() not in by_lower:
            near = get_close_matches(name.lower(), by_lower, 1)
            hint = f"did you mean {by_lower[near[0]]}?" if near else f"use {', '.join(by_lower.values())}."
            raise DatasetError(f"There is no {what} {name!r}: {hint}")
    return tuple(by_lower[name] for name in by_lower if name in {each.lower() for each in names})


def _report(built: "Built", recipe: "Recipe", arguments: argparse.Namespace) -> None:
    photos, tasks = built.manifest["photos"], len(recipe.tasks)
    for name, why in built.lost:
        print(f"failed: {name}: {why}", file=sys.stderr)
    if arguments.json:
        facts = {name: photos[name] for name in ("offered", "chosen", "rejected", "failed")}
        facts |= {"written": built.images, "tasks": tasks, "seconds": round(built.seconds, 2)}
        print(json.dumps(facts | {"peak_gb_a_worker": built.peak_gb, "splits": built.manifest["splits"]}))
        return
    if not built.images:
        print(f"{arguments.out} is complete already: {photos['chosen']} images x {tasks} tasks.")
        return
    rate = f"{built.images / built.seconds:.2f} images/s, {built.peak_gb:.2f} GB the largest process"
    print(f"{photos['chosen']} images x {tasks} tasks in {built.seconds:.1f} s: {rate}.")
    out, failed = photos["rejected"], photos["failed"]
    print(f"Of {photos['offered']} photos, {out} were left out and {failed} failed (rejected.csv).")
    print(f'Read it: datasets.load_dataset("{arguments.out}", "{recipe.tasks[0]}")')


def _verify(arguments: argparse.Namespace) -> int:
    from training.data.storage import place
    from training.dataset.verify import verify

    findings = verify(place(arguments.out), arguments.rows)
    if arguments.json:
        print(json.dumps({"checked": findings.checked, "faults": findings.faults}))
    else:
        for fault in findings.faults:
            print(f"fault: {fault}", file=sys.stderr)
        print(f"{arguments.out}: {findings.checked}; {len(findings.faults) or 'no'} faults.")
    return 1 if findings.faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
