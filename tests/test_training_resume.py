"""A run may be stopped at any moment, in any way, and the same call goes on as if nothing had happened."""

import errno
import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from limits import full_disk
from toy_runs import (
    ADVERSARIAL,
    ROOT,
    contents,
    differing,
    held_out_photo,
    log,
    options,
    tensors,
    toy,
    train_in_two_processes,
    train_until,
)

from lwr.loading.load import load_network
from training import loop, run
from training.checkpoint import TrainingError
from training.config import Config
from training.data.crops import CropSampler
from training.data.mixture import draw
from training.data.photos import load_photos
from training.data.rng import rng_streams
from training.loop import train
from training.saving import METADATA
from training.stages import refiner

VALIDATED = {"validate_minutes": 1e-9, "validate_crop": 64, "save_minutes": 1e-9}  # after every step


@pytest.mark.parametrize(
    ("preset", "changes", "between"),
    [
        ("end-to-end", ADVERSARIAL, {}),
        ("refiner", {"accumulate": 2, "muon": False}, VALIDATED),
    ],
    ids=["adversarial", "accumulating-and-validated"],
)
def test_stopped_and_resumed_run_equals_an_unbroken_one_bit_for_bit(
    toy_root: Path, preset: str, changes: dict[str, Any], between: dict[str, Any]
) -> None:
    held_out_photo(toy_root / "photos", 100)
    unbroken = train(toy(preset, toy_root, "unbroken", steps=6, **changes))
    broken = toy(preset, toy_root, "broken", steps=6, **changes | between)
    stopped, resumed = train_until(3, broken), train(broken)
    assert (stopped.step, stopped.interrupted) == (3, True)
    assert (resumed.step, resumed.interrupted) == (unbroken.step, unbroken.interrupted) == (6, False)
    for part in ("checkpoint", "network"):
        assert not differing(tensors(unbroken.out / part), tensors(resumed.out / part)), part
    assert [line["step"] for line in log(resumed.out)] == list(range(1, 7))
    assert [line["loss"] for line in log(resumed.out)] == [line["loss"] for line in log(unbroken.out)]
    if "gan" in changes:  # the discriminator had its say on either side
        steps = [line["step"] for line in log(resumed.out, "gan")]
        assert min(steps) <= 3 < max(steps)


def moved(run_folder: Path, start: Path) -> float:
    """The largest change of a weight since the start."""
    before, after = load_network(start / "network").state_dict(), tensors(run_folder / "checkpoint")
    return max((after[f"model.safetensors:network.{n}"] - x).abs().max().item() for n, x in before.items())


def test_two_processes_give_what_one_gives_with_the_whole_batch(toy_root: Path) -> None:
    changes = ADVERSARIAL | {"steps": 2, "warmup": 1, "gan": 0.02, "minutes": 10_000.0}
    one = toy("end-to-end", toy_root, "one", batch=4, **changes)
    two = toy("end-to-end", toy_root, "two", batch=2, **changes)
    train_in_two_processes("end-to-end", two)
    train(one)
    a, b = (tensors(toy_root / name / "checkpoint") for name in ("one", "two"))
    assert a.keys() == b.keys() and moved(toy_root / "two", toy_root / "start") > 1e-4
    averages = [name for name in a if name.endswith(("exp_avg", "momentum"))]  # of the gradients
    assert len(averages) > 100
    for name in averages:
        assert (a[name] - b[name]).abs().max() <= 0.01 * a[name].abs().max() + 1e-8, name
    # Weights by their mean: plain pictures give biases gradients that are hardly more than rounding
    assert max((a[name] - b[name]).abs().mean() for name in a if name.startswith("model.")) < 1e-5
    discriminator = [name for name in a if name.startswith("custom_checkpoint_2")]
    assert (
        max((a[name] - b[name]).abs().mean() for name in discriminator) < 5e-5
    )  # Adam magnifies gradients near 0


def test_sigterm_saves_exits_143_with_one_sentence_and_the_same_command_goes_on(
    toy_root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tracker = "trackio" if importlib.util.find_spec("trackio") else "none"
    config = toy("refiner", toy_root, "run", steps=10_000, minutes=10_000.0, tracker=tracker)
    arguments = ["refiner", *options(config)]
    environment = os.environ | {"TRACKIO_DIR": str(toy_root / "metrics"), "HF_HUB_OFFLINE": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "training.run", *arguments],
        **{"cwd": ROOT, "env": environment, "text": True},
        **{"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE},
    )
    lines = toy_root / "run" / "log.jsonl"
    while process.poll() is None and not (lines.exists() and len(log(toy_root / "run")) >= 2):
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    errors = process.communicate(timeout=1200)[1]
    step = log(toy_root / "run")[-1]["step"]
    assert process.returncode == 143, errors
    assert errors.splitlines()[-1] == f"stopped at step {step} and saved; the same command continues"
    assert "Traceback" not in errors
    load_network(toy_root / "run" / "network")
    metrics = b"".join(path.read_bytes() for path in (toy_root / "metrics").rglob("*.db*"))
    assert b"loss" in metrics or tracker == "none"  # trackio wrote into the folder it was given, offline

    monkeypatch.setattr(sys, "argv", ["run", *arguments, "--tracker", "none"])
    monkeypatch.setattr(loop, "train", lambda config, photos: train_until(step + 2, config))  # and stop again
    with pytest.raises(SystemExit, match="143"):
        run.main()
    assert [line["step"] for line in log(toy_root / "run")] == list(range(1, step + 3))
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"stopped at step {step + 2} and saved")


def test_half_a_line_of_the_log_does_not_keep_a_killed_run_from_going_on(finished_root: Path) -> None:
    with (finished_root / "run" / "log.jsonl").open("a") as file:
        file.write('{"step": 3, "lo')
    train(toy("refiner", finished_root, "run", steps=4))
    assert [line["step"] for line in log(finished_root / "run")] == [1, 2, 3, 4]


def test_full_disk_is_one_sentence_and_the_old_checkpoint_stays(
    finished_root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = [contents(finished_root / "run" / part) for part in ("checkpoint", "network")]
    more = options(toy("refiner", finished_root, "run", steps=3, minutes=10_000.0))
    monkeypatch.setattr(sys, "argv", ["run", "refiner", *more])
    with full_disk(1_000_000), pytest.raises(SystemExit, match="1"):
        run.main()
    sentence = capsys.readouterr().err.splitlines()[-1]
    assert "could not be written" in sentence and sentence.endswith("the one before is intact.")
    assert [contents(finished_root / "run" / part) for part in ("checkpoint", "network")] == before
    assert not list((finished_root / "run").glob("*.new"))


def test_full_disk_is_one_sentence_wherever_it_shows_first(
    toy_root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(loop.Logger, "write", full)  # a line of the log
    monkeypatch.setattr(sys, "argv", ["run", "refiner", *options(toy("refiner", toy_root, "run"))])
    with pytest.raises(SystemExit, match="1"):
        run.main()
    assert "No space left on device" in capsys.readouterr().err


def test_loss_that_is_no_number_names_the_crops_and_leaves_the_checkpoint(
    finished_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(finished_root / "run" / "checkpoint")
    config = toy("refiner", finished_root, "run", steps=4)

    def drawn(config: Config, step: int) -> list[str]:
        sampler = CropSampler(load_photos(config.photos, "train"), config.crop, torch.device("cpu"))
        draw(config, sampler, rng_streams(config, torch.device("cpu"), step))
        return sampler.drawn

    nan = torch.tensor(float("nan"), requires_grad=True)
    monkeypatch.setattr(refiner, "log_error", lambda *_: nan * 1)
    names = ", ".join(drawn(config, 2))
    with pytest.raises(TrainingError, match=f"The loss of step 3 is nan, on crops of {names};"):
        train(config)
    assert contents(finished_root / "run" / "checkpoint") == before


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux signals a process that its parent has ended")
def test_sigterm_to_accelerates_launcher_saves_too(toy_root: Path) -> None:
    config = toy("refiner", toy_root, "run", steps=10_000, minutes=10_000.0)
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "1", "--cpu"]
    process = subprocess.Popen(
        [*launch, "-m", "training.run", "refiner", *options(config)],
        **{"cwd": ROOT, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL},
    )
    lines = toy_root / "run" / "log.jsonl"
    while process.poll() is None and not (lines.exists() and len(log(toy_root / "run")) >= 2):
        time.sleep(0.1)
    process.terminate()
    process.wait(1200)
    saved, started = toy_root / "run" / "checkpoint" / METADATA, time.monotonic()
    while not saved.exists() and time.monotonic() - started < 1200:
        time.sleep(0.2)
    assert saved.exists()
    load_network(toy_root / "run" / "network")
