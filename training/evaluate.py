"""Scores on photographs never trained on: `python -m training.evaluate` writes training/results/*.json.

Each validation photograph gives one 512-pixel crop; every task damages it (seeded by photo and task) and the
Restorer mends it, as a user's call would: at the default fidelity and at 1. The prompt-swap rows give the
photo of one task the prompt of another, which should leave the damage alone.
"""

import argparse
import hashlib
import json
import platform
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch
from PIL import Image
from tqdm import tqdm

from lwr import image as images
from lwr.metrics import psnr, ssim
from lwr.restore import Restorer
from lwr.tasks import TASKS
from training.data import Photo, load_photos
from training.perceptual import Lpips

SIZE = 512


@dataclass(frozen=True)
class Case:
    """One row of the table: the damage, the task that is asked for, and the fidelity (None = default)."""

    damage: str
    asked: str
    fidelity: float | None

    @property
    def name(self) -> str:
        """The row's key in the results."""
        fidelity = "default" if self.fidelity is None else f"{self.fidelity:g}"
        return f"{self.damage}|{self.asked}|fidelity {fidelity}"


def evaluate(
    restorer: Restorer, photos: Sequence[Photo], cases: Sequence[Case], sheet: Path | None = None
) -> dict[str, dict[str, float]]:
    """{case: {measure: mean over the photos}}; `sheet` gets the first photos, input | output | clean."""
    lpips = Lpips("alexnet")
    scores: dict[str, list[dict[str, float]]] = {case.name: [] for case in cases}
    rows: list[torch.Tensor] = []
    for photo in tqdm(photos, desc="photos"):
        clean = photo.pixels.permute(2, 0, 1)[None].float() / 255
        inputs = {
            damage: damaged(photo.id, clean, damage) for damage in TASKS if damage != "dehaze" or photo.clear
        }
        before = {damage: _score(lpips, degraded, clean) for damage, degraded in inputs.items()}
        for case in cases:
            if case.damage not in inputs:
                continue
            degraded = inputs[case.damage]
            restored = restorer(images.to_pil(degraded), task=case.asked, scale=1, fidelity=case.fidelity)
            output = images.to_tensor(restored.image)
            after = _score(lpips, output, clean)
            row = {f"{name}_input": value for name, value in before[case.damage].items()}
            row |= {f"{name}_output": value for name, value in after.items()}
            row |= {"psnr_gain": after["psnr"] - before[case.damage]["psnr"], "seconds": restored.seconds}
            scores[case.name].append(row)
            if case.damage == case.asked and case.fidelity is None and len(rows) < 12:
                rows.append(torch.cat([degraded, output, clean], 3))
    if sheet is not None and rows:
        images.to_pil(torch.cat(rows, 2)).resize(
            (SIZE * 3 // 2, SIZE * len(rows) // 2), Image.Resampling.LANCZOS
        ).save(sheet, quality=88)
    return {name: _summary(values) for name, values in scores.items() if values}


def damaged(photo_id: str, clean: torch.Tensor, task: str) -> torch.Tensor:
    """`clean` (1,3,H,W) as `task` damages it, always the same for one photo id and task."""
    seed = int(hashlib.sha256(f"{photo_id}|{task}|0".encode()).hexdigest()[:8], 16)
    return TASKS[task].degrade(clean, torch.Generator().manual_seed(seed))[0]


def one_crop_each(photos: Sequence[Photo]) -> list[Photo]:
    """The first full-size crop of every photograph, so that each counts once."""
    first: dict[str, Photo] = {}
    for photo in sorted(photos, key=lambda p: p.id):
        if min(photo.pixels.shape[:2]) >= SIZE:
            cut = photo.pixels[:SIZE, :SIZE]
            first.setdefault(photo.photo, Photo(photo.id, photo.photo, cut, photo.clear))
    return list(first.values())


@torch.inference_mode()
def _score(lpips: Lpips, image: torch.Tensor, clean: torch.Tensor) -> dict[str, float]:
    return {
        "psnr": psnr(image, clean).item(),
        "ssim": ssim(image, clean).item(),
        "lpips": lpips(image, clean).item(),
    }


def _summary(values: Sequence[dict[str, float]]) -> dict[str, float]:
    means = {key: round(statistics.fmean(v[key] for v in values), 4) for key in values[0]}
    gains = [v["psnr_gain"] for v in values]
    error = 1.96 * statistics.stdev(gains) / len(gains) ** 0.5 if len(gains) > 1 else float("nan")
    lower = round(1 - means["lpips_output"] / means["lpips_input"], 4)
    return means | {"psnr_gain_ci95": round(error, 4), "lpips_lower_by": lower, "photos": len(values)}


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__)
    parser.add_argument("--model", default="embedded", help="embedded, or the folder of a network")
    parser.add_argument("--photos", type=Path, default=Path("../shared/photos"))
    parser.add_argument("--split", choices=["train", "validation", "test"], default="validation")
    parser.add_argument("--limit", type=int, default=None, help="only so many photographs")
    parser.add_argument("--out", type=Path, default=Path("training/results/evaluate.json"))
    parser.add_argument(
        "--sheet", type=Path, default=None, help="also write a picture: input | output | clean"
    )
    arguments = parser.parse_args()
    begun = time.time()
    photos = one_crop_each(load_photos(arguments.photos, arguments.split))[: arguments.limit]
    restorer = Restorer.load(arguments.model)
    exact_by_default = restorer.network.prior.facts.default_fidelity == 1
    cases = [Case(task, task, f) for task in TASKS for f in (None, 0.5 if exact_by_default else 1.0)]
    cases += [Case("dehaze", asked, None) for asked in TASKS if asked != "dehaze"]
    cases += [Case(damage, "dehaze", None) for damage in TASKS if damage != "dehaze"]
    results = {
        "command": "python -m training.evaluate",
        "split": arguments.split,
        "prior": f"{restorer.network.prior.facts.id}@{restorer.network.prior.facts.revision}",
        "device": f"{restorer.device.type}, {torch.get_num_threads()} threads, "
        f"{platform.processor() or platform.machine()}",
        "versions": {name: version(name) for name in ("torch", "diffusers")},
        "scores": evaluate(restorer, photos, cases, arguments.sheet),
        "minutes": round((time.time() - begun) / 60, 1),
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(results, indent=2) + "\n")
    print(table(results["scores"]))


def table(scores: dict[str, dict[str, float]]) -> str:
    """The scores as a Markdown table."""
    lines = [
        "| damage | asked for | fidelity | PSNR in -> out (gain, 95 %) "
        "| SSIM in -> out | LPIPS in -> out (lower by) |",
        "|---|---|---|---|---|---|",
    ]
    for name, s in scores.items():
        damage, asked, fidelity = name.split("|")
        lines.append(
            f"| {damage} | {asked} | {fidelity.removeprefix('fidelity ')} "
            f"| {s['psnr_input']:.2f} -> {s['psnr_output']:.2f} "
            f"({s['psnr_gain']:+.2f} ± {s['psnr_gain_ci95']:.2f}) "
            f"| {s['ssim_input']:.3f} -> {s['ssim_output']:.3f} "
            f"| {s['lpips_input']:.3f} -> {s['lpips_output']:.3f} ({s['lpips_lower_by']:.0%}) |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
