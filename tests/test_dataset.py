"""The dataset that strangers download: what is in it, and that it can be built again byte for byte."""

import csv
import json
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from small_sets import (
    ROOT,
    SMALL,
    build,
    leftovers,
    plain_card,
    shards,
)

from lwr.tasks import TASKS
from training.build_dataset import main
from training.data.photos import load_photos, split_of
from training.data.storage import place

PROMISED = ["image_id", "photo_id", "clean", "degraded", "task", "prompt", "params", "seed"]
PROMISED += ["source", "author", "license", "width", "height"]


# ---- what a researcher gets


def test_each_task_is_a_config_with_the_promised_columns(built, source, load):
    for task in TASKS:
        rows = load(built, task)
        assert set(rows) == {"train", "validation", "test"}
        assert all(part.column_names == PROMISED for part in rows.values())
        assert sum(map(len, rows.values())) == 10
        row = rows["train"][0]
        assert (row["task"], row["prompt"]) == (task, TASKS[task].instruction)
        assert (row["author"], row["license"]) == ("Ann Example", "CC-BY-4.0")
        assert row["source"] == f"https://example.org/{int(row['image_id'][:2])}"
        assert row["clean"].size == row["degraded"].size == (row["width"], row["height"]) == (64, 64)
        own = np.asarray(Image.open(source / row["image_id"]))
        clean = np.asarray(row["clean"])
        windows = np.lib.stride_tricks.sliding_window_view(own, clean.shape)
        assert (windows == clean).all((-3, -2, -1)).any()  # cut from the photo, not a pixel changed


def test_config_all_has_every_damage_of_one_photo_and_streams(built, load):
    own = {task: {row["image_id"]: row for row in load(built, task, split="train")} for task in TASKS}
    rows = list(load(built, "all", split="train", streaming=True))
    assert len(rows) == len(own["dehaze"]) and all(own[task].keys() == own["dehaze"].keys() for task in own)
    for row in rows:
        for task in TASKS:
            twin = own[task][row["image_id"]]
            assert np.array_equal(row["clean"], twin["clean"])
            assert np.array_equal(row[f"degraded_{task}"], twin["degraded"])
            assert not np.array_equal(row["clean"], twin["degraded"])


def test_a_row_follows_from_its_seed_alone(built, load, tmp_path):
    row = load(built, "dehaze", split="train")[1]
    row["clean"].save(tmp_path / "clean.png")
    command = [sys.executable, "-m", "lwr", "degrade", str(tmp_path / "clean.png"), "--task", "dehaze"]
    command += ["--seed", str(row["seed"]), "--out", str(tmp_path / "hazy.png")]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    assert np.array_equal(Image.open(tmp_path / "hazy.png").convert("RGB"), row["degraded"])
    clean = torch.from_numpy(np.array(row["clean"])).permute(2, 0, 1)[None] / 255
    _, params = TASKS["dehaze"].degrade(clean, torch.Generator().manual_seed(row["seed"]))
    assert json.loads(row["params"]) == json.loads(json.dumps(params[0]))


def test_splits_follow_the_photograph(built, load):
    splits = load(built, "deblur")
    for split, rows in splits.items():
        assert {split_of(photo) for photo in rows["photo_id"]} == {split}
    assert len(set(splits["train"]["photo_id"])) < len(splits["train"])  # crops of one photograph together


def test_training_reads_a_built_set_once_a_photo(built):
    assert len(load_photos(built, None)) == 10


def test_the_card_says_what_the_manifest_says(built):
    card, manifest = (built / "README.md").read_text(), json.loads((built / "dataset.json").read_text())
    assert f"# 10 photos, each under {len(TASKS)} degradations" in card and "| CC-BY-4.0 | 10 |" in card
    for split, counts in manifest["splits"].items():
        assert f"| {split} | {counts['images']} | {counts['photos']} |" in card
    for name, task in TASKS.items():
        assert task.formation and task.formation in card and f"assets/params-{name}.png" in card
        assert Image.open(built / f"assets/params-{name}.png").width > 300
    assert "example.org" in card and "`beta`" in card and "{{" not in card and "{%" not in card
    assert Image.open(built / "assets/examples.webp").width > len(TASKS) * 200


# ---- the same bytes again


@plain_card
def test_workers_order_and_container_change_no_byte(built, source, tmp_path):
    assert build(source, tmp_path / "two", "--workers", "2", "--tasks", ",".join(reversed(TASKS))) == 0
    assert shards(tmp_path / "two") == shards(built)
    assert (tmp_path / "two" / "README.md").read_bytes() == (built / "README.md").read_bytes()
    with (source / "metadata.csv").open(newline="") as file:
        rows = [row | {"image_id": row["file_name"]} for row in csv.DictReader(file)][::-1]
    values = [{"bytes": (source / row["file_name"]).read_bytes(), "path": None} for row in rows]
    columns = {key: [row[key] for row in rows] for key in rows[0] if key != "file_name"}
    pq.write_table(pa.table({"image": values} | columns), tmp_path / "photos.parquet")
    assert build(tmp_path / "photos.parquet", tmp_path / "three") == 0
    assert shards(tmp_path / "three") == shards(built)


@plain_card
def test_another_seed_changes_the_damage_but_not_the_photos(built, source, tmp_path):
    assert build(source, tmp_path / "set", "--seed", "1", "--tasks", "deblur") == 0
    name = next(name for name in shards(built) if "deblur/train" in name)
    ours, theirs = pq.read_table(tmp_path / "set" / name), pq.read_table(built / name)
    assert ours["clean"].equals(theirs["clean"]) and not ours["degraded"].equals(theirs["degraded"])


@plain_card
def test_per_task_takes_the_same_first_photos_whatever_else_there_is(built, source, tmp_path):
    assert build(source, tmp_path / "set", "--per-task", "4") == 0
    few = load_photos(tmp_path / "set", None)
    assert len(few) == 4 and {photo.id for photo in few} < {photo.id for photo in load_photos(built, None)}


@plain_card
def test_a_killed_build_goes_on_and_gives_the_same(built, source, tmp_path):
    out = tmp_path / "set"
    command = [sys.executable, "-m", "training.build_dataset", "--photos", str(source), "--out", str(out)]
    process = subprocess.Popen(
        [*command, *SMALL], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while process.poll() is None and not list((out / ".build" / "blocks").glob("*.json")):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    if not (out / "dataset.json").exists():  # else it was quicker than the kill
        first = {path: path.stat().st_mtime_ns for path in (out / "data").rglob("*.parquet")}
        assert first
    assert build(source, out) == 0
    assert shards(out) == shards(built) and not leftovers(out) and not (out / ".build").exists()
    assert build(source, out) == 0  # complete: nothing to do


@plain_card
def test_ray_gives_the_bytes_of_the_local_engine(built, source, tmp_path, monkeypatch):
    for name in ("RAY_USAGE_STATS_ENABLED", "RAY_ENABLE_UV_RUN_RUNTIME_ENV"):
        monkeypatch.setenv(name, "0")
    monkeypatch.setenv("RAY_BACKEND_LOG_LEVEL", "error")
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        cluster.add_node(num_cpus=1)
        options = ["--engine", "ray", "--ray-address", cluster.address]
        assert build(source, tmp_path / "set", *options) == 0
    finally:
        cluster.shutdown()
    assert shards(tmp_path / "set") == shards(built)


@plain_card
def test_object_storage_takes_and_gives_the_same(built, source):
    out, here = place("memory://bucket/set"), place("memory://bucket/photos")
    for path in source.iterdir():
        (here / path.name).parent.mkdir(parents=True, exist_ok=True)
        (here / path.name).write_bytes(path.read_bytes())
    assert build("memory://bucket/photos", "memory://bucket/set") == 0
    found = {f"data/{p.parent.name}/{p.name}": p.read_bytes() for p in (out / "data").rglob("*.parquet")}
    assert found == shards(built)
    assert main(["--out", "memory://bucket/set", "--verify", "--rows", "1"]) == 0


# ---- a new task

TOY = '''
"""Task "darken"."""

import torch

from lwr.tasks.base import Task, Vocabulary


def degrade(clean, generator):
    """Darken `clean` by a random factor."""
    factor = 0.2 + 0.5 * torch.rand(len(clean), generator=generator)
    return clean * factor.view(-1, 1, 1, 1), [{"factor": value} for value in factor.tolist()]


TASK = Task(
    name="darken",
    title="Brighten",
    instruction="make it brighter",
    examples=("too dark",),
    vocabulary=Vocabulary(defects=("dark",), actions=("brighten",)),
    degrade=degrade,
    default_scale=1.0,
    color_fix="none",
)
'''


def test_a_new_task_is_one_new_file(source, tmp_path, load):
    tree = tmp_path / "tree"
    for folder in ("lwr", "training", "cards"):
        shutil.copytree(
            ROOT / folder, tree / folder, ignore=shutil.ignore_patterns("*.safetensors", "results")
        )
    (tree / "lwr" / "tasks" / "darken.py").write_text(TOY)
    command = [sys.executable, "-m", "training.build_dataset", "--out", str(tmp_path / "set")]
    build_it = [*command, "--photos", str(source), *SMALL]
    subprocess.run(build_it, cwd=tree, check=True, capture_output=True)
    row = load(tmp_path / "set", "darken", split="train")[0]
    factor = json.loads(row["params"])["factor"]
    wanted = np.asarray(row["clean"]).astype(float) * factor
    assert row["prompt"] == "make it brighter" and np.abs(np.asarray(row["degraded"]) - wanted).max() <= 0.51
    assert "degraded_darken" in load(tmp_path / "set", "all", split="train").column_names
    assert "### darken" in (tmp_path / "set" / "README.md").read_text()
    subprocess.run([*command, "--verify"], cwd=tree, check=True, capture_output=True)
