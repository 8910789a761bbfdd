"""The recipe at toy length on real photos: a stage starts from the one before and changes what it says."""

import dataclasses
import functools
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from toy_runs import ADVERSARIAL, differing, log, sample_photos, shipped_start, small_networks, toy

from lwr.loading.adapter import load_adapter
from lwr.loading.load import load_network
from lwr.models.network import RestorationNetwork
from training.config import Config
from training.data import loader
from training.data.crops import CropSampler
from training.data.mixture import Batch
from training.data.photos import load_photos
from training.data.rng import RngStreams, rng_streams
from training.loop import train
from training.presets import PRESETS
from training.stages import STAGES
from training.stages import fidelity as stage_fidelity

# around Stable Diffusion: tests/test_training_sd.py; from a pruned network: tests/test_training_prune.py
ASIDE = {n for n in PRESETS if n.startswith("sd-")} | {"recover"}
RECIPE = [name for name in PRESETS if name not in ASIDE]
STAGE_OF = {PRESETS[name].out: name for name in RECIPE}
TASKS = Config("none").tasks
# What a stage may change, as regular expressions of names in the network and, after "loras.", in its LoRAs;
# each must change something.
CHANGES = {
    "autoencoder": [r"prior\.vae\."],
    "prior": [r"prior\.unet\."],
    "encoder": [
        r"encoder\.",
        r"sft\.",
        r"prior\.text_encoder\.",
        r"prior\.unet\.",
        r"refiner\.tone\.from_unet\.weight",
        r"refiner\.filters\.from_unet\.weight",
    ],  # fmt: skip
    "refiner": [r"refiner\.(?!.*(perceptual_|\.leave\.))", r"loras\.refiner\."],
    "perceptual": [r"refiner\..*perceptual_"],
    "adapter": [r"loras\.prior\.unet\.", r"loras\.encoder\.", r"loras\.sft\.", r"loras\.refiner\."],
    "distill": [r"loras\.prior\.unet\.", r"loras\.encoder\.", r"loras\.sft\."],
}
CHANGES["random-unet"] = CHANGES["encoder"]
CHANGES["end-to-end"] = [r"refiner\.", *CHANGES["encoder"], *CHANGES["distill"]]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    def fidelity(config: Config, rng: RngStreams) -> float:
        return draw(config, rng) if config.refiner_only else 0.25  # where all parts have a say

    root, draw = tmp_path_factory.mktemp("recipe"), stage_fidelity.draw
    sample_photos(root / "photos")
    with pytest.MonkeyPatch.context() as patch:
        small_networks(patch)
        patch.setattr(stage_fidelity, "draw", fidelity)
        for name in RECIPE:
            before = PRESETS[name].init
            init = str(root / STAGE_OF[before]) if before else None
            train(toy(name, root, name, init=init, gan=0.0))
            shutil.rmtree(root / name / "checkpoint")  # they are large
    yield root
    shutil.rmtree(root)


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("shipped")
    sample_photos(root / "photos")
    shipped_start(root / "start")
    yield root
    shutil.rmtree(root)


@functools.cache
def saved(run: Path) -> dict[str, torch.Tensor]:
    """The tensors of a run's network, and of its LoRAs as loras.MODULE:TASK."""
    found = load_network(run / "network").state_dict()
    if (run / "network" / "adapters").exists():
        for task in TASKS:
            pairs = load_adapter(run / "network" / "adapters" / task, task, "embedded").pairs
            found |= {f"loras.{name}:{task}:{i}": x for name, ab in pairs.items() for i, x in enumerate(ab)}
    return found


def sampler(root: Path, crop: int = 32) -> CropSampler:
    return CropSampler(load_photos(root / "photos", "train"), crop, torch.device("cpu"))


@pytest.mark.parametrize("name", RECIPE)
def test_every_stage_writes_a_network_that_loads(recipe: Path, name: str) -> None:
    assert all(torch.isfinite(value).all() for value in saved(recipe / name).values())
    assert [line["step"] for line in log(recipe / name)] == [1, 2]


def test_stages_from_photo_to_photo_write_an_adapter_for_every_task(recipe: Path) -> None:
    with_adapters = [name for name in RECIPE if (recipe / name / "network" / "adapters").exists()]
    assert with_adapters == RECIPE[RECIPE.index("end-to-end") : RECIPE.index("random-unet")]
    assert all(f"loras.refiner.pixel_head:{task}:0" in saved(recipe / "refiner") for task in TASKS)


@pytest.mark.parametrize("name", [name for name in RECIPE if PRESETS[name].init])
def test_a_stage_changes_all_that_it_says_and_nothing_else(recipe: Path, name: str) -> None:
    before, after = saved(recipe / STAGE_OF[PRESETS[name].init]), saved(recipe / name)
    new = after.keys() - before.keys()
    assert not before.keys() - after.keys() and all(n.startswith("loras.") or "perceptual_" in n for n in new)
    changed = [n for n in before if not before[n].equal(after[n])]
    changed += [
        n for n in new if after[n].count_nonzero() and n.endswith((":1", "perceptual_b"))
    ]  # these start at 0
    for pattern in CHANGES[name]:
        assert any(re.match(pattern, n) for n in changed), f"nothing of {pattern} trained"
    assert not [n for n in changed if not any(re.match(pattern, n) for pattern in CHANGES[name])]


def test_a_new_unet_continues_edges_like_the_one_that_it_replaces(shipped: Path) -> None:
    network = STAGES["encoder"](Config("encoder", str(shipped / "start"), new_unet=True)).network
    plain = torch.full((1, network.prior.vae.config.latent_channels, 8, 8), 0.5)
    with torch.no_grad():
        output, _ = network.predict(plain, 100, plain, network.context({}, network.prior.config.text))
    assert (output - output.mean((2, 3), keepdim=True)).abs().max() < 1e-4


def test_every_start_in_the_table_is_another_stages_end() -> None:
    assert {PRESETS[name].init for name in RECIPE} <= {None, *STAGE_OF}


def test_stage_perceptual_leaves_fidelity_1_as_it_was_to_the_bit(recipe: Path) -> None:
    def photo(name: str, fidelity: float) -> torch.Tensor:
        network: RestorationNetwork = load_network(recipe / name / "network")
        degraded = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
        encoded = network.encode(degraded)
        alone = network.refine(degraded, fidelity)
        return torch.cat([alone, network.decode(encoded.latent, encoded, fidelity)])

    with torch.no_grad():
        assert torch.equal(photo("end-to-end", 1.0), photo("perceptual", 1.0))
        assert not torch.equal(photo("end-to-end", 0.5), photo("perceptual", 0.5))


def test_distilling_brings_one_step_nearer_to_the_teachers_steps(
    shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def same(config: Config, device: torch.device, step: int, micro: int, rank: int) -> RngStreams:
        return rng_streams(config, device, 3, micro, rank)

    monkeypatch.setattr(loader, "rng_streams", same)  # one batch again and again
    train(toy("distill", shipped, "distilled", steps=10, lr=5e-3, schedule="constant"))
    errors = [line["latent"] for line in log(shipped / "distilled")]
    assert 0 < errors[-1] < 0.8 * errors[0], errors


def test_the_teacher_is_the_start_whatever_the_student_becomes(shipped: Path) -> None:
    torch.manual_seed(0)  # of the pairs that an adapter does not have yet
    start = STAGES["distill"](toy("distill", shipped, "none"))
    torch.manual_seed(0)
    trained = STAGES["distill"](toy("distill", shipped, "none"))
    with torch.no_grad():
        for parameter in trained.loras.parameters():
            parameter.add_(0.01)
    assert not any(name.startswith("teacher") for name in trained.state_dict())
    for task, pairs in start.loras.pairs().items():
        for name, pair in pairs.items():
            assert all(torch.equal(a, b) for a, b in zip(pair, trained.teacher[task][name], strict=True)), (
                name
            )


def test_adapters_act_with_their_strength_and_leave_no_trace(shipped: Path) -> None:
    config = toy("adapter", shipped, "none")
    stage = STAGES["adapter"](config)
    photo = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))

    def restored(**tasks: float) -> torch.Tensor:
        asked = {name.replace("_", "-"): strength for name, strength in tasks.items()}
        rng = rng_streams(dataclasses.replace(config, batch=1), torch.device("cpu"), 0)
        return stage.restore(Batch(photo, photo, asked, ""), rng, 0, 1.0)[0]

    with torch.no_grad():
        none, half, whole = (restored(deblur=strength) for strength in (0.0, 0.5, 1.0))
        assert (none - half).abs().max() > 1e-4 and (half - whole).abs().max() > 1e-4
        assert torch.equal(none, restored(dehaze=0.0)) and torch.equal(none, restored())
        both = restored(dehaze=0.5, deblur=1.0)
        assert torch.equal(both, restored(dehaze=0.5, deblur=1.0)) and not torch.equal(both, whole)
    assert not differing(stage.network.state_dict(), load_network(shipped / "start" / "network").state_dict())


def gradients(config: Config, root: Path) -> tuple[dict[str, torch.Tensor], float, int]:
    """(gradients, loss, bytes kept for the backward pass) of one micro-step of a stage."""
    torch.manual_seed(0)
    stage = STAGES[config.stage](config)
    kept: dict[int, int] = {}
    own = {parameter.data_ptr() for parameter in stage.parameters()}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.data_ptr() not in own:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    rng = rng_streams(config, torch.device("cpu"), step=3)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss, _ = stage(stage.draw(config, sampler(root, config.crop), rng), rng, 0.5)
    loss.backward()
    found = {name: p.grad for name, p in stage.named_parameters() if p.grad is not None}
    return found, loss.item(), sum(kept.values())


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("end-to-end", ADVERSARIAL | {"parts": PRESETS["end-to-end"].parts}),
        ("perceptual", {}),
        ("distill", {}),
    ],
)
def test_checkpointing_changes_memory_and_no_gradient(
    shipped: Path, name: str, changes: dict[str, object]
) -> None:
    config = toy(name, shipped, "none", crop=64, **changes)
    plain, loss, kept = gradients(config, shipped)
    cheap, again, less = gradients(dataclasses.replace(config, checkpointing=True), shipped)
    size = max(gradient.abs().max().item() for gradient in plain.values())
    assert loss == pytest.approx(again, abs=1e-6) and size > 0 and plain.keys() == cheap.keys()
    for parameter, gradient in plain.items():
        assert torch.allclose(gradient, cheap[parameter], atol=1e-5 * min(size, 1), rtol=1e-4), parameter
    assert less < kept / 2, (less, kept)


def test_fidelity_is_1_and_0_as_often_as_the_run_asks() -> None:
    config = Config("none", exact=0.6, sampled=0.3)
    drawn = [stage_fidelity.draw(config, rng_streams(config, torch.device("cpu"), i)) for i in range(400)]
    assert 0.5 < drawn.count(1.0) / 400 < 0.7 and 0.22 < drawn.count(0.0) / 400 < 0.38
    assert all(0 <= level <= 1 for level in drawn) and 0.5 in drawn
