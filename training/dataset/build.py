"""The build: claim the folder, list the photos, choose among them, write the blocks, and sum up.

What a killed build has finished stays in `.build` in the set's folder until all is done. The manifest
`dataset.json` is written last: a folder that has one is complete.
"""

import csv
import io
import json
import re
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from tqdm import tqdm

from training.data.photos import split_of
from training.data.shards import BUILT_SET, Skipped
from training.data.storage import is_local, place, remove, sweep, write_text
from training.dataset.block import Block, write_block
from training.dataset.card import write_card
from training.dataset.curate import Candidate, Rejected, choose, measure, refuse
from training.dataset.engines import Engine, Job
from training.dataset.errors import DatasetError
from training.dataset.listing import fingerprint, list_photos
from training.dataset.recipe import Recipe
from training.dataset.schema import SPLITS

WORK, CLAIM, REJECTED = ".build", "claim.json", "rejected.csv"


@dataclass(frozen=True)
class Built:
    """What a build came to."""

    manifest: dict[str, Any]
    lost: tuple[tuple[str, str], ...] = ()  # name of each photo that failed, and why
    images: int = 0  # written by this call; others were there
    seconds: float = 0.0  # of this call
    peak_gb: float = 0.0  # of the largest worker


def build(source: str, out: Path, recipe: Recipe, engine: Engine) -> Built:
    """Build the set, or go on with it.

    Raises DatasetError when `out` holds something else, no photo is left, or the work had to
    stop, FileNotFoundError without a source; each with a sentence.
    """
    start = time.perf_counter()
    identity = recipe.identity()
    complete = _claimed(out, identity)
    if complete and not (is_local(place(source)) and place(source).exists()):
        return Built(complete)  # a Hub dataset would have to be fetched again to be compared
    candidates, unreadable = list_photos(source, recipe, out / WORK)
    claim = {"recipe": identity, "photos": {"fingerprint": fingerprint(candidates)}}
    if complete:
        remove(out / WORK)
    _claim(out, claim, complete)
    if complete:
        return Built(complete)

    chosen, rejected = choose(candidates, recipe, partial(_measured, recipe, engine, out))
    if not chosen:
        remove(out / WORK)  # the claim too: a corrected command may use the folder
        raise DatasetError(_nothing_left(source, rejected, unreadable))
    written, reports = _write(chosen, recipe, engine, out)
    lost = _lost(chosen, reports)
    rejected += lost
    out_again = {one.image_id for one in lost}
    kept = [candidate for candidate in chosen if candidate.image_id not in out_again]
    if not kept:
        remove(out)  # nothing in it is of use: a corrected command may have the folder
        raise DatasetError(
            f"None of {len(chosen)} photos could be degraded; the first {rejected[-1].reason}."
        )

    manifest = claim | _summary(candidates, kept, rejected, unreadable, reports)
    _write_rejected(out / REJECTED, rejected, unreadable)
    write_card(out, manifest)
    write_text(out / BUILT_SET, json.dumps(manifest, indent=1) + "\n")
    remove(out / WORK)
    failed = [one for one in rejected if one.failed]
    return Built(
        manifest,
        lost=tuple((one.name, one.reason) for one in (*failed, *unreadable)),
        images=written,
        seconds=time.perf_counter() - start,
        peak_gb=max(report["peak_gb"] for report in reports),
    )


def _lost(chosen: Sequence[Candidate], reports: Sequence[dict[str, Any]]) -> list[Rejected]:
    """The photos that were chosen and could not be degraded, or not usefully."""
    broken = {image_id: why for report in reports for image_id, why in report["failed"]}
    useless = {image_id: why for report in reports for image_id, why in report["rejected"]}
    reasons = broken | useless
    return [refuse(one, reasons[i], i in broken) for one in chosen if (i := one.image_id) in reasons]


def read_manifest(out: Path) -> dict[str, Any]:
    """The manifest of a complete set. Raises DatasetError where there is none."""
    if not (out / BUILT_SET).exists():
        raise DatasetError(f"There is no complete set in {out}: it has no {BUILT_SET}.")
    try:
        return json.loads((out / BUILT_SET).read_text(encoding="utf-8"))
    except ValueError as error:
        raise DatasetError(f"{out / BUILT_SET} is damaged: {error}.") from error


# ---- the folder


def _claimed(out: Path, identity: dict[str, Any]) -> dict[str, Any] | None:
    """The manifest of the set if it is complete. Raises DatasetError when `out` is not for this set."""
    if not out.exists():
        return None
    if not out.is_dir():
        raise DatasetError(f"{out} is a file; give a folder.")
    if (out / BUILT_SET).exists():
        there = read_manifest(out)
    elif (out / WORK / CLAIM).exists():
        there = json.loads((out / WORK / CLAIM).read_text(encoding="utf-8"))
    elif any(path.name != WORK for path in out.iterdir()):
        raise DatasetError(f"{out} holds other files; give a new or empty folder. Nothing was changed.")
    else:
        return None
    differences = list(_differences(there.get("recipe", {}), identity))
    if differences:
        raise DatasetError(f"{out} holds another set ({'; '.join(differences)}). {_CHOICE}")
    return there if "files" in there else None


def _claim(out: Path, claim: dict[str, Any], complete: dict[str, Any] | None) -> None:
    """Say in the folder whose it is. Raises DatasetError if other photos were there at its start."""
    path = out / WORK / CLAIM
    there = complete or (json.loads(path.read_text(encoding="utf-8")) if path.exists() else claim)
    if there["photos"]["fingerprint"] != claim["photos"]["fingerprint"]:
        raise DatasetError(f"{out} was built from other photos, or they have changed since. {_CHOICE}")
    if is_local(out):
        sweep(out)
    if not complete:
        write_text(path, json.dumps(claim))


_CHOICE = "Give another folder, or delete this one first. Nothing was changed."


def _differences(there: Any, here: Any, name: str = "") -> Iterable[str]:
    """Where two recipes differ, in words."""
    if isinstance(there, dict) and isinstance(here, dict):
        for key in sorted(there.keys() | here.keys()):
            yield from _differences(there.get(key), here.get(key), f"{name} {key}".strip())
    elif there != here:
        yield f"{name} is {_short(there)} there, {_short(here)} here"


def _short(value: Any) -> str:
    return "absent" if value is None else ", ".join(value) if isinstance(value, list) else str(value)


# ---- the work


def _measured(recipe: Recipe, engine: Engine, out: Path, lists: list[list[Candidate]]) -> Iterable[Any]:
    """Measure lists of photos; see `curate.Measure`."""
    jobs = [Job(out / WORK / "measured" / _key(part), partial(measure, part, recipe)) for part in lists]
    with tqdm(total=sum(map(len, lists)), unit="photo", desc="choosing", mininterval=1) as bar:
        for found in engine.run(jobs):
            bar.update(len(found))
            yield found


def _key(part: list[Candidate]) -> str:
    text = json.dumps([(candidate.image_id, candidate.size) for candidate in part])
    return f"{sha256(text.encode()).hexdigest()[:24]}.json"


def _write(
    chosen: Sequence[Candidate], recipe: Recipe, engine: Engine, out: Path
) -> tuple[int, list[dict[str, Any]]]:
    """Write all blocks that are not there: the number of images that were, and the reports of all blocks."""
    jobs = [
        Job(out / WORK / "blocks" / f"{block.name}.json", partial(write_block, block, recipe, out))
        for block in _blocks(chosen, recipe.shard_photos)
    ]
    there = sum(json.loads(job.report.read_text())["images"] for job in jobs if job.report.exists())
    reports = []
    with tqdm(total=len(chosen), unit="photo", desc=f"{len(recipe.tasks)} tasks", mininterval=1) as bar:
        for report in engine.run(jobs):
            reports.append(report)
            bar.update(report["images"] + len(report["failed"]) + len(report["rejected"]))
    return sum(report["images"] for report in reports) - there, reports


def _blocks(chosen: Sequence[Candidate], size: int) -> list[Block]:
    """The photos of each split in canonical order, so many a block; the largest blocks first."""
    blocks = []
    for split in SPLITS:
        photos = [candidate for candidate in chosen if split_of(candidate.photo_id) == split]
        parts = [tuple(photos[i : i + size]) for i in range(0, len(photos), size)]
        blocks += [Block(split, index, len(parts), part) for index, part in enumerate(parts)]
    return sorted(blocks, key=lambda block: -len(block.photos))


# ---- what is said of it


def _summary(
    candidates: Sequence[Candidate],
    kept: Sequence[Candidate],
    rejected: Sequence[Rejected],
    unreadable: Sequence[Skipped],
    reports: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    """The parts of the manifest that follow from the work."""
    failed = sum(one.failed for one in rejected) + len(unreadable)
    splits = {split: [c for c in kept if split_of(c.photo_id) == split] for split in SPLITS}
    return {
        "photos": {
            "fingerprint": fingerprint(list(candidates)),
            "offered": len(candidates) + len(unreadable),
            "chosen": len(kept),
            "rejected": len(rejected) + len(unreadable) - failed,
            "failed": failed,
            "reasons": dict(sorted(_reasons(rejected, unreadable).items())),
        },
        "splits": {
            split: {"images": len(part), "photos": len({candidate.photo_id for candidate in part})}
            for split, part in splits.items()
        },
        "drawn_again": {
            task: count
            for task in reports[0]["again"]
            if (count := sum(one["again"][task] for one in reports))
        },
        "licenses": dict(sorted(Counter(candidate.license for candidate in kept).items())),
        "files": dict(sorted((name, entry) for report in reports for name, entry in report["files"].items())),
    }


def _write_rejected(path: Path, rejected: Sequence[Rejected], unreadable: Sequence[Skipped]) -> None:
    """One row for each photo that stayed out, with the reason."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image_id", "photo_id", "name", "license", "failed", "reason"])
    order = sorted(rejected, key=lambda one: (sha256(one.image_id.encode()).hexdigest(), one.name))
    for one in order:
        writer.writerow([one.image_id, one.photo_id, one.name, one.license, int(one.failed), one.reason])
    for one in unreadable:
        writer.writerow(["", "", one.name, "", 1, one.reason])
    write_text(path, text.getvalue())


def _reasons(rejected: Sequence[Rejected], unreadable: Sequence[Skipped]) -> Counter[str]:
    """How many photos stayed out for which kind of reason."""
    kinds = Counter(re.split(r": | of ", one.reason)[0] for one in rejected)
    return kinds + Counter("cannot be read" for _ in unreadable)


def _nothing_left(source: str, rejected: Sequence[Rejected], unreadable: Sequence[Skipped]) -> str:
    """Why no photo came into the set."""
    reasons = _reasons(rejected, unreadable)
    if not reasons:
        return f"There is no photo in {source}."
    listed = ", ".join(f"{count} {why}" for why, count in reasons.most_common(5))
    first = next(iter(rejected or unreadable))
    text = f"No photo of {source} can be used: {listed} (the first is {first.name}: {first.reason})."
    if any("licence" in one.reason for one in rejected):
        text += (
            " A photo's licence comes from the column `license` of a metadata.csv (file_name, author, "
            "license, source) beside it, or of its shard; if all have one licence, say --license CC0-1.0 and "
            "the like. --licenses names those that are allowed."
        )
    return text
