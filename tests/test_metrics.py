"""The measures of every table agree with scikit-image."""

import numpy as np
import pytest
import torch
from skimage.color import rgb2ycbcr
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from lwr.images.metrics import luma, psnr, ssim


@pytest.fixture(params=[(11, 11), (40, 57)])
def pair(request: pytest.FixtureRequest) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    clean = torch.rand(3, 3, *request.param, generator=generator)
    strength = torch.tensor([0.01, 0.1, 0.5]).view(3, 1, 1, 1)
    return clean, (clean + strength * torch.randn(clean.shape, generator=generator)).clamp(0, 1)


def arrays(images: torch.Tensor) -> np.ndarray:
    return images.permute(0, 2, 3, 1).numpy().astype(np.float64)


def test_psnr_agrees_with_skimage(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    a, b = map(arrays, pair)
    expected = [peak_signal_noise_ratio(x, y, data_range=1) for x, y in zip(a, b, strict=True)]
    assert psnr(*pair).tolist() == pytest.approx(expected, abs=1e-3)


def test_luma_agrees_with_skimage(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    for images in pair:
        expected = rgb2ycbcr(arrays(images))[..., 0] / 255
        assert np.allclose(luma(images)[:, 0].numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("of_luma", [False, True])
def test_ssim_agrees_with_skimage(pair: tuple[torch.Tensor, torch.Tensor], of_luma: bool) -> None:
    images = tuple(map(luma, pair)) if of_luma else pair
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1}
    expected = [
        structural_similarity(x, y, channel_axis=-1, **options)
        for x, y in zip(arrays(images[0]), arrays(images[1]), strict=True)
    ]
    assert ssim(*images).tolist() == pytest.approx(expected, abs=1e-5)


def test_equal_images_score_perfectly() -> None:
    image = torch.rand(2, 3, 16, 16)
    assert psnr(image, image).isinf().all() and torch.allclose(ssim(image, image), torch.ones(2))
    flat = torch.full((1, 3, 16, 16), 0.7)
    assert torch.allclose(ssim(flat, flat), torch.ones(1), atol=1e-5)


def test_wrong_inputs_are_named() -> None:
    with pytest.raises(ValueError, match="at least 11x11"):
        ssim(torch.rand(1, 3, 10, 30), torch.rand(1, 3, 10, 30))
    with pytest.raises(ValueError, match="same"):
        psnr(torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 9))
    with pytest.raises(ValueError, match="RGB"):
        luma(torch.rand(1, 1, 8, 8))
