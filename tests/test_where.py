"""A task that follows its map changes a photo there and nowhere else, whole or in bands."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from test_diagnose import EXAMPLES

from lwr.images import files
from lwr.images.canvas import Canvas
from lwr.images.metrics import psnr
from lwr.models.where import Where
from lwr.restore import Restorer

BAR, ROCKET, CANYON = (
    EXAMPLES / f"{name}.after.webp" for name in ("blurred-bar", "hazy-rocket", "misty-canyon")
)


def half_hazy(path: Path, size: tuple[int, int]) -> tuple[Image.Image, torch.Tensor]:
    """(photo, as it was without haze): dense at the top, thinner towards the middle, none below."""
    photo = Image.open(path).convert("RGB").resize(size, Image.Resampling.LANCZOS)
    clear = files.to_tensor(photo)
    passes = torch.exp(-1.8 * (1 - torch.linspace(0, 2, size[1])).clamp_min(0))[:, None]
    return files.to_pil(clear * passes + 0.85 * (1 - passes)), clear


def near(image: Image.Image | torch.Tensor) -> torch.Tensor:
    """What lies below the haze."""
    tensor = image if isinstance(image, torch.Tensor) else files.to_tensor(image)
    return tensor[..., int(tensor.shape[-2] * 0.55) :, :]


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 90), st.integers(1, 90), st.integers(0, 10_000))
def test_bands_and_turns_take_what_the_whole_takes(
    h: int, w: int, height: int, width: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    photo, changed = (torch.rand(1, 3, height, width, generator=generator) for _ in range(2))
    where = Where(torch.rand(1, 1, h, w, generator=generator), (height, width))
    whole = where.applied(changed, photo)
    cuts = changed.split(7, -2)
    bands = torch.cat(list(where.applied_in_bands(iter(cuts), Canvas(photo, (height, width)))), -2)
    turned = where.turned().applied(changed.mT, photo.mT).mT
    assert torch.allclose(bands, whole, atol=1e-6) and torch.allclose(turned, whole, atol=1e-5)
    least, most = torch.minimum(photo, changed) - 1e-6, torch.maximum(photo, changed) + 1e-6
    assert ((least <= whole) & (whole <= most)).all()
    for share, wanted in ((0.0, photo), (1.0, changed)):
        assert torch.equal(
            Where(torch.full((1, 1, h, w), share), (height, width)).applied(changed, photo), wanted
        )


@pytest.mark.parametrize("asked", [{"prompt": "remove the haze"}, {"task": "dehaze"}])
@pytest.mark.parametrize(("path", "less"), [(BAR, 2.0), (CANYON, 2.0)], ids=["bar", "canyon"])
def test_the_near_part_of_a_half_hazy_photo_stays(
    restorer: Restorer, path: Path, less: float, asked: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hazy, clear = half_hazy(path, (384, 288))
    restored = restorer(hazy, **asked)
    monkeypatch.setattr("lwr.restore.where", lambda *_: None)
    everywhere = restorer(hazy, **asked)
    assert restored.tasks == {"dehaze": 1.0}
    assert psnr(near(restored.image), near(hazy)) > psnr(near(everywhere.image), near(hazy)) + less
    assert psnr(files.to_tensor(restored.image), clear) > psnr(files.to_tensor(hazy), clear) + 3


def test_a_large_photo_in_bands_keeps_it_too(restorer: Restorer, monkeypatch: pytest.MonkeyPatch) -> None:
    hazy, _ = half_hazy(ROCKET, (640, 480))
    small_tiles = Restorer(restorer.network, restorer.folder, restorer.device, tile=256)
    for photo in (hazy, hazy.transpose(Image.Transpose.ROTATE_90)):
        whole, bands = (np.asarray(one(photo, task="dehaze").image, float) for one in (restorer, small_tiles))
        assert np.abs(whole - bands).mean() < 8, "of 255"
    upright = small_tiles(hazy, task="dehaze")
    monkeypatch.setattr("lwr.restore.where", lambda *_: None)
    everywhere = small_tiles(hazy, task="dehaze")
    assert psnr(near(upright.image), near(hazy)) > psnr(near(everywhere.image), near(hazy)) + 2


def test_who_insists_on_a_clear_photo_gets_it_everywhere(restorer: Restorer) -> None:
    photo = Image.open(BAR).convert("RGB").resize((384, 288))
    restored = restorer(photo, "strongly remove the haze")
    assert (
        restored.tasks == {"dehaze": 1.0} and (np.asarray(restored.image) != np.asarray(photo)).mean() > 0.5
    )
