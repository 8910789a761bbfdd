"""Cost against quality in one table and two Pareto fronts: training/results/light.json, .md, .png and .webp.

    python -m training.benchmarks.light --photos PHOTOS --variants thin=runs/thin,embedded-lite

Networks of ours (the shipped one always first), what users would pick instead, and Stable Diffusion 2.1 with
StableSR at its true size. `--only` measures some of these groups and keeps the others; `--measure` one half.
Seconds are compared within a run, so costs of variants that are not named again are dropped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from lwr.loading.load import without_bars
from lwr.loading.locate import locate
from lwr.loading.priors import PriorError
from lwr.restore import Restorer
from lwr.tasks import TASKS
from training.benchmarks.light import diffusion, enlargers, maxim, networks, report
from training.benchmarks.light.costs import load, measured
from training.benchmarks.light.quality import DamagedPhotos
from training.benchmarks.light.results import Results, read, write
from training.benchmarks.record import RESULTS
from training.command_line import fail, parse

COMMAND = "python -m training.benchmarks.light"
SHIPPED = "embedded"


@dataclass(frozen=True)
class Options:
    """What is measured."""

    photos: str | None = None  # folder of pictures, shards, or a Hub dataset NAMESPACE/NAME; for the quality
    # networks beside the shipped one: NAME=FOLDER, or a name that --prior of `lwr restore` takes
    variants: tuple[str, ...] = ()
    # groups that are measured; the others stay as they are; report: draw table and pictures again
    only: tuple[Literal["variants", "peers", "stable-diffusion", "report"], ...] = (
        "variants",
        "peers",
        "stable-diffusion",
    )
    measure: tuple[Literal["costs", "quality"], ...] = ("costs", "quality")
    limit: int = 48  # validation photos
    side: int = 512  # pixels, of their middles
    tasks: tuple[str, ...] = tuple(TASKS)  # whose quality is measured
    pixels: int = 512  # side of the photo whose pass is timed and counted
    task: str = "deblur"  # whose pass that is
    threads: tuple[int, ...] = (1, 2)
    rounds: int = 5  # timed passes of each
    maxim: Path | None = None  # node_modules with MAXIM, see maxim.py
    tensorflow: Path | None = None  # a Python that has TensorFlow
    maxim_photos: int = 3  # of the validation photos
    out: Path = RESULTS / "light.json"


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point."""
    options = parse(Options, arguments, COMMAND, __doc__)
    models = {SHIPPED: SHIPPED} | dict(_named(word) for word in options.variants)
    _check(options, models)
    without_bars()
    results = read(options.out)
    if "costs" in options.measure:
        _costs(options, models, results)
    if "quality" in options.measure and _of_photos(options):
        _quality(options, models, results)
    report.write_all(results, options.out)


def _of_photos(options: Options) -> bool:
    """Whether a group is measured whose quality is known by photos."""
    return bool({"variants", "peers"} & set(options.only))


def _named(word: str) -> tuple[str, str]:
    """NAME=FOLDER, or what is name and model in one."""
    name, _, model = word.partition("=")
    return name, model or name


def _check(options: Options, models: Mapping[str, str]) -> None:
    """End the program for what cannot be meant so, before anything is measured."""
    if "quality" in options.measure and _of_photos(options) and options.photos is None:
        fail(COMMAND, "--photos PHOTOS is missing: the quality is measured on them. Or give --measure costs.")
    for task in (*options.tasks, options.task):
        if task not in TASKS:
            fail(COMMAND, f"There is no task {task!r}: use {', '.join(TASKS)}.")
    try:
        for model in models.values():
            locate(model)
    except PriorError as error:
        fail(COMMAND, str(error))


def _costs(options: Options, models: Mapping[str, str], results: Results) -> None:
    """Ours and the enlargers take turns; then Stable Diffusion."""
    settings = {
        "load": load(),
        "pixels": options.pixels,
        "task": options.task,
        "rounds": options.rounds,
    }
    wanted = models if "variants" in options.only else {SHIPPED: models[SHIPPED]}
    if {"variants", "peers"} & set(options.only):
        ours = {n: networks.contender(model, options.task, options.pixels) for n, model in wanted.items()}
        peers, left_out = enlargers.contenders(options.pixels) if "peers" in options.only else ({}, {})
        rows = measured(ours | peers, options.threads, options.rounds)
        if "variants" in options.only:
            results.put_costs("variants", COMMAND, settings, {name: rows[name] for name in ours})
        if "peers" in options.only:
            beside = settings | {"beside": {SHIPPED: rows[SHIPPED]["seconds"]}}
            results.put_costs("peers", COMMAND, beside, {name: rows[name] for name in peers} | left_out)
    if "stable-diffusion" in options.only:
        found = diffusion.rows(options.pixels, options.threads)
        results.put_costs("stable-diffusion", COMMAND, settings, found)
    write(results, options.out)


def _quality(options: Options, models: Mapping[str, str], results: Results) -> None:
    """On the same damaged photos; each network's scores are written when they are there."""
    torch.set_num_threads(max(options.threads))
    photos = DamagedPhotos(options.photos, options.limit, options.side, options.tasks)
    about = {"limit": options.limit, "side": options.side, "measures": photos.judge.described()}
    shipped = Restorer.load(models[SHIPPED], device="cpu")
    if "variants" in options.only:
        for name, model in models.items():
            restorer = Restorer.load(model, device="cpu")
            scores, weights = photos.scores(restorer, options.tasks), networks.weights_of(restorer.folder)
            results.put_quality("variants", name, scores, about, weights)
            write(results, options.out)
    if "peers" in options.only:
        if enlargers.TASK in options.tasks:
            found = photos.baseline_scores(shipped, enlargers.TASK, enlargers.baselines())
            for name, scores in found.items():
                results.put_quality("peers", name, scores, about)
            write(results, options.out)
        _maxim(options, results, photos, shipped)


def _maxim(options: Options, results: Results, photos: DamagedPhotos, shipped: Restorer) -> None:
    """Costs and scores at once, as a pass takes long."""
    for name, (task, package) in maxim.MODELS.items():
        why = maxim.why_not(options.maxim, options.tensorflow, package, options.side, options.pixels)
        if why is None and task in options.tasks:
            folder, most = options.maxim / package / "models", options.maxim_photos
            row = maxim.row(folder, options.tensorflow, task, photos, shipped, options.threads, most)
            results.put_row("peers", name, row)
        else:
            row = {"left_out": why or f"--tasks has no {task}"}
            results.put_row("peers", name, row, unless_measured=True)
        write(results, options.out)


if __name__ == "__main__":
    main()
