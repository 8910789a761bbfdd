"""`python -m lwr` as scripts and people meet it: JSON lines, exit status, files that are never damaged."""

import json
import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
from PIL import Image
from typer.testing import CliRunner

import lwr
from lwr.cli import app
from lwr.images.files import ImageError, load, save
from lwr.request import Request
from lwr.restore import Restorer
from lwr.tasks import TASKS

ROOT = Path(__file__).resolve().parents[1]
FACE = Image.fromarray(skimage.data.astronaut()).crop((180, 60, 276, 140))  # 96x80
UNSHOWN = ["ä ö 日本 (1).png", os.fsdecode(b"bytes\xff.png")]  # names of files
KEYS = [
    *("input", "output", "tasks", "scale", "steps", "fidelity", "seed"),
    *("prior", "adapters", "tile", "precision", "positive", "negative", "guidance"),
    *("size", "found", "repairs", "filled", "faded", "width", "height", "seconds", "notes", "ignored"),
]


class Done:
    """What a command left: exit status, lines on stdout, text on stderr; a traceback fails the test."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err
        assert "Traceback" not in out + err, out + err

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


def run(*arguments: object, charset: str = "utf-8") -> Done:
    """The command line in this process, on a terminal that shows a charset."""
    result = CliRunner(charset=charset).invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Done(result.exit_code, result.stdout, result.stderr)


def run_apart(*arguments: object, cwd: Path, **environment: str) -> Done:
    """The command line as a process of its own."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run(command(*arguments), cwd=cwd, env=env, capture_output=True)
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


def command(*arguments: object) -> list[str]:
    """The command line as a process is started."""
    return [sys.executable, "-m", "lwr", *(str(argument) for argument in arguments)]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    FACE.save(path, quality=95)
    return path


def test_a_real_process_restores_beside_the_input_and_speaks_json(photo: Path) -> None:
    """Names that no terminal can show included."""
    names = ["photo.jpg", *UNSHOWN]
    for name in UNSHOWN:
        FACE.save(photo.with_name(name), "PNG")
    words = ("--prompt", "strongly dehaze and strongly fix the blur", "--seed", 7, "--json")
    done = run_apart("restore", *names, *words, cwd=photo.parent, PYTHONIOENCODING="ascii")
    assert (done.status, len(done.lines), done.err) == (0, len(names), "")
    assert [line["input"] for line in done.lines] == names
    assert all((photo.parent / name).with_suffix(".restored.png").exists() for name in names)
    line = done.lines[0]
    assert list(line) == KEYS
    assert (line["input"], line["output"]) == ("photo.jpg", "photo.restored.png")
    assert (line["width"], line["height"], line["scale"], line["seed"]) == (96, 80, 1.0, 7)
    assert line["prior"].startswith("embedded@") and set(line["adapters"]) == set(line["tasks"])
    assert set(line["tasks"]) == {"dehaze", "deblur"} and line["seconds"] > 0
    request = {key: line[key] for key in ("scale", "steps", "fidelity", "seed")}
    again = Restorer.load(device="cpu")(photo, task=line["tasks"], **request)
    written = np.asarray(Image.open(photo.parent / line["output"])).astype(int)
    assert np.abs(written - np.asarray(again.image)).max() <= 1, "the printed settings reproduce the pixels"


def test_names_that_no_terminal_can_show_are_restored(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in UNSHOWN]
    for path in paths:
        FACE.save(path, "PNG")
    done = run("restore", *paths, "--task", "deblur", charset="ascii")
    assert done.status == 0 and done.out.count("->") == 2
    assert all(path.with_suffix(".restored.png").exists() for path in paths)


def test_out_names_a_file_or_a_folder(photo: Path) -> None:
    folder = photo.parent
    for out, expected in (
        ("x.png", "x.png"),
        ("x.JPG", "x.JPG"),
        ("plain", "plain.png"),
        ("new/deep/", "new/deep/photo.restored.png"),
        ("new", "new/photo.restored.png"),
    ):
        arguments = ("restore", photo, "--task", "deblur", "--out", f"{folder}/{out}", "--json")
        line = run(*arguments).lines[0]
        assert line["output"] == str(folder / expected), out
        assert Image.open(line["output"]).size == (96, 80)


def test_an_existing_file_is_only_replaced_when_asked(photo: Path) -> None:
    target = photo.with_name("photo.restored.png")
    target.write_bytes(b"precious")
    other = photo.with_name("other.png")
    other.write_bytes(b"precious")
    for out in ((), ("--out", target), ("--out", other.with_suffix(""))):
        done = run("restore", photo, "--task", "deblur", *out)
        assert done.status == 1 and "already exists; --overwrite replaces it" in done.err and not done.out
        assert target.read_bytes() == other.read_bytes() == b"precious"
    other.unlink()
    assert run("restore", photo, "--task", "deblur", "--overwrite").status == 0
    assert Image.open(target).size == (96, 80)
    assert sorted(path.name for path in photo.parent.iterdir()) == ["photo.jpg", "photo.restored.png"]


def test_in_a_batch_the_others_still_finish(photo: Path) -> None:
    folder = photo.parent
    bad = {
        "text.jpg": b"not a photo",
        "zero.png": b"",
        "cut.jpg": photo.read_bytes()[:900],
    }
    for name, data in bad.items():
        (folder / name).write_bytes(data)
    (folder / "folder.png").mkdir()
    Image.new("1", (10_001, 10_000)).save(folder / "huge.png")
    refused = [*bad, "folder.png", "huge.png", "missing.png"]
    FACE.resize((1, 1)).save(folder / "one.png")
    FACE.resize((7, 3000)).save(folder / "thin.png")
    FACE.convert("CMYK").save(folder / "print.tif")
    FACE.convert("RGBA").convert("P").save(folder / "palette.gif")
    good = ["photo.jpg", "one.png", "thin.png", "print.tif", "palette.gif"]
    order = [name for pair in zip(refused, good, strict=False) for name in pair] + refused[len(good) :]
    out = folder / "results"
    done = run(
        "restore", *(folder / name for name in order), "--prompt", "fix the blur", "--out", out, "--json"
    )
    assert done.status == 1 and [Path(line["input"]).name for line in done.lines] == order
    for line in done.lines:
        if Path(line["input"]).name in refused:
            assert set(line) == {"input", "error"} and "\n" not in line["error"] and line["error"][-1] == "."
        else:
            assert Image.open(line["output"]).size == (line["width"], line["height"])
    assert len(list(out.iterdir())) == len(good)


def test_two_photos_of_one_name_never_share_a_result(photo: Path) -> None:
    other = photo.with_suffix(".png")
    FACE.rotate(180).save(other)
    out = photo.parent / "out"
    for overwrite in ((), ("--overwrite",)):
        done = run("restore", photo, other, photo, "--task", "deblur", "--out", out, "--json", *overwrite)
        assert done.status == 0 and "(photo.jpg) named again" in done.err
        assert [line["input"] for line in done.lines] == [str(photo), str(other)]
        for line, name, upright in zip(
            done.lines, ("photo.restored", "photo.restored-2"), (True, False), strict=True
        ):
            assert line["output"] == str(out / f"{name}.png")
            restored = np.asarray(Image.open(line["output"])).astype(int)
            near, far = (FACE, FACE.rotate(180)) if upright else (FACE.rotate(180), FACE)
            assert np.abs(restored - np.asarray(near)).mean() < np.abs(restored - np.asarray(far)).mean()


def test_unwritable_output_is_one_sentence(photo: Path, subtests: pytest.Subtests) -> None:
    for options, reason in (
        (["--task", "deblur", "--out", "no folder/x.png"], "there is no folder"),
        (["--task", "deblur", "--out", "x.bmp"], "unknown suffix"),
        (["--task", "deblur", "--out", "/proc/x.png"], "Cannot write"),
        (["--task", "deblur", "--out", "x" * 300 + ".png"], "Cannot write"),
    ):
        with subtests.test(options=options, reason=reason):
            done = run("restore", photo, *options)
            assert done.status == 1 and reason in done.err and done.err.count("\n") == 1 and not done.out


def test_wrong_usage_is_a_sentence_and_status_2(photo: Path, subtests: pytest.Subtests) -> None:
    for options, reason in (
        (["--auto", "--prompt", "qwertz uiop"], "you can ask me to"),
        (["--task", "deblur", "--strength", "1.1"], "strength is 1.1: use 0"),
        (["--prompt", "qwertz uiop"], "you can ask me to"),
        (["--task", "sharpen"], "There is no task 'sharpen'"),
        (["--task", "deblur", "--scale", "0"], "scale is 0"),
        (["--task", "deblur", "--scale", "9"], "scale is 9"),
        (["--task", "deblur", "--scale", "nan"], "scale is nan"),
        (["--task", "deblur", "--size", "huge"], "The size is 'huge': use \"3840x2160\""),
        (["--task", "deblur", "--size", "4k", "--scale", "2"], "give one of the two"),
        (["--prompt", "remove the creases"], "I understood creases, but there is no task for that yet"),
        (["--task", "deblur", "--steps", "0"], "number of steps is 0"),
        (["--task", "deblur", "--fidelity", "1.1"], "fidelity is 1.1"),
        (["--task", "deblur", "--format", "gif"], "format is 'gif'"),
        (["--task", "deblur", "--quality", "0"], "quality is 0"),
        (["--task", "deblur", "--overwrite", "--skip-existing"], "use one of them"),
        (["--task", "deblur", "--out", "x.png", "--format", "jpg"], "disagree"),
        (["--task", "deblur", "--seed", "-1"], "seed is -1"),
        (["--task", "deblur", "--device", "abacus"], "device 'abacus'"),
        (["--task", "deblur", "--memory", "0.5"], "too little"),
        (["--task", "deblur", "--memory", "nan"], "too little"),
        (["--task", "deblur", "--prior", "no such prior"], "There is no model"),
    ):
        with subtests.test(options=options, reason=reason):
            done = run("restore", photo, *options, "--json")
            assert done.status == 2 and reason in done.err and done.err.count("\n") == 1
            assert done.lines == [{"input": str(photo), "error": done.err.strip()}]
            assert list(photo.parent.iterdir()) == [photo]


def test_wrong_words_on_the_command_line_are_status_2(photo: Path) -> None:
    for arguments, reason in (
        (["restore"], "Missing argument 'PHOTO"),
        (["restore", photo, "--prompt", "deblur", "--sharpness", "3"], "No such option"),
        (["restore", photo, "--scale", "big"], "Invalid value for '--scale'"),
        (["restoree", photo], "No such command"),
        (["restore", photo, photo, "--task", "deblur", "--out", "x.png"], "give a folder for 2 photos"),
        (["restore", photo, photo, "--task", "deblur", "--out", photo], "give a folder for 2 photos"),
        (["restore", photo, "--task", "deblur", "--out", f"{photo}/"], "cannot be made"),
        (["degrade", photo, "--out", "x.png"], "Missing option '--task'"),
        (["degrade", photo, "--task", "sharpen", "--out", "x.png"], "There is no task 'sharpen'"),
        (["degrade", photo, "--task", "deblur", "--seed", 2**70, "--out", "x.png"], "--seed"),
    ):
        done = run(*arguments)
        assert done.status == 2 and reason in done.err and not done.out, arguments


def test_a_folder_without_photos_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    for odd, reason in ((".", "without photos"), ("..", "--recursive"), ("", "no name of a photo")):
        done = run("restore", odd, "--task", "deblur", "--json")
        assert done.status == 1 and done.err == "", odd
        assert done.lines[0]["input"] == odd and reason in done.lines[0]["error"]
    done = run("restore", f"{tmp_path}/empty/", "--task", "deblur")
    assert done.status == 1 and "is a folder without photos" in done.err and done.err.count("\n") == 1


def test_a_damaged_adapter_is_named(photo: Path) -> None:
    model = photo.parent / "model"
    (model / "adapters" / "deblur").mkdir(parents=True)
    for source in (ROOT / "lwr" / "embedded").iterdir():
        if source.name != "adapters":
            (model / source.name).symlink_to(source)
    done = run("restore", photo, "--task", "deblur", "--prior", model)
    assert (
        done.status == 2 and "adapter for 'deblur' is not complete" in done.err and done.err.count("\n") == 1
    )


def test_route_speaks_exactly_as_promised() -> None:
    assert run("route", "remove the haze", "--json").out == '{"tasks": {"dehaze": 1.0}, "understood": true}\n'
    nothing = run("route", "", "--json")
    assert nothing.status == 0 and nothing.lines[0]["tasks"] == {}
    assert nothing.lines[0]["understood"] is False and "you can ask me to" in nothing.lines[0]["message"]
    assert run("route", "dehaze, then enlarge").out == "dehaze: 1\nsuper-resolution: 1\n"
    assert "you can ask me to" in run("route", "make it pretty").out
    said = run("route", "make it 4k, enhance it, remove the red eyes").out
    assert said == "super-resolution: 1\ngeneral: what the photo needs\nsize: 4k\nnot done: red eyes\n"


def test_sizes_general_requests_and_what_is_not_done(photo: Path) -> None:
    words = ("--prompt", "strongly dehaze and make it darker", "--size", "150x150", "--json")
    done = run("restore", photo, *words)
    line, note = done.lines[0], "Not done, as there is no task for it yet: darkening."
    assert (line["width"], line["height"], line["size"]) == (150, 125, "150x150")
    assert (line["ignored"], line["notes"]) == (["darkening"], [note])
    assert done.err == f"{photo}: {note}\n"
    done = run("restore", photo, "--prompt", "enhance", "--json", "--overwrite")
    assert done.status == 0 and done.lines[0]["notes"][0].startswith(("Found: ", "Nothing wrong was found"))
    done = run("restore", photo, "--size", "90", "--overwrite")
    assert done.status == 0 and "(no task, 96x80, " in done.out and "it is not enlarged" in done.err


def test_every_field_of_a_request_is_an_option_with_its_help() -> None:
    shown = " ".join(run("restore", "--help").out.split())
    for field in fields(Request):
        value = "" if field.type is bool else "<"
        assert f"--{field.name} {value}" in shown and field.metadata["help"] in shown


def test_version_names_the_code_and_the_weights() -> None:
    weights = json.loads((ROOT / "lwr" / "embedded" / "prior.json").read_text())["revision"]
    assert run("--version").out == f"lwr {lwr.__version__}, weights embedded@{weights}\n"


def test_tasks_are_listed() -> None:
    listed = run("tasks", "--json").lines
    assert [line["name"] for line in listed] == list(TASKS)
    assert all(set(line) == {"name", "title", "examples", "scale"} for line in listed)
    assert all(name in run("tasks").out for name in TASKS)


@pytest.mark.parametrize("task", list(TASKS))
def test_degrade_is_reproducible_by_its_seed(photo: Path, task: str) -> None:
    def degrade(seed: int, name: str) -> tuple[dict[str, Any], np.ndarray]:
        done = run("degrade", photo, "--task", task, "--seed", seed, "--out", photo.with_name(name), "--json")
        assert done.status == 0
        return done.lines[0], np.asarray(Image.open(photo.with_name(name))).astype(int)

    (line, one), (_, again), (other, two) = degrade(1, "1.png"), degrade(1, "again.png"), degrade(2, "2.png")
    assert np.array_equal(one, again) and not np.array_equal(one, two) and line["params"] != other["params"]
    assert one.shape == (80, 96, 3) and np.abs(one - np.asarray(FACE)).mean() > 0.5
    assert (line["task"], line["seed"], line["input"]) == (task, 1, str(photo))


def test_degrade_refuses_as_restore_does(photo: Path) -> None:
    precious = photo.with_name("precious.png")
    precious.write_bytes(b"precious")
    for source, out in ((photo, precious), (photo.with_name("missing.png"), photo.with_name("x.png"))):
        done = run("degrade", source, "--task", "dehaze", "--out", out, "--json")
        assert done.status == 1 and set(done.lines[0]) == {"input", "error"}
    assert precious.read_bytes() == b"precious"
    assert run("degrade", photo, "--task", "dehaze", "--out", precious, "--overwrite").status == 0
    for size in ((1, 1), (3, 200)):
        FACE.resize(size).save(photo.with_name("tiny.png"))
        for task in TASKS:
            out = photo.with_name(f"{task}{size}.png")
            assert run("degrade", photo.with_name("tiny.png"), "--task", task, "--out", out).status == 0
            assert Image.open(out).size == size


def test_an_empty_name_is_a_sentence(photo: Path, subtests: pytest.Subtests) -> None:
    """As "$OUT" is where a variable is not set; a path takes it for the folder one is in."""
    for option in ("--out", "--mask", "--like", "--prior", "--parts", "--adapter"):
        with subtests.test(option=option):
            done = run("restore", photo, "--task", "deblur", option, "", "--json")
            assert done.status == 2 and re.fullmatch(".*(no name|There (is|are) no).*\n", done.err)
            assert list(photo.parent.iterdir()) == [photo]
    assert "no name" in run("degrade", photo, "--task", "dehaze", "--out", "").err
    assert "no name of a photo" in run("degrade", "", "--task", "dehaze", "--out", "x.png").err
    assert "One of the paths is empty" in run("convert", "stablesr", "", "new").err
    for call in (load, Restorer.load().diagnose, Restorer.load()):
        with pytest.raises(ImageError, match="no name of a photo"):
            call("")
    with pytest.raises(ImageError, match="no name"):
        save(load(photo), "")


def test_no_command_replaces_the_photo_it_reads(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photo.parent)
    link, hard, plain = (photo.with_name(name) for name in ("link.jpg", "hard.jpg", "photo.png"))
    link.symlink_to(photo)
    hard.hardlink_to(photo)
    FACE.save(plain)
    before = {path: path.read_bytes() for path in (photo, plain)}
    for source, out in (
        (photo, photo),
        (photo, "./photo.jpg"),
        (photo, photo.parent / "." / "photo.jpg"),
        (photo, link),
        (photo, hard),
        (link, photo),
        (plain, "photo"),  # which a PNG is written to
    ):
        for words in (("restore", source, "--prompt", "enhance"), ("degrade", source, "--task", "dehaze")):
            done = run(*words, "--out", out, "--overwrite")
            assert done.status in (1, 2) and "would replace the photo" in done.out + done.err, (words, out)
            assert {path: path.read_bytes() for path in before} == before and link.is_symlink()


def test_what_a_request_is_like_and_photos_named_as_maps_stay(photo: Path) -> None:
    assert run("restore", photo, "--task", "deblur").status == 0
    result = photo.with_name("photo.restored.png")
    before = result.read_bytes()
    done = run("restore", photo, "--like", result, "--overwrite")
    assert done.status == 2 and "would replace the file" in done.err and result.read_bytes() == before
    done = run("restore", photo, "--like", result, "--skip-existing", "--json")
    assert done.status == 0 and done.lines[0]["skipped"]
    as_map = photo.with_name("photo.dehaze.png")
    FACE.save(as_map)
    before = as_map.read_bytes()
    done = run("diagnose", photo, as_map, "--maps", photo.parent, "--overwrite", "--json")
    assert "would replace the photo" in done.lines[0]["error"] and as_map.read_bytes() == before
