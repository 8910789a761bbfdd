"""Strategies compared at an equal budget: `python -m training.study strategies --photos PHOTOS`.

Every row of a study (presets.STUDIES) trains from the same start: the shipped prior, with new time-aware
encoder, SFT layers and refiner around it. A preset of one task stands for one network per task, each with its
share of the minutes. All are measured on the same damaged photos, so differences are paired by image.

Writes training/results/study-NAME.json, .md and .png. A run that is there already, of the
same options, is not run again.
"""

import dataclasses
import json
import math
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from lwr.loading.load import load_network, without_bars
from lwr.loading.save import save_network
from lwr.restore import Restorer
from lwr.tasks import TASKS
from training.checkpoint import TrainingError
from training.command_line import fail, parse
from training.config import Config
from training.create import create_network
from training.data.parts import Part, load_parts
from training.data.photos import Photo, load_photos
from training.evaluation.cases import Case, evaluate
from training.evaluation.samples import damaged_samples
from training.evaluation.scores import Judge, half_width
from training.evaluation.study_report import plot, table
from training.logger import versions
from training.loop import train
from training.presets import PRESETS, START, STUDIES

COMMAND = "python -m training.study"
BASE = "shared"  # what the others are compared with
CROP = 192  # pixels, of the middle of a validation photo


@dataclasses.dataclass(frozen=True)
class Options:
    """Of the command line."""

    study: Positional[Literal[*STUDIES]]  # a name in presets.STUDIES
    photos: str  # folder of pictures, tar or parquet shards, or a Hub dataset NAMESPACE/NAME
    data: str | None = None  # to train on instead, as of training.run; `photos` are measured on all the same
    seeds: int = 3  # runs of each row
    minutes: float | None = None  # budget of a row and seed; none = the preset's
    photos_limit: int | None = 600  # read only so many photos for training
    validation: int = 16  # photos to measure on
    out: Path = Path("training/results")  # folder of the results


@dataclasses.dataclass(frozen=True)
class Photos:
    """The same ones for every row."""

    training: Sequence[Part]
    held_out: Sequence[Photo]


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; status 2 and one sentence when the photos cannot be read or a run cannot be made."""
    options = parse(Options, arguments, COMMAND, __doc__)
    for name in ("seeds", "validation", "photos_limit"):
        value = getattr(options, name)
        if value is not None and value < 1:
            fail(COMMAND, f"--{name.replace('_', '-')} is {value}: use 1 or more.")
    if options.minutes is not None and not 0 < options.minutes < math.inf:
        fail(COMMAND, f"--minutes is {options.minutes}: use a number above 0.")
    without_bars()
    try:
        result = study(options)
    except (OSError, TrainingError) as error:
        print(f"{COMMAND}: {error}", file=sys.stderr)
        return 2
    options.out.mkdir(parents=True, exist_ok=True)
    stem = options.out / f"study-{options.study}"
    stem.with_suffix(".json").write_text(json.dumps(result, indent=2) + "\n")
    stem.with_suffix(".md").write_text(table(result))
    plot(result, stem.with_suffix(".png"))
    print(table(result))
    return 0


def study(options: Options) -> dict:
    """Train and measure every row of a study; the table as a dict."""
    given = {"photos": None if options.data else options.photos, "data": options.data}
    training = load_parts(Config("none", **given), "train", options.photos_limit)
    held_out = _held_out(load_photos(options.photos, "validation"), options.validation)
    if not held_out:
        raise TrainingError(
            f"No clear photo of split validation in {options.photos} has both sides of {CROP} pixels or "
            "more: add some to measure on."
        )
    photos = Photos(training, held_out)
    if not (Path(START) / "network").exists():
        fresh_start(Path(START) / "network")
    rows = {}
    for preset in STUDIES[options.study]:
        minutes = PRESETS[preset].minutes if options.minutes is None else options.minutes
        folder = Path("runs/study") / options.study / preset
        configs = [
            dataclasses.replace(PRESETS[preset], seed=seed, minutes=minutes, out=str(folder / f"seed{seed}"))
            for seed in range(options.seeds)
        ]
        rows[preset] = _summary([_run(config, photos, options) for config in configs])
    for row in rows.values():
        row["over_shared"] = _paired(row["by_image"], rows[BASE]["by_image"])
    return {
        "study": options.study,
        "minutes": PRESETS[BASE].minutes if options.minutes is None else options.minutes,
        "seeds": options.seeds,
        "training_photos": sum(len(part.photos) for part in training),
        "validation_photos": len(held_out),
        "versions": versions(),
        "rows": rows,
    }


def fresh_start(folder: Path) -> None:
    """The shipped prior with untrained parts around it."""
    network, shipped = create_network(Config("none")), load_network().prior
    network.prior.load_state_dict(shipped.state_dict())
    network.prior.vae.register_to_config(scaling_factor=shipped.vae.config.scaling_factor)
    folder.mkdir(parents=True)
    save_network(network, folder)


def _run(config: Config, photos: Photos, options: Options) -> dict:
    """Train one row with one seed and measure it; the result is kept in its folder.

    Raises TrainingError when the folder has the result of other options.
    """
    out = Path(config.out)
    kept = out / "result.json"
    settings = {name: getattr(options, name) for name in ("photos", "data", "photos_limit", "validation")}
    settings |= {"minutes": config.minutes, "seed": config.seed}
    if kept.exists():
        result = json.loads(kept.read_text())
        _check_settings(out, result.get("options", {}), settings)
        return result
    parts = [config]
    if len(config.tasks) == 1:
        share = config.minutes / len(TASKS)
        parts = [dataclasses.replace(config, tasks=(task,), minutes=share) for task in TASKS]
    trainable, steps, networks = 0, 0, {}
    for index, part in enumerate(parts):
        folder = out / str(index)
        steps += train(dataclasses.replace(part, out=str(folder)), photos.training).step
        trainable += json.loads((folder / "log.jsonl").read_text().splitlines()[0])["trainable"]
        networks |= dict.fromkeys(part.tasks, folder / "network")
    result = {
        "options": settings,
        "trainable": trainable,
        "steps": steps,
        "seconds_per_step": round(config.minutes * 60 / steps, 3),
    }
    kept.write_text(json.dumps(result | measure(networks, photos.held_out, swap=config.seed == 0)) + "\n")
    return json.loads(kept.read_text())


def _check_settings(out: Path, there: dict, here: dict) -> None:
    """TrainingError when the result in `out` is of other options."""
    differences = [
        f"{name} is {there.get(name, 'unknown')} there, {value} here"
        for name, value in here.items()
        if name not in there or there[name] != value
    ]
    if differences:
        raise TrainingError(
            f"{out} has a result of other options ({'; '.join(differences)}): "
            f"delete {out.parents[1]}, or give the same options."
        )


def measure(networks: dict[str, Path], photos: Sequence[Photo], swap: bool) -> dict[str, dict]:
    """PSNR gains in dB of {task: network folder}: "exact" by damage, asked task and image id, at fidelity 1;
    "decoded" by task, mean at fidelity 0. With `swap` also of every wrong prompt."""
    exact, decoded, judge = {damage: {} for damage in TASKS}, {}, Judge()
    restorers = {folder: Restorer.load(str(folder), device="cpu") for folder in set(networks.values())}
    for asked in TASKS:
        damages = tuple(TASKS) if swap else (asked,)
        cases = [Case(damage, asked, 1.0) for damage in damages] + [Case(asked, asked, 0.0)]
        rows = evaluate(restorers[networks[asked]], damaged_samples(photos, damages), cases, judge).rows
        for case in cases[:-1]:
            exact[case.damage][asked] = {i: scored["psnr_gain"] for i, scored in rows[case.name].items()}
        decoded[asked] = statistics.fmean(scored["psnr_gain"] for scored in rows[cases[-1].name].values())
    return {"exact": exact, "decoded": decoded}


def _held_out(photos: Sequence[Photo], count: int) -> list[Photo]:
    """The middle of one clear crop of each of `count` photographs."""
    first: dict[str, Photo] = {}
    for photo in photos:
        if photo.clear and min(photo.pixels.shape[:2]) >= CROP:
            top, left = ((side - CROP) // 2 for side in photo.pixels.shape[:2])
            middle = photo.pixels[top : top + CROP, left : left + CROP]
            first.setdefault(photo.photo, dataclasses.replace(photo, pixels=middle))
    return list(first.values())[:count]


def _summary(found: list[dict]) -> dict:
    """Means over images and seeds, the spread over seeds, and each image's mean over seeds."""
    by_seed = [{task: statistics.fmean(one["exact"][task][task].values()) for task in TASKS} for one in found]
    means = [statistics.fmean(gains.values()) for gains in by_seed]
    by_image = {
        f"{image}|{task}": round(statistics.fmean(one["exact"][task][task][image] for one in found), 4)
        for task in TASKS
        for image in found[0]["exact"][task][task]
    }
    swap = {
        damage: {asked: round(statistics.fmean(gains.values()), 3) for asked, gains in row.items()}
        for damage, row in found[0]["exact"].items()
    }
    return {
        "trainable": found[0]["trainable"],
        "steps": [one["steps"] for one in found],
        "seconds_per_step": round(statistics.fmean(one["seconds_per_step"] for one in found), 3),
        "gain": round(statistics.fmean(means), 3),
        "gain_by_seed": [round(mean, 3) for mean in means],
        "gain_sd_of_seeds": round(statistics.stdev(means), 3) if len(means) > 1 else None,
        "gain_by_task": {t: round(statistics.fmean(gains[t] for gains in by_seed), 3) for t in TASKS},
        "decoded_by_task": {t: round(statistics.fmean(one["decoded"][t] for one in found), 3) for t in TASKS},
        "prompt_swap": swap,
        "by_image": by_image,
    }


def _paired(row: dict[str, float], base: dict[str, float]) -> dict[str, float | None]:
    """Mean difference of the same images, with half of its 95 % interval over images (None: one)."""
    photos = {name.split("|")[0] for name in row}
    differences = [
        statistics.fmean(row[f"{p}|{t}"] - base[f"{p}|{t}"] for t in TASKS) for p in sorted(photos)
    ]
    return {"mean": round(statistics.fmean(differences), 3), "ci95": half_width(differences)}


if __name__ == "__main__":
    sys.exit(main())
