"""Strategies compared at an equal budget: `python -m training.study strategies [--seeds 3] [--minutes 1]`.

Every row of a study (presets.STUDIES) trains from the same start: the shipped prior, with new time-aware
encoder, SFT layers and CFW around it. A preset of one task stands for one network per task, each with its
share of the minutes. All are measured on the same damaged photos, so differences are paired by image.

Writes training/results/study-NAME.json, .md and .png. A run that is there already is not run again.
"""

import argparse
import dataclasses
import json
import statistics
from collections.abc import Sequence
from pathlib import Path

from lwr.loading.load import load_network
from lwr.restore import Restorer
from lwr.tasks import TASKS
from training.config import Config
from training.create import create_network
from training.data.photos import Photo, load_photos
from training.evaluation.cases import Case, evaluate
from training.evaluation.samples import damaged_samples
from training.evaluation.scores import Judge
from training.evaluation.study_report import plot, table
from training.logger import versions
from training.loop import train
from training.presets import PRESETS, START, STUDIES

BASE = "shared"  # what the others are compared with
CROP = 192  # pixels, of the middle of a validation photo


def study(name: str, seeds: int, minutes: float | None, photos: str, limit: int | None, count: int) -> dict:
    """Train and measure every row of a study; the table as a dict."""
    if not (Path(START) / "network").exists():
        fresh_start(Path(START) / "network")
    training = load_photos(photos, "train", limit)
    held_out = _held_out(load_photos(photos, "validation"), count)
    rows = {}
    for preset in STUDIES[name]:
        found = [
            _run(
                PRESETS[preset],
                minutes,
                seed,
                Path(f"runs/study/{name}/{preset}/seed{seed}"),
                training,
                held_out,
            )
            for seed in range(seeds)
        ]
        rows[preset] = _summary(found)
    base = rows[BASE]["by_image"]
    for row in rows.values():
        row["over_shared"] = _paired(row["by_image"], base)
    minutes = minutes or PRESETS[BASE].minutes
    return {
        "study": name,
        "minutes": minutes,
        "seeds": seeds,
        "training_photos": len(training),
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
    network.save(folder)


def _run(
    preset: Config,
    minutes: float | None,
    seed: int,
    out: Path,
    training: Sequence[Photo],
    held_out: list[Photo],
) -> dict:
    """Train one row with one seed and measure it; the result is kept in `out`."""
    kept = out / "result.json"
    if kept.exists():
        return json.loads(kept.read_text())
    preset = dataclasses.replace(preset, seed=seed, minutes=minutes or preset.minutes)
    parts = [preset]
    if len(preset.tasks) == 1:
        share = preset.minutes / len(TASKS)
        parts = [dataclasses.replace(preset, tasks=(task,), minutes=share) for task in TASKS]
    trainable, steps, networks = 0, 0, {}
    for index, part in enumerate(parts):
        folder = out / str(index)
        steps += train(dataclasses.replace(part, out=str(folder)), training).step
        trainable += json.loads((folder / "log.jsonl").read_text().splitlines()[0])["trainable"]
        networks |= dict.fromkeys(part.tasks, folder / "network")
    result = {
        "trainable": trainable,
        "steps": steps,
        "seconds_per_step": round(preset.minutes * 60 / steps, 3),
    }
    kept.write_text(json.dumps(result | measure(networks, held_out, swap=seed == 0)) + "\n")
    return json.loads(kept.read_text())


def measure(networks: dict[str, Path], photos: list[Photo], swap: bool) -> dict[str, dict]:
    """PSNR gains in dB of {task: network folder}: "exact" by damage, asked task and image id, at fidelity 1;
    "decoded" by task, mean at fidelity 0. With `swap` also of every wrong prompt."""
    exact, decoded, judge = {damage: {} for damage in TASKS}, {}, Judge()
    for asked in TASKS:
        damages = tuple(TASKS) if swap else (asked,)
        cases = [Case(damage, asked, 1.0) for damage in damages] + [Case(asked, asked, 0.0)]
        restorer = Restorer.load(str(networks[asked]), device="cpu")
        rows = evaluate(restorer, damaged_samples(photos, damages), cases, judge).rows
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


def _paired(row: dict[str, float], base: dict[str, float]) -> dict[str, float]:
    """Mean difference of the same images, with the half width of its 95 % interval over images."""
    photos = {name.split("|")[0] for name in row}
    differences = [
        statistics.fmean(row[f"{p}|{t}"] - base[f"{p}|{t}"] for t in TASKS) for p in sorted(photos)
    ]
    spread = statistics.stdev(differences) if len(differences) > 1 else float("nan")
    return {
        "mean": round(statistics.fmean(differences), 3),
        "ci95": round(1.96 * spread / len(differences) ** 0.5, 3),
    }


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m training.study", description=__doc__)
    parser.add_argument("study", choices=sorted(STUDIES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--minutes", type=float, default=None, help="budget of a row and seed; None: the preset's"
    )
    parser.add_argument("--photos", default="../shared/photos")
    parser.add_argument("--photos-limit", type=int, default=600, help="read only so many for training")
    parser.add_argument("--validation", type=int, default=16, help="photos to measure on")
    parser.add_argument("--out", type=Path, default=Path("training/results"))
    arguments = parser.parse_args()
    result = study(
        arguments.study,
        arguments.seeds,
        arguments.minutes,
        arguments.photos,
        arguments.photos_limit,
        arguments.validation,
    )
    arguments.out.mkdir(parents=True, exist_ok=True)
    stem = arguments.out / f"study-{arguments.study}"
    stem.with_suffix(".json").write_text(json.dumps(result, indent=2) + "\n")
    stem.with_suffix(".md").write_text(table(result))
    plot(result, stem.with_suffix(".png"))
    print(table(result))


if __name__ == "__main__":
    main()
