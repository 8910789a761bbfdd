"""Weights in 8 bits: half the bytes, nearly the same photos, and a sentence for what is damaged."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from test_pruned import passed

from lwr.images.metrics import psnr
from lwr.loading.adapter import WEIGHTS, AdapterError, load_adapter, save_adapter
from lwr.loading.eight_bits import LARGEST, SCALE, in_eight_bits, restored, rounded
from lwr.loading.load import load_network
from lwr.loading.locate import locate
from lwr.loading.memory import measure
from lwr.loading.priors import EMBEDDED, PriorError
from lwr.loading.save import save_network
from lwr.loading.streaming import stream
from lwr.models.network import RestorationNetwork
from lwr.restore import Restorer
from training import compress

UNET = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def network() -> RestorationNetwork:
    return load_network(EMBEDDED)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded network in 8 bits, with its adapters, by the command."""
    folder = tmp_path_factory.mktemp("small") / "network"
    assert compress.main([str(EMBEDDED), str(folder), "--id", "smaller"]) == 0
    return folder


def test_a_weight_moves_by_half_a_step_at_most() -> None:
    weight = torch.randn(70, 30, 3, 3, generator=torch.Generator().manual_seed(1))
    weight[3] = 0
    weight[4] *= 1e-6  # its step is less than float16 holds
    numbers, scales = rounded(weight)
    assert (numbers.dtype, numbers.shape) == (torch.int8, weight.shape)
    assert (scales.dtype, scales.shape) == (torch.float16, (70,))
    assert numbers.flatten(1).abs().amax(1).tolist() == [0 if row in (3, 4) else LARGEST for row in range(70)]
    error = (restored(numbers, scales) - weight).flatten(1).abs().amax(1)
    step = weight.flatten(1).abs().amax(1) / LARGEST
    assert (error <= 0.57 * step)[[row != 4 for row in range(70)]].all(), "float16 rounds the step, too"
    assert error[4] < 1e-5 and not error[3]


def test_what_eight_bits_would_change_too_much_stays_in_sixteen() -> None:
    sharp = torch.full((4, 225), 3e-3)
    sharp[:, 112] = 1  # the middle of a filter
    state = {"sharp": sharp, "even": torch.randn(4, 225), "bias": torch.ones(4), "steps": torch.tensor([1])}
    stored = in_eight_bits(state)
    kinds = {name: str(tensor.dtype).removeprefix("torch.") for name, tensor in stored.items()}
    assert kinds == {
        "sharp": "float16",
        "even": "int8",
        f"even{SCALE}": "float16",
        "bias": "float16",
        "steps": "int64",
    }


def test_it_takes_about_half_the_bytes_and_restores_nearly_the_same(
    small: Path, network: RestorationNetwork
) -> None:
    assert compress.size(small) < 0.55 * compress.size(EMBEDDED)
    loaded = load_network(small)
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    assert psnr(passed(loaded), passed(network)) > 45
    found, before = measure(locate(str(small))), measure(locate("embedded"))
    assert (found.sampler, found.pictures) == (before.sampler, before.pictures), "scales are no weights"


def test_its_adapters_go_with_it(small: Path) -> None:
    restored = Restorer.load(small, device="cpu")(
        Path("lwr/samples/hazy-rocket.jpg").resolve(), task="dehaze", scale=1
    )
    revision = json.loads((EMBEDDED / "prior.json").read_text())["revision"]
    assert restored.settings.prior == f"smaller@{revision}"
    assert restored.settings.adapters == {"dehaze": f"smaller/dehaze@{revision}"}
    before, after = (load_adapter(folder / "adapters" / "dehaze").pairs for folder in (EMBEDDED, small))
    for name, pair in before.items():
        for one, other in zip(pair, after[name], strict=True):
            assert (one - other).norm() < 0.016 * one.norm()


def test_half_precision_keeps_the_vae_exact(small: Path) -> None:
    half = load_network(small, torch.float16)
    assert half.prior.unet.dtype == next(half.encoder.parameters()).dtype == torch.float16
    assert half.prior.vae.dtype == half.refiner.pixel_head.weight.dtype == torch.float32


def test_a_large_component_is_split_with_its_scales(
    network: RestorationNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lwr.loading.save.MAX_FILE", 3_000_000)
    save_network(network, tmp_path, bits=8)
    files = sorted((tmp_path / "unet").glob("*.safetensors"))
    assert len(files) > 2
    for file in files:
        with safe_open(file, "pt") as opened:
            names = set(opened.keys())
            eight = {name for name in names if opened.get_slice(name).get_dtype() == "I8"}
        assert eight and {f"{name}{SCALE}" for name in eight} <= names
    assert psnr(passed(load_network(tmp_path)), passed(network)) > 45


def test_a_file_is_read_whole_in_parts_of_any_size(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = dict(stream(small / UNET, torch.float32))
    assert not any(name.endswith(SCALE) for name in whole)
    for size in (0, 100_000):
        monkeypatch.setattr("lwr.loading.streaming.MAPPED", size)
        parts = dict(stream(small / UNET, torch.float32))
        assert parts.keys() == whole.keys()
        assert all(torch.equal(parts[name], tensor) for name, tensor in whole.items())


def _without(weights: dict[str, torch.Tensor], name: str) -> None:
    del weights[name]


def _as(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[dict[str, torch.Tensor], str], None]:
    def edit(weights: dict[str, torch.Tensor], name: str) -> None:
        weights[name] = change(weights[name]).contiguous()

    return edit


DAMAGES = {
    "it has no scale": _without,
    "its scales are (3,) float16 numbers for": _as(lambda scales: scales[:3]),
    "its scales are (96,) int8 numbers for 96 rows": _as(lambda scales: scales.char()),
    "its scales are no positive numbers": _as(lambda scales: scales * torch.nan),
    "no positive numbers": _as(torch.neg),
}


@pytest.mark.parametrize("why", DAMAGES)
def test_damaged_scales_are_a_sentence(small: Path, tmp_path: Path, why: str) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(small, folder)
    weights = load_file(folder / UNET)
    DAMAGES[why](weights, f"conv_in.weight{SCALE}")
    save_file(weights, folder / UNET)
    with pytest.raises(PriorError) as found:
        Restorer.load(folder, device="cpu")
    assert why in str(found.value) and "damaged at conv_in.weight" in str(found.value)
    assert str(found.value).endswith("fetch the model again.")


def test_a_scale_without_its_weight_is_a_sentence(small: Path, tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(small, folder)
    weights = load_file(folder / "sft.safetensors")
    _without(weights, next(name for name, one in weights.items() if one.dtype == torch.int8))
    save_file(weights, folder / "sft.safetensors")
    with pytest.raises(PriorError, match="is damaged"):
        Restorer.load(folder, device="cpu")


def test_a_damaged_adapter_is_a_sentence(small: Path, tmp_path: Path) -> None:
    folder = save_adapter(load_adapter(small / "adapters" / "deblur"), tmp_path / "deblur", bits=8)
    weights = load_file(folder / WEIGHTS)
    _without(weights, next(name for name in weights if name.endswith(SCALE)))
    save_file(weights, folder / WEIGHTS)
    metadata = json.loads((folder / "adapter.json").read_text())
    metadata["sha256"] = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    (folder / "adapter.json").write_text(json.dumps(metadata))
    with pytest.raises(AdapterError, match="it has no scale.*fetch the adapter again"):
        load_adapter(folder)


def test_compressing_refuses_what_is_there_and_what_is_no_network(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = compress.size(small)
    assert compress.main([str(EMBEDDED), str(small)]) == 2
    assert capsys.readouterr().err == f"{small} exists already: give a new folder.\n"
    assert compress.size(small) == before
    assert compress.main([str(tmp_path), str(tmp_path / "out")]) == 2
    assert f"The network in {tmp_path} cannot be read" in capsys.readouterr().err
    shutil.copytree(small, tmp_path / "cut")
    file = tmp_path / "cut" / UNET
    file.write_bytes(file.read_bytes()[:-5000])
    assert compress.main([str(tmp_path / "cut"), str(tmp_path / "out")]) == 2
    assert "cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_sixteen_bits_and_how_it_was_made_are_kept(small: Path, tmp_path: Path) -> None:
    shutil.copytree(small, tmp_path / "made")
    (tmp_path / "made" / compress.MADE).write_text('{"how": "taylor", "channels": {"unet": [1, 2]}}')
    words = [str(tmp_path / "made"), str(tmp_path / "out"), "--bits", "16", "--adapter-bits", "16"]
    assert compress.main(words) == 0
    made = json.loads((tmp_path / "out" / compress.MADE).read_text())
    assert made == {"how": "taylor", "bits": 16}
    assert json.loads((small / compress.MADE).read_text()) == {"bits": 8}
    assert compress.size(tmp_path / "out") > 0.95 * compress.size(EMBEDDED)
    assert json.loads((tmp_path / "out" / "prior.json").read_text())["id"] == "smaller"


def test_parts_can_stay_in_sixteen_bits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "mixed"
    assert compress.main([str(EMBEDDED), str(folder), "--keep", "refiner"]) == 0
    kinds = {
        part: {str(t.dtype) for t in load_file(folder / f"{part}.safetensors").values()}
        for part in ("sft", "refiner")
    }
    assert kinds["refiner"] == {"torch.float16"} and "torch.int8" in kinds["sft"]
    assert json.loads((folder / compress.MADE).read_text())["kept"] == ["refiner"]
    assert compress.main([str(EMBEDDED), str(tmp_path / "other"), "--keep", "unet"]) == 2
    assert "--keep names unet: use encoder, sft, cfw, refiner." in capsys.readouterr().err
