"""What a study consists of: its options, and every job from the start network to the last measure."""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Literal

import torch
from tyro.conf import Positional

from lwr.tasks import TASKS
from training.checkpoint import TrainingError
from training.config import Config
from training.data.parts import Part, load_parts
from training.data.shards import open_source
from training.data.sources import Source
from training.study import conflict, run, timing
from training.study.arms import ARMS, BASE, BUDGET, CONFLICT, MARKS, PAIRS, Unit, config_of, units
from training.study.batches import CPU, make_batches
from training.study.files import read_json, write_json
from training.study.jobs import Job
from training.study.measure import judge_on, make_held_out, make_inputs

LEAST_SAMPLES = BUDGET.batch * len(MARKS)
# what runs that belong together have in common
SAME = ("photos", "data", "photos_limit", "samples", "prior_samples", "tasks", "validation")


@dataclasses.dataclass(frozen=True)
class Options:
    """Of the command line."""

    study: Positional[Literal["strategies"]]
    photos: str  # folder of pictures, tar or parquet shards, or a Hub dataset NAMESPACE/NAME
    data: str | None = None  # to train on instead, as of training.run; `photos` are measured on all the same
    samples: int = 1280  # crops of each task that an arm sees: about 20 minutes of two cores an arm
    prior_samples: int = 12_800  # clean crops that the prior is trained on before
    tasks: tuple[str, ...] = tuple(TASKS)  # to train and measure: three or more
    seeds: int = 2  # runs of the arms that the conclusion rests on; the others run once
    arms: tuple[str, ...] = tuple(ARMS)  # to run, and those that they need
    photos_limit: int | None = None  # read only so many photos for training
    validation: int = 48  # photos to measure on
    jobs: int = 1  # networks that train at the same time
    device: Literal["auto", "cpu", "cuda"] = "auto"
    work: Path = Path("runs/study")  # folder of all that is kept on the way
    out: Path = Path("training/results")  # folder of the results

    @property
    def count(self) -> int:
        """Batches of each task."""
        return self.samples // BUDGET.batch


def check(options: Options) -> None:
    """TrainingError or FileNotFoundError for what is not here, before hours of training.

    The work folder may have runs of the same options alone, which are noted there.
    """
    if options.device == "cuda" and not torch.cuda.is_available():
        raise TrainingError("There is no CUDA device here: use --device cpu, or auto for what there is.")
    judge_on(CPU)
    open_source(options.photos, "validation")
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.work / "settings.json"
    here = json.loads(json.dumps({name: getattr(options, name) for name in SAME}))
    if not path.exists():
        options.work.mkdir(parents=True, exist_ok=True)
        write_json(path, here)
        return
    there = read_json(path)
    differences = [
        f"{name} is {there.get(name, 'unknown')} there, {value} here"
        for name, value in here.items()
        if there.get(name, "unknown") != value
    ]
    if differences:
        raise TrainingError(
            f"{options.work} has runs of other options ({'; '.join(differences)}): give the same options, or "
            "another --work."
        )


def arms_of(options: Options) -> list[str]:
    """The arms that run, in the table's order: those asked for, and those that they need."""
    needed = {BASE, *options.arms}
    needed |= {ARMS[name].starts_from for name in needed if ARMS[name].starts_from}
    if needed & set(PAIRS):
        needed |= {CONFLICT, "separate"}
    return [name for name in ARMS if name in needed]


def units_of(options: Options) -> list[Unit]:
    """Every network that trains."""
    return [
        unit
        for name in arms_of(options)
        for seed in range(options.seeds if ARMS[name].every_seed else 1)
        for unit in units(name, seed, options.tasks)
    ]


def jobs_of(options: Options) -> tuple[list[Job], list[Path]]:
    """(all jobs, the paths that are wanted in the end)."""
    work = options.work
    held_out, inputs, start = work / "held-out.pt", work / "inputs.json", work / "start"
    jobs = [
        Job(
            held_out, (), partial(make_held_out, options.photos, options.validation, options.tasks, held_out)
        ),
        Job(start, (), partial(run.make_start, work)),
        Job(inputs, (held_out,), partial(make_inputs, held_out, inputs, options.device)),
    ]
    jobs += [
        Job(data_of(work, seed, task), (), partial(_draw, options, seed, task))
        for seed in range(options.seeds)
        for task in options.tasks
    ]
    jobs.append(Job(work / "prior", (start,), partial(_pretrain, options)))
    trained = sorted(_networks(options), key=lambda job: job[0])
    jobs += [job for _, job in trained]
    ends = [Unit(CONFLICT, 0, options.tasks).folder(work) / "done.json"]
    jobs.append(Job(work / "grouping.json", tuple(ends), partial(_group, options)))
    timed = [timing_of(work, name) for name in arms_of(options)]
    before = [job.makes for _, job in trained]
    for name, path in zip(arms_of(options), timed, strict=True):  # one after the other, when nothing trains
        jobs.append(Job(path, (start, *before), partial(timing.measure, name, work)))
        before = [path]
    wanted = [inputs, *(job.makes for _, job in trained), *timed]
    return jobs, wanted


def data_of(work: Path, seed: int, task: str) -> Path:
    """The file of a task's batches."""
    return work / f"data-seed{seed}" / f"{task}.npy"


def timing_of(work: Path, arm: str) -> Path:
    """The file with an arm's seconds a step."""
    return work / arm / "timing.json"


def _networks(options: Options) -> Iterator[tuple[int, Job]]:
    """(place in the queue, job) of every network: first those that others wait for, short ones at the end."""
    work = options.work
    for unit in units_of(options):
        arm, folder = ARMS[unit.arm], unit.folder(work)
        pair = arm.question == "pairs"
        needs = [work / "held-out.pt", *(data_of(work, unit.seed, task) for task in unit.tasks)]
        needs.append(Path(config_of(unit, work).init))
        needs += [work / "grouping.json"] * pair
        train = partial(_train, unit, options)
        leaves = (folder / "half",) if unit.arm == BASE else ()
        queue = 0 if unit.arm in (BASE, CONFLICT) else 3 if arm.per_task else 2 if arm.starts_from else 1
        yield queue, Job(folder / "done.json", tuple(needs), train, leaves)


def _train(unit: Unit, options: Options) -> None:
    _parts.cache_clear()  # several processes hold them otherwise
    if ARMS[unit.arm].question == "pairs":
        pair = read_json(options.work / "grouping.json")[unit.arm.removeprefix("pair-")]
        unit = dataclasses.replace(unit, tasks=tuple(pair))
    run.run(unit, options.work, options.count, options.device)


def _group(options: Options) -> None:
    """Write which two tasks' gradients agree most, and which least."""
    folder = Unit(CONFLICT, 0, options.tasks).folder(options.work)
    found = [read_json(folder / f"scores-{mark}.json")["cosines"] for mark in MARKS]
    write_json(options.work / "grouping.json", conflict.groups(found, options.tasks))


def _draw(options: Options, seed: int, task: str) -> None:
    config = dataclasses.replace(BUDGET, seed=seed)
    make_batches(options.work / f"data-seed{seed}", task, options.count, config, _parts(options))


def _pretrain(options: Options) -> None:
    run.pretrain(options.work, options.prior_samples, _parts(options), options.device)


@lru_cache(maxsize=1)
def _parts(options: Options) -> Sequence[Part]:
    """The training photos, read once a process."""
    given = {"photos": None if options.data else options.photos, "data": options.data}
    measured_on = [Source(options.photos, "photos")]
    return load_parts(Config("none", **given), "train", options.photos_limit, measured_on=measured_on)
