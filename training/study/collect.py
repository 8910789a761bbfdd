"""All that a study's runs left in the work folder, as the one dict that becomes the results file."""

import dataclasses
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from training.logger import versions
from training.study.arms import ARMS, BUDGET, CONFLICT, HALF, MARKS, PAIRS, Unit
from training.study.files import read_json
from training.study.measure import CROP
from training.study.plan import SAME, Options, arms_of, data_of, timing_of, units_of

HALF_PRECISION = 2  # bytes a weight on disk
PLACES = ("study", "photos", "work", "out", "device")
CONFIG = ("crop", "batch", "lr", "schedule", "warmup", "clip", "ema", "muon", "precision")


def collect(options: Options) -> dict:
    """Scores of every photo, arm, seed and mark; its layout is in report.py."""
    work, found = options.work, {unit: _read(unit, options.work) for unit in units_of(options)}
    inputs = read_json(work / "inputs.json")
    data = read_json(data_of(work, 0, options.tasks[0]).with_suffix(".json"))
    ends = [end["done"] for end in found.values()]
    config = {name: getattr(BUDGET, name) for name in CONFIG} | {
        name: getattr(options, name) for name in SAME if name not in PLACES
    }
    result = {
        "study": options.study,
        "command": command(options),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {name: value for name, value in versions().items() if name != "command"}
        | {"torch": _listed(end["torch"] for end in ends)},
        "device": _listed(end["device"] for end in ends),
        "timing_device": read_json(timing_of(work, arms_of(options)[0]))["device"],
        "minutes": round(sum(end["seconds"] for end in ends) / 60, 1),
        "config": config
        | {
            "samples_per_task": options.count * BUDGET.batch,
            "tasks": list(options.tasks),
            "training_photos": data["photos"],
            "validation_crop": CROP,
        },
        "photos": inputs["ids"],
        "inputs": inputs["scores"],
        "arms": {
            name: _arm(name, [u for u in found if u.arm == name], found, work) for name in arms_of(options)
        },
    }
    conflicts = {u.seed: found[u]["marks"] for u in found if u.arm == CONFLICT}
    if conflicts:
        result["cosines"] = {
            str(seed): {str(mark): scores["cosines"] for mark, scores in marks.items()}
            for seed, marks in conflicts.items()
        }
    if set(arms_of(options)) & set(PAIRS):
        result["grouping"] = read_json(work / "grouping.json")
    return result


def _listed(texts: Iterable[str]) -> str:
    """Each once."""
    return "; ".join(dict.fromkeys(texts))


def command(options: Options) -> str:
    """The command line, without the paths of this machine."""
    words = [f"python -m training.study {options.study} --photos PHOTOS"]
    for field in dataclasses.fields(Options):
        value = getattr(options, field.name)
        if field.name not in PLACES and value != field.default:
            text = ",".join(value) if isinstance(value, tuple) else value
            words.append(f"--{field.name.replace('_', '-')} {text}")
    return " ".join(words)


def _read(unit: Unit, work: Path) -> dict:
    """{"done": ..., "marks": {mark: its file}} of a network, from where it leaves the arm it starts from."""
    folder, first = unit.folder(work), HALF if ARMS[unit.arm].starts_from else 0
    paths = {mark: folder / f"scores-{mark}.json" for mark in MARKS if mark > first}
    marks = {mark: read_json(path) for mark, path in paths.items() if path.exists()}
    return {"done": read_json(folder / "done.json"), "marks": marks}


def _arm(name: str, units: Sequence[Unit], found: dict[Unit, dict], work: Path) -> dict:
    arm, ends = ARMS[name], [found[unit]["done"] for unit in units if unit.seed == 0]
    trainable = sum(end["trainable"] for end in ends)
    tasks = list(dict.fromkeys(task for end in ends for task in end["tasks"]))
    share = trainable / len(tasks) if arm.per_task or "lora_parts" in arm.changes else 0
    return {
        "question": arm.question,
        "what": arm.what,
        "tasks": tasks,
        "device": _listed(found[unit]["done"]["device"] for unit in units),
        "trainable": trainable,
        "stored_mb_per_task": round(share * HALF_PRECISION / 1e6, 2),
        "seconds_per_step": read_json(timing_of(work, name))["seconds_per_step"],
        "starts_from": f"{arm.starts_from} at {HALF:.0%}" if arm.starts_from else None,
        "runs": {
            str(seed): _run([u for u in units if u.seed == seed], found)
            for seed in sorted({u.seed for u in units})
        },
    }


def _run(units: Sequence[Unit], found: dict[Unit, dict]) -> dict:
    """The scores of one seed, its networks' put together."""
    scores: dict[str, dict] = {}
    swap: dict[str, dict] = {}
    for unit in units:
        marks = found[unit]["marks"]
        for mark, file in marks.items():
            scores.setdefault(str(mark), {}).update(file["scores"])
        for damage, asked in marks.get(MARKS[-1], {}).get("swap", {}).items():
            swap.setdefault(damage, {}).update(asked)
    return {"scores": scores} | ({"swap": swap} if swap else {})
