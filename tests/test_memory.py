"""Precision and memory: half precision, weights that wait in main memory, and the plan for what is free."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pixels import SAMPLES
from safetensors.torch import load_file, save_file
from tiny_priors import ASK, PHOTO, near, pixels

from lwr.loading.adapter import Adapter, AdapterMetadata
from lwr.loading.load import load_network
from lwr.loading.locate import locate
from lwr.loading.memory import Needs, measure, plan_memory
from lwr.loading.priors import PriorError
from lwr.models.lora import new_pair, target_modules
from lwr.restore import Restorer


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_is_close_to_float32(priors: Path, sd: Restorer, precision: str) -> None:
    half = Restorer.load(str(priors / "sd"), device="cpu", precision=precision)
    assert half.network.prior.unet.dtype == getattr(torch, precision)
    photo = PHOTO.resize((60, 50))  # half precision is slow on a CPU
    restored, exact = (one(photo, **ASK, steps=2, guidance=1) for one in (half, sd))
    assert np.abs(pixels(restored) - pixels(exact)).mean() < 5
    assert restored.settings.precision == precision


@pytest.mark.parametrize("model", ["embedded", "embedded-lite"])
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_the_shipped_networks_run_in_half_precision(model: str, precision: str) -> None:
    """Whole and in tiles, with and without the VAE decoder."""
    exact, half = (Restorer.load(model, device="cpu", precision=kind) for kind in ("float32", precision))
    photo = Image.open(SAMPLES / "hazy-rocket.jpg").resize((300, 200))
    for tile, fidelity in ((512, None), (512, 0.2), (192, None)):
        exact.tile = half.tile = tile
        a, b = (one(photo, task="dehaze", fidelity=fidelity) for one in (exact, half))
        assert np.abs(pixels(a) - pixels(b)).mean() < 1, (tile, fidelity)
        assert b.settings.precision == precision


def test_float16_does_not_overflow_in_the_vae(priors: Path, tmp_path: Path) -> None:
    """A VAE whose activations exceed float16's 65504, as Stable Diffusion XL's do, gives the same photo."""
    shutil.copytree(priors / "sd", tmp_path / "loud")
    file = tmp_path / "loud" / "vae" / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    for name in ("decoder.conv_in.weight", "encoder.conv_in.weight"):
        weights[name] *= 3e5
    save_file(weights, file, metadata={"format": "pt"})
    exact, half = (
        Restorer.load(str(tmp_path / "loud"), device="cpu", precision=kind) for kind in ("float32", "float16")
    )
    with torch.inference_mode():
        vae, latent = exact.network.prior.vae, torch.randn(1, 4, 8, 8)
        assert vae.decoder.conv_in(latent).abs().max() > 65504
    a, b = (one(PHOTO, **ASK, steps=1, guidance=1) for one in (exact, half))
    assert b.loaded.rgb.isfinite().all() and np.abs(pixels(a) - pixels(b)).mean() < 5


def test_weights_that_wait_in_main_memory_give_the_same_pixels(priors: Path, tmp_path: Path) -> None:
    located = locate(str(priors / "sd"))
    offloaded = Restorer(load_network(located), located, torch.device("cpu"), offload=True)
    there = Restorer(load_network(located), located, torch.device("cpu"))
    assert next(offloaded.network.prior.unet.parameters()).is_meta, "weights are not on the device"
    layers = target_modules(there.network, ["prior.unet.mid_block", "prior.unet.up_blocks.1"])
    pairs = {name: new_pair(layer, 4) for name, layer in layers.items()}
    pairs = {name: (a, torch.randn_like(b)) for name, (a, b) in pairs.items()}
    adapter = Adapter(
        AdapterMetadata("deblur", "sd", there.network.prior.config.revision, rank=4, alpha=4.0, version="1"),
        pairs,
    )
    without = offloaded(PHOTO, **ASK, steps=2)
    assert near(without, there(PHOTO, **ASK, steps=2))
    for restorer in (offloaded, there):
        restorer.use(adapter)
    adapted = offloaded(PHOTO, task="deblur", steps=2)
    assert near(adapted, there(PHOTO, task="deblur", steps=2)) and not near(adapted, without)
    assert near(offloaded(PHOTO, **ASK, steps=2), without), "the adapter leaves with its task"


def test_weights_are_counted_before_they_are_loaded(priors: Path) -> None:
    for name in ("sd", "stablesr"):
        needs = measure(locate(str(priors / name)))
        network = load_network(str(priors / name))
        assert needs.sampler + needs.pictures == sum(p.numel() for p in network.parameters())


BIG = Needs(sampler=970_000_000, pictures=130_000_000, pixel_bytes=4608, refined=False)  # SD 2.1 + StableSR


def test_the_plan_follows_the_memory(priors: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lwr.loading.memory.measure", lambda located: BIG)
    for device, memory, expected in (
        ("cpu", 12, ("float32", 512, False)),
        ("cpu", 5.5, ("bfloat16", 512, False)),
        ("cpu", 3.9, ("bfloat16", 384, False)),
        ("cuda", 16, ("half", 512, False)),
        ("cuda", 3.2, ("half", 512, True)),
    ):
        plan = plan_memory(locate(str(priors / "sd")), torch.device(device), memory)
        half = device == "cuda" and plan.precision.itemsize == 2
        found = ("half" if half else str(plan.precision).removeprefix("torch."), plan.tile, plan.offload)
        assert found == expected and plan.bytes <= memory * 1e9, (device, memory)


def test_too_little_memory_is_an_error_before_loading(priors: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lwr.restore.load_network", lambda *_: pytest.fail("it was loaded"))
    with pytest.raises(PriorError, match=r"1 GB of memory is too little: this needs at least \d\.\d .*sd"):
        Restorer.load(str(priors / "sd"), memory_gb=1)
    monkeypatch.setattr("lwr.loading.memory.measure", lambda located: BIG)
    monkeypatch.setattr("lwr.loading.memory._free", lambda device: 2e9)
    with pytest.raises(PriorError, match=r"2\.0 GB free is too little"):
        Restorer.load(str(priors / "sd"))
