"""The dataset that strangers download: what is in it, that it can be built again byte for byte, checked."""

import csv
import io
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image, ImageFilter

from lwr.tasks import TASKS
from training.build_dataset import main
from training.data.photos import load_photos, split_of
from training.data.storage import place
from training.dataset.depth import model_depth
from training.dataset.licences import DEFAULT, names, objection
from training.dataset.schema import pixels_of

ROOT = Path(__file__).parents[1]
COLUMNS = ["image_id", "photo_id", "clean", "degraded", "task", "prompt", "params", "seed"]
COLUMNS += ["source", "author", "license", "width", "height"]
SMALL = ["--size", "64", "--workers", "1", "--shard-photos", "4"]
FACTS = ["file_name", "photo_id", "author", "license", "source"]


def picture(number: int, width: int = 80, height: int = 72) -> Image.Image:
    """A sharp photo-like picture that resembles no other: blocks of colour with texture."""
    random = np.random.default_rng(number)
    blocks = Image.fromarray(random.integers(0, 200, (5, 5, 3), np.uint8)).resize((width, height), 0)
    return Image.fromarray((np.asarray(blocks) + random.integers(0, 55, (height, width, 1))).astype(np.uint8))


def table(folder: Path, rows: list[dict[str, str]]) -> None:
    with (folder / "metadata.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, FACTS)
        writer.writeheader()
        writer.writerows(rows)


def photos(folder: Path, count: int = 10) -> Path:
    """A folder of pictures and whose they are; two pictures a photograph, all three splits."""
    folder.mkdir(parents=True)
    wanted = ["train"] * max(count // 2 - 2, 1) + ["validation", "test"]
    rows = []
    for number in range(count):
        split = wanted[number // 2 % len(wanted)]
        photo = next(p for k in range(999) if split_of(p := f"photo-{number // 2}-{k}") == split)
        picture(number).save(folder / f"{number:02}.png")
        facts = (f"{number:02}.png", photo, "Ann Example", "CC-BY-4.0", f"https://example.org/{number}")
        rows.append(dict(zip(FACTS, facts, strict=True)))
    table(folder, rows)
    return folder


def build(source: Path | str, out: Path | str, *options: str) -> int:
    return main(["--photos", str(source), "--out", str(out), *SMALL, *options])


def shards(out: Path) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in sorted((out / "data").rglob("*.parquet"))}


def rejected(out: Path) -> dict[str, str]:
    with (out / "rejected.csv").open(newline="") as file:
        return {row["name"]: row["reason"] for row in csv.DictReader(file)}


def leftovers(out: Path) -> list[Path]:
    return [path for path in out.rglob("*") if path.name.endswith(".part")]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photos(tmp_path_factory.mktemp("source") / "photos")


@pytest.fixture(scope="module")
def built(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("built") / "set"
    assert build(source, out) == 0
    return out


@pytest.fixture
def mine(built: Path, tmp_path: Path) -> Path:
    """A copy of the built set, to spoil."""
    return shutil.copytree(built, tmp_path / "set")


@pytest.fixture
def no_histograms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cards without the histograms, which take most of a small build and are tested with the card."""
    monkeypatch.setattr("training.dataset.card._histograms", lambda title, params: Image.new("RGB", (8, 8)))


plain_card = pytest.mark.usefixtures("no_histograms")


# ---- what a researcher gets


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., object]:
    def load_dataset(out: Path, *arguments: str, **options: object) -> object:
        return datasets.load_dataset(str(out), *arguments, cache_dir=str(tmp_path / "cache"), **options)

    return load_dataset


def test_each_task_is_a_config_with_the_promised_columns(built, source, load):
    for task in TASKS:
        rows = load(built, task)
        assert set(rows) == {"train", "validation", "test"}
        assert all(part.column_names == COLUMNS for part in rows.values())
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
    assert "# 10 photos, each under 3 degradations" in card and "| CC-BY-4.0 | 10 |" in card
    for split, counts in manifest["splits"].items():
        assert f"| {split} | {counts['images']} | {counts['photos']} |" in card
    for name, task in TASKS.items():
        assert task.formation and task.formation in card and f"assets/params-{name}.png" in card
        assert Image.open(built / f"assets/params-{name}.png").width > 300
    assert "example.org" in card and "`beta`" in card and "{{" not in card and "{%" not in card
    assert Image.open(built / "assets/examples.webp").width > 3 * 200


# ---- the same bytes again


@plain_card
def test_workers_order_and_container_change_no_byte(built, source, tmp_path):
    assert build(source, tmp_path / "two", "--workers", "2", "--tasks", "super-resolution,dehaze,deblur") == 0
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


@pytest.mark.timeout(900)  # a cluster of two nodes starts, and nobody says how busy the machine is
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


# ---- which photos


@plain_card
def test_every_photo_that_stays_out_has_its_reason(tmp_path):
    folder = photos(tmp_path / "photos", 4)
    with (folder / "metadata.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))

    def add(name: str, image: Image.Image, license_: str = "CC0-1.0", **options: object) -> None:
        image.save(folder / name, **options)
        rows.append(dict(zip(FACTS, (name, name, "", license_, ""), strict=True)))

    add("small.png", picture(20, 63, 200))
    add("soft.png", picture(21).filter(ImageFilter.GaussianBlur(4)))
    add("white.png", Image.eval(picture(22), lambda v: 170 + v // 4))
    picture(0).point(lambda v: v + 3).save(folder / "again.webp", lossless=True)
    rows.append(rows[0] | {"file_name": "again.webp", "photo_id": "again"})
    add("nc.png", picture(23), "CC-BY-NC-4.0")
    add("unsplash.png", picture(24), "Unsplash License")
    add("none.png", picture(25), "")
    (folder / "broken.png").write_bytes((folder / "00.png").read_bytes()[:300])
    rows.append(rows[0] | {"file_name": "broken.png"})
    add("cmyk.jpg", picture(26).convert("CMYK"), quality=95)
    sixteen = Image.fromarray(np.asarray(picture(27).convert("L")).astype(np.uint16) * 257)
    add("sixteen.png", sixteen)
    table(folder, rows)
    assert build(folder, tmp_path / "set") == 1
    reasons = rejected(tmp_path / "set")
    twin = reasons.pop("again.webp", None) or reasons.pop("00.png")
    assert "near-duplicate of" in twin
    expected = {
        "small.png": "smaller than the size: 63x200",
        "soft.png": "not sharp",
        "white.png": "hazy, snowy or white",
        "nc.png": "not known as an open one: CC-BY-NC-4.0",
        "unsplash.png": "not among the allowed: Unsplash License",
        "none.png": "no licence stated",
        "broken.png": "cannot be read",
    }
    assert reasons.keys() == expected.keys()
    assert all(text in reasons[name] for name, text in expected.items())
    kept = {photo.id: photo.pixels for photo in load_photos(tmp_path / "set", None)}
    assert {"cmyk.jpg", "sixteen.png"} < kept.keys() and len(kept) == 6
    grey = kept["sixteen.png"].numpy().astype(int)
    own = np.asarray(picture(27).convert("L")).astype(int)
    assert abs(grey.mean() - own.mean()) < 6 and grey.std() > 20


@plain_card
def test_a_large_photo_is_reduced_and_cut(tmp_path):
    (tmp_path / "photos").mkdir()
    picture(1, 320, 500).save(tmp_path / "photos" / "large.png")
    assert build(tmp_path / "photos", tmp_path / "set", "--license", "CC0-1.0", "--author", "Me") == 0
    row = pq.read_table(next((tmp_path / "set" / "data" / "all").glob("*.parquet"))).to_pylist()[0]
    assert pixels_of(row["clean"]).shape == (64, 64, 3)
    assert (row["license"], row["author"]) == ("CC0-1.0", "Me")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CC-BY-SA-4.0", ["CC-BY-SA"]),
        ("Creative Commons Attribution 4.0 International", ["CC-BY"]),
        ("https://creativecommons.org/licenses/by/2.0/", ["CC-BY"]),
        ("https://creativecommons.org/publicdomain/zero/1.0/", ["CC0"]),
        ("CC0 / public domain", ["CC0", "public-domain"]),
        ("CC-BY-4.0 / CC-BY-SA (see copyright)", ["CC-BY", "CC-BY-SA"]),
        ("Apache License, Version 2.0", ["Apache-2.0"]),
        ("MIT License", ["MIT"]),
        ("CC-BY-NC-4.0", None),
        ("CC BY-NC-SA 4.0", None),
        ("cc-by-nd", None),
        ("https://creativecommons.org/licenses/by-nc/4.0/", None),
        ("CC-BY-4.0; all rights reserved", None),
        ("", None),
    ],
)
def test_licences_as_people_write_them(text, expected):
    assert names(text) == expected
    assert (objection(text, "explicit", DEFAULT) is None) == (expected is not None)
    assert objection(text, "repository", DEFAULT)


# ---- refusals and faults


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--tasks", "dehase"], "There is no task 'dehase': did you mean dehaze?"),
        (["--licenses", "CC-BY-NC"], "There is no licence 'CC-BY-NC'"),
        (["--photos", "nowhere"], "There is no file or folder nowhere"),
        (["--depth", "cards"], "The depth model cards cannot be loaded"),
        (["--ray-address", "127.0.0.1:1", "--engine", "ray"], "There is no Ray cluster at 127.0.0.1:1"),
        (["--photos", "s4://bucket/photos"], "s4://bucket/photos cannot be used"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(options, sentence, source, tmp_path, capsys):
    assert build(source, tmp_path / "set", *options) == 2
    said = capsys.readouterr().err
    assert sentence in said and "Traceback" not in said and not (tmp_path / "set" / "data").exists()


def test_numbers_out_of_range_are_refused(source, tmp_path, capsys):
    for option in (["--size", "8"], ["--workers", "0"], ["--per-task", "many"], ["--seed", "-1"]):
        with pytest.raises(SystemExit) as stop:
            build(source, tmp_path / "set", *option)
        assert stop.value.code == 2 and "number" in capsys.readouterr().err


def test_a_source_without_a_usable_photo_says_what_to_do(tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    assert build(tmp_path / "photos", tmp_path / "set") == 2
    assert "There is no photo in" in capsys.readouterr().err
    picture(0).save(tmp_path / "photos" / "a.png")
    assert build(tmp_path / "photos", tmp_path / "other") == 2
    assert "--license CC0-1.0" in capsys.readouterr().err


def test_a_folder_that_holds_something_else_is_left_as_it_is(mine, source, tmp_path, capsys):
    before = {path: path.read_bytes() for path in mine.rglob("*") if path.is_file()}
    assert build(source, mine, "--seed", "5") == 2
    assert "seed is 0 there, 5 here" in capsys.readouterr().err
    picture(99).save((photos(tmp_path / "more", 10)) / "new.png")
    assert build(tmp_path / "more", mine, "--license", "CC0") == 2
    manifest = json.loads((mine / "dataset.json").read_text())
    manifest["recipe"]["format"] = 0
    (mine / "dataset.json").write_text(json.dumps(manifest))
    assert build(source, mine) == 2
    assert "format is 0 there, 1 here" in capsys.readouterr().err
    (mine / "dataset.json").write_bytes(before[mine / "dataset.json"])
    assert {path: path.read_bytes() for path in mine.rglob("*") if path.is_file()} == before
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("mine")
    assert build(source, foreign) == 2
    assert "holds other files" in capsys.readouterr().err
    assert [path.name for path in foreign.iterdir()] == ["thesis.txt"]


@plain_card
def test_a_full_disk_costs_no_finished_shard(built, source, tmp_path):
    out = tmp_path / "set"
    largest = max(len(data) for data in shards(built).values())
    code = f"import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({largest - 1},) * 2); "
    code += "from training.build_dataset import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "--photos", str(source), "--out", str(out), *SMALL]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "could not be written" in done.stderr and "Traceback" not in done.stderr
    assert not leftovers(out) and not (out / "dataset.json").exists()
    assert shards(out).items() <= shards(built).items()
    assert build(source, out) == 0 and shards(out) == shards(built)


# ---- verify


def test_a_good_set_passes(built, capsys):
    assert main(["--out", str(built), "--verify", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["faults"] == [] and "24 degraded again" in found["checked"]


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


# ---- a new task, and depth from a model

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
