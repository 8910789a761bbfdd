"""Public StableSR checkpoints: our modules give the public ones' golden outputs, and bad files are refused.

The golden tensors lie in ../shared/parity, or where LWR_PARITY says; without them those tests are skipped.
"""

import json
import math
import os
import pickle
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from stablesr_fixture import HEAD, OUTPUTS, checkpoint, decoded, outputs
from torch import nn
from typer.testing import CliRunner

from lwr.cli import app
from lwr.loading.load import load_network
from lwr.restore import Restorer
from lwr.stablesr.checkpoint import read_checkpoint
from lwr.stablesr.convert import StableSRError, build_network, convert
from training.benchmarks.random_stablesr import TINY, write

ROOT = Path(__file__).parents[1]
PARITY = Path(os.environ.get("LWR_PARITY", Path(__file__).parents[2] / "shared" / "parity"))
TOLERANCE = 2e-4  # largest absolute difference, float32 on a CPU
SMALL_HEAD = 32  # channels per attention head of the small network, which no key tells
needs_parity = pytest.mark.skipif(not PARITY.is_dir(), reason=f"golden tensors are not at {PARITY}")


def weight(key: str, shape: list[int]) -> torch.Tensor:
    """The golden tensors' weights: a formula of the key, given in their README."""
    values = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape, dtype=np.float32)
    if len(shape) >= 2:
        return torch.from_numpy(values / np.float32(math.sqrt(math.prod(shape[1:]))))
    return torch.from_numpy(1 + 0.1 * values if key.endswith("weight") else 0.1 * values)


def golden_input(name: str, *shape: int) -> torch.Tensor:
    generator = np.random.default_rng(zlib.crc32(f"input:{name}".encode()))
    return torch.from_numpy(generator.standard_normal(shape, dtype=np.float32))


def keys_of(name: str) -> dict[str, list[int]]:
    return json.loads((PARITY / f"{name}.json").read_text())["keys"]


@pytest.fixture(scope="module")
def small() -> dict[str, torch.Tensor]:
    return {key: weight(key, shape) for key, shape in keys_of("small").items()}


@pytest.fixture(scope="module")
def golden() -> dict[str, torch.Tensor]:
    return load_file(PARITY / "small.safetensors")


@pytest.fixture(scope="module")
def network(small):
    return build_network(small, "small", head_channels=SMALL_HEAD)


def text_tensors(width: int, layers: int, vocabulary: int) -> dict[str, torch.Tensor]:
    """A small text encoder under OpenCLIP's names."""
    shapes = {"token_embedding.weight": [vocabulary, width], "positional_embedding": [77, width]}
    shapes |= {"ln_final.weight": [width], "ln_final.bias": [width], "text_projection": [width, width]}
    shapes["logit_scale"] = [1]
    for layer in range(layers):
        at = f"transformer.resblocks.{layer}."
        shapes |= {f"{at}ln_{i}.{kind}": [width] for i in (1, 2) for kind in ("weight", "bias")}
        shapes |= {f"{at}attn.in_proj_weight": [3 * width, width], f"{at}attn.in_proj_bias": [3 * width]}
        shapes |= {f"{at}attn.out_proj.weight": [width, width], f"{at}attn.out_proj.bias": [width]}
        shapes |= {f"{at}mlp.c_fc.weight": [4 * width, width], f"{at}mlp.c_fc.bias": [4 * width]}
        shapes |= {f"{at}mlp.c_proj.weight": [width, 4 * width], f"{at}mlp.c_proj.bias": [width]}
    return {f"cond_stage_model.model.{key}": weight(key, shape) for key, shape in shapes.items()}


def open_clip_empty(tensors: dict[str, torch.Tensor], layers: int) -> torch.Tensor:
    """OpenCLIP's text transformer, layer by layer with torch's own attention, on the empty text: (1,77,D)."""
    state = {key.removeprefix("cond_stage_model.model."): value for key, value in tensors.items()}
    tokens = torch.tensor([[49406, 49407] + [0] * 75])
    x = state["token_embedding.weight"][tokens] + state["positional_embedding"]
    width = x.shape[-1]
    mask = torch.full((77, 77), -torch.inf).triu(1)

    def norm(name: str, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.layer_norm(x, (width,), state[f"{name}.weight"], state[f"{name}.bias"])

    def linear(name: str, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])

    for layer in range(layers):
        at = f"transformer.resblocks.{layer}."
        attention = nn.MultiheadAttention(width, width // 64, batch_first=True).eval()
        attention.load_state_dict(
            {k.removeprefix(f"{at}attn."): v for k, v in state.items() if k.startswith(f"{at}attn.")}
        )
        y = norm(f"{at}ln_1", x)
        x = x + attention(y, y, y, attn_mask=mask, need_weights=False)[0]
        x = x + linear(f"{at}mlp.c_proj", nn.functional.gelu(linear(f"{at}mlp.c_fc", norm(f"{at}ln_2", x))))
    return norm("ln_final", x)


def assert_same(ours: torch.Tensor, public: torch.Tensor) -> None:
    assert ours.shape == public.shape
    assert (ours - public).abs().max() <= TOLERANCE


def test_our_own_fixture_comes_out_as_it_did() -> None:
    """Without ../shared: the same checks on a tiny network of our own, from photos that are not square."""
    ours = outputs(build_network(checkpoint(), "tiny", head_channels=HEAD))
    stored = load_file(OUTPUTS)  # in half precision
    assert ours.keys() == stored.keys()
    for name, value in ours.items():
        torch.testing.assert_close(value, stored[name].float(), rtol=2e-3, atol=2e-3, msg=name)


def test_a_checkpoint_of_our_own_converts_and_restores(tmp_path: Path) -> None:
    torch.save({"state_dict": checkpoint()}, tmp_path / "tiny.ckpt")
    assert convert(tmp_path / "tiny.ckpt", tmp_path / "out", head_channels=HEAD) == []
    network = load_network(tmp_path / "out")
    assert (network.config.id, network.config.tasks) == ("stablesr", ("super-resolution",))
    config = network.prior.config
    assert (config.start_timestep, config.eta, config.positive, config.guidance) == (999, 1.0, "", 1.0)
    ours, again = outputs(build_network(checkpoint(), "tiny", head_channels=HEAD)), outputs(network)
    for name, value in ours.items():
        torch.testing.assert_close(value, again[name], msg=name)
    convert(tmp_path / "tiny.ckpt", tmp_path / "v", head_channels=HEAD, prediction="v_prediction")
    large = load_network(tmp_path / "v").prior
    assert (large.config.tile, large.scheduler.config.prediction_type) == (768, "v_prediction")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peaks are read from /proc")
def test_converting_takes_little_more_memory_than_the_file(tmp_path: Path) -> None:
    """Peak above that of converting next to nothing, in both precisions."""
    sizes = replace(TINY, unet=(192, 320, 320, 320), text=256, text_layers=4, vae=(64, 64, 128, 128))
    files = [write(tmp_path / "tiny.ckpt", TINY)]
    files += [write(tmp_path / f"{kind}.ckpt", sizes, kind) for kind in (torch.float32, torch.float16)]
    base, *peaks = _peaks_of_converting(files, [32, 64, 64])
    for file, peak in zip(files[1:], peaks, strict=True):
        assert file.stat().st_size > 1e8 and peak - base < 1.3 * file.stat().st_size


def _peaks_of_converting(checkpoints: list[Path], heads: list[int]) -> list[int]:
    """Bytes that a process of its own took for each, forked from one that has imported all."""
    code = (
        "import os; from pathlib import Path; from lwr.stablesr.convert import convert\n"
        f"for name, head in zip({list(map(str, checkpoints))!r}, {heads!r}):\n"
        "    if os.fork() == 0:\n"
        "        convert(Path(name), Path(name).with_suffix(''), head_channels=head)\n"
        "        print(*(x for x in open('/proc/self/status') if x.startswith('VmHWM')), flush=True)\n"
        "        os._exit(0)\n"
        "    assert os.wait()[1] == 0\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("VmHWM")]  # "VmHWM: 123456 kB"
    return [int(line.split()[1]) * 1024 for line in lines]


def test_a_part_of_the_cfw_layers_is_refused(tmp_path: Path) -> None:
    tensors = checkpoint()
    lacking = {k: v for k, v in tensors.items() if "fusion_layer_1" not in k}
    with pytest.raises(StableSRError, match=r"part of its CFW layers.*decoder\.fusion_layer_1"):
        build_network(lacking, "tiny", head_channels=HEAD)


def test_a_checkpoint_of_whole_numbers_is_refused() -> None:
    key = "structcond_stage_model.input_blocks.0.0.bias"
    tensors = checkpoint()
    with pytest.raises(StableSRError, match=rf"{key} of int8 numbers") as caught:
        build_network(tensors | {key: tensors[key].to(torch.int8)}, "tiny", head_channels=HEAD)
    assert "\n" not in str(caught.value)


def test_nothing_beside_the_folder_is_touched(tmp_path: Path) -> None:
    kept = tmp_path / ".out.partial" / "kept.txt"
    kept.parent.mkdir()
    kept.write_text("mine")
    save_file(checkpoint(), tmp_path / "tiny.ckpt")  # a safetensors file under another name
    convert(tmp_path / "tiny.ckpt", tmp_path / "out", head_channels=HEAD)
    assert kept.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.partial", "out", "tiny.ckpt"]
    for checkpoint_, out in (
        (Path("x" * 300), tmp_path / "a"),
        (tmp_path / "tiny.ckpt", tmp_path / ("x" * 300)),
    ):
        with pytest.raises(StableSRError):
            convert(checkpoint_, out, head_channels=HEAD)


@needs_parity
@torch.inference_mode()
def test_encoder_and_modulated_unet_give_the_public_outputs(network, golden):
    time = torch.tensor([499])
    features = network.encoder(golden_input("latent_lq", 1, 4, 32, 32), time)
    for feature in features:
        assert_same(feature, golden[f"struct_cond.{feature.shape[-1]}"])
    with network.sft.applied(network.prior.unet, features):
        latent, context = golden_input("latent_t", 1, 4, 32, 32), golden_input("context", 1, 77, 64)
        assert_same(network.prior.unet(latent, time, context).sample, golden["epsilon"])


@needs_parity
@torch.inference_mode()
def test_wrapped_decoder_gives_the_public_outputs(network, golden):
    image = golden_input("image_lq", 1, 3, 64, 64).tanh()
    features = network.prior.encode_features(image)
    assert_same(network.prior.encode_moments(features[-1]), golden["moments_before_quant_conv"])
    latent = golden_input("latent_0", 1, 4, 8, 8)
    for fidelity in (0.0, 0.5, 1.0):
        assert_same(decoded(network, latent, features, fidelity), golden[f"decoded.w{fidelity}"])


@needs_parity
def test_every_key_of_the_full_checkpoint_has_its_place():
    """None missing, none unexpected, every shape right (else a StableSRError), and the paper's sizes."""
    tensors = {key: torch.empty(shape, device="meta") for key, shape in keys_of("full").items()}
    network = build_network(tensors, "full")
    parts = {name: getattr(network, name) for name in ("encoder", "sft", "cfw")}
    parts |= {"unet": network.prior.unet, "vae": network.prior.vae}
    ours = sum(p.numel() for part in parts.values() for p in part.parameters())
    assert ours == sum(tensor.numel() for tensor in tensors.values())
    millions = {
        name: round(sum(p.numel() for p in part.parameters()) / 1e6, 1) for name, part in parts.items()
    }
    assert millions == {"encoder": 52.5, "sft": 53.0, "cfw": 44.4, "unet": 865.9, "vae": 83.7}


@needs_parity
@torch.inference_mode()
def test_every_sentence_is_read_as_the_empty_text(small):
    text = text_tensors(64, 3, 49408)
    prior = build_network(small | text, "small", SMALL_HEAD).prior
    empty, sentence = prior.encode_text([""]), prior.encode_text(["remove the haze, please!"])
    assert_same(empty, open_clip_empty(text, layers=2))
    assert torch.equal(empty, sentence)


@needs_parity
def test_convert_command_writes_a_folder_that_restores_a_photo(small, network, tmp_path):
    torch.save({"state_dict": small, "global_step": 7, "epoch": 1}, tmp_path / "small.ckpt")
    command = [
        "convert",
        "stablesr",
        str(tmp_path / "small.ckpt"),
        str(tmp_path / "out"),
        "--head-channels",
        "32",
    ]
    done = CliRunner().invoke(app, [*command, "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["output"] == str(tmp_path / "out")
    loaded = load_network(tmp_path / "out").state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in network.state_dict().items())
    config = json.loads((tmp_path / "out" / "prior.json").read_text())
    (tmp_path / "out" / "prior.json").write_text(json.dumps(config | {"least_side": 64}))  # 512 takes long
    photo = Image.effect_noise((40, 48), 60).convert("RGB")
    restored = Restorer.load(str(tmp_path / "out"), device="cpu")(
        photo, task="super-resolution", scale=1, steps=1
    )
    assert restored.image.size == photo.size
    again = CliRunner().invoke(app, command)
    assert again.exit_code == 1
    assert "exists already" in again.stderr


@needs_parity
def test_separate_cfw_checkpoint_brings_the_fusion_layers(small, network, tmp_path):
    vae = {key: value for key, value in small.items() if key.startswith("first_stage_model.")}
    plain = {key: value for key, value in small.items() if "fusion_layer" not in key}
    cfw = {key.removeprefix("first_stage_model."): value for key, value in vae.items()}
    cfw["loss.discriminator.main.0.weight"] = torch.zeros(1)
    save_file(plain, tmp_path / "main.safetensors")
    torch.save({"state_dict": cfw}, tmp_path / "cfw.ckpt")
    options = {"half": True, "head_channels": SMALL_HEAD}
    remarks = convert(tmp_path / "main.safetensors", tmp_path / "plain", **options)
    assert any("CFW" in remark for remark in remarks)
    assert load_network(tmp_path / "plain").cfw is None
    remarks = convert(tmp_path / "main.safetensors", tmp_path / "both", tmp_path / "cfw.ckpt", **options)
    assert not any("CFW" in remark for remark in remarks)
    fused = load_network(tmp_path / "both").cfw.state_dict()
    for key, value in network.cfw.state_dict().items():
        assert torch.equal(fused[key], value.half().float())


@needs_parity
def test_missing_key_is_named(small, subtests):
    for key in (
        "structcond_stage_model.fea_tran.2.skip_connection.bias",
        "structcond_stage_model.input_blocks.0.0.weight",
        "model.diffusion_model.output_blocks.3.0.spade.mlp_beta.bias",
        "model.diffusion_model.input_blocks.4.0.op.weight",
        "first_stage_model.decoder.fusion_layer_1.encode_enc_2.1.rdb3.conv5.weight",
        "first_stage_model.encoder.mid.attn_1.q.weight",
    ):
        with subtests.test(key=key), pytest.raises(StableSRError, match=key.replace(".", r"\.")):
            build_network({k: v for k, v in small.items() if k != key}, "small", SMALL_HEAD)


@needs_parity
def test_unexpected_or_misshapen_keys_are_named(small):
    extra = "model.diffusion_model.label_emb.weight"
    bent = "structcond_stage_model.middle_block.1.qkv.weight"
    with pytest.raises(StableSRError) as caught:
        build_network(small | {extra: torch.zeros(2), bent: torch.zeros(3, 3, 1)}, "small", SMALL_HEAD)
    assert "1 unexpected" in str(caught.value)
    assert extra in str(caught.value) and bent in str(caught.value)
    schedule = {"betas": torch.zeros(2), "model_ema.decay": torch.zeros(1)}
    build_network(small | schedule, "small", SMALL_HEAD)


class _Code:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch code_ran",)


def test_names_that_lightning_leaves_in_a_checkpoint_do_no_harm(tmp_path, monkeypatch):
    """Lightning's checkpoints name a class beside the weights; it is neither imported nor needed."""
    module = ModuleType("pytorch_lightning.callbacks.model_checkpoint")
    module.ModelCheckpoint = type("ModelCheckpoint", (), {"__module__": module.__name__})
    for name in ("pytorch_lightning", "pytorch_lightning.callbacks"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    weights = {"a": torch.ones(2)}
    torch.save(
        {"callbacks": {module.ModelCheckpoint: {}}, "state_dict": weights}, tmp_path / "lightning.ckpt"
    )
    monkeypatch.delitem(sys.modules, module.__name__)
    assert torch.equal(read_checkpoint(tmp_path / "lightning.ckpt")["a"], weights["a"])


def test_file_with_code_is_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {"a": torch.zeros(1)}, "extra": _Code()}, "bad.ckpt")
    with pytest.raises(StableSRError, match=r"bad\.ckpt holds code \(\w+\.system\)"):
        read_checkpoint(Path("bad.ckpt"))
    Path("bare.ckpt").write_bytes(pickle.dumps(_Code()))
    with pytest.raises(StableSRError, match=r"bare\.ckpt holds code \(\w+\.system\)"):
        read_checkpoint(Path("bare.ckpt"))
    assert not Path("code_ran").exists()


def test_truncated_or_foreign_file_is_refused_in_a_sentence(tmp_path, subtests):
    for name in ("whole.ckpt", "whole.safetensors", "text.ckpt", "empty.ckpt"):
        with subtests.test(name=name):
            path = tmp_path / name
            if path.suffix == ".safetensors":
                save_file({"a": torch.zeros(1000)}, path)
            else:
                torch.save({"a": torch.zeros(1000)}, path)
            whole = path.read_bytes()
            path.write_bytes({"text": b"hello there", "empty": b""}.get(path.stem, whole[: len(whole) // 2]))
            with pytest.raises(StableSRError, match="cannot be read as a checkpoint"):
                read_checkpoint(path)


def test_other_models_are_refused_and_nothing_is_written(tmp_path):
    save_file(
        {"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(4, 4, 3, 3)},
        tmp_path / "sd.safetensors",
    )
    with pytest.raises(StableSRError, match="no time-aware encoder"):
        convert(tmp_path / "sd.safetensors", tmp_path / "out")
    with pytest.raises(StableSRError, match="There is no file"):
        convert(tmp_path / "nothing.ckpt", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sd.safetensors"]
    assert CliRunner().invoke(app, ["convert", "other", "a", "b"]).exit_code == 2
