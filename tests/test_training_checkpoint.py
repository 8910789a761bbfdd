"""Checkpoint and network are whole or not there, whenever a run is killed and however full the disk is."""

import contextlib
import errno
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from toy_runs import ROOT, contents, finished, toy

from lwr.loading.load import load_network
from training import checkpoint
from training.checkpoint import TrainingError, recover, write_folder
from training.loop import train
from training.stages import refiner


class Killed(BaseException):
    """In place of SIGKILL at a chosen instruction: nothing that handles errors catches it."""


def test_kill_at_any_moment_leaves_one_whole_folder(tmp_path: Path) -> None:
    code = (
        "import sys, itertools; from pathlib import Path; from training.checkpoint import write_folder\n"
        "for n in itertools.count(1):\n"
        "    def write(folder):\n"
        "        for name in 'abc': (folder / name).write_text(str(n) * 1000)\n"
        "    write_folder(Path(sys.argv[1]), write); print(n, flush=True)\n"
    )
    chance = random.Random(0)
    for trial in range(4):
        target = tmp_path / str(trial) / "checkpoint"
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(target)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        process.stdout.readline()
        time.sleep(0.05 + 0.1 * chance.random())
        process.kill()
        last = int((["1", *process.communicate()[0].split()])[-1])
        recover(target)
        texts = {path.read_text() for path in target.iterdir()}
        assert len(list(target.iterdir())) == 3 and texts <= {str(n) * 1000 for n in (last, last + 1)}
        assert len(texts) == 1


def interrupted_rename(at: int) -> Callable[[Path, Path], None]:
    """os.replace that dies instead of rename number `at` of a checkpoint."""
    replace, count = os.replace, iter(range(1, 100))

    def rename(source: Path, target: Path) -> None:
        if target.name.startswith("checkpoint") and next(count) == at:
            raise Killed
        replace(source, target)

    return rename


@pytest.mark.parametrize(("at", "kept"), [(1, "old"), (2, "old"), (3, "new")])
def test_folder_is_the_old_or_the_new_one_whichever_rename_is_the_last(
    tmp_path: Path, at: int, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "checkpoint"
    write_folder(target, lambda folder: (folder / "a").write_text("old"))
    with monkeypatch.context() as patch, contextlib.suppress(Killed):
        patch.setattr(checkpoint.os, "replace", interrupted_rename(at))
        write_folder(target, lambda folder: (folder / "a").write_text("new"))
    recover(target)
    assert (target / "a").read_text() == kept
    write_folder(target, lambda folder: (folder / "a").write_text("newer"))
    assert contents(tmp_path) == {"checkpoint/a": b"newer"}


def test_failed_write_is_one_sentence_and_leaves_what_was_there(tmp_path: Path) -> None:
    def half(folder: Path) -> None:
        (folder / "a").write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    target = tmp_path / "checkpoint"
    with pytest.raises(TrainingError, match="No space left on device.*make room.*there was none before"):
        write_folder(target, half)
    write_folder(target, lambda folder: (folder / "a").write_text("whole"))
    with pytest.raises(TrainingError, match="the one before is intact"):
        write_folder(target, half)
    assert contents(tmp_path) == {"checkpoint/a": b"whole"}


def test_run_killed_between_the_renames_of_its_checkpoint_goes_on(
    toy_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = finished(toy_root)
    before = contents(root / "run" / "checkpoint")
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(checkpoint.os, "replace", interrupted_rename(2))
        train(toy("refiner", root, "run", steps=3))
    recover(root / "run" / "checkpoint")
    assert contents(root / "run" / "checkpoint") == before
    assert train(toy("refiner", root, "run", steps=3)).step == 3
    assert {path.name for path in (root / "run").iterdir()} >= {"checkpoint", "network"}
    assert not list((root / "run").glob("*.old")) + list((root / "run").glob("*.new"))


def test_killed_before_the_last_network_was_written_the_same_call_writes_it(
    toy_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(TrainingError, match="network could not be written"):
        patch.setattr(refiner.Refiner, "save", full)
        train(toy("refiner", toy_root, "run"))
    assert train(toy("refiner", toy_root, "run")).step == 2
    load_network(toy_root / "run" / "network")
