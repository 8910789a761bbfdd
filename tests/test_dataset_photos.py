"""Which photos come into the dataset, and what is refused: sources, numbers, folders, full disks."""

import csv
import json
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageFilter
from small_sets import (
    COLUMNS,
    ROOT,
    SMALL,
    build,
    leftovers,
    photos,
    picture,
    plain_card,
    rejected,
    shards,
    table,
)

from training.data.photos import load_photos
from training.dataset.licences import DEFAULT, names, objection
from training.dataset.recipe import FORMAT
from training.dataset.schema import pixels_of

# ---- which photos


@plain_card
def test_every_photo_that_stays_out_has_its_reason(tmp_path):
    folder = photos(tmp_path / "photos", 4)
    with (folder / "metadata.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))

    def add(name: str, image: Image.Image, license_: str = "CC0-1.0", **options: object) -> None:
        image.save(folder / name, **options)
        rows.append(dict(zip(COLUMNS, (name, name, "", license_, ""), strict=True)))

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
    assert not list((tmp_path / "other").iterdir())  # so that a corrected command may use it
    assert build(tmp_path / "photos", tmp_path / "other", "--license", "CC0-1.0") == 0


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
    assert f"format is 0 there, {FORMAT} here" in capsys.readouterr().err
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
