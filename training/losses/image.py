"""Distances of photos by their pixels."""

import torch


def charbonnier(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Smooth L1 of two (B,3,H,W) images (Charbonnier et al. 1994), a scalar."""
    return torch.sqrt((output - target) ** 2 + 1e-6).mean()


def log_error(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """ln(MSE + floor) of each of two (B,3,H,W) images, averaged: PSNR as a loss (Chen et al. 2021, HINet).

    A dB on a slightly blurred photo counts as much as one on a dense fog, whatever the tasks' error sizes.
    The floor, 35 dB, keeps crops of plain sky, where nothing is to be won, from ruling the gradient.
    """
    return torch.log((output - target).square().mean((1, 2, 3)) + 3e-4).mean()
