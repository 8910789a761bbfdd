"""Networks that enlarge photos, as packages carry them for ncnn, run without a GPU."""

import importlib.util
import math
import re
from functools import cache
from pathlib import Path

import numpy as np

SCALE = 4
# Layers by what they do to the side of a feature; all others keep it. {kind: parameter that says how much}
_ENLARGING = {"Interp": 2, "PixelShuffle": 0}


class Enlarger:
    """A network: (H,W,3) float32 in [0,1] -> (4H,4W,3) float32, not clipped."""

    def __init__(self, file: Path, threads: int | None) -> None:
        """`file`: NAME.param, with NAME.bin beside it; `threads`: None = all cores."""
        import ncnn

        self.network = ncnn.Net()
        if threads is not None:  # convolutions are prepared for it
            self.network.opt.num_threads = threads
        self.network.load_param(str(file))
        self.network.load_model(str(file.with_suffix(".bin")))

    def __call__(self, small: np.ndarray) -> np.ndarray:
        """See the class."""
        import ncnn

        planes = ncnn.Mat(np.ascontiguousarray(small.transpose(2, 0, 1), dtype=np.float32))
        with self.network.create_extractor() as extractor:
            extractor.input("data", planes)
            return np.array(extractor.extract("output")[1]).transpose(1, 2, 0)


@cache
def load(file: Path, threads: int | None = None) -> Enlarger:
    """The network of NAME.param, read once for a number of threads."""
    return Enlarger(file, threads)


def models_of(package: str) -> Path:
    """The folder of an installed package's networks."""
    return Path(importlib.util.find_spec(package).submodule_search_locations[0]) / "models"


def is_installed(package: str) -> bool:
    """Whether a package of networks and the runtime are there."""
    return all(importlib.util.find_spec(name) for name in ("ncnn", package))


def counts(param: str, height: int, width: int) -> tuple[int, int]:
    """(parameters, multiply-adds for an input (H,W,3)) of the convolutions in the text of a NAME.param.

    A line there: kind, name, number of inputs and outputs, their names, NUMBER=VALUE of the settings; of a
    convolution 0 is the channels it makes, 3 the stride, 5 whether there is a bias, 6 the size of its kernel.
    """
    parameters, adds, scales = 0, 0, {}
    for line in param.splitlines()[2:]:
        kind, _, inputs, outputs, *words = line.split()
        first, last = int(inputs), int(inputs) + int(outputs)
        known = [scales[name] for name in words[:first] if name in scales]
        own = {int(key): float(value) for key, value in re.findall(r"(?:^| )(\d+)=([\d.e+-]+)", line)}
        scale = max(known, default=1.0) * (own[_ENLARGING[kind]] if kind in _ENLARGING else 1)
        if kind == "Convolution":
            scale /= own.get(3, 1)
            parameters += int(own[6] + own.get(5, 0) * own[0])
            adds += int(own[6]) * math.ceil(height * scale) * math.ceil(width * scale)
        scales |= dict.fromkeys(words[first:last], scale)
    return parameters, adds
