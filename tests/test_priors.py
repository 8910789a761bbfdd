"""Priors of the Stable Diffusion kind: where they come from, what is asked of them, parts around them.

Real diffusers classes at tiny sizes with random weights; the Hub is ours, on the loopback.
"""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from hub_faults import status
from hub_server import RunningHub
from huggingface_hub import HfApi
from published import OWNER, TOKEN, forget
from safetensors.torch import load_file, save_file
from tiny_priors import ASK, PHOTO, as_on_the_hub, near, pixels, same, tiny_sd
from typer.testing import CliRunner

from lwr.cli import app
from lwr.loading.adapter import Adapter, AdapterError, AdapterMetadata, save_adapter
from lwr.loading.load import load_network
from lwr.loading.locate import locate, prior_config_of
from lwr.loading.priors import NEGATIVE, POSITIVE, PRIORS, PriorError
from lwr.models.config import TextConditioning
from lwr.models.lora import new_pair, target_modules
from lwr.passes import megapixels
from lwr.restore import RestoreError, Restorer
from lwr.stablesr.convert import convert
from page.service import Service

MIRROR = f"{OWNER}/stable-diffusion-2-1-base"


@pytest.mark.parametrize("name", ["sd", "v", "turbo", "pruned", "stablesr"])
def test_every_kind_restores_in_any_number_of_steps(priors: Path, name: str) -> None:
    restorer, photo = Restorer.load(str(priors / name), device="cpu"), PHOTO.resize((60, 50))
    for steps in (1, 4, 20) + (200,) * (name == "stablesr"):  # its authors take 200
        guidance = {"guidance": 1.0} if steps == 200 else {}
        restored = restorer(photo, **ASK, steps=steps, **guidance)
        assert restored.image.size == photo.size and restored.settings.steps == steps
        assert restored.loaded.rgb.isfinite().all() and pixels(restored).std() > 1, steps


def test_names_of_the_table_are_mirrors_with_their_config() -> None:
    assert {"embedded", "sd-2.1-base", "sd-2.1", "sd-turbo", "bk-sdm-v2-tiny"} <= set(PRIORS)
    assert PRIORS["sd-2.1-base"].repo.startswith("sd2-community/")
    assert PRIORS["sd-2.1"].config.tile == 768 and PRIORS["sd-turbo"].config.guidance == 1
    assert all(known.licence and known.config.id == name for name, known in PRIORS.items())


def test_a_folder_has_its_own_config(priors: Path) -> None:
    sd, turbo, pruned = (prior_config_of(locate(str(priors / name))) for name in ("sd", "turbo", "pruned"))
    assert (sd.guidance, sd.default_steps, sd.positive, sd.negative) == (7, 20, POSITIVE, NEGATIVE)
    assert (turbo.guidance, turbo.default_steps) == (1, 4)
    assert sd.least_side == 64 and pruned.least_side == 64, "the size that its UNet was trained on"
    named = prior_config_of(locate(f"sd-turbo={priors / 'sd'}"))
    assert named == replace(PRIORS["sd-turbo"].config, revision=sd.revision)


def test_settings_reproduce_the_pixels_and_seeds_differ(sd: Restorer) -> None:
    first = sd(PHOTO, task="deblur", steps=3, seed=5, guidance=3, positive="a cat", negative="a dog")
    s = first.settings
    words = {"guidance": s.guidance, "positive": s.positive, "negative": s.negative}
    again = sd(PHOTO, task=s.tasks, scale=s.scale, steps=s.steps, fidelity=s.fidelity, seed=s.seed, **words)
    assert same(first, again) and again.settings == s
    assert not same(first, sd(PHOTO, task="deblur", steps=3, seed=6, **words))


def test_words_and_guidance_steer(sd: Restorer) -> None:
    plain = sd(PHOTO, **ASK, steps=2, guidance=1)
    assert not same(plain, sd(PHOTO, **ASK, steps=2, guidance=7))
    assert not same(plain, sd(PHOTO, **ASK, steps=2, guidance=1, positive="rain on a window"))
    assert same(plain, sd(PHOTO, **ASK, steps=2, guidance=1, negative="not read without guidance"))
    assert not same(sd(PHOTO, **ASK, steps=2), sd(PHOTO, **ASK, steps=2, negative="blue"))


def test_guidance_is_the_papers_formula(sd: Restorer) -> None:
    network, latent = sd.network, torch.randn(1, 4, 8, 16, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        good, bad = (network.context({}, TextConditioning(text)) for text in ("good", "bad"))
        alone = [network.predict(latent, 400, latent, context)[0] for context in (good, bad)]
        both = network.context({}, TextConditioning("good", "bad", 5.0))
        guided = network.predict(latent, 400, latent, both, 5.0)[0]
    torch.testing.assert_close(guided, alone[1] + 5 * (alone[0] - alone[1]))


def test_senseless_guidance_is_an_error(sd: Restorer) -> None:
    for wrong in (0.5, 31, float("nan")):
        with pytest.raises(RestoreError, match=f"The guidance is {wrong:g}: use 1 "):
            sd.resolve(**ASK, guidance=wrong)


def test_prompts_where_none_are_read_are_an_error(priors: Path, subtests: pytest.Subtests) -> None:
    for place, reason in (
        (priors / "stablesr", "stablesr knows the empty text alone"),
        ("embedded", "embedded follows the tasks alone"),
    ):
        restorer = Restorer.load(str(place), device="cpu")
        for words in ({"guidance": 7.0}, {"positive": "sharp"}, {"negative": "dull"}):
            with subtests.test(reason, **words), pytest.raises(RestoreError, match=reason):
                restorer.resolve(**ASK, **words)


def test_a_prior_alone_says_that_it_has_no_parts(sd: Restorer) -> None:
    restored = sd(PHOTO, task="dehaze", steps=1)
    assert any("has no restoring parts" in note for note in restored.notes) and not restored.settings.adapters


def test_every_size_comes_back(sd: Restorer) -> None:
    for size in ((1, 1), (7, 300), (300, 5), (65, 64), (200, 90)):
        assert sd(PHOTO.resize(size), **ASK, steps=1).image.size == size


def test_large_photos_pass_in_tiles(priors: Path) -> None:
    located = locate(str(priors / "sd"))
    tiled = Restorer(load_network(located), located, torch.device("cpu"), tile=256)
    seen: list[tuple[int, int, str]] = []
    large = PHOTO.resize((400, 300))
    restored = tiled(large, **ASK, steps=1, guidance=1, progress=lambda *step: seen.append(step))
    assert restored.image.size == (400, 300) and restored.settings.tile == 256
    assert seen[-1][0] == seen[-1][1] > 10 and restored.loaded.rgb.isfinite().all()


# ---- restoring parts around another prior


def test_parts_go_around_another_prior_of_their_shape(priors: Path, tmp_path: Path) -> None:
    sibling = _sibling(priors / "stablesr", tmp_path / "sibling")
    alone = Restorer.load(str(priors / "stablesr"), device="cpu")
    together = Restorer.load(str(sibling), parts=str(priors / "stablesr"), device="cpu")
    config = together.network.prior.config
    assert config.id == "sibling+stablesr" and (config.start_timestep, config.eta) == (999, 1.0)
    assert config.guidance == 7 and not together.notes
    a, b = (one(PHOTO.resize((60, 50)), **ASK, steps=2) for one in (alone, together))
    assert not same(a, b)
    assert b.settings.prior.startswith("sibling+stablesr@local-")
    with pytest.raises(AdapterError, match="sibling.stablesr has no adapter for 'dehaze': it does super-res"):
        together(PHOTO, task="dehaze")


def _sibling(converted: Path, out: Path) -> Path:
    """A plain prior with the UNet of a converted StableSR, as SD-Turbo has that of SD 2.1."""
    tiny_sd(out)
    for name in ("unet", "vae"):
        shutil.rmtree(out / name)
        shutil.copytree(converted / name, out / name)
    return out


def test_parts_of_another_shape_or_none_are_named_in_the_error(priors: Path, tmp_path: Path) -> None:
    with pytest.raises(PriorError, match=r"made for stablesr and do not fit .*pruned: its UNet"):
        Restorer.load(str(priors / "pruned"), parts=str(priors / "stablesr"))
    with pytest.raises(PriorError, match=r"are for a prior .*, and embedded predicts v.* as --prior"):
        Restorer.load(parts=priors / "stablesr")
    convert(priors / "tiny.ckpt", tmp_path / "v", head_channels=32, prediction="v_prediction")
    with pytest.raises(PriorError, match=r"a prior that predicts v_prediction, and .* predicts epsilon"):
        Restorer.load(priors / "stablesr", parts=tmp_path / "v")
    with pytest.raises(PriorError, match=r"sd has no restoration.json, so no restoring parts"):
        Restorer.load(str(priors / "pruned"), parts=str(priors / "sd"))


def test_an_adapter_for_another_prior_is_refused_with_both_names(priors: Path, tmp_path: Path) -> None:
    restorer = Restorer.load(str(priors / "sd"), device="cpu")
    with pytest.raises(AdapterError, match=r"'dehaze' on prior 'embedded': give one .* on 'sd'"):
        restorer.use(Adapter.open("lwr/embedded/adapters/dehaze"))
    layers = target_modules(restorer.network, ["prior.unet.mid_block"])
    pairs = {name: new_pair(layer, 4) for name, layer in layers.items()}
    pairs = {name: (a, torch.randn_like(b)) for name, (a, b) in pairs.items()}
    metadata = AdapterMetadata(
        "deblur", "sd", restorer.network.prior.config.revision, rank=4, alpha=4.0, version="1"
    )
    save_adapter(Adapter(metadata, pairs), tmp_path / "deblur")
    before = restorer(PHOTO, task="deblur", steps=1)
    restorer.use(Adapter.open(str(tmp_path / "deblur")))
    after = restorer(PHOTO, task="deblur", steps=1)
    assert not same(before, after) and after.settings.adapters == {"deblur": "sd/deblur@1"}


def test_command_line_takes_all_of_it(priors: Path, tmp_path: Path) -> None:
    PHOTO.resize((60, 50)).save(tmp_path / "photo.png")  # half precision is slow on a CPU
    command = ["restore", str(tmp_path / "photo.png"), "--task", "deblur", "--prior", str(priors / "sd")]
    words = ["--steps", "1", "--guidance", "2", "--positive", "a face", "--negative", "a mask"]
    done = CliRunner().invoke(app, [*command, *words, "--precision", "float16", "--memory", "4", "--json"])
    assert done.exit_code == 0, done.output
    assert (
        json.loads(done.stdout)["prior"].startswith("sd@local-")
        and (tmp_path / "photo.restored.png").exists()
    )
    for wrong, reason in (
        ("--precision", "The precision is 'int4'"),
        ("--parts", "There are no restoring parts 'int4'"),
    ):
        done = CliRunner().invoke(app, [*command, wrong, "int4"])
        assert done.exit_code == 2 and reason in done.stderr and "\n" not in done.stderr.strip()


# ---- folders and repositories as they are found


class _Code:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch code_ran",)


def _pickled(folder: Path) -> Path:
    """The UNet's weights in a pickle, as BK-SDM's were published."""
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save(load_file(file), file.with_suffix(".bin"))
    file.unlink()
    return folder


def test_pickled_weights_are_read_and_code_in_them_is_not_run(
    priors: Path, sd: Restorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = _pickled(shutil.copytree(priors / "sd", tmp_path / "pickled"))
    assert near(Restorer.load(str(folder), device="cpu")(PHOTO, **ASK, steps=1), sd(PHOTO, **ASK, steps=1))
    torch.save({"conv_in.weight": _Code()}, folder / "unet" / "diffusion_pytorch_model.bin")
    with pytest.raises(PriorError, match="is damaged"):
        Restorer.load(str(folder), device="cpu")
    assert not Path("code_ran").exists()


def _edit(file: str, **values: object) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / file
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return edit


def _inpainting(folder: Path) -> None:
    _edit("unet/config.json", in_channels=9)(folder)
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    save_file(weights | {"conv_in.weight": torch.zeros(32, 9, 3, 3)}, file, metadata={"format": "pt"})


def _cut_short(folder: Path) -> None:
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:-5000])


DAMAGES = {
    "takes 9 channels and gives 4": _inpainting,
    "is damaged": _cut_short,
    r"damaged \(Expecting": lambda folder: (folder / "vae" / "config.json").write_text("{"),
    "has no vocabulary": lambda folder: (folder / "tokenizer" / "tokenizer.json").unlink(),
    "its scheduler is a Flow": _edit(
        "scheduler/scheduler_config.json", _class_name="FlowMatchEulerDiscreteScheduler"
    ),
    "it predicts 'flow'": _edit("scheduler/scheduler_config.json", prediction_type="flow"),
    "has 100 timesteps": _edit("scheduler/scheduler_config.json", num_train_timesteps=100),
}


@pytest.mark.parametrize("reason", DAMAGES)
def test_unfit_folders_are_refused_in_one_sentence(priors: Path, tmp_path: Path, reason: str) -> None:
    DAMAGES[reason](shutil.copytree(priors / "sd", tmp_path / "bad"))
    for precision in ("float32", "bfloat16"):
        with pytest.raises(PriorError, match=reason) as caught:
            Restorer.load(tmp_path / "bad", precision=precision)
        assert "\n" not in str(caught.value), precision


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ({"parts": "nowhere"}, "There are no restoring parts 'nowhere'"),
        ({"model": "SD-Turbo"}, r"There is no model 'SD-Turbo': .* Did you mean sd-turbo\?"),
        ({"model": "embedded=sd"}, "There is no model 'embedded=sd'"),
    ],
)
def test_unknown_names_are_an_error(request_: dict[str, str], reason: str) -> None:
    with pytest.raises(PriorError, match=reason):
        Restorer.load(**request_)


@pytest.fixture(scope="module")
def hub(running_hub: RunningHub, priors: Path, tmp_path_factory: pytest.TempPathFactory) -> RunningHub:
    """A repository that looks like Stable Diffusion 2.1-base's."""
    folder = as_on_the_hub(priors / "sd", tmp_path_factory.mktemp("repo") / "sd")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_TOKEN", TOKEN)
        api = HfApi(token=TOKEN)
        api.create_repo(MIRROR)
        api.upload_folder(repo_id=MIRROR, folder_path=folder)
        api.create_tag(MIRROR, tag="fp32")
    return running_hub


@pytest.fixture
def fresh(hub: RunningHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunningHub:
    forget(monkeypatch, tmp_path / "cache")
    hub.hub.log.clear()
    hub.hub.faults.clear()
    known = PRIORS["sd-2.1-base"]
    monkeypatch.setitem(PRIORS, "sd-2.1-base", replace(known, repo=MIRROR))
    return hub


def test_only_what_is_used_of_a_repository_is_fetched(fresh: RunningHub, sd: Restorer) -> None:
    restorer = Restorer.load("sd-2.1-base", revision="fp32", device="cpu")
    config = restorer.network.prior.config
    assert (config.id, config.revision) == ("sd-2.1-base", "fp32")
    assert restorer.resolve(**ASK).prior == f"{MIRROR}@fp32"
    got = {str(path.relative_to(restorer.folder)) for path in restorer.folder.rglob("*") if path.is_file()}
    assert "unet/diffusion_pytorch_model.safetensors" in got and "tokenizer/merges.txt" in got
    assert not [name for name in got if "fp16" in name or name.endswith((".bin", ".ckpt"))]
    text = TextConditioning()
    ours, theirs = (one.network.context({"hello photograph": 1.0}, text) for one in (restorer, sd))
    torch.testing.assert_close(ours, theirs)


def test_the_pages_estimates_count_steps_where_the_sampler_takes_part(
    sd: Restorer, restorer: Restorer
) -> None:
    for served in (sd, restorer):
        service = Service(served, Mock())
        for fidelity in (0, 0.25, 0.5, 0.75, 1):
            settings = served.resolve(task="deblur", steps=20, fidelity=fidelity)
            once = megapixels(served.network, (64, 96), settings, sampled=False)
            passes = 21 if served.network.needs_sampler(fidelity) else 1
            assert service.work((64, 96), settings) == pytest.approx(passes * once)
    assert sd.network.needs_sampler(0.5)


@pytest.mark.parametrize("name", [f"{MIRROR}@fp32", f"sd-turbo={MIRROR}", "sd-2.1-base"])
def test_repository_and_revision_are_settings(fresh: RunningHub, name: str) -> None:
    restorer = Restorer.load(name, device="cpu")
    assert restorer.network.prior.config.default_steps == (4 if "turbo" in name else 20)
    assert restorer.resolve(**ASK).prior.startswith(f"{MIRROR}@")


def test_absent_gated_and_unreachable_priors_say_what_to_do(fresh: RunningHub) -> None:
    with pytest.raises(PriorError, match=r"no repository stabilityai/sd-turbo.* 'sd-turbo=FOLDER'"):
        Restorer.load("sd-turbo")
    fresh.hub.fail("refs", status(403, why="GatedRepo"))
    with pytest.raises(PriorError, match=r"is gated: accept its conditions .* 'sd-2\.1-base=FOLDER'"):
        Restorer.load("sd-2.1-base")
    with pytest.raises(PriorError, match=r"no revision 'v9'"):
        Restorer.load("sd-2.1-base", revision="v9")
    with pytest.raises(
        PriorError, match=r"There is no model 'sd-3': use embedded, embedded-lite, sd-2\.1-base, "
    ):
        Restorer.load("sd-3")
