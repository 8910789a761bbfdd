"""Which photos a batch takes, and what their results are called; no photo is opened."""

import errno
import os
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lwr.batch.inputs import Named, find
from lwr.batch.output_names import Output, UsageError, numbered
from lwr.images.formats import photo_suffixes, pixel_count

SUFFIXES = frozenset({".jpg", ".png"})


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as a user has it after a run; it is the current one."""
    names = [
        *(
            "b.jpg",
            "A.JPG",
            "a.restored.png",
            "a.restored-2.png",
            ".hidden.jpg",
            "notes.txt",
            "lost.restored.png",
        ),
        *("deep/c.png", "deep/er/d.jpg", "deep/.thumbs/e.jpg", "deep/c.restored.webp"),
        *("bare/deep/f.jpg", "results/x.restored.png"),
    ]
    for name in names:
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).touch()
    (tmp_path / "in" / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def paths(*arguments: str, recursive: bool = False) -> list[str]:
    return [one.path for one in find(arguments, SUFFIXES, recursive).photos if not one.error]


def test_a_folder_is_the_photos_in_it(tree: Path) -> None:
    found = find(["in"], SUFFIXES)
    assert [one.path for one in found.photos] == ["in/A.JPG", "in/b.jpg"]
    assert "left out 3 results (" in found.remarks[0] and "left out 1 file (notes.txt)" in found.remarks[1]
    assert paths("in/deep") == ["in/deep/c.png"]
    assert paths("in/") == ["in/A.JPG", "in/b.jpg"]
    deep = [*("in/A.JPG", "in/b.jpg", "in/bare/deep/f.jpg"), *("in/deep/c.png", "in/deep/er/d.jpg")]
    assert paths("in", recursive=True) == deep
    (tree / "in" / "deep" / "loop").symlink_to(tree / "in")
    assert paths("in", recursive=True) == deep, "links to folders are not followed"


def test_a_folder_without_photos_is_a_sentence(tree: Path) -> None:
    for folder, recursive, end in (
        ("in/empty", False, "is a folder without photos; name another one, or photos."),
        ("in/bare", False, "is a folder without photos; --recursive looks into its subfolders."),
        ("in/results", True, "is a folder without photos; name results to include them."),
    ):
        (only,) = find([folder], SUFFIXES, recursive).photos
        assert only.error == f"{folder} {end}"
    (tree / "in" / "empty" / "raw.dng").touch()
    found = find(["in/empty"], SUFFIXES)
    assert found.photos[0].error and found.remarks == [
        "in/empty: left out 1 file (raw.dng) of a kind that is not read."
    ]
    assert paths("in/bare", recursive=True) == ["in/bare/deep/f.jpg"]
    assert "no name" in find([""], SUFFIXES).photos[0].error, "an unset variable is not the current folder"
    named = find(["in/b.jpg", "in/results"], SUFFIXES)  # as a shell's * does
    assert not [one for one in named.photos if one.error] and "left out 1 result" in named.remarks[0]


def test_a_folder_that_cannot_be_read_is_named(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.scandir

    def scandir(path: str) -> Any:  # as root may read everything
        if path.endswith("deep"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = find(["in"], SUFFIXES, recursive=True)
    assert [one.path for one in found.photos if not one.error] == ["in/A.JPG", "in/b.jpg"]
    assert [one.path for one in found.photos if "Permission denied" in one.error] == [
        "in/bare/deep",
        "in/deep",
    ]


def test_results_of_earlier_runs_are_photos_only_when_they_are_meant(tree: Path) -> None:
    result, orphan = "in/a.restored.png", "in/lost.restored.png"
    (tree / "in" / "a.jpg").touch()
    assert paths(result) == [result] and paths(result, "in/a.restored-2.png") == [
        result,
        "in/a.restored-2.png",
    ]
    found = find(["in/a.jpg", result, orphan], SUFFIXES)
    assert [one.path for one in found.photos] == ["in/a.jpg", orphan], "a photo of that name is a photo"
    assert found.remarks == [
        "Left out 1 result (a.restored.png) of earlier runs: name it alone to include it."
    ]
    assert paths("in/b.jpg", result) == ["in/b.jpg"], "its source need not be named, only there"


def test_a_photo_named_twice_is_restored_once(tree: Path) -> None:
    found = find(["in/b.jpg", "in", "./in/../in/b.jpg"], SUFFIXES)
    assert [one.path for one in found.photos] == ["in/b.jpg", "in/A.JPG"]
    assert "2 photos (b.jpg, b.jpg) named again" in " ".join(found.remarks)


def names(output: Output, *photos: str) -> list[str]:
    named = [Named(photo) for photo in photos]
    return [str(path) for path in output.targets(named, len(named))[0]]


def test_twins_are_numbered_whatever_the_order() -> None:
    twins = ["p/x.jpg", "p/x.png", "p/X.jpg", "q/x.jpg"]
    beside = ["p/x.restored-2.png", "p/x.restored-3.png", "p/X.restored.png", "q/x.restored.png"]
    assert names(Output(), *twins) == beside
    assert names(Output(), *reversed(twins)) == beside[::-1]
    together = [f"o/{name}" for name in ("x.restored-2", "x.restored-3", "X.restored", "x.restored-4")]
    assert names(Output(out="o", format="WebP"), *twins) == [f"{name}.webp" for name in together]
    composed, apart = "\u00e9.jpg", "e\u0301.png"  # one name on some disks
    assert names(Output(), composed, apart) == ["\u00e9.restored-2.png", "e\u0301.restored.png"]


NAMES = st.from_regex(r"[aAb\u00e9\u00c9.-]{1,3}(\.restored(-2)?)?\.(jpg|JPG|png)", fullmatch=True)


@given(st.lists(NAMES, unique=True, max_size=8), st.sampled_from(["p", "q", ""]), st.randoms())
def test_results_never_share_a_file(files: list[str], folder: str, random: Random) -> None:
    photos = [os.path.join(folder, name) for name in files]
    for output in (Output(), Output(out="o", format="jpg")):
        made = dict(zip(photos, names(output, *photos), strict=True)) if len(photos) > 1 else {}
        assert len({name.casefold() for name in made.values()}) == len(made)
        mixed = random.sample(photos, len(photos))
        again = dict(zip(mixed, names(output, *mixed), strict=True)) if len(photos) > 1 else {}
        assert made == again


def test_long_names_are_cut_to_what_a_disk_holds() -> None:
    (name,) = names(Output(), "ä" * 123 + ".png")
    assert len(os.fsencode(name)) <= 250 and name.endswith("ä.restored.png")


def test_subfolders_are_mirrored() -> None:
    photos = [Named("in/a.jpg", "."), Named("in/deep/a.jpg", "deep")]
    assert [str(one) for one in Output(out="o").targets(photos, 2, True)[0]] == [
        "o/a.restored.png",
        "o/deep/a.restored.png",
    ]


def test_out_and_format_agree_or_are_refused(tmp_path: Path) -> None:
    assert names(Output(out="x.jpg", format="jpeg"), "a.png") == ["x.jpg"]
    assert names(Output(out="x", format="jpg"), "a.png") == ["x.jpg"]
    assert names(Output(out=f"{tmp_path}", format="jpg"), "a.png") == [f"{tmp_path}/a.restored.jpg"]
    for wrong in (Output(out="x.png", format="jpg"), Output(out="x.tif", format="webp")):
        with pytest.raises(UsageError, match="disagree"):
            names(wrong, "a.png")
    for count, text in ((1, "the photos of a folder"), (2, "2 photos")):
        with pytest.raises(UsageError, match=f"give a folder for {text}"):
            Output(out="x.png").targets([Named("in/a.jpg", ".")], count, has_folders=True)
    for wrong in (Output(format="gif"), Output(quality=0), Output(quality=101)):
        with pytest.raises(UsageError, match="use"):
            wrong.check()


def test_numbers_go_around_what_is_taken() -> None:
    taken = [Path("a.png"), Path("a-2.png"), Path("a.png"), Path("A.PNG")]
    assert [str(path) for path in numbered(taken)] == ["a.png", "a-2.png", "a-3.png", "A-4.PNG"]


def test_no_photo_of_the_batch_is_replaced() -> None:
    photos = ["in/a.jpg", "out/a.restored.png", "out/A.restored-2.png"]
    named = [Named(photo) for photo in photos]
    made = [str(path) for path in Output(out="out", overwrite=True).targets(named, 3)[0]]
    assert made == ["out/a.restored-3.png", "out/a.restored.restored.png", "out/A.restored-2.restored.png"]


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert pixel_count(tmp_path / "pipe.png") == 0 and pixel_count(tmp_path) == 0


def test_what_is_read_is_searched_for() -> None:
    assert {
        ".jpg",
        ".jpeg",
        ".png",
        ".webp",
        ".tif",
        ".tiff",
        ".gif",
        ".bmp",
        ".avif",
        ".heic",
    } <= photo_suffixes()
    assert not {".txt", ".pdf", ".mp4", ".eps"} & photo_suffixes()
