"""A built dataset checked: changed rows, damaged files, pixels made again, also with depth from a model."""

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from small_sets import build, plain_card, shards

from lwr.tasks import TASKS
from training.build_dataset import main
from training.data.photos import split_of
from training.dataset.depth import model_depth
from training.dataset.schema import pixels_of


def test_a_good_set_passes(built, capsys):
    assert main(["--out", str(built), "--verify", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["faults"] == [] and f"{8 * len(TASKS)} degraded again" in found["checked"]


def spoil(out: Path, name: str, change: Callable[[dict[str, object]], None]) -> None:
    """Change the first row of a shard and make the manifest agree, as a careless editor would."""
    from training.data.storage import sha256

    stored = pq.read_table(out / name)
    rows = stored.to_pylist()
    change(rows[0])
    pq.write_table(pa.Table.from_pylist(rows, stored.schema), out / name, compression="none")
    manifest = json.loads((out / "dataset.json").read_text())
    manifest["files"][name] |= {"sha256": sha256(out / name)}
    (out / "dataset.json").write_text(json.dumps(manifest))


def other_pixels(row: dict[str, object]) -> None:
    pixels = pixels_of(row["degraded"])
    pixels[5, 5] ^= 1
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", lossless=True, exact=True)
    row["degraded"] = {"bytes": buffer.getvalue(), "path": None}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (other_pixels, "pixels differ by up to 1 of 255"),
        (lambda row: row.update(license=""), "no licence stated"),
        (lambda row: row.update(seed=3), "seed 3 is not that"),
        (lambda row: row.update(photo_id="elsewhere-0"), "belongs elsewhere"),
        (lambda row: row.update(params=row["params"].replace('"beta": ', '"beta": 1')), "pixels differ"),
        (lambda row: row.update(params="{}"), "cannot be degraded again"),
        (lambda row: row.update(image_id="other"), "has other images than config all"),
    ],
)
def test_what_was_changed_is_found(change, sentence, mine, capsys):
    assert split_of("elsewhere-0") == "train"
    name = next(n for n in shards(mine) if "dehaze/" + ("test" if "belongs" in sentence else "train") in n)
    spoil(mine, name, change)
    assert main(["--out", str(mine), "--verify", "--rows", "10"]) == 1
    assert sentence in capsys.readouterr().err


def test_damaged_missing_and_strange_files_are_found(mine, capsys):
    first, second, *_ = sorted((mine / "data").rglob("*.parquet"))
    first.write_bytes(first.read_bytes()[:-20])
    shutil.copy(second, second.with_name("train-00009-of-00010.parquet"))
    second.unlink()
    assert main(["--out", str(mine), "--verify"]) == 1
    said = capsys.readouterr().err
    assert "SHA-256 differs" in said and "is missing" in said and "not in the manifest" in said
    assert main(["--out", str(mine / "assets"), "--verify"]) == 2


# ---- depth from a model


@pytest.fixture(scope="module")
def depth_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Depth Anything of random weights and toy size, as a folder."""
    from transformers import (
        DepthAnythingConfig,
        DepthAnythingForDepthEstimation,
        Dinov2Config,
        DPTImageProcessorPil,
    )

    torch.manual_seed(0)
    backbone = Dinov2Config(
        image_size=56,
        patch_size=14,
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=32,
        out_indices=[1, 2, 3, 4],
        apply_layernorm=True,
        reshape_hidden_states=False,
    )
    sizes = {"reassemble_hidden_size": 32, "neck_hidden_sizes": [16] * 4, "fusion_hidden_size": 16}
    config = DepthAnythingConfig(backbone_config=backbone, patch_size=14, head_hidden_size=8, **sizes)
    folder = str(tmp_path_factory.mktemp("depth") / "tiny-depth")
    DepthAnythingForDepthEstimation(config).save_pretrained(folder)
    DPTImageProcessorPil(size={"height": 56, "width": 56}, ensure_multiple_of=14).save_pretrained(folder)
    return folder


@plain_card
def test_depth_may_come_from_a_model(depth_model, source, tmp_path, load):
    options = ["--depth", depth_model, "--per-task", "4"]
    assert build(source, tmp_path / "set", *options, "--tasks", "dehaze,super-resolution") == 0
    rows = load(tmp_path / "set", "dehaze", split="train")
    assert all(
        json.loads(text)["depth"] == {"metric": False, "model": "tiny-depth"} for text in rows["params"]
    )
    assert main(["--out", str(tmp_path / "set"), "--verify"]) == 0
    shutil.move(depth_model, tmp_path / "gone")
    model_depth.cache_clear()
    assert main(["--out", str(tmp_path / "set"), "--verify"]) == 2
    shutil.move(tmp_path / "gone", depth_model)


def test_a_model_s_depth_spans_0_1_and_follows_the_photo(depth_model):
    photo = torch.rand(2, 3, 60, 84, generator=torch.Generator().manual_seed(0))
    depth, params = model_depth(depth_model)(photo, torch.Generator())
    assert depth.shape == (2, 1, 60, 84) and depth.min() >= 0 and depth.max() <= 1 and len(params) == 2
    assert not torch.equal(depth[0], depth[1])
