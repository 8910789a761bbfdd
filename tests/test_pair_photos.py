"""A photo falls in one split, whether it is read as a clean photo, as a pair of it, or as a pair's target."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pyarrow.parquet as pq
import pytest
from small_sets import picture
from test_cli import run
from toy_runs import named_for

from training.checkpoint import TrainingError
from training.config import Config
from training.data.layouts import LAYOUTS, apart
from training.data.pairs import find_pairs
from training.data.parts import load_parts
from training.data.photos import load_photos
from training.data.shards import Skipped
from training.study import plan

SPLITS = ("train", "validation", "test")
CONFIG = Config("adapter", batch=1, crop=32, tracker="none")
SIDED = [one for one in LAYOUTS if one.sides]


def save(path: Path, number: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture(number, 48, 40).save(path)
    return path


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Two photos of every split, in a subfolder, as PNG and JPEG, each by a name that no other split has."""
    for number, split in enumerate(SPLITS):
        for kind, suffix in enumerate((".png", ".jpg")):
            name = named_for(split, "summer/v", suffix)
            save(tmp_path / "album" / name, 2 * number + kind)
    return tmp_path / "album"


def by_split(load: Callable[[str], list], of: Callable[[object], str]) -> dict[str, set[str]]:
    return {split: {of(one) for one in load(split)} for split in SPLITS}


def clean(folder: Path) -> dict[str, set[str]]:
    """{split: photos} of a folder of clean photos."""
    return by_split(lambda split: load_photos(folder, split), lambda photo: photo.photo)


def paired(data: str, **changes: object) -> dict[str, set[str]]:
    """{split: photos} of a source of pairs."""
    config = Config("adapter", data=data, tracker="none", **changes)
    return by_split(lambda split: load_parts(config, split)[0].photos, lambda view: view.photo)


def degrade(album: Path, out: Path) -> Path:
    assert run("degrade", album, "--task", "dejpeg", "--pairs", out, "--recursive").status == 0
    return out


def test_pairs_that_were_made_of_an_album_fall_where_its_photos_do(album: Path, tmp_path: Path) -> None:
    pairs = degrade(album, tmp_path / "pairs")
    expected = {split: {named_for(split, "summer/v", end) for end in (".png", ".jpg")} for split in SPLITS}
    assert clean(album) == expected
    assert paired(f"dejpeg={pairs}") == expected
    assert paired(f"dejpeg={tmp_path}/pairs/input/*+{tmp_path}/pairs/target/*") == expected
    assert clean(pairs / "target") == clean(pairs / "input") == expected
    again = degrade(pairs / "target", tmp_path / "again")  # the pairs of pairs are of the photo still
    assert paired(f"dejpeg={again}") == expected
    (tmp_path / "both" / "a").mkdir(parents=True)
    pairs.rename(tmp_path / "both" / "a" / "pairs")
    assert paired(f"dejpeg={tmp_path / 'both'}") == expected


def test_the_photograph_of_a_table_goes_along(album: Path, tmp_path: Path) -> None:
    files = sorted(path.relative_to(album).as_posix() for path in album.rglob("*.*"))
    photographs = {file: named_for(SPLITS[i % 3], f"shot-{i}", "") for i, file in enumerate(files)}
    rows = "".join(f"{file},{photo}\n" for file, photo in photographs.items())
    (album / "metadata.csv").write_text(f"file_name,photo_id\n{rows}")
    expected = clean(album)
    assert set().union(*expected.values()) == set(photographs.values())
    assert paired(f"dejpeg={degrade(album, tmp_path / 'pairs')}") == expected


@pytest.mark.parametrize("layout", SIDED, ids=lambda layout: "-".join(layout.sides))
def test_a_pair_falls_where_its_target_does_from_whatever_folder_it_is_read(
    tmp_path: Path, layout: object
) -> None:
    degraded, target = layout.sides
    names = {split: named_for(split, "v", ".png") for split in SPLITS}
    for name in names.values():
        for side in (degraded, target):
            save(tmp_path / "set" / side / name)
    expected = {split: {name} for split, name in names.items()}
    assert clean(tmp_path / "set" / target) == expected
    assert paired(f"deblur={tmp_path / 'set'}") == expected
    if not layout.scenes:
        assert paired(f"deblur={tmp_path}") == expected
        (tmp_path / "set").rename(tmp_path / "train")
        assert paired(f"deblur={tmp_path}") == expected


def test_a_table_beside_targets_names_their_photographs(tmp_path: Path) -> None:
    for side in ("lq", "gt"):
        for name in ("1.png", "2.png"):
            save(tmp_path / side / name)
    (tmp_path / "gt" / "manifest.csv").write_text("id,photo\n1,one\n2,other\n")
    (tmp_path / "metadata.csv").write_text("file_name,photo_id\ngt/1.png,of the folder above\n")
    assert [pair.photo for pair in find_pairs(tmp_path)] == ["one", "other"]
    assert {photo.photo for photo in load_photos(tmp_path / "gt", None)} == {"one", "other"}


def test_a_table_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for side in ("lq", "gt"):
        for name in ("a/1.png", "b/1.png"):
            save(tmp_path / side / name)
    (tmp_path / "gt" / "a" / "manifest.csv").mkdir()
    lost: list[Skipped] = []
    assert [pair.id for pair in find_pairs(tmp_path, skipped=lost)] == ["b/1"]
    assert [one.name for one in lost] == ["a/1"] and "table of its photos cannot be read" in lost[0].reason
    (tmp_path / "gt" / "manifest.csv").mkdir()
    with pytest.raises(FileNotFoundError, match="None of the 2 pairs .* the first is a/1: the table of its"):
        find_pairs(tmp_path)


def test_where_the_folder_of_targets_ends() -> None:
    for file, pattern, found in (
        ("gt/a.png", "**/gt/**/*", ("gt", "a.png")),
        ("x/train/GT/b/a.png", "**/gt/**/*", ("x/train/GT", "b/a.png")),
        ("Canon/4/a_HR.png", "**/*_HR", ("Canon/4", "a_HR.png")),
        ("a_HR.png", "**/*_HR", ("", "a_HR.png")),
        ("Train_x4/train_HR/a_x1.png", "**/*_HR/*_x1", ("Train_x4/train_HR", "a_x1.png")),
        ("clear/1.png", "clear/*.png", ("clear", "1.png")),
        ("1-clear.png", "*-clear.png", ("", "1-clear.png")),
        ("s1/clear.png", "*/clear.png", ("", "s1/clear.png")),  # of each scene one file of that name
        ("a/s1/clear.png", "**/clear.png", ("", "a/s1/clear.png")),
        ("day1/gt/1.png", "day*/gt/*.png", ("", "day1/gt/1.png")),
    ):
        assert apart(PurePosixPath(file), pattern) == found, pattern


def lines(data: str, **changes: object) -> list[str]:
    """Names of what trains on a `--data`."""
    parts = load_parts(replace(CONFIG, data=data, **changes))
    return [photo.id for part in parts for photo in part.photos]


def test_what_another_source_holds_out_does_not_train_by_another_name(
    album: Path, tmp_path: Path, built: Path, subtests: pytest.Subtests
) -> None:
    """The very pixels of a held-out photo, as others' pairs have them."""
    other = tmp_path / "others"
    trained, *held_out = (named_for(split, "summer/v", ".png") for split in SPLITS)
    names = [named_for("train", f"x{i}", ".png") for i in range(2)]
    for source, name in zip((trained, held_out[0]), names, strict=True):
        for side in ("lq", "gt"):
            (other / side).mkdir(parents=True, exist_ok=True)
            shutil.copy(album / source, other / side / name)
    stem, where = Path(names[1]).stem, held_out[0]
    for data, memory in ((f"{album},deblur={other}", 4.0), (f"deblur={other},{album}", 0.0)):
        with subtests.test(data=data), pytest.raises(TrainingError) as error:
            lines(data, data_memory=memory)
        said = str(error.value)
        assert said.startswith(f"{stem} of {other} would train, and is {where} of {album}, which is held out")
        assert "\n" not in said and "give both the same name" in said
    with subtests.test("the other way round"):  # a clean photo whose pair another set tests on
        shutil.copytree(other, tmp_path / "parts" / "test")
        for side in ("lq", "gt"):
            save(tmp_path / "parts" / "train" / side / trained.rpartition("/")[2], 50)
            (tmp_path / "parts" / "test" / side / names[1]).unlink()
        with pytest.raises(TrainingError, match=f"{trained} of {album} would train, and is test/"):
            lines(f"{album},deblur={tmp_path / 'parts'}")
    with subtests.test("without it"):
        for side in ("lq", "gt"):
            (other / side / names[1]).unlink()
        assert lines(f"{album},deblur={other}")[-1] == Path(names[0]).stem
    with subtests.test("a dataset"):
        files = sorted((built / "data" / "denoise").glob("test-*"))
        row = pq.read_table(files[0]).to_pylist()[0]
        for side in ("lq", "gt"):
            (other / side / names[1]).write_bytes(row["clean"]["bytes"])
        with pytest.raises(
            TrainingError, match=f"{stem} of {other} would train, and is {row['image_id']} of"
        ):
            lines(f"{built}/denoise,deblur={other}")


def test_pairs_of_an_album_train_beside_its_photos(album: Path, tmp_path: Path) -> None:
    pairs = degrade(album, tmp_path / "pairs")
    files = [named_for("train", "summer/v", end) for end in (".jpg", ".png")]
    found = lines(f"{album},dejpeg={pairs}")
    assert found == [*files, *sorted(p.stem for p in (pairs / "params").iterdir() if of_file(p) in files)]
    assert len(found) == 4


def of_file(params: Path) -> str:
    return json.loads(params.read_text())["input"]


def test_the_study_does_not_train_on_what_it_measures(album: Path, tmp_path: Path) -> None:
    held_out = album / named_for("validation", "summer/v", ".png")
    name = named_for("train", "x", ".png")
    for side in ("lq", "gt"):
        (tmp_path / "pairs" / side).mkdir(parents=True)
        shutil.copy(held_out, tmp_path / "pairs" / side / name)
    options = plan.Options("strategies", str(album), data=f"deblur={tmp_path / 'pairs'}")
    with pytest.raises(TrainingError, match=f"{Path(name).stem} of .*pairs would train, and is summer/v-"):
        plan._parts(options)
