"""NIQE: how far a photo's local statistics lie from those of good photos; no reference, lower is better.

Mittal, Soundararajan, Bovik 2013, "Making a completely blind image quality analyzer"
(https://doi.org/10.1109/LSP.2012.2227726); equation numbers are that paper's. The model of good photos is the
authors' own, as the PyPI package `basicsr` carries it; the package's code is never imported.
"""

import importlib.util
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import correlate1d
from scipy.special import gamma

from lwr.images.metrics import luma

BLOCK = 96  # pixels, at full size; half of it at half size, as the authors' model was fitted
# Without build isolation, or pip would fetch another torch only to build it.
INSTALL_HINT = "pip install --no-deps --no-build-isolation basicsr==1.4.2"
_SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))  # neighbours: horizontal, vertical, both diagonals


@dataclass(frozen=True, eq=False)
class Pristine:
    """The Gaussian of good photos: `mean` (36,) and `covariance` (36,36) of the block features."""

    mean: np.ndarray
    covariance: np.ndarray


def load_pristine() -> Pristine | None:
    """The authors' model, or None (and a printed sentence) where the package with it is not installed."""
    spec = importlib.util.find_spec("basicsr")
    places = spec.submodule_search_locations if spec else None
    path = Path(places[0]) / "metrics" / "niqe_pris_params.npz" if places else None
    if path is None or not path.exists():
        print(f"NIQE is left out: its model is not here. Install it with: {INSTALL_HINT}")
        return None
    with np.load(path, allow_pickle=False) as arrays:
        return Pristine(arrays["mu_pris_param"].ravel(), arrays["cov_pris_param"])


def niqe(image: torch.Tensor, pristine: Pristine) -> float:
    """(1,3,H,W) in [0,1] -> distance from good photos (equation 10); NaN under two blocks of 96 pixels.

    Measured on rounded 8-bit luma, in whole blocks from the top left, as the authors' program does.
    """
    grey = luma(image.detach().cpu())[0, 0].mul(255).round().numpy()  # (H,W)
    rows, columns = (side // BLOCK for side in grey.shape)
    if rows * columns < 2:
        return float("nan")
    grey = grey[: rows * BLOCK, : columns * BLOCK].astype(np.float64)
    half = np.asarray(
        Image.fromarray(grey.astype(np.float32)).resize(
            (grey.shape[1] // 2, grey.shape[0] // 2), Image.Resampling.BICUBIC
        )
    ).astype(np.float64)
    features = np.concatenate([_features(grey, BLOCK), _features(half, BLOCK // 2)], axis=1)  # (blocks,36)
    whole = features[~np.isnan(features).any(axis=1)]  # a flat block has no statistics
    if len(whole) < 2:
        return float("nan")
    mean = np.nanmean(features, axis=0)
    spread = np.linalg.pinv((pristine.covariance + np.cov(whole, rowvar=False)) / 2)
    away = pristine.mean - mean
    return float(np.sqrt(away @ spread @ away))


def _features(grey: np.ndarray, block: int) -> np.ndarray:
    """(H,W) in [0,255] -> (blocks,18): two of the normalised pixels, four of each neighbour product."""
    rows, columns = grey.shape[0] // block, grey.shape[1] // block
    blocks = _normalised(grey).reshape(rows, block, columns, block).swapaxes(1, 2).reshape(-1, block, block)
    shape, left, right = _asymmetric_gaussian(blocks)
    found = [shape, (left + right) / 2]
    for shift in _SHIFTS:
        shape, left, right = _asymmetric_gaussian(blocks * np.roll(blocks, shift, axis=(1, 2)))
        found += [shape, (right - left) * gamma(2 / shape) / gamma(1 / shape), left, right]  # equation 8
    return np.stack(found, axis=1)


def _normalised(grey: np.ndarray) -> np.ndarray:
    """(H,W) -> (H,W): minus the local mean, over the local deviation plus 1 (equations 1 to 3)."""
    offsets = np.arange(-3, 4)
    window = np.exp(-(offsets**2) / (2 * (7 / 6) ** 2))
    window /= window.sum()

    def local_mean(x: np.ndarray) -> np.ndarray:
        return correlate1d(correlate1d(x, window, 0, mode="nearest"), window, 1, mode="nearest")

    mean = local_mean(grey)
    return (grey - mean) / (np.sqrt(np.abs(local_mean(grey**2) - mean**2)) + 1)


def _asymmetric_gaussian(blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(N,h,w) -> shape, left and right scale (N,) each of the generalised Gaussian (equation 4), by moments.

    Lasmar, Stitou, Berthoumieu 2009 (https://doi.org/10.1109/ICIP.2009.5414278): the shape is the one whose
    ratio of moments equals the blocks'.
    """
    x = blocks.reshape(len(blocks), -1)
    with np.errstate(invalid="ignore", divide="ignore"):
        left = np.sqrt((x**2 * (x < 0)).sum(1) / (x < 0).sum(1))
        right = np.sqrt((x**2 * (x > 0)).sum(1) / (x > 0).sum(1))
        skew = left / right
        ratio = np.abs(x).mean(1) ** 2 / (x**2).mean(1)
        ratio = ratio * (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
        shapes, ratios = _ratios_by_shape()
        shape = np.interp(ratio, ratios, shapes)
        scale = np.sqrt(gamma(1 / shape) / gamma(3 / shape))
    return shape, left * scale, right * scale


@lru_cache(maxsize=1)
def _ratios_by_shape() -> tuple[np.ndarray, np.ndarray]:
    """Shapes 0.2 to 10 and E|x|^2 / E[x^2] of the symmetric generalised Gaussian of each, which rises."""
    shapes = np.arange(0.2, 10.001, 0.001)
    return shapes, gamma(2 / shapes) ** 2 / (gamma(1 / shapes) * gamma(3 / shapes))
