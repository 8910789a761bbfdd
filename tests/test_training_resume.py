"""A run may be stopped at any moment, in any way, and the same call goes on as if nothing had happened."""

import errno
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_runs import (
    ADVERSARIAL,
    ROOT,
    contents,
    differing,
    log,
    options,
    tensors,
    toy,
    train_until,
)

import training.stages.wrapping
from lwr.network import load_network
from training import checkpoint, loop, run
from training.checkpoint import TrainingError, recover, write_folder
from training.config import Config
from training.data import CropSampler
from training.draws import draws_of
from training.loop import train
from training.mixture import draw
from training.photos import load_photos

pytest_plugins = ["toy_runs"]
LOOKING = {"validate_minutes": 0.02, "validate_crop": 64, "save_minutes": 0.03}  # in the midst of a run


class Killed(BaseException):
    """In place of SIGKILL at a chosen instruction: nothing that handles errors catches it."""


@pytest.mark.parametrize(
    ("preset", "changes", "watched"),
    [
        ("end-to-end", ADVERSARIAL, {}),
        (
            "wrapping",
            {"accumulate": 2},
            {"validate_minutes": 1e-9, "validate_crop": 64, "save_minutes": 0.01},
        ),
    ],
    ids=["adversarial", "accumulating-and-watched"],
)
def test_stopped_and_resumed_run_equals_an_unbroken_one_bit_for_bit(
    toy_root: Path, preset: str, changes: dict[str, Any], watched: dict[str, Any]
) -> None:
    held_out_photo(toy_root / "photos", 100)
    unbroken = train(toy(preset, toy_root, "unbroken", steps=20, **changes))
    broken = toy(preset, toy_root, "broken", steps=20, **changes | watched)
    stopped, resumed = train_until(9, broken), train(broken)
    assert [(o.step, o.interrupted) for o in (unbroken, stopped, resumed)] == [
        (20, False),
        (9, True),
        (20, False),
    ]
    for part in ("checkpoint", "network"):
        assert not differing(tensors(unbroken.out / part), tensors(resumed.out / part)), part
    assert [line["step"] for line in log(resumed.out)] == list(range(1, 21))
    assert [line["loss"] for line in log(resumed.out)] == [line["loss"] for line in log(unbroken.out)]
    if "gan" in changes:  # the discriminator had its say on either side
        steps = [line["step"] for line in log(resumed.out, "gan")]
        assert min(steps) <= 9 < max(steps)


def moved(run_folder: Path, start: Path) -> float:
    """The largest change of a weight since the start."""
    before, after = load_network(start / "network").state_dict(), tensors(run_folder / "checkpoint")
    return max((after[f"model.safetensors:network.{n}"] - x).abs().max().item() for n, x in before.items())


def test_two_processes_give_what_one_gives_with_the_whole_batch(toy_root: Path) -> None:
    changes = ADVERSARIAL | {"steps": 6, "warmup": 2, "exact": 0.3, "gan": 0.02, "minutes": 10_000.0}
    one = toy("end-to-end", toy_root, "one", batch=4, **changes)
    two = toy("end-to-end", toy_root, "two", batch=2, **changes)
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "2", "--cpu"]
    command = [*launch, "-m", "training.run", "end-to-end", *options(two)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as both:
        train(one)
        output, _ = both.communicate()
    assert both.returncode == 0, output[-3000:]
    a, b = (tensors(toy_root / name / "checkpoint") for name in ("one", "two"))
    assert a.keys() == b.keys() and moved(toy_root / "two", toy_root / "start") > 1e-4
    weights = [
        name for name in a if name.startswith(("model.", "custom_checkpoint_2"))
    ]  # and the discriminator
    assert max((a[name] - b[name]).abs().max().item() for name in weights) < 1e-5


def test_sigterm_saves_exits_143_with_one_sentence_and_the_same_command_goes_on(
    toy_root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("trackio")
    config = toy("wrapping", toy_root, "run", steps=10_000, minutes=10_000.0, tracker="trackio")
    arguments = ["wrapping", *options(config)]
    environment = os.environ | {"TRACKIO_DIR": str(toy_root / "metrics"), "HF_HUB_OFFLINE": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "training.run", *arguments],
        **{
            "cwd": ROOT,
            "env": environment,
            "text": True,
            "stdout": subprocess.DEVNULL,
            "stderr": subprocess.PIPE,
        },
    )
    lines = toy_root / "run" / "log.jsonl"
    while process.poll() is None and not (lines.exists() and len(log(toy_root / "run")) >= 2):
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    errors = process.communicate(timeout=60)[1]
    step = log(toy_root / "run")[-1]["step"]
    assert process.returncode == 143, errors
    assert errors.splitlines()[-1] == f"stopped at step {step} and saved; the same command goes on"
    assert "Traceback" not in errors
    load_network(toy_root / "run" / "network")
    metrics = b"".join(path.read_bytes() for path in (toy_root / "metrics").rglob("*.db*"))
    assert b"loss" in metrics  # trackio wrote where it was told to, offline

    monkeypatch.setattr(sys, "argv", ["run", *arguments, "--tracker", "none"])
    monkeypatch.setattr(loop, "train", lambda config: train_until(step + 2, config))  # and stop again
    with pytest.raises(SystemExit, match="143"):
        run.main()
    assert [line["step"] for line in log(toy_root / "run")] == list(range(1, step + 3))
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"stopped at step {step + 2} and saved")


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
    """os.replace that dies instead of its rename number `at`."""
    replace, count = os.replace, iter(range(1, 100))

    def rename(source: Path, target: Path) -> None:
        if next(count) == at:
            raise Killed
        replace(source, target)

    return rename


@pytest.mark.parametrize("at", [1, 2])
def test_run_killed_between_the_renames_of_its_checkpoint_goes_on(
    finished_root: Path, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(finished_root / "run" / "checkpoint")
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(checkpoint.os, "replace", interrupted_rename(at))
        train(toy("wrapping", finished_root, "run", steps=3))
    recover(finished_root / "run" / "checkpoint")
    assert contents(finished_root / "run" / "checkpoint") == before
    assert train(toy("wrapping", finished_root, "run", steps=3)).step == 3
    assert {path.name for path in (finished_root / "run").iterdir()} >= {"checkpoint", "network"}
    assert not list((finished_root / "run").glob("*.old")) + list((finished_root / "run").glob("*.new"))


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


def test_killed_before_the_last_network_was_written_the_same_call_writes_it(
    toy_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(TrainingError, match="network could not be written"):
        patch.setattr(training.stages.wrapping.Wrapping, "save", full)
        train(toy("wrapping", toy_root, "run"))
    assert train(toy("wrapping", toy_root, "run")).step == 2
    load_network(toy_root / "run" / "network")


def test_half_a_line_of_the_log_does_not_keep_a_killed_run_from_going_on(finished_root: Path) -> None:
    with (finished_root / "run" / "log.jsonl").open("a") as file:
        file.write('{"step": 3, "lo')
    train(toy("wrapping", finished_root, "run", steps=4))
    assert [line["step"] for line in log(finished_root / "run")] == [1, 2, 3, 4]


def test_full_disk_is_one_sentence_and_the_old_checkpoint_stays(finished_root: Path) -> None:
    before = [contents(finished_root / "run" / part) for part in ("checkpoint", "network")]
    more = options(toy("wrapping", finished_root, "run", steps=3, minutes=10_000.0))
    done = subprocess.run(
        [sys.executable, "-m", "training.run", "wrapping", *more],
        **{"cwd": ROOT, "capture_output": True, "text": True},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000)),
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr
    sentence = done.stderr.splitlines()[-1]
    assert "checkpoint could not be written" in sentence and sentence.endswith("the one before is intact.")
    assert [contents(finished_root / "run" / part) for part in ("checkpoint", "network")] == before
    assert not list((finished_root / "run").glob("*.new"))


def test_full_disk_is_one_sentence_wherever_it_shows_first(
    toy_root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(loop.Watch, "write", full)  # a line of the log
    monkeypatch.setattr(sys, "argv", ["run", "wrapping", *options(toy("wrapping", toy_root, "run"))])
    with pytest.raises(SystemExit, match="1"):
        run.main()
    assert "No space left on device" in capsys.readouterr().err


def test_loss_that_is_no_number_names_the_crops_and_leaves_the_checkpoint(
    finished_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(finished_root / "run" / "checkpoint")
    config = toy("wrapping", finished_root, "run", steps=4)

    def drawn(config: Config, step: int) -> list[str]:
        sampler = CropSampler(load_photos(config.photos, "train"), config.crop, torch.device("cpu"))
        draw(config, sampler, draws_of(config, torch.device("cpu"), step))
        return sampler.drawn

    nan = torch.tensor(float("nan"), requires_grad=True)
    monkeypatch.setattr(training.stages.wrapping, "log_error", lambda *_: nan * 1)
    names = ", ".join(drawn(config, 2))
    with pytest.raises(TrainingError, match=f"The loss of step 3 is nan, on crops of {names};"):
        train(config)
    assert contents(finished_root / "run" / "checkpoint") == before
