"""Seconds and memory of product and training on this machine: `python -m training.benchmarks.speed` writes
training/results/benchmark.json. Each line is measured in a fresh process, so that peaks do not mix.

Training: for every rung at its preset's crop and batch, samples/s of the data alone (crop, flip, degrade), of
both together, and of the step alone, which is the difference. `before` holds the file's earlier numbers.
"""

import argparse
import dataclasses
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

SCENES = ("warm 512x512", "cold command line 512x512", "tiled 2048x2048")
RUNGS = ("autoencoder", "prior", "encoder", "wrapping", "decoder", "adapter", "end-to-end", "distill")
PHOTOS = "lwr/samples"
SECONDS = 6.0  # of each measurement


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m training.benchmarks.speed", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("training/results/benchmark.json"))
    parser.add_argument("--only", choices=("product", "training"), help="measure one half, keep the other")
    parser.add_argument("--scene", choices=SCENES, help="measure one, in this process")
    parser.add_argument("--rung", choices=RUNGS, help="measure one rung's step, in this process")
    arguments = parser.parse_args()
    if arguments.scene or arguments.rung:
        print(json.dumps(_measure(arguments.scene) if arguments.scene else _rung(arguments.rung)))
        return
    before = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    results = {
        "command": "python -m training.benchmarks.speed",
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "commit": _commit(),
        "versions": {name: version(name) for name in ("torch", "diffusers")},
        "scenes": before.get("scenes", {}),
        "training": before.get("training", {}),
    }
    if arguments.only != "training":
        results["scenes"] = {scene: _in_own_process("--scene", scene) for scene in SCENES}
    if arguments.only != "product":
        results["training"] = {rung: _in_own_process("--rung", rung) for rung in RUNGS}
    earlier = {key: before[key] for key in ("commit", "scenes", "training") if key in before}
    results["before"] = earlier if earlier.get("commit") != results["commit"] else before.get("before", {})
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(results, indent=2) + "\n")
    print(json.dumps({key: results[key] for key in ("scenes", "training")}, indent=2))


def _commit() -> str:
    run = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return run.stdout.strip()


def _in_own_process(*arguments: str) -> dict[str, float]:
    command = [sys.executable, "-m", "training.benchmarks.speed", *arguments]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(output.splitlines()[-1])


def _measure(scene: str) -> dict[str, float]:
    if scene.startswith("cold"):
        return _cold()
    from lwr.images.files import resize, to_pil, to_tensor
    from lwr.models.tiling import seam_lines, seam_score
    from lwr.restore import OVERLAP, Restorer

    photo = _photo()
    restorer = Restorer.load()
    if scene.startswith("warm"):
        restorer(to_pil(photo), task="deblur")
        seconds = min(restorer(to_pil(photo), task="deblur").seconds for _ in range(5))
        return {"seconds": round(seconds, 2), "peak_gb": _peak_gb()}
    photo = to_tensor(to_pil(resize(photo, (2048, 2048))))
    restored = restorer(to_pil(photo), task="deblur")
    lines = seam_lines(2048, 2048, restorer.tile, OVERLAP)
    # A photo has edges of its own on some lines; what the restoration changed has them only at seams.
    pictures = {
        "seam_score": restored.loaded.rgb - photo,
        "seam_score_of_photo_before": photo,
        "seam_score_of_photo_after": restored.loaded.rgb,
    }
    seams = {name: round(seam_score(picture, *lines).item(), 3) for name, picture in pictures.items()}
    return {"seconds": round(restored.seconds, 2), "peak_gb": _peak_gb()} | seams


def _cold() -> dict[str, float]:
    from lwr.images.files import save

    with tempfile.TemporaryDirectory() as folder:
        photo = save(_photo(), Path(folder) / "photo.png")
        begun = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "lwr", "restore", str(photo), "--prompt", "fix the blur"],
            check=True,
            capture_output=True,
        )
        seconds = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    return {"seconds": round(seconds, 2), "peak_gb": round(peak, 2)}


def _rung(name: str) -> dict[str, float]:
    """One rung on the shipped network: samples/s of data, of the step, and of both."""
    import torch

    from training.data.crops import CropSampler
    from training.data.mixture import draw
    from training.data.photos import load_photos
    from training.data.rng import rng_streams
    from training.presets import PRESETS
    from training.stages import STAGES

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "network").symlink_to(Path("lwr/embedded").resolve())
        config = dataclasses.replace(PRESETS[name], init=folder)
        stage = STAGES[config.stage](config).train()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    stage.to(device)
    sampler = CropSampler(load_photos(PHOTOS, None), config.crop, device)
    clean = name in ("autoencoder", "prior")  # rungs that draw photos, not pairs

    def data(step: int) -> None:
        rng = rng_streams(config, device, step)
        sampler.batch(rng) if clean else draw(config, sampler, rng)

    def both(step: int) -> None:
        stage.zero_grad(set_to_none=True)
        stage(sampler, rng_streams(config, device, step), 0.0)[0].backward()
        stage.after_backward()

    rates = {"data": _rate(data, config.batch), "together": _rate(both, config.batch)}
    # What is left of a step without its data; measured so, because a stage rng its own batch.
    rates["step"] = 1 / (1 / rates["together"] - 1 / rates["data"])
    result = {f"{what}_samples_per_s": round(rate, 1) for what, rate in rates.items()}
    result |= {"seconds_per_step": round(config.batch / rates["together"], 3), "batch": config.batch}
    return result | {
        "crop": config.crop,
        "data_over_step": round(rates["data"] / rates["step"], 1),
        "peak_gb": _peak_gb(),
    }


def _rate(work: "Callable[[int], None]", batch: int) -> float:  # noqa: F821
    """Samples a second of `work(step)`, over the same steps each time, the first not counted."""
    work(0)
    begun, step = time.perf_counter(), 0
    while time.perf_counter() - begun < SECONDS or step < 4:
        step += 1
        work(step)
    return step * batch / (time.perf_counter() - begun)


def _photo() -> "torch.Tensor":
    """A real 512x512 photo: the first one in lwr/samples, cut to size."""
    from lwr.images.files import load, resize

    photo = load(sorted(Path("lwr/samples").glob("*.jpg"))[0]).rgb
    side = min(photo.shape[-2:])
    return resize(photo[..., :side, :side], (512, 512))


def _peak_gb() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2)


if __name__ == "__main__":
    main()
