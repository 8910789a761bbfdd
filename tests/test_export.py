"""`lwr export onnx`: the pixels of the product's own pass, files that nobody replaces unasked, refusals."""

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from test_cli import run, run_apart
from toy_runs import small_network

from lwr.export import asked
from lwr.large import instructions_of
from lwr.loading.adapter import Adapter, AdapterMetadata, save_adapter
from lwr.loading.load import load_network
from lwr.loading.save import save_network
from lwr.models.fixed import FixedPass
from lwr.models.lora import new_pair, target_modules
from lwr.restore import RestoreError, Restorer, fixed_pass

TASKS = ("dehaze", "deblur")
WRITTEN = TASKS[1:]  # each file takes most of a minute
FIDELITY = 0.7
RUNS = all(find_spec(name) for name in (*asked.PACKAGES, "onnxruntime"))
needs_onnx = pytest.mark.skipif(
    not RUNS, reason="onnx, onnxscript or onnxruntime is not installed: lwr[onnx]"
)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is refused before a network loads is refused in the same way with and without the packages."""
    monkeypatch.setattr(asked, "PACKAGES", ())


@pytest.fixture(scope="module")
def adapted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network whose refiner reads the UNet, and two adapters with something to say."""
    folder = tmp_path_factory.mktemp("adapted")
    network = load_network(small_network())
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in network.refiner.weights_of_sampler():
            weight.normal_(0, 0.02)
        network.refiner.filters.shares.weight.normal_(0, 0.02)
    save_network(network, folder)
    config = network.prior.config
    for name in TASKS:
        pairs = {}
        for module, layer in target_modules(network, ("refiner", "prior.unet")).items():
            a, b = new_pair(layer, 2)
            pairs[module] = (a, torch.randn_like(b) * 0.02)
        metadata = AdapterMetadata(name, config.id, config.revision, 2, 2.0, "1.0.0")
        save_adapter(Adapter(metadata, pairs), folder / "adapters" / name)
    return folder


def passes_of(restorer: Restorer) -> dict[str, FixedPass]:
    return {name: fixed_pass(restorer, restorer.resolve(task=name, fidelity=FIDELITY)) for name in TASKS}


def test_a_fixed_pass_is_the_products_own_and_stays(restorer: Restorer) -> None:
    fixed = passes_of(restorer)
    photo = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    made = {}
    for name in TASKS:
        restorer._attachment.attach([restorer.adapters.of(name)], [1.0])
        instructions = instructions_of({name: 1.0})
        with torch.no_grad():
            wanted, _ = restorer.network.restore(photo, instructions, torch.randn, fidelity=FIDELITY)
            restorer._attachment.detach()
            made[name] = fixed[name](photo)
        assert (made[name] - wanted.clamp(0, 1)).abs().max() < 1e-5 and fixed[name].sampler
    assert (made["dehaze"] - made["deblur"]).abs().max() > 1e-3
    least = fixed_pass(restorer, restorer.resolve(task="deblur", fidelity=1.0))
    with torch.no_grad():
        assert (made["deblur"] - least(photo)).abs().max() > 1e-3


@needs_onnx
@pytest.mark.timeout(1800)
def test_files_give_the_same_pixels_at_every_size(adapted: Path, tmp_path: Path) -> None:
    import onnxruntime

    out = tmp_path / "new" / "out"
    words = [word for name in WRITTEN for word in ("--task", name)]
    words += ["--fidelity", str(FIDELITY), "--prior", str(adapted), "--json"]
    done = run_apart("export", "onnx", out, *words, cwd=tmp_path)  # pytest keeps all that torch logs
    assert done.status == 0, done.err
    assert [line["output"] for line in done.lines] == [str(out / f"{name}.onnx") for name in WRITTEN]
    restorer = Restorer.load(str(adapted), device="cpu")
    for name in WRITTEN:
        fixed = passes_of(restorer)[name]
        about = json.loads((out / f"{name}.json").read_text())
        multiple = restorer.network.multiple
        assert (about["tasks"], about["fidelity"]) == ({name: 1.0}, FIDELITY)
        assert about["multiple"] == multiple and about["prior"] == restorer.resolve(task=name).prior
        session = onnxruntime.InferenceSession(out / about["file"])
        for height, width in ((2, 3), (7, 4)):
            photo = torch.rand(1, 3, height * multiple, width * multiple)
            with torch.no_grad():
                wanted = fixed(photo).numpy()
            made = session.run([about["output_name"]], {about["input"]: photo.numpy()})[0]
            assert np.abs(made - wanted).max() <= 1e-3
    before = (out / "deblur.onnx").read_bytes()
    refused = run("export", "onnx", out, "--task", "deblur", "--prior", adapted)
    assert refused.status == 2 and "already exists" in refused.err
    assert (out / "deblur.onnx").read_bytes() == before


@pytest.mark.usefixtures("installed")
def test_what_cannot_be_exported_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "denoise.json").write_text("mine")
    for arguments, sentence in (
        (("tflite", tmp_path), "There is no kind 'tflite': use export onnx OUT."),
        (("onnx", ""), "The folder has no name: use export onnx OUT."),
        (("onnx", tmp_path, "--task", "fog"), "There is no task 'fog'"),
        (("onnx", tmp_path, "--task", "dehaze", "--fidelity", 3), "The fidelity is 3.0"),
        (("onnx", tmp_path, "--task", "dehaze", "--strength", 2), "The strength of dehaze is 2.0"),
        (("onnx", tmp_path), f"{tmp_path / 'denoise.json'} already exists"),
        (("onnx", tmp_path / "denoise.json" / "x", "--task", "dehaze"), "cannot be made"),
    ):
        done = run("export", *arguments)
        assert done.status == 2 and sentence in done.err and not done.out, done.err
    assert [path.name for path in tmp_path.iterdir()] == ["denoise.json"]
    assert (tmp_path / "denoise.json").read_text() == "mine"


def test_missing_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asked, "PACKAGES", ("json", "onnx_of_nowhere"))
    done = run("export", "onnx", tmp_path)
    assert done.status == 2 and "pip install onnx_of_nowhere" in done.err and not list(tmp_path.iterdir())


def test_a_pass_that_draws_noise_is_refused(sd: Restorer) -> None:
    with pytest.raises(RestoreError, match="takes one step without noise"):
        fixed_pass(sd, sd.resolve(task="deblur"))
