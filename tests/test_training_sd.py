"""The presets around Stable Diffusion, one after the other, on a tiny random prior of the real classes."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from tiny_priors import tiny_sd
from toy_runs import TOY, sample_photos

from lwr.loading.adapter import load_adapter
from lwr.loading.load import load_network
from lwr.models.config import TextConditioning
from lwr.restore import Restorer
from training.checkpoint import TrainingError
from training.checks import check
from training.config import Config
from training.loop import train
from training.presets import PRESETS
from training.publish import main as publish

RECIPE = ("sd-encoder", "sd-adapter", "sd-cfw", "sd-distill")
SD_TOY = TOY | {"crop": 64, "accumulate": 1, "precision": "no", "teacher_steps": 2, "latent_steps": 2}
SD_TOY |= {"tasks": ("super-resolution",), "task_weights": (1.0,)}


def toy(name: str, root: Path, **changes: object) -> Config:
    """A preset at toy length, in and from the run folders under `root`."""
    preset = PRESETS[name]
    places = {"photos": str(root / "photos"), "out": str(root / preset.out)}
    places |= {"init": str(root / preset.init)} if preset.init else {"prior": str(root / "sd")}
    return dataclasses.replace(preset, **SD_TOY | places | changes)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every preset of the recipe, run."""
    folder = tmp_path_factory.mktemp("sd")
    tiny_sd(folder / "sd")
    sample_photos(folder / "photos")
    for name in RECIPE:
        train(toy(name, folder))
    return folder


def test_every_preset_is_a_run_that_can_start() -> None:
    for name in RECIPE:
        check(PRESETS[name])  # raises what is wrong with it
        assert PRESETS[name].crop == 512 and not PRESETS[name].muon


@pytest.mark.parametrize("name", RECIPE)
def test_every_stage_restores_a_photo_of_any_shape(root: Path, name: str) -> None:
    restorer = Restorer.load(str(root / PRESETS[name].out / "network"), device="cpu")
    photo = Image.open(next((root / "photos").iterdir())).crop((0, 0, 150, 70))
    with pytest.raises(ValueError, match="has no adapter for 'dehaze': it does super-resolution"):
        restorer(photo, task="dehaze", steps=1)
    restored = restorer(photo, task="super-resolution", scale=1, steps=1)
    assert restored.image.size == (150, 70)
    assert restorer(photo.crop((0, 0, 9, 30)), task="super-resolution", scale=1, steps=1).image.size == (
        9,
        30,
    )
    revision = restorer.network.prior.config.revision
    adapters = {"super-resolution": f"sd+lwr/super-resolution@{revision}"}
    assert restored.settings.adapters == ({} if name == "sd-encoder" else adapters)
    defaults = {"sd-encoder": 0.0, "sd-adapter": 0.0, "sd-cfw": 0.5, "sd-distill": 0.5}
    assert restored.settings.fidelity == defaults[name], "until CFW is trained there is no fidelity"


def test_the_prior_is_named_and_not_copied(root: Path) -> None:
    written = {path.name for path in (root / PRESETS["sd-distill"].out / "network").iterdir()}
    assert not written & {"vae", "unet", "text_encoder"}
    network = load_network(root / PRESETS["sd-distill"].out / "network")
    assert network.config.base == str((root / "sd").resolve()) and network.prior.config.default_steps == 1


def test_each_stage_trains_its_part_alone(root: Path) -> None:
    encoder, adapter, cfw, distill = (load_network(root / PRESETS[n].out / "network") for n in RECIPE)
    new = load_network(root / "sd").prior.state_dict()
    for network in (encoder, adapter, cfw, distill):
        for name, tensor in network.prior.state_dict().items():
            assert torch.equal(new[name], tensor), f"{name} of the prior changed"
    for before, after, parts in (
        (encoder, adapter, ("encoder", "sft")),
        (adapter, cfw, ("encoder", "sft")),
        (cfw, distill, ("encoder", "sft", "cfw")),
    ):
        for part in parts:
            pairs = zip(getattr(before, part).parameters(), getattr(after, part).parameters(), strict=True)
            assert all(torch.equal(a, b) for a, b in pairs), part
    assert cfw.config.cfw.levels == (1, 2) and adapter.cfw is None


def test_adapters_are_small_and_change_attention_and_sft_only(root: Path) -> None:
    folders = [root / PRESETS[name].out / "network" / "adapters" / "super-resolution" for name in RECIPE[1:]]
    adapters = [load_adapter(folder) for folder in folders]
    for adapter in adapters:
        assert adapter.metadata.rank == 8 and adapter.metadata.prior == "sd+lwr"
        assert all(
            name.startswith("sft.") or ".attn" in name and name.startswith("prior.unet.")
            for name in adapter.pairs
        )
    trained, decoded, distilled = (
        sum(float(b.abs().sum()) for _, b in adapter.pairs.values()) for adapter in adapters
    )
    assert trained > 0 and decoded == trained != distilled, "cfw leaves the adapters alone, distill does not"


def test_new_parts_start_as_the_prior_itself_and_the_published_formula_does_not(root: Path) -> None:
    from training.create_parts import network_around

    photo = torch.rand(1, 3, 64, 128, generator=torch.Generator().manual_seed(0))
    bare = load_network(root / "sd")
    latent = bare.encode(photo).latent

    def output(network: torch.nn.Module) -> torch.Tensor:
        with torch.no_grad():
            return network.predict(latent, 400, latent, bare.context({}, TextConditioning()))[0]

    zero = network_around(toy("sd-encoder", root)).eval()
    public = network_around(toy("sd-encoder", root, public_sft=True)).eval()
    assert torch.equal(output(zero), output(bare)) and not torch.allclose(output(public), output(bare))


@pytest.mark.parametrize(
    ("preset", "reason"),
    [
        ("prior", "prior.unet cannot train: the prior .* stays as it is"),
        ("refiner", "trains the refiner, which this network does not have"),
        ("perceptual", "trains the refiner, which this network does not have"),
    ],
)
def test_stages_of_the_embedded_network_are_refused(root: Path, preset: str, reason: str) -> None:
    config = dataclasses.replace(toy("sd-adapter", root), stage=PRESETS[preset].stage, out=str(root / "no"))
    with pytest.raises(TrainingError, match=reason):
        train(config)


def test_a_prior_for_a_network_that_has_one_is_refused(root: Path) -> None:
    with pytest.raises(TrainingError, match="has its prior already: give one of --prior and --init"):
        train(toy("sd-adapter", root, prior=str(root / "sd"), out=str(root / "no")))


def test_parts_whose_prior_is_missing_name_the_way_out(root: Path, tmp_path: Path) -> None:
    trained = shutil.copytree(root / PRESETS["sd-cfw"].out / "network", tmp_path / "trained")
    config = json.loads((trained / "restoration.json").read_text())
    (trained / "restoration.json").write_text(json.dumps(config | {"base": "/gone/sd"}))
    with pytest.raises(ValueError, match=r"There is no model '/gone/sd'.* --prior PLACE --parts"):
        Restorer.load(str(trained))
    assert Restorer.load(str(root / "sd"), parts=str(trained)).network.prior.config.id == "sd+lwr"


def test_a_run_does_not_go_on_around_another_prior(root: Path, tmp_path: Path) -> None:
    tiny_sd(tmp_path / "sd", seed=1)
    with pytest.raises(TrainingError, match="give another --out"):
        train(toy("sd-encoder", root, prior=str(tmp_path / "sd")))
    with pytest.raises(TrainingError, match="--prior is empty"):
        train(toy("sd-encoder", root, prior="", out=str(tmp_path / "no")))


def test_the_adapter_of_another_prior_of_the_same_name_is_refused(root: Path, tmp_path: Path) -> None:
    other = tiny_sd(tmp_path / "sd", seed=1)
    trained = root / PRESETS["sd-adapter"].out / "network"
    with pytest.raises(
        ValueError, match=r"was trained on sd\+lwr@local-\w+, and this network is sd\+lwr@local-"
    ):
        Restorer.load(other, parts=trained).resolve(task="super-resolution")


def test_parts_around_a_folder_of_this_machine_are_not_published(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    network = str(root / PRESETS["sd-cfw"].out / "network")
    words = ["prior", "--prior", network, "--namespace", "NS", "--version", "v1.0.0", "--dry-run"]
    assert publish(words) == 2
    assert "lies in a folder of this machine" in capsys.readouterr().err


def test_cfw_is_refused_on_a_refiner(root: Path) -> None:
    places = {"init": "lwr/embedded", "out": str(root / "no")}
    config = toy("sd-cfw", root, rank=4, refiner_rank=16, **places)
    with pytest.raises(TrainingError, match="this network has a refiner"):
        train(config)


def test_a_pruned_prior_takes_new_parts_and_refuses_those_of_another(root: Path, tmp_path: Path) -> None:
    tiny_sd(tmp_path / "pruned", pruned=True)
    config = toy("sd-encoder", root, prior=str(tmp_path / "pruned"), out=str(tmp_path / "run"), steps=1)
    train(config)
    network = load_network(tmp_path / "run" / "network")
    assert len(network.sft.layers) == 3 + 6, "a block a level going down, two going up, no middle"
    with pytest.raises(ValueError, match=r"were made for .*sd and do not fit .*pruned"):
        Restorer.load(str(tmp_path / "pruned"), parts=str(root / PRESETS["sd-encoder"].out / "network"))
