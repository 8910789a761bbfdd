"""Resizing as cameras, phones and web pages do it: several filters, with and without care."""

import random
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from lwr.degrade.draw import Range, pick

MODES = ("area", "bilinear", "bicubic")


@dataclass(frozen=True)
class ResizeRanges:
    """From where `sample_resize` draws."""

    chances: tuple[float, float, float]  # of up, down, keep
    factor: Range  # smallest and largest factor


def sample_resize(stream: random.Random, ranges: ResizeRanges) -> tuple[float, str]:
    """A factor and a mode: `up` draws from (1, largest), `down` from (smallest, 1), `keep` is 1."""
    low, high = ranges.factor
    factors = {"up": (1.0, high), "down": (low, 1.0), "keep": (1.0, 1.0)}
    direction = pick(stream, dict(zip(factors, ranges.chances, strict=True)))
    return stream.uniform(*factors[direction]), stream.choice(MODES)


def resize(images: torch.Tensor, size: tuple[int, int], mode: str) -> torch.Tensor:
    """(B,C,H,W) to (B,C,*size) by a mode of MODES, without antialiasing, clamped to [0,1]."""
    if mode not in MODES:
        raise ValueError(f"resize mode is {mode!r}; give one of {', '.join(MODES)}")
    if tuple(images.shape[-2:]) == tuple(size):
        return images
    if mode == "area":
        return F.interpolate(images, size, mode="area").clamp(0, 1)
    return F.interpolate(images, size, mode=mode, align_corners=False).clamp(0, 1)


def scaled_size(height: int, width: int, factor: float, least: int = 4) -> tuple[int, int]:
    """(height, width) times `factor`, rounded, at least `least` pixels each."""
    return max(round(height * factor), least), max(round(width * factor), least)
