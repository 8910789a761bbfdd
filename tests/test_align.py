"""Photos that another camera took from a little beside are laid on their target before they are scored."""

import numpy as np
import pytest
import torch

from lwr.images.metrics import psnr, ssim
from training.evaluation.align import aligned, homography
from training.evaluation.protocol import ALIGNED, PLAIN, Protocol

WARP = torch.tensor([[1.01, 0.006, 0.02], [-0.008, 0.995, -0.015], [0.004, -0.003, 1]], dtype=torch.float64)


def scene(warp: torch.Tensor, height: int = 120, width: int = 160) -> torch.Tensor:
    """Waves of three colours, seen through a homography: (1,3,H,W) in [0,1], exact at every pixel."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    across, down, below = torch.einsum("ij,jhw->ihw", warp.float(), torch.stack([x, y, torch.ones_like(x)]))
    random = torch.Generator().manual_seed(0)
    waves = torch.rand(3, 14, 3, generator=random) * 2 - 1
    waves[:, :, :2] *= torch.where(torch.arange(14) < 5, 6.0, 24.0)[:, None]
    phases = waves[..., 0, None, None] * (across / below) + waves[..., 1, None, None] * (down / below)
    return (0.5 + 0.06 * torch.sin(phases + 3 * waves[..., 2, None, None]).sum(1)).clamp(0, 1)[None]


def test_a_known_homography_is_found_again() -> None:
    target, image = scene(torch.eye(3)), scene(torch.linalg.inv(WARP))
    grey = homography(target.mean(1, keepdim=True), image.mean(1, keepdim=True))
    assert (grey - WARP).abs().max() * 80 < 0.1  # pixels; the shifts are 1.6 and 0.9
    moved, kept, overlap = aligned(0.8 * image, target)
    assert psnr(image, target) < 28 < 40 < psnr(moved, kept)
    assert 0.9 < overlap.mean() < 1 and torch.equal(kept, target * overlap)


def test_scores_are_of_the_overlap_alone() -> None:
    target, image = scene(torch.eye(3)), scene(torch.linalg.inv(WARP))
    plain, found = PLAIN.scores(image, target, 1), ALIGNED.scores(image, target, 1)
    assert found["psnr"] > plain["psnr"] + 15 and found["ssim"] > 0.99 > plain["ssim"]
    moved, kept, overlap = aligned(image, target)
    error = (moved - kept).square()[overlap.expand_as(kept) > 0]
    assert found["psnr"] == pytest.approx(-10 * np.log10(error.mean().item()), abs=1e-3)
    assert "ECC" in ALIGNED.text and Protocol("y", align=True).scores(image, target, 1)["psnr"] > 40


def test_aligned_photos_score_as_they_are_and_plain_ones_stay() -> None:
    target = scene(torch.eye(3))
    noisy = (target + 0.05 * torch.randn(target.shape, generator=torch.Generator().manual_seed(1))).clamp(
        0, 1
    )
    found = ALIGNED.scores(noisy, target, 1)
    assert found["psnr"] == pytest.approx(psnr(noisy, target).item(), abs=0.3)
    assert found["ssim"] == pytest.approx(ssim(noisy, target).item(), abs=0.02)
    flat = torch.full_like(target, 0.5)
    moved, _, overlap = aligned(flat, target)
    assert overlap.min() == 1 and moved.std() < 1e-6


def test_psnr_of_y_comes_beside_where_papers_score_it() -> None:
    target = scene(torch.eye(3))
    image = target.clone()
    image[:, 2] = 1 - image[:, 2]  # blue, which Y hardly sees
    found = Protocol(also_y=True).scores(image, target, 1)
    assert found["psnr_y"] > found["psnr"] + 8 and found["psnr"] == psnr(image, target).item()
    assert Protocol("y", also_y=True).scores(image, target, 1) == {
        "psnr": pytest.approx(found["psnr_y"]),
        "ssim": pytest.approx(Protocol("y").scores(image, target, 1)["ssim"]),
    }
