"""Pairs are found as benchmarks keep them, and what does not fit is named and left out."""

from pathlib import Path

import pytest
from PIL import Image
from toy_runs import named_for

from training.data import pairs
from training.data.held_out import measured, training
from training.data.layouts import Layout, split_named
from training.data.pairs import Pair, find_pairs
from training.data.photos import load_photos, split_of
from training.data.shards import Skipped

LAYOUTS = {
    "input/target": ({"input/a.jpg": "target/a.png", "input/b.jpg": "target/b.png"}, ["a.png", "b.png"]),
    "lq/gt": ({"LQ/a.png": "GT/a.png"}, ["a.png"]),
    "degraded/clean": ({"degraded/1/a.png": "clean/1/a.png", "degraded/2/a.png": "clean/2/a.png"},
                       ["1/a.png", "2/a.png"]),
    "low/high": ({"low/a_1.png": "high/a_1.png"}, ["a_1.png"]),
    "GoPro": ({"train/S1/blur/000047.png": "train/S1/sharp/000047.png",
               "train/S1/blur/000048.png": "train/S1/sharp/000048.png",
               "train/S2/blur/000047.png": "train/S2/sharp/000047.png"},
              ["S1", "S1", "S2"]),
    "RESIDE": ({"hazy/0001_0.8_0.2.jpg": "gt/0001.png", "hazy/0001_1_0.16.jpg": "gt/0001.png",
                "hazy/1400_3.png": "gt/1400.png"}, ["0001.png", "0001.png", "1400.png"]),
    "O-HAZE": ({"hazy/01_outdoor_hazy.jpg": "GT/01_outdoor_GT.jpg"}, ["01_outdoor_GT.jpg"]),
    "Rain100": ({"rain-001.png": "norain-001.png", "rain-002.png": "norain-002.png"},
                ["norain-001.png", "norain-002.png"]),
    "RealSR": ({"Canon/Test/4/Canon_001_LR4.png": "Canon/Test/4/Canon_001_HR.png"},
               ["Canon_001_HR.png"]),
}  # fmt: skip


def save(path: Path, width: int = 48, height: int = 32) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height)).save(path)


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_is_found_by_itself(tmp_path: Path, name: str) -> None:
    files, photos = LAYOUTS[name]
    for path in {*files, *files.values()}:
        save(tmp_path / path)
    lost: list[Skipped] = []
    pairs = find_pairs(tmp_path, skipped=lost)
    found = {
        p.degraded.relative_to(tmp_path).as_posix(): p.clean.relative_to(tmp_path).as_posix() for p in pairs
    }
    assert (found, lost) == (files, [])
    assert [pair.photo for pair in pairs] == photos
    assert len({pair.id for pair in pairs}) == len(files)
    assert [pair.id for pair in find_pairs(tmp_path, limit=1)] == [pairs[0].id]


def test_a_name_that_is_there_is_not_shortened(tmp_path: Path) -> None:
    for path in ("hazy/a_1.png", "hazy/a_2.png", "gt/a.png", "gt/a_1.png"):
        save(tmp_path / path)
    assert [(pair.id, pair.photo) for pair in find_pairs(tmp_path)] == [("a_1", "a_1.png"), ("a_2", "a.png")]


def test_two_patterns_of_the_users_or_a_benchmarks_own(tmp_path: Path) -> None:
    for path in ("data/wet/x1.png", "data/wet/x1.jpg", "data/dry/1-clean.png", "data/wet/x2.png"):
        save(tmp_path / path)
    lost: list[Skipped] = []
    (pair,) = find_pairs(f"{tmp_path}/data/wet/x*.png+{tmp_path}/data/dry/*-clean.png", skipped=lost)
    assert (pair.degraded.name, pair.clean.name, pair.id) == ("x1.png", "1-clean.png", "1")
    assert lost == [Skipped("wet/x2.png", "it has no target")]
    assert find_pairs(tmp_path, layout=Layout("data/wet/x*.png", "data/dry/*-clean")) == [pair]
    for source in (f"{tmp_path}/data/wet/*", f"{tmp_path}/*+{tmp_path}/data"):
        with pytest.raises(FileNotFoundError, match="is not two patterns"):
            find_pairs(source)
    with pytest.raises(FileNotFoundError, match=r"data holds no pairs: neither a\* nor b\* has a picture"):
        find_pairs(f"{tmp_path}/data/a*+{tmp_path}/data/b*")


def test_what_several_wildcards_stand_for_stays_apart(tmp_path: Path) -> None:
    for name in ("1/blur/11", "1/sharp/11", "11/blur/1", "11/sharp/1", "2/blur/22", "22/sharp/2"):
        save(tmp_path / f"{name}.png")
    found = find_pairs(f"{tmp_path}/*/blur/*.png+{tmp_path}/*/sharp/*.png")
    assert [(pair.id, pair.clean.relative_to(tmp_path).as_posix()) for pair in found] == [
        ("1/11", "1/sharp/11.png"),
        ("11/1", "11/sharp/1.png"),
    ]


def test_patterns_look_only_where_they_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("here/wet/1", "there/dry/1"):
        save(tmp_path / f"{name}.png")
    monkeypatch.chdir(tmp_path / "here")
    for source in ("wet/*+../there/dry/*", f"wet/*+{tmp_path}/there/dry/*", "../here/WET/*+../there/dry/*"):
        assert len(find_pairs(source)) == 1, source
    looked: list[Path] = []
    monkeypatch.setattr(pairs, "files_below", lambda folder: looked.append(folder) or ())
    with pytest.raises(FileNotFoundError, match="holds no pairs"):
        find_pairs(f"/none-of-it/*+{tmp_path}/there/dry/*")
    assert looked == [tmp_path / "there" / "dry"]  # and not all that lies under /


def test_what_does_not_fit_is_named_and_the_rest_stays(tmp_path: Path) -> None:
    sizes = {"good": (96, 64), "huge": (240, 160), "uneven": (96, 32), "smaller": (24, 16), "odd": (97, 64)}
    for name, size in sizes.items():
        save(tmp_path / "lq" / f"{name}.png")
        save(tmp_path / "gt" / f"{name}.png", *size)
    save(tmp_path / "lq" / "alone.png")
    save(tmp_path / "gt" / "broken.png")
    (tmp_path / "lq" / "broken.png").write_bytes(b"no picture")
    (tmp_path / "lq" / ".hidden.png").write_bytes(b"")
    lost: list[Skipped] = []
    (pair,) = find_pairs(tmp_path, skipped=lost)
    assert (pair.id, pair.scale) == ("good", 2)
    assert {one.name for one in lost} == {*sizes, "broken", "lq/alone.png"} - {"good"}
    assert "48x32 and 96x32 pixels do not fit" in next(one.reason for one in lost if one.name == "uneven")
    (tmp_path / "lq" / "good.png").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"None of the 5 pairs in .* can be used; the first is broken: "
    ):
        find_pairs(tmp_path)


def test_a_folder_without_pairs_is_told_what_to_be(tmp_path: Path) -> None:
    save(tmp_path / "input" / "a.png")
    save(tmp_path / "target" / "b.png")
    with pytest.raises(
        FileNotFoundError, match=r"no picture of input/ has the name of one of target/ \(a.png, b.png\)"
    ):
        find_pairs(tmp_path)
    with pytest.raises(
        FileNotFoundError, match=r"holds no pairs: give a folder with input/ and target/, lq/"
    ):
        save(tmp_path / "other" / "a.png")
        find_pairs(tmp_path / "other")
    with pytest.raises(FileNotFoundError, match="There is no folder"):
        find_pairs(tmp_path / "none")


def test_the_side_that_is_empty_is_named(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for name, full, folders, sentence in (
        ("inputs", ["target/a.png", "target/b.png"], ["input"], "input/ has no picture, target/ has 2"),
        ("targets", ["Blur/a.png"], ["Sharp"], "sharp/ has no picture, blur/ has 1"),
        ("split", ["train/lq/a.png"], ["train/gt"], "gt/ has no picture, lq/ has 1"),
        ("both", [], ["low", "high"], "neither low/ nor high/ has a picture"),
        ("alone", ["hazy/a.png"], [], "it has hazy/, but no gt/ beside it"),
        (
            "names",
            ["lq/a.png", "gt/b.png"],
            [],
            r"no picture of lq/ has the name of one of gt/ \(a.png, b.png\)",
        ),
    ):
        with subtests.test(name):
            for path in full:
                save(tmp_path / name / path)
            for folder in folders:
                (tmp_path / name / folder).mkdir(parents=True)
            with pytest.raises(FileNotFoundError, match=f"holds no pairs: {sentence}"):
                find_pairs(tmp_path / name)
    with pytest.raises(
        FileNotFoundError,
        match=r"holds no pairs: b/\*.png has no picture, a/\* has 1; pictures end with \.bmp",
    ):
        save(tmp_path / "a" / "x.png")
        find_pairs(f"{tmp_path}/a/*+{tmp_path}/b/*.png")


def test_one_side_is_told_to_be_the_folder_above(tmp_path: Path) -> None:
    for side in ("lq", "gt"):
        save(tmp_path / "set" / side / "a.png")
    for side, kind in (("lq", "damaged"), ("gt", "good")):
        with pytest.raises(
            FileNotFoundError, match=f"but their {kind} side: give the folder above, {tmp_path}"
        ):
            find_pairs(tmp_path / "set" / side)


def test_pairs_of_other_scales_are_one_line_with_their_count(tmp_path: Path) -> None:
    for camera in ("Canon", "Nikon"):
        for scale in (2, 3, 4):
            where = tmp_path / camera / "Test" / str(scale)
            save(where / f"{camera}_1_LR{scale}.png")
            save(where / f"{camera}_1_HR.png", 48 * scale, 32 * scale)
    save(tmp_path / "Canon" / "Test" / "3" / "Canon_2_HR.png")
    lost: list[Skipped] = []
    found = find_pairs(tmp_path, skipped=lost)
    assert [pair.scale for pair in found] == [4, 4]
    assert lost == [
        Skipped(str(tmp_path), "4 pairs of scales 2, 3 not used: give the folder of one scale"),
        Skipped("Canon/Test/3/Canon_2_HR.png", "it has no input"),
    ]
    assert Layout("**/Test_x4/test_LR/*_x4", "**/Test_x4/test_HR/*_x1").rescaled()[2] == Layout(
        "**/Test_x2/test_LR/*_x2", "**/Test_x2/test_HR/*_x1"
    )


def test_the_split_in_whose_folder_a_pair_lies_is_known_and_is_no_part_of_its_photo(tmp_path: Path) -> None:
    for path in ("train/S1/1", "Test/S1/1", "validation/S2/1", "other/S3/1", "testimony/S3/1"):
        scene, name = path.rsplit("/", 1)
        for side in ("blur", "sharp"):
            save(tmp_path / scene / side / f"{name}.png")
    found = {pair.id: (pair.part, pair.photo) for pair in find_pairs(tmp_path)}
    assert found == {
        "train/S1/1": ("train", "S1"),
        "Test/S1/1": ("test", "S1"),
        "validation/S2/1": ("validation", "S2"),
        "other/S3/1": (None, "other/S3"),
        "testimony/S3/1": (None, "testimony/S3"),
    }
    names = {"Test_x4": "test", "train_LR": "train", "val_blur": "validation", "our485": "train"}
    assert {name: split_named(name) for name in (*names, "train_station")} == names | {"train_station": None}


def test_what_is_measured_is_what_no_training_sees() -> None:
    def pairs(*parts: str | None) -> list[Pair]:
        photos = [named_for(split, "p", ".png") for split in ("train", "validation", "test")]
        where = Path("x.png")
        return [Pair(f"{part}/{p}", p, where, where, 1, part) for part in parts for p in photos]

    def seen(found: list[Pair], split: str | None) -> set[str]:
        return {pair.id for pair in found if measured(found, split)[0](pair)}

    def trained(found: list[Pair]) -> set[str]:
        return {pair.id for pair in found if training(found)(pair) and split_of(pair.photo) == "train"}

    for parts in (("train",), ("train", "test"), ("train", "validation"), ("train", None), (None, "test")):
        found = pairs(*parts)
        assert seen(found, None) and seen(found, None).isdisjoint(trained(found)), parts
        assert seen(found, "all") == {pair.id for pair in found}
        for split in ("validation", "test"):
            assert seen(found, split) and seen(found, split).isdisjoint(trained(found))
    assert seen(pairs("train", "test", "validation"), None) == {p.id for p in pairs("test")}
    assert seen(pairs("train", "test"), "train") == {p.id for p in pairs("train")}
    plain = pairs(None)
    assert seen(plain, None) == seen(plain, "all") and seen(plain, "train") == trained(plain)
    one = pairs("train")[:1]
    assert not seen(one, None)
    assert measured(one, None)[1] == "those of its train folder that training holds out by their names"


def test_links_to_folders_are_followed_and_never_in_a_circle(tmp_path: Path) -> None:
    for side in ("one", "other"):
        save(tmp_path / side / "a.png")
    pairs = tmp_path / "pairs"
    pairs.mkdir()
    for link, place in (("input", "one"), ("target", "other"), ("again", "pairs")):
        (pairs / link).symlink_to(tmp_path / place, target_is_directory=True)
    assert [pair.id for pair in find_pairs(pairs)] == ["a"]
    assert len(load_photos(pairs, None)) == 2
    (pairs / "target").unlink()
    (pairs / "target").symlink_to(tmp_path / "none", target_is_directory=True)
    with pytest.raises(FileNotFoundError, match="it has input/, but no target/ beside it"):
        find_pairs(pairs)


def test_wildcards_that_never_agree_are_shown(tmp_path: Path) -> None:
    save(tmp_path / "input" / "a.png")
    with pytest.raises(FileNotFoundError, match="stand for never agrees: 'ut/a' and 'a' of the first"):
        find_pairs(f"{tmp_path}/inp*/*.png+{tmp_path}/input/*.png")
