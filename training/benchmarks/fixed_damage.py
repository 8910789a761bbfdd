"""Noise, JPEG, too little light and rain of a known strength, beside classical methods:
`python -m training.benchmarks.fixed_damage --photos PHOTOS` writes training/results/fixed-damage.json.

`training.evaluate` damages photos as training does, by every strength at once; these are the strengths that
other work reports. The middle of each validation photo is damaged, restored at the default settings and
at other fidelities, and measured.
"""

import random
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from lwr.degrade.camera import sample_sensor, take
from lwr.degrade.dark import darken, sample_dark
from lwr.degrade.jpeg import jpeg
from lwr.degrade.light import round_to_8_bit
from lwr.degrade.noise import Noise, add_noise
from lwr.degrade.rain import rain_photos, sample_rain
from lwr.images import files as images
from lwr.request import Request
from lwr.restore import Restorer
from lwr.tasks import TASKS
from training.benchmarks.record import RESULTS, made_with, write
from training.command_line import parse
from training.evaluation.baselines import apply, baselines_for
from training.evaluation.samples import clean_photos
from training.evaluation.scores import Judge

COMMAND = "python -m training.benchmarks.fixed_damage"
HIGH_ISO = (1600.0, 25600.0)
# (photo id, clean (1,3,H,W) in [0,1], double) -> damaged, 8-bit
Damage = Callable[[str, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Options:
    """What is measured."""

    photos: str  # folder of pictures, tar or parquet shards, or a Hub dataset NAMESPACE/NAME
    limit: int = 24  # photos
    side: int = 256  # pixels, of the middle
    fidelity: tuple[float, ...] = (0.6, 1.0)  # beside the default
    tasks: tuple[str, ...] = tuple(TASKS)
    prior: str = "embedded"  # embedded, a folder, or a Hub repository
    out: Path = RESULTS / "fixed-damage.json"


def main() -> None:
    """Entry point."""
    options = parse(Options, None, COMMAND, __doc__)
    restorer, judge = Restorer.load(options.prior), Judge()
    damages = {name: one for name, one in DAMAGES.items() if one[0] in options.tasks}
    methods = {task: baselines_for([task])[0] for task, _ in damages.values()}
    found: dict[str, dict[str, list[dict[str, float]]]] = {name: {} for name in damages}
    for photo in clean_photos(options.photos, "validation", options.limit, []):
        clean = middle(photo.pixels, options.side)
        for name, (task, damage) in damages.items():
            damaged = images.to_pil(damage(photo.id, clean.double()).float())
            outputs = {"input": images.to_tensor(damaged)}
            for fidelity in (None, *options.fidelity):
                settings = "default" if fidelity is None else f"fidelity {fidelity:g}"
                restored = restorer(damaged, Request(task=task, fidelity=fidelity))
                outputs[settings] = images.to_tensor(restored.image)
            outputs |= {method.name: apply(method, outputs["input"]) for method in methods[task]}
            for method, output in outputs.items():
                found[name].setdefault(method, []).append(judge(output, clean))
    results = made_with(COMMAND, ("torch", "scikit-image", "opencv-python-headless"))
    results |= {"photos": options.limit, "side": options.side, "measures": judge.described()}
    write(results | {"scores": {name: summary(rows) for name, rows in found.items()}}, options.out)


def middle(pixels: torch.Tensor, side: int) -> torch.Tensor:
    """(H,W,3) uint8 -> its middle, (1,3,side,side) in [0,1]."""
    top, left = ((length - side) // 2 for length in pixels.shape[:2])
    return pixels[top : top + side, left : left + side].permute(2, 0, 1)[None].float() / 255


def summary(rows: dict[str, list[dict[str, float]]]) -> dict[str, dict[str, float]]:
    """{method: {measure: mean over the photos, and the PSNR's gain over the input}}."""
    means = {
        method: {
            name: round(statistics.fmean(row[name] for row in each), 4) for name in ("psnr", "ssim", "lpips")
        }
        for method, each in rows.items()
    }
    before = means["input"]["psnr"]
    return {method: mean | {"psnr_gain": round(mean["psnr"] - before, 4)} for method, mean in means.items()}


def _gaussian(sigma: float) -> Damage:
    def noisy(_: str, clean: torch.Tensor) -> torch.Tensor:
        return round_to_8_bit(add_noise(clean, [Noise(read=sigma / 255)], _generator()))

    return noisy


def _camera(photo: str, clean: torch.Tensor) -> torch.Tensor:
    return round_to_8_bit(take(clean, [sample_sensor(random.Random(photo), HIGH_ISO)], _generator()))


def _dark(stops: float) -> Damage:
    def dim(photo: str, clean: torch.Tensor) -> torch.Tensor:
        drawn = replace(sample_dark(random.Random(photo)), ev=-stops, fall=0.0)
        return darken(clean, _generator(), [asdict(drawn)])[0]

    return dim


def _rain(kind: str) -> Damage:
    return lambda photo, clean: rain_photos(
        clean, _generator(), [asdict(sample_rain(random.Random(photo), kind))]
    )[0]


def _jpeg(quality: int) -> Damage:
    return lambda _, clean: jpeg(clean, [quality])


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


DAMAGES: dict[str, tuple[str, Damage]] = {
    "Gaussian noise, sigma 15": ("denoise", _gaussian(15)),
    "Gaussian noise, sigma 25": ("denoise", _gaussian(25)),
    "Gaussian noise, sigma 50": ("denoise", _gaussian(50)),
    "camera noise, ISO 1600 to 25600": ("denoise", _camera),
    "JPEG, quality 10": ("dejpeg", _jpeg(10)),
    "JPEG, quality 20": ("dejpeg", _jpeg(20)),
    "JPEG, quality 40": ("dejpeg", _jpeg(40)),
    "2 stops too dark": ("low-light", _dark(2)),
    "4 stops too dark": ("low-light", _dark(4)),
    "streaks of rain": ("derain", _rain("streaks")),
    "streaks and drops on the lens": ("derain", _rain("streaks and drops")),
    "drops on the lens": ("derain", _rain("drops")),
}


if __name__ == "__main__":
    main()
