"""`lwr degrade --pairs`: any folder of photos as pairs that the evaluation reads, and no file harmed."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_sets import picture
from test_cli import Done, run

from training.evaluate import main


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Four photos: two of one stem, two of one name in subfolders."""
    folder = tmp_path / "album"
    for number, name in enumerate(("one.png", "one.jpg", "summer/two.png", "winter/sea/two.png")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        picture(number, 96, 80).save(folder / name)
    return folder


def pairs_of(album: Path, *options: object, task: str = "deblur") -> Done:
    return run("degrade", album, "--task", task, "--pairs", album.parent / "pairs", "--json", *options)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def pixels(path: str | Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def test_a_folder_becomes_pairs_with_their_parameters(album: Path) -> None:
    done = pairs_of(album, "--recursive", "--seed", 3)
    pairs = album.parent / "pairs"
    names = ["one", "one-2", "summer-two", "winter-sea-two"]
    assert done.status == 0 and not done.err
    assert sorted(Path(line["output"]).stem for line in done.lines) == names
    for kind, suffix in (("input", ".png"), ("target", ".png"), ("params", ".json")):
        assert {path.name for path in (pairs / kind).iterdir()} == {f"{one}{suffix}" for one in names}
    for line in done.lines:
        good, about = pixels(line["target"]), pairs / "params" / f"{Path(line['output']).stem}.json"
        assert np.array_equal(good, pixels(line["input"]))
        assert not np.array_equal(good, pixels(line["output"]))
        kept = json.loads(about.read_text())
        name = Path(line["input"]).relative_to(album).as_posix()  # nothing of where the album lies
        checksum = hashlib.sha256(Path(line["input"]).read_bytes()).hexdigest()
        said = {"input": name, "photo": name, "sha256": checksum}
        assert kept == said | {name: line[name] for name in ("task", "seed", "params")}
        again = album.parent / "again.png"
        words = ("--task", "deblur", "--seed", line["seed"], "--out", again, "--overwrite", "--json")
        assert run("degrade", line["target"], *words).lines[0]["params"] == line["params"]
        assert np.array_equal(pixels(again), pixels(line["output"]))
    assert len({line["seed"] for line in done.lines}) == 4


def test_the_same_command_makes_the_same_pairs_whatever_lies_beside(album: Path) -> None:
    pairs_of(album, "--recursive")
    before = contents(album.parent / "pairs")
    picture(9).save(album / "new.png")
    done = pairs_of(album, "--recursive", "--overwrite")
    after = contents(album.parent / "pairs")
    assert done.status == 0 and before == {name: after[name] for name in before} and len(after) == 15
    pairs_of(album, "--recursive", "--overwrite", "--seed", 1)
    assert contents(album.parent / "pairs")["input/one.png"] != before["input/one.png"]


def test_a_pair_belongs_to_its_photo_whatever_comes_later(album: Path, subtests: pytest.Subtests) -> None:
    pairs = album.parent / "pairs"
    pairs_of(album)
    before = contents(pairs)
    picture(8).save(album / "one.bmp")  # which comes before both others of that name
    for seed in (0, 1):
        with subtests.test(seed=seed):
            done = pairs_of(album, "--skip-existing", "--seed", seed)
            assert done.status == 0 and contents(pairs).items() >= before.items()
            target = next(line["target"] for line in done.lines if line["input"].endswith("one.bmp"))
            assert (pixels(target) == pixels(album / "one.bmp")).all()
            assert [line.get("skipped", False) for line in done.lines].count(True) == len(before) // 3 + seed
    pairs_of(album, "--overwrite")
    assert contents(pairs).items() >= before.items()


def test_no_file_is_replaced_and_pairs_are_whole(album: Path) -> None:
    pairs = album.parent / "pairs"
    (pairs / "target").mkdir(parents=True)
    (pairs / "target" / "one.png").write_bytes(b"precious")
    done = pairs_of(album)
    (error,) = (line["error"] for line in done.lines if "error" in line)
    assert done.status == 1 and "one.png already exists; --overwrite replaces it, and --skip" in error
    assert (pairs / "target" / "one.png").read_bytes() == b"precious" and not (
        pairs / "input/one.png"
    ).exists()
    assert (pairs / "params" / "one-2.json").exists()
    before = contents(pairs)
    again = pairs_of(album, "--skip-existing")
    assert again.status == 1 and [line.get("skipped") for line in again.lines].count(True) == 1
    assert contents(pairs) == before
    (album / "one.jpg").write_bytes(b"no photo")
    (pairs / "target" / "one.png").unlink()
    done = pairs_of(album, "--overwrite")
    assert done.status == 1 and any("one.jpg" in line.get("error", "") for line in done.lines)


def test_params_are_the_same_wherever_the_album_lies(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs_of(album, "--recursive")
    before = contents(album.parent / "pairs")
    monkeypatch.chdir(shutil.copytree(album, album.parent / "elsewhere" / "album").parent)
    run("degrade", "album", "--task", "deblur", "--pairs", "pairs", "--recursive")
    assert contents(Path("pairs")) == before
    assert not any(str(album.parent).encode() in data for data in before.values())


def test_albums_with_photos_of_one_name_keep_their_pairs_apart(album: Path) -> None:
    other = album.parent / "other"
    other.mkdir()
    picture(20).save(other / "one.png")
    pairs_of(album)
    before = contents(album.parent / "pairs")
    for seed in (0, 1):
        words = ("--task", "deblur", "--pairs", album.parent / "pairs", "--skip-existing", "--seed", seed)
        done = run("degrade", other, *words, "--json")
        (line,) = done.lines
        assert (line.get("skipped", False), done.status) == (bool(seed), 0)
        assert (pixels(line["target"]) == pixels(other / "one.png")).all()
    assert contents(album.parent / "pairs").items() >= before.items()


def test_the_photograph_that_a_table_names_is_kept(album: Path) -> None:
    (album / "summer" / "metadata.csv").write_text("file_name,photo_id\ntwo.png,beach\n")
    pairs_of(album, "--recursive")
    about = [json.loads(path.read_text()) for path in (album.parent / "pairs" / "params").iterdir()]
    assert {(one["input"], one["photo"]) for one in about} == {
        ("one.jpg", "one.jpg"),
        ("one.png", "one.png"),
        ("summer/two.png", "beach"),
        ("winter/sea/two.png", "winter/sea/two.png"),
    }


def test_pairs_among_the_photos_are_refused(album: Path, subtests: pytest.Subtests) -> None:
    link = album.parent / "link"
    link.symlink_to(album, target_is_directory=True)
    (album / "to-elsewhere").symlink_to(album.parent / "elsewhere")
    before = contents(album)
    for photos, place, named in (
        (album, album, album),
        (album, album / "pairs", album),
        (album, album / "to-elsewhere", album),
        (album, link, album),
        (album, link / "summer", album),
        (link, album / "pairs", link),
        (album / "summer", album, None),
        (album / "one.png", album, album),
        (album / "one.png", link, album),
        (album / "one.png", album / "pairs", None),  # as `photo.png --pairs pairs` where one works
    ):
        with subtests.test(photos=photos, place=place):
            done = run("degrade", photos, "--task", "dejpeg", "--pairs", place)
            if named is None:
                assert done.status == 0
                for kind in ("input", "target", "params"):
                    shutil.rmtree(place / kind)
            else:
                assert done.status == 2 and done.err.count("\n") == 1
                assert f"--pairs {place} would lie among the photos of {named}, where" in done.err
            assert contents(album) == before
    both = run("degrade", album / "summer", album / "winter", "--task", "dejpeg", "--pairs", album / "winter")
    assert both.status == 2 and contents(album) == before


def test_the_sides_of_pairs_are_no_photos_for_more_of_them(album: Path) -> None:
    pairs = album.parent / "pairs"
    pairs_of(album)
    before = contents(pairs)
    done = run("degrade", pairs / "target", "--task", "deblur", "--pairs", pairs)
    assert done.status == 2 and f"among the photos of {pairs / 'target'}" in done.err
    done = run("degrade", pairs / "target" / "one.png", "--task", "deblur", "--pairs", pairs)
    assert "Left out 1 of the photos: they are of pairs in" in done.err and contents(pairs) == before


def test_a_photo_is_no_place_for_a_pair(album: Path) -> None:
    pairs = album.parent / "pairs"
    (pairs / "input").mkdir(parents=True)
    photo = pairs / "input" / "one.png"
    picture(5).save(photo)
    before = photo.read_bytes()
    done = run("degrade", photo, album / "one.png", "--task", "deblur", "--pairs", pairs, "--overwrite")
    assert photo.read_bytes() == before and done.status == 1 and "would replace the photo" in done.err


def test_mistakes_are_one_sentence(album: Path, subtests: pytest.Subtests) -> None:
    one, file = album / "one.png", album / "new.png"
    for arguments, sentence in (
        ((one,), "--out FILE for one photo, or --pairs FOLDER for many"),
        ((one, "--out", file, "--pairs", album), "--out and --pairs do not go together: give one of them"),
        ((one, one, "--out", file), "give --pairs FOLDER for 2 photos"),
        ((album, "--out", file), "is a folder, and --out one file: give --pairs"),
        ((album, "--pairs", ""), "The folder for --pairs has no name"),
        ((album / "summer", "--pairs", one), "cannot be made"),
        ((album / "summer", "--pairs", file, "--overwrite", "--skip-existing"), "say the opposite"),
        ((one, "--out", file, "--recursive"), "go with --pairs"),
    ):
        with subtests.test(sentence=sentence):
            before = contents(album)
            done = run("degrade", *arguments, "--task", "deblur")
            assert done.status == 2 and sentence in done.err and done.err.count("\n") == 1
            assert not done.out and contents(album) == before
    empty = run("degrade", album / "none", "--task", "deblur", "--pairs", file)
    assert empty.status == 1 and empty.err.count("\n") == 1


def test_the_evaluation_reads_such_pairs(album: Path) -> None:
    pairs_of(album, "--recursive", task="denoise")
    out = album.parent / "scores.json"
    words = ["--pairs", str(album.parent / "pairs"), "--task", "denoise", "--fidelity", "1"]
    assert main([*words, "--no-baselines", "--out", str(out)]) == 0
    results = json.loads(out.read_text())
    scored = results["photos"]["pairs|denoise|fidelity 1"]
    assert scored.keys() == {"one", "one-2", "summer-two", "winter-sea-two"} and not results["skipped"]
    good, bad = (
        pixels(album.parent / "pairs" / kind / "one.png").astype(float) for kind in ("target", "input")
    )
    error = np.square((good - bad) / 255).mean()
    assert scored["one"]["psnr_input"] == pytest.approx(-10 * np.log10(error), abs=1e-3)
