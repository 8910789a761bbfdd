"""What a run prints and writes, what its command line understands, what it refuses in one sentence."""

import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from PIL import Image
from toy_runs import ROOT, SAMPLES, contents, held_out_photo, log, named_for, options, toy

from training import logger, run
from training.checkpoint import TrainingError
from training.config import Config
from training.logger import Logger
from training.loop import train
from training.muon import Muon
from training.optimise import LEAST_LR, Progress, decay
from training.presets import PRESETS
from training.run import resolve
from training.saving import METADATA
from training.stages import refiner

Refused = Callable[[Sequence[str]], str]


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refused:
    """refused(ARGUMENTS): exit status and the one line of `python -m training.run ARGUMENTS`, which fails."""

    def answer(arguments: Sequence[str]) -> str:
        monkeypatch.setattr(sys, "argv", ["run", *arguments])
        with pytest.raises(SystemExit) as stop:
            run.main()
        (line,) = [x for x in capsys.readouterr().err.splitlines() if "python -m training.run: " in x]
        return f"{stop.value.code} {line.split('python -m training.run: ')[1]}"

    return answer


ANSWERS = {  # arguments beside those of a toy refiner run: exit status and what the sentence says
    "--device cuda": "1 There is no CUDA device here: use --device cpu",
    "--device tpu": "1 --device is 'tpu': use auto, cpu, cuda.",
    "--precision fp16": "1 fp16 needs a CUDA device: use --precision no on a CPU.",
    "--precision int4": "1 --precision is 'int4': use no, bf16, fp16.",
    "--crop 50": "1 --crop is 50: use a multiple of 32.",
    "--crop 4096": "1 No photo has both sides of 4096 pixels or more",
    "--validate-crop 0": "1 --validate-crop is 0: use a multiple of 32.",
    "--batch 0": "1 --batch is 0: use 1 or more.",
    "--exact 0.6 --sampled 0.5": "1 --exact 0.6 and --sampled 0.5 are shares of one whole",
    "--scene 2 --batch 6": "1 --scene 2 takes one of 4 crops: use a --batch that is a multiple of 4",
    "--batch 4 --group 3": "1 --batch 4 is not a multiple of --group 3: change one of them.",
    "--schedule linear": "1 --schedule is 'linear': use cosine, constant.",
    "--tracker wandb": "1 --tracker is 'wandb': use trackio, tensorboard, none.",
    "--init nowhere": "1 nowhere has no network to start from: run the stage before it",
    "--photos lwr/tasks": "1 No photos of split train in lwr/tasks: it holds none",
    "--photos nowhere": "1 There is no file or folder nowhere",
    "--bacth 3": "2 Unrecognized options: --bacth, 3; did you mean --batch?",
    "--batch many": "2 Error parsing --batch: 'many' is no whole number.",
    "--muon perhaps": "2 Error parsing --muon: 'perhaps' is neither true nor false.",
}
DISTILL = {"--teacher-steps 1": "1 --teacher-steps is 1: use 2 to 250."}
IMPOSSIBLE = [
    "--tasks fog",
    "--tracker wandb",
    "--stage refinr",
    "--parts decodr --stage end_to_end",
    "--task-weights 0,0,0",
    "--task-weights nan,nan,nan",
    "--minutes 0",
    "--minutes nan",
    "--lr inf",
    "--lr -1",
    "--rank 0",
    "--clip nan",
    "--ema 2",
    "--exact 5",
    "--seed -1",
    "--group 0",
    "--distance foo",
    "--prediction foo",
    "--photos-limit 0",
]


def test_what_cannot_run_is_refused_in_one_sentence(toy_root: Path, refused: Refused) -> None:
    for words, answer in (ANSWERS | DISTILL).items():
        if torch.cuda.is_available() and ("cuda" in words or "fp16" in words):
            continue
        preset = "distill" if words in DISTILL else "refiner"
        device = ["--device", "auto"] if "fp16" in words else []
        arguments = [preset, *options(toy(preset, toy_root, "run")), *device, *words.split()]
        assert refused(arguments).startswith(answer), words
        assert not (toy_root / "run" / "checkpoint").exists(), words


def test_names_and_numbers_that_no_run_can_have_are_one_sentence_too(
    toy_root: Path, refused: Refused
) -> None:
    for words in IMPOSSIBLE:
        arguments = ["refiner", *options(toy("refiner", toy_root, "run")), *words.split()]
        assert refused(arguments)[0] in "12", words
        assert refused([*arguments, "--dry-run"])[0] in "12", words


def test_unknown_preset_is_answered_with_the_nearest(refused: Refused) -> None:
    answer = refused(["refinr"])
    assert answer.startswith("2 ") and "there is no preset 'refinr'; did you mean refiner" in answer
    assert refused(["zzz"]).endswith(f"use one of {', '.join(PRESETS)}, diagnose.")


def test_checkpoint_of_another_architecture_is_refused_and_stays(
    finished_root: Path, refused: Refused
) -> None:
    before = contents(finished_root / "run" / "checkpoint")
    for changes in ({"refiner_rank": 8}, {"rank": 8}, {"stage": "adapter"}):
        other = toy("refiner", finished_root, "run", steps=3, lora_parts=("encoder",), **changes)
        answer = refused(["refiner", *options(other)])
        assert answer.startswith("1 The checkpoint in"), changes
        assert "give another --out, or --resume false" in answer, changes
        assert contents(finished_root / "run" / "checkpoint") == before, changes


def test_dry_run_prints_the_resolved_preset_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["refiner", "--dry-run", "--batch", "3", "--tasks", "dehaze,deblur", "--muon", "no"]
    monkeypatch.setattr(sys, "argv", ["run", *words, "--out", str(tmp_path / "run")])
    run.main()
    out = str(tmp_path / "run")
    changes = {"batch": 3, "tasks": ("dehaze", "deblur"), "muon": False, "out": out}
    expected = dataclasses.replace(PRESETS["refiner"], **changes)
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(dataclasses.asdict(expected)))
    assert not (tmp_path / "run").exists()


def test_damaged_network_to_start_from_is_one_sentence(
    tmp_path: Path, toy_root: Path, refused: Refused
) -> None:
    for damaged in ("refiner.safetensors", "restoration.json"):
        bad = tmp_path / damaged
        shutil.copytree(toy_root / "start" / "network", bad / "network")
        file = bad / "network" / damaged
        file.write_bytes(file.read_bytes()[:20])
        answer = refused(["refiner", *options(toy("refiner", toy_root, "run", init=str(bad)))])
        assert answer.startswith(f"1 The network in {bad} is damaged")


def test_damaged_checkpoint_is_one_sentence_with_the_way_out(finished_root: Path, refused: Refused) -> None:
    more = ["refiner", *options(toy("refiner", finished_root, "run", steps=3))]
    metadata = finished_root / "run" / "checkpoint" / METADATA
    model = metadata.with_name("model.safetensors")
    model.write_bytes(model.read_bytes()[:1000])
    assert "is damaged" in (answer := refused(more)) and "--resume false" in answer
    metadata.write_text("{")
    assert "is damaged" in (answer := refused(more)) and "--resume false" in answer


def test_other_rank_than_the_adapters_that_a_run_starts_from_is_refused(
    toy_root: Path, refused: Refused
) -> None:
    shipped = str(ROOT / "lwr" / "embedded")  # a network itself is taken as a start too
    answer = refused(["adapter", *options(toy("adapter", toy_root, "run", init=shipped, rank=8))])
    assert "has other ranks: give --rank 4 --refiner-rank 16" in answer


@pytest.mark.parametrize("preset", ["refiner", "adapter", "perceptual"])
def test_a_refiner_that_reads_the_unet_does_not_train_without_it(
    toy_root: Path, refused: Refused, preset: str
) -> None:
    config = toy(preset, toy_root, "run", init=str(ROOT / "lwr" / "embedded"), refiner_only=True, sampled=0.0)
    assert "reads what the UNet makes" in refused([preset, *options(config)])


def test_gradient_that_is_no_number_never_reaches_checkpoint_and_network(
    finished_root: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(finished_root / "run")
    monkeypatch.setattr(refiner, "log_error", lambda output, _: (output * 0).sum().sqrt())  # slope: infinite
    answer = refused(["refiner", *options(toy("refiner", finished_root, "run", steps=3))])
    assert answer.startswith("1 The gradient of step 3 is nan, on crops of")
    kept = contents(finished_root / "run")
    assert all(kept[n] == x for n, x in before.items() if n.startswith(("checkpoint", "network")))


def test_out_that_is_a_file_is_one_sentence_and_stays(toy_root: Path, refused: Refused) -> None:
    (toy_root / "run").write_text("mine")
    answer = refused(["refiner", *options(toy("refiner", toy_root, "run"))])
    assert answer.startswith("1 --out") and "cannot be a folder" in answer
    assert (toy_root / "run").read_text() == "mine"


def test_help_says_what_every_field_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        resolve(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "crops a process and micro-step" in text and "gradient norm" in text


def test_command_line_edits_every_kind_of_field() -> None:
    words = (
        "prior --minutes 1.5 --task-weights 1,2.5 --parts= --tasks deblur --muon TRUE --resume 0 --group 2 "
        "--photos some --init none"
    )
    config, dry = resolve(words.split())
    assert not dry and config.init is None and config.stage == "prior" and config.photos == "some"
    assert (config.minutes, config.task_weights, config.group) == (1.5, (1.0, 2.5), 2)
    assert (config.parts, config.tasks, config.muon, config.resume) == ((), ("deblur",), True, False)
    untouched = resolve(["prior", "--photos", "some"])[0]
    assert untouched == dataclasses.replace(PRESETS["prior"], photos="some")


def test_none_is_understood_wherever_a_field_may_be_none() -> None:
    optional = [field.name for field in dataclasses.fields(Config) if "None" in str(field.type)]
    assert {"minutes", "init", "group", "photos_limit", "prior", "photos"} <= set(optional)
    words = [word for name in optional for word in (f"--{name.replace('_', '-')}", "none")]
    config = resolve(["refiner", *words, "--dry-run"])[0]
    assert all(getattr(config, name) is None for name in optional)


def test_photos_must_be_given_and_the_answer_names_the_option(toy_root: Path, refused: Refused) -> None:
    arguments = ["refiner", *options(toy("refiner", toy_root, "run", photos=None))]
    answer = refused(arguments)
    assert answer.startswith("2 No photos are given: add --photos with a folder of pictures")
    with pytest.raises(TrainingError, match="add --photos with a folder"):
        train(toy("refiner", toy_root, "run", photos=None))


def test_run_folder_says_what_ran_and_shows_held_out_photos(toy_root: Path) -> None:
    held_out_photo(toy_root / "photos", 100)
    (toy_root / "photos" / named_for("train", "broken")).write_bytes(b"not a photo")
    config = toy("refiner", toy_root, "run", validate_minutes=1e-9, validate_crop=64)
    train(config)
    out = toy_root / "run"
    assert json.loads((out / "config.json").read_text()) == json.loads(json.dumps(dataclasses.asdict(config)))
    versions = json.loads((out / "versions.json").read_text())
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    assert versions["torch"] == torch.__version__ and versions["commit"] == (commit.stdout.strip() or None)

    (start,) = log(out, "photos")
    assert (start["photos"], start["skipped"]) == (len(SAMPLES), 1)  # a damaged photo costs that photo only
    (skipped,) = log(out, "skipped_photo")
    assert skipped["skipped_photo"].startswith("broken") and "not a picture" in skipped["reason"]
    assert [line["step"] for line in log(out)] == [1, 2]
    scores = log(out, "validation")[0]
    assert {f"{kind}_{task}" for kind in ("psnr", "gain") for task in config.tasks} < scores.keys()
    grids = [Image.open(path) for path in sorted((out / "samples").glob("*.png"))]
    assert grids and all(grid.size == (3 * 64, len(config.tasks) * 64) for grid in grids)


def test_held_out_photos_that_are_too_small_do_not_end_a_run(toy_root: Path) -> None:
    held_out_photo(toy_root / "photos", 100)
    assert train(toy("refiner", toy_root, "run", validate_minutes=10.0, validate_crop=256)).step == 2


def test_machine_without_git_can_train(toy_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(toy_root))
    assert logger.versions()["commit"] is None


def test_tensorboard_gets_the_metrics_if_it_is_installed(toy_root: Path) -> None:
    pytest.importorskip("tensorboard")
    train(toy("refiner", toy_root, "run", tracker="tensorboard"))
    assert list((toy_root / "run").rglob("events.out.tfevents.*"))


def test_log_gives_means_of_the_steps_since_the_last_line(tmp_path: Path) -> None:
    config = Config("none", out=str(tmp_path), log_steps=4, tracker="none")
    logs = Logger(config, Accelerator(cpu=True), 0)
    for step in range(1, 9):
        kind = {"l1_good": 3.0, "n_good": 1.0} if step % 2 else {}  # logged by half of the steps
        logs.step(step, float(step), kind, step / 8, 0.0)
    assert [line["loss"] for line in log(tmp_path)] == [2.5, 6.5]
    assert [line["l1_good"] for line in log(tmp_path)] == [3.0, 3.0]


def test_validating_and_saving_between_two_lines_of_the_log_leaves_their_means_right(tmp_path: Path) -> None:
    config = Config("none", out=str(tmp_path), log_steps=4, tracker="none")
    logs = Logger(config, Accelerator(cpu=True), 0)
    for step in range(1, 5):
        logs.step(step, 1.0, {}, step / 4, 0.0)
        if step == 2:
            logs.pause(2)
    assert [line["loss"] for line in log(tmp_path)] == [1.0]


def test_run_that_starts_again_drops_its_checkpoint_and_log(finished_root: Path) -> None:
    assert train(toy("refiner", finished_root, "run", resume=False)).step == 2
    assert [line["step"] for line in log(finished_root / "run")] == [1, 2]
    assert len(log(finished_root / "run", "photos")) == 1


def test_finished_run_started_again_changes_nothing(finished_root: Path) -> None:
    before = [contents(finished_root / "run" / part) for part in ("checkpoint", "network")]
    assert train(toy("refiner", finished_root, "run")).step == 2
    assert [contents(finished_root / "run" / part) for part in ("checkpoint", "network")] == before
    assert [line["step"] for line in log(finished_root / "run")] == [1, 2]


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
def test_learning_rate_warms_up_and_then_follows_the_schedule(
    schedule: str, toy_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setattr(Muon, "step", lambda self, closure=None: seen.append(self.param_groups[0]["lr"]))
    config = toy("refiner", toy_root, "run", steps=6, warmup=3, schedule=schedule)
    train(config)
    rates = [config.lr * min(1, (i + 1) / 3) * decay(config, i / 6) for i in range(6)]
    assert seen == pytest.approx(rates)
    assert (seen[3:] == [config.lr] * 3) == (schedule == "constant")


def test_schedule_ends_at_whichever_limit_comes_first() -> None:
    config, progress = Config("none", steps=100, minutes=2.0), Progress()
    progress.step, progress.seconds = 25, 30.0
    assert progress.share(config) == 0.25
    progress.seconds = 60.0
    assert progress.share(config) == 0.5
    progress.seconds = 1e6
    assert progress.share(config) == 1
    assert progress.share(dataclasses.replace(config, minutes=None)) == 0.25
    factors = [decay(config, share / 10) for share in range(11)]
    assert factors[0] == 1 and factors[-1] == pytest.approx(LEAST_LR) and factors == sorted(factors)[::-1]
    assert decay(dataclasses.replace(config, schedule="constant"), 0.9) == 1
