"""Seconds and memory of product and training on this machine: `python -m training.benchmarks.speed` writes
training/results/benchmark.json. Each line is measured in a process of its own.

Training: for every stage at its preset's crop and batch, samples/s of the data alone (crop, flip, degrade),
of both together, and of the step alone, which is the difference.
"""

import dataclasses
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from training.benchmarks.record import RESULTS, fresh, made_with, run, write
from training.command_line import parse
from training.machine import ROOT, commit, peak_gb

if TYPE_CHECKING:
    from torch import Tensor

COMMAND = "python -m training.benchmarks.speed"
STAGES = ("autoencoder", "prior", "encoder", "refiner", "perceptual", "adapter", "end-to-end", "distill")
SAMPLES = ROOT / "lwr" / "samples"
SECONDS = 6.0  # of each measurement


@dataclasses.dataclass(frozen=True)
class Options:
    """Of the command line."""

    only: Literal["product", "training"] | None = None  # measure one half, keep the other
    out: Path = RESULTS / "benchmark.json"  # where the figures go


def main() -> None:
    """Entry point."""
    options = parse(Options, None, COMMAND, __doc__)
    kept = json.loads(options.out.read_text()) if options.out.exists() else {}
    results = made_with(COMMAND) | {"commit": commit()}
    results |= {half: kept[half] for half in ("scenes", "training") if half in kept}
    if options.only != "training":
        scenes = {"warm 512x512": warm, "cold command line 512x512": cold, "tiled 2048x2048": tiled}
        results["scenes"] = {name: fresh(scene) for name, scene in scenes.items()}
    if options.only != "product":
        results["training"] = {name: fresh(stage, name) for name in STAGES}
    write(results, options.out)


def warm() -> dict[str, float]:
    """The fastest of five passes over a 512x512 photo, after a first one."""
    from lwr.images.files import to_pil
    from lwr.restore import Restorer

    photo, restorer = to_pil(square_photo()), Restorer.load()
    restorer(photo, task="deblur")
    seconds = min(restorer(photo, task="deblur").seconds for _ in range(5))
    return {"seconds": round(seconds, 2), "peak_gb": round(peak_gb(), 2)}


def cold() -> dict[str, float]:
    """The command line, from its start to the written file."""
    from lwr.images.files import save

    with tempfile.TemporaryDirectory() as folder:
        photo = save(square_photo(), Path(folder) / "photo.png")
        return run("-m", "lwr", "restore", str(photo), "--prompt", "fix the blur")


def tiled() -> dict[str, float]:
    """A 2048x2048 photo in tiles, and how much stands out on their borders."""
    from lwr.images.files import resize, to_pil, to_tensor
    from lwr.models.tiled import OVERLAP
    from lwr.models.tiling import seam_lines, seam_score
    from lwr.restore import Restorer

    photo, restorer = to_tensor(to_pil(resize(square_photo(), (2048, 2048)))), Restorer.load()
    restored = restorer(to_pil(photo), task="deblur")
    lines = seam_lines(2048, 2048, restorer.tile, OVERLAP)
    # A photo has edges of its own on some lines; what the restoration changed has them only at seams.
    pictures = {
        "seam_score": restored.loaded.rgb - photo,
        "seam_score_of_photo_before": photo,
        "seam_score_of_photo_after": restored.loaded.rgb,
    }
    seams = {name: round(seam_score(picture, *lines).item(), 3) for name, picture in pictures.items()}
    return {"seconds": round(restored.seconds, 2), "peak_gb": round(peak_gb(), 2)} | seams


def stage(name: str) -> dict[str, float]:
    """One stage on the shipped network: samples/s of data, of the step, and of both."""
    import torch

    from training.data.loader import BatchLoader
    from training.data.parts import Part
    from training.data.photos import load_photos
    from training.presets import PRESETS
    from training.stages import STAGES as KINDS

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "network").symlink_to(ROOT / "lwr" / "embedded")
        config = dataclasses.replace(PRESETS[name], init=folder, photos=str(SAMPLES))
        trained = KINDS[config.stage](config, device).to(device).train()
    loader = BatchLoader(config, trained.draw, [Part(load_photos(config.photos, None))], device)

    def both(step: int) -> None:
        trained.zero_grad(set_to_none=True)
        trained(*loader(step), 0.0)[0].backward()

    data_rate, both_rate = (rate(work, config.batch) for work in (loader, both))
    step_rate = 1 / (1 / both_rate - 1 / data_rate)  # what is left of both
    return {
        "data_samples_per_s": round(data_rate, 1),
        "together_samples_per_s": round(both_rate, 1),
        "step_samples_per_s": round(step_rate, 1),
        "seconds_per_step": round(config.batch / both_rate, 3),
        "batch": config.batch,
        "crop": config.crop,
        "data_over_step": round(data_rate / step_rate, 1),
        "peak_gb": round(peak_gb(), 2),
    }


def rate(
    work: Callable[[int], object],
    batch: int,
    seconds: float = SECONDS,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Samples a second of `work(step)`, over the same steps each time, the first not counted."""
    work(0)
    start, step = clock(), 0
    while clock() - start < seconds or step < 4:
        step += 1
        work(step)
    return step * batch / (clock() - start)


def square_photo(side: int = 512) -> "Tensor":
    """A real photo (1,3,side,side) in [0,1]: the first one in lwr/samples, cut to size."""
    from lwr.images.files import load, resize

    photo = load(min(SAMPLES.glob("*.jpg"))).rgb
    least = min(photo.shape[-2:])
    return resize(photo[..., :least, :least], (side, side))


if __name__ == "__main__":
    main()
