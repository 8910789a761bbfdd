"""The product's output pixels, written down: `python tests/pixels.py` measures them again after new weights.

Each sample photo under each task, at fidelities on both sides of the default; the first also in tiles. A
change of the code alone must leave every digest as it is on the machine that wrote them; on another processor
the last bits may differ, so a small picture of each output is kept as well.
"""

import hashlib
import json
import platform
from collections.abc import Iterator
from pathlib import Path

import torch

from lwr.images.files import load, resize, to_pil
from lwr.loading.load import load_network
from lwr.loading.priors import EMBEDDED
from lwr.models.network import RestorationNetwork
from lwr.restore import Restorer
from lwr.tasks import TASKS

FILE = Path(__file__).with_suffix(".json")
SAMPLES = Path(__file__).parents[1] / "lwr" / "samples"
PHOTOS = ("hazy-rocket", "shaken-coffee", "small-cat")
FIDELITIES = (1.0, 0.9, 0.5, 0.25)
SIDE = 256  # pixels, of the output
TILES = {"whole": 512, "tiles": 192}  # pixels; at 256 the second makes four tiles
GRID = 8  # of the small picture


def machine() -> dict[str, str]:
    """What the last bits of a float depend on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return {
        "cpu": model or platform.machine(),
        "kernels": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
    }


def cases() -> Iterator[tuple[str, str, str, float]]:
    """(tiling, photo, task, fidelity)."""
    for tiling in TILES:
        for photo in PHOTOS if tiling == "whole" else PHOTOS[:1]:
            for task in TASKS:
                for fidelity in FIDELITIES:
                    yield tiling, photo, task, fidelity


def measure(tiling: str, photo: str, task: str, fidelity: float, restorer: Restorer) -> tuple[str, list[int]]:
    """(SHA-256 of the float32 output, its 8x8 RGB thumbnail as 0 to 255)."""
    image = load(SAMPLES / f"{photo}.jpg").rgb
    side = min(image.shape[-2:])
    small = resize(image[..., :side, :side], (SIDE, SIDE))
    output = restorer(to_pil(small), task=task, scale=1, fidelity=fidelity).loaded.rgb.contiguous()
    digest = hashlib.sha256(output.numpy().tobytes()).hexdigest()
    picture = torch.nn.functional.adaptive_avg_pool2d(output, GRID) * 255
    return digest, picture.round().int().flatten().tolist()


def restorers() -> dict[str, Restorer]:
    """One for each tiling, with a network of its own."""
    return {name: Restorer(_network(), EMBEDDED, torch.device("cpu"), t) for name, t in TILES.items()}


def _network() -> RestorationNetwork:
    """As the product loads it."""
    return load_network(text_encoder=False)


def name(*case: object) -> str:
    """A case as the file names it."""
    return " ".join(map(str, case))


if __name__ == "__main__":
    torch.set_num_threads(1)
    made = restorers()
    rows = {name(*case): measure(*case, made[case[0]]) for case in cases()}
    lines = [f"{json.dumps(case)}: {json.dumps(row)}" for case, row in rows.items()]
    head = f'"machine": {json.dumps(machine())},\n"cases": {{\n'
    FILE.write_text("{\n" + head + ",\n".join(lines) + "\n}\n}\n")
