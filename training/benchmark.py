"""Seconds and memory of the product on this machine: `python -m training.benchmark` writes
training/results/benchmark.json. Each line is measured in a fresh process, so that peaks do not mix.
"""

import argparse
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

SCENES = ("warm 512x512", "cold command line 512x512", "tiled 2048x2048")


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m training.benchmark", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("training/results/benchmark.json"))
    parser.add_argument("--scene", choices=SCENES, help="measure one, in this process")
    arguments = parser.parse_args()
    if arguments.scene:
        print(json.dumps(_measure(arguments.scene)))
        return
    results = {
        "command": "python -m training.benchmark",
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "versions": {name: version(name) for name in ("torch", "diffusers")},
        "scenes": {scene: _in_own_process(scene) for scene in SCENES},
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(results, indent=2) + "\n")
    print(json.dumps(results["scenes"], indent=2))


def _in_own_process(scene: str) -> dict[str, float]:
    command = [sys.executable, "-m", "training.benchmark", "--scene", scene]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(output.splitlines()[-1])


def _measure(scene: str) -> dict[str, float]:
    if scene.startswith("cold"):
        return _cold()
    from lwr.image import resize, to_pil, to_tensor
    from lwr.restore import OVERLAP, Restorer
    from lwr.tiling import seam_lines, seam_score

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
    from lwr.image import save

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


def _photo() -> "torch.Tensor":  # noqa: F821
    """A real 512x512 photo: the first one in lwr/samples, cut to size."""
    from lwr.image import load, resize

    photo = load(sorted(Path("lwr/samples").glob("*.jpg"))[0]).rgb
    side = min(photo.shape[-2:])
    return resize(photo[..., :side, :side], (512, 512))


def _peak_gb() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2)


if __name__ == "__main__":
    main()
