"""Batches that people trust: the same photos again after an interruption, a full disk, a closed pipe."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from limits import full_disk
from PIL import Image
from test_cli import FACE, ROOT, Done, command, photo, run  # noqa: F401

from lwr.batch import pipeline
from lwr.batch.pipeline import Room
from lwr.batch.stopping import SIGNALS, StoppedError, stoppable
from lwr.cli import Loading, app
from lwr.images import files
from lwr.request import Request
from lwr.restore import Restorer
from training.benchmarks import batches

ENV = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100"}


@pytest.fixture
def loaded(restorer: Restorer, monkeypatch: pytest.MonkeyPatch) -> Restorer:
    """The command line takes the network that is loaded already."""
    monkeypatch.setattr(Loading, "restorer", lambda _: restorer)
    return restorer


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Six small photos in a folder, two of one name, and one in a subfolder."""
    folder = tmp_path / "album"
    (folder / "deep").mkdir(parents=True)
    for number, name in enumerate(["a.jpg", "b.jpg", "b.png", "c.jpg", "d.tif", "deep/a.jpg"]):
        FACE.resize((48 + 8 * number, 40)).save(folder / name)
    return folder


def there(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_folder_goes_into_a_folder_and_on_after_an_interruption(loaded: Restorer, album: Path) -> None:
    out = album / "out"
    arguments = (
        "restore",
        album,
        "--recursive",
        "--task",
        "deblur",
        "--out",
        out,
        "--format",
        "jpg",
        "--json",
    )
    made = run(*arguments)
    names = ["a.restored.jpg", "b.restored-2.jpg", "b.restored.jpg", "c.restored.jpg", "d.restored.jpg"]
    assert (made.status, there(out)) == (0, [*names, "deep/a.restored.jpg"])
    assert [line["width"] for line in made.lines] == [48, 56, 64, 72, 80, 88]
    assert all(Image.open(line["output"]).format == "JPEG" for line in made.lines)
    (out / "b.restored-2.jpg").unlink()
    (out / "c.restored.jpg").write_bytes(b"")  # claimed by a process that ended before it wrote
    before = {name: (out / name).stat().st_mtime_ns for name in there(out)}
    again = run(*arguments, "--skip-existing")
    skipped = [set(line) == {"input", "output", "skipped"} for line in again.lines]
    assert skipped == [True, True, False, False, True, True]
    assert [line["output"] for line in again.lines if "output" in line][:3] == [
        line["output"] for line in made.lines[:3]
    ]
    assert again.status == 1 and "already exists" in again.lines[3]["error"], "nobody said to replace it"
    assert all((out / n).stat().st_mtime_ns == t for n, t in before.items())
    assert (out / "b.restored-2.jpg").stat().st_size > 0


def test_what_is_done_needs_no_network(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Loading, "restorer", lambda _: pytest.fail("loads a network"))
    (album / "a.restored.png").write_bytes(b"finished")
    done = run("restore", album / "a.jpg", "--task", "deblur", "--skip-existing")
    assert (done.status, done.err) == (0, "")
    assert done.out == f"{album / 'a.jpg'} -> {album / 'a.restored.png'} (skipped: it is there)\n"
    assert run("restore", album / "deep" / "none.jpg", album, "--task", "deblur", "--format", "x").status == 2


def test_quality_counts_where_there_is_one(loaded: Restorer, album: Path) -> None:
    sizes = {}
    for kind, quality in (("jpg", 20), ("jpg", 100), ("webp", 20), ("webp", 100), ("png", 20)):
        out = album / f"{quality}.{kind}"
        done = run("restore", album / "a.jpg", "--task", "deblur", "--out", out, "--quality", quality)
        assert done.status == 0 and ("--quality has no part" in done.err) == (kind == "png")
        sizes[kind, quality] = out.stat().st_size
    assert sizes["jpg", 20] < 0.5 * sizes["jpg", 100] and sizes["webp", 20] < 0.5 * sizes["webp", 100]


def test_results_of_earlier_runs_are_left_out_of_a_glob(loaded: Restorer, album: Path) -> None:
    assert run("restore", album / "a.jpg", "--task", "deblur").status == 0
    done = run("restore", *sorted(album.glob("a*")), "--task", "deblur", "--overwrite", "--json")
    assert [Path(line["input"]).name for line in done.lines] == ["a.jpg"]
    assert "Left out 1 result (a.restored.png)" in done.err and not list(album.glob("*.restored.restored*"))
    alone = run("restore", album / "a.restored.png", "--task", "deblur")
    assert alone.status == 0 and (album / "a.restored.restored.png").exists()


def test_a_full_disk_costs_no_finished_photo_and_the_rest_is_quick(
    loaded: Restorer, album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        FACE.resize((320, 320)).save(album / f"large-{number}.png")
    calls = []
    real = Restorer.__call__
    monkeypatch.setattr(
        Restorer, "__call__", lambda self, *args, **kw: (calls.append(0), real(self, *args, **kw))[1]
    )
    with full_disk(30_000):
        done = run("restore", album, "--task", "deblur", "--out", album / "out", "--json")
    large = [line for line in done.lines if "large" in line["input"]]
    small = [line for line in done.lines if "large" not in line["input"]]
    assert done.status == 1 and len(small) == 5 and not any("error" in line for line in small)
    assert all("disk at" in line["error"] and line["error"].count("\n") == 0 for line in large)
    assert len(calls) <= len(small) + 3, "one that fails and those that were on their way"
    assert Path(large[-1]["input"]).stem in large[-1]["error"], "not another one's file"
    assert there(album / "out") == sorted(Path(line["output"]).name for line in small)
    with full_disk(0):
        again = run("restore", album / "a.jpg", "--task", "deblur", "--out", album / "new", "--json")
    assert again.status == 1 and not there(album / "new") if (album / "new").is_dir() else True


def test_the_disk_of_a_folder_that_cannot_be_made_is_named(
    loaded: Restorer, album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mkdir(path: Path, **_: object) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Path, "mkdir", mkdir)
    done = run("restore", album, "--task", "deblur", "--out", album / "out", "--json")
    assert done.status == 1 and "the disk at" in done.err and done.err.count("\n") == 1
    assert done.lines == [{"input": str(album), "error": done.err.strip()}]


def test_one_photo_waits_on_each_side_and_lines_keep_their_order(
    loaded: Restorer, album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The three stages overlap, and no more photos are on their way than there are stages."""
    inside, most, events = set(), [], []

    def stage(name: str, real: Callable[..., Any], seconds: float) -> Callable[..., Any]:
        def work(*args: Any, **options: Any) -> Any:
            inside.add(name)
            most.append(len(inside))
            time.sleep(seconds)
            made = real(*args, **options)
            inside.discard(name)
            events.append(name)
            return made

        return work

    monkeypatch.setattr(files, "load", stage("read", files.load, 0.0))
    monkeypatch.setattr(files, "save", stage("write", files.save, 0.3))
    monkeypatch.setattr(Restorer, "__call__", stage("restore", Restorer.__call__, 0.2))
    (album / "b.png").write_bytes(b"no photo")
    done = run("restore", album, "--task", "deblur", "--out", album / "out", "--json")
    assert [Path(line["input"]).name for line in done.lines] == ["a.jpg", "b.jpg", "b.png", "c.jpg", "d.tif"]
    assert [("error" in line) for line in done.lines] == [False, False, True, False, False]
    assert max(most) >= 2
    for index in range(len(events)):
        counts = {name: events[: index + 1].count(name) for name in ("read", "restore", "write")}
        assert counts["read"] - counts["write"] <= 4 and counts["restore"] - counts["write"] <= 2


def test_the_pipeline_changes_no_pixel(restorer: Restorer, tmp_path: Path) -> None:
    photos = batches.make_photos(tmp_path, 3, 64)
    for name, way in batches.WAYS.items():
        (tmp_path / name).mkdir()
        way(restorer, Request(task="deblur"), photos, tmp_path / name, "png")
    one, other = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in batches.WAYS
    )
    assert one == other and len(one) == 3


def test_large_photos_have_the_memory_to_themselves() -> None:
    room = Room(100)
    held = room.take(80)
    assert room.take(20) == 20
    assert room._held == 100
    room.give_back(held)
    room.give_back(20)
    assert room.take(1000) == 1000, "a photo larger than the room comes in when it is empty"
    room.close()
    with pytest.raises(pipeline.StoppingError):
        room.take(1)
    assert Room.within(1.0)._size == 1e8 and 0 < Room.within(None)._size <= 1e9


def whole(folder: Path) -> list[str]:
    """Names of the results, each of which must be a whole picture; nothing else is there."""
    for name in there(folder):
        Image.open(folder / name).load()
    return there(folder)


def test_a_stopped_batch_keeps_what_is_done_and_goes_on(
    loaded: Restorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        FACE.resize((192, 160)).save(tmp_path / f"{number}.png")
    words = ("restore", *(f"{n}.png" for n in range(5)), "--task", "deblur", "--out", "out", "--json")
    process = subprocess.Popen(
        command(*words), cwd=tmp_path, env=ENV, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    lines = [json.loads(process.stdout.readline())]
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    lines += map(json.loads, out.splitlines())
    assert process.returncode == 130 and len(lines) < 5
    assert err == (
        f"Stopped, {len(lines)} of 5 photos restored. What is finished stays: run the same command with "
        "--skip-existing to go on.\n"
    )
    assert whole(tmp_path / "out") == [f"{number}.restored.png" for number in range(len(lines))]
    monkeypatch.chdir(tmp_path)
    again = run(*words, "--skip-existing")
    assert (again.status, again.err) == (0, "") and len(whole(tmp_path / "out")) == 5
    skipped = ["skipped" in line for line in again.lines]
    assert skipped == [True] * len(lines) + [False] * (5 - len(lines))


@pytest.mark.parametrize("number", SIGNALS)
def test_every_signal_stops_once_and_ignored_ones_never(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(StoppedError) as caught, stoppable():
        try:
            signal.raise_signal(number)
        finally:
            for one in SIGNALS:
                signal.raise_signal(one)  # while the last photo is being written
    assert caught.value.status == 128 + number and signal.getsignal(number) == before
    signal.signal(number, signal.SIG_IGN)
    try:
        with stoppable():  # as under nohup
            signal.raise_signal(number)
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize("stream", ["full", "pipe", "closed", "both closed"])
def test_nobody_takes_the_list_of_what_is_done(tmp_path: Path, stream: str) -> None:
    """The disk of the log is full, or a few bytes were wanted."""
    FACE.save(tmp_path / "a.png")
    FACE.save(tmp_path / "a.restored.png")
    words = " ".join(command("restore", "a.png", "--task", "deblur", "--json", "--skip-existing"))
    end = {"full": ">/dev/full", "pipe": "| true", "closed": ">&-", "both closed": ">&- 2>&-"}[stream]
    shell = ["bash", "-o", "pipefail", "-c", f"{words} {end}"]
    done = subprocess.run(shell, cwd=tmp_path, env=ENV, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    if stream != "both closed":
        assert done.stderr.startswith("Standard output takes no more text (") and done.stderr.count("\n") == 1
    assert whole(tmp_path) == ["a.png", "a.restored.png"]


def test_photos_are_restored_after_the_reader_of_the_list_has_gone(
    loaded: Restorer, album: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    reading, writing = os.pipe()
    lines = os.fdopen(reading)
    monkeypatch.setattr(sys, "stdout", os.fdopen(writing, "w"))
    save = files.save

    def save_and_leave(*arguments: Any) -> Path:
        written = save(*arguments)
        if not lines.closed and "b.restored" in str(written):
            assert json.loads(lines.readline())["input"].endswith("a.jpg")
            lines.close()
        return written

    monkeypatch.setattr(files, "save", save_and_leave)
    with pytest.raises(SystemExit) as end:
        app(["restore", str(album), "--task", "deblur", "--out", str(album / "out"), "--json"])
    assert end.value.code == 1 and len(whole(album / "out")) == 5
    said = capsys.readouterr().err
    assert said.startswith("Standard output takes no more text (Broken pipe)") and said.count("\n") == 1


def test_a_closed_stderr_leaves_the_list_as_it_is(tmp_path: Path) -> None:
    """What went to stderr must not end up between the lines on stdout, nor in a photo."""
    FACE.save(tmp_path / "a.png")
    for end in ("2>&-", "2>/dev/full", "<&- 2>&-"):
        words = " ".join(command("restore", "missing.png", "a.png", "a.png", "--skip-existing", "--json"))
        FACE.save(tmp_path / "a.restored.png")
        (tmp_path / "missing.restored.png").write_bytes(b"done")
        shell = ["bash", "-c", f"{words} --task deblur --quality 3 {end}"]
        done = subprocess.run(shell, cwd=tmp_path, env=ENV, capture_output=True, text=True)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert done.returncode == 0 and [line["input"] for line in lines] == ["missing.png", "a.png"]


def test_every_command_says_that_its_output_is_lost(tmp_path: Path) -> None:
    for words in (["tasks"], ["route", "fix the blur"], ["--version"], ["restore", "--help"]):
        shell = ["bash", "-c", " ".join(command(*(f"'{word}'" for word in words))) + " >/dev/full"]
        done = subprocess.run(shell, cwd=tmp_path, env=ENV, capture_output=True, text=True)
        assert done.returncode == 1 and "No space left on device" in done.stderr, words
        assert done.stderr.count("\n") == 1


def test_a_terminal_shows_a_bar_with_the_time_left_and_a_log_plain_lines(tmp_path: Path) -> None:
    for number in range(4):
        FACE.resize((192, 160)).save(tmp_path / f"[red]photo-{number}.png")
    (tmp_path / "[red]photo-3.png").rename(tmp_path / os.fsdecode(b"[red]photo-\xff.png"))
    ours, theirs = pty.openpty()
    photos = sorted(path.name for path in tmp_path.glob("*.png"))
    process = subprocess.Popen(
        command("restore", *photos, "missing.png", "--task", "deblur"),
        cwd=tmp_path, env=ENV | {"TERM": "xterm"}, stdout=subprocess.PIPE, stderr=theirs, text=True,
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    try:
        while block := os.read(ours, 4096):
            shown += block
    except OSError:  # the other end is closed
        pass
    out = process.communicate()[0]
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    assert process.returncode == 1 and "Traceback" not in text
    assert re.search(r"\d of 5 \[red\]photo-.*.png .*\d+% 0:00:\d\d left", text)
    assert "missing.png does not exist" in text and "4 of 5 photos restored, 1 failed." in text
    lines = out.splitlines()
    assert len(lines) == 4 and all(
        re.fullmatch(r".* -> .*restored.png \(deblur, .* s\)", one) for one in lines
    )
    assert "\x1b" not in out
