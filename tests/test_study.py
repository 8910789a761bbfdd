"""The whole study with a tiny budget and a small network: every arm, resumed after a kill, and its JSON."""

import dataclasses
import json
import os
import shutil
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from toy_runs import sample_photos, small_network

from lwr.loading.load import load_network
from training.checkpoint import TrainingError
from training.data.photos import split_of
from training.study import __main__ as study
from training.study import arms, batches, collect, measure, plan, run, statistics, timing
from training.study.arms import ARMS, MARKS, Unit
from training.study.jobs import Job, missing, run_all

SMALL = {"crop": 32, "batch": 2, "group": 1, "warmup": 1}
COUNT = 4  # batches of each task
TASKS = ("deblur", "dehaze", "denoise")
ALIKE = ("lora-4", "lora-8", "lora-16", "lora-32", "no-unet-separate", "pair-worst")  # others stand for them
CHOSEN = tuple(name for name in ARMS if name not in ALIKE)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sample photos under names of the training and of the validation split."""
    root = tmp_path_factory.mktemp("study")
    sample_photos(root / "photos")
    for index, path in enumerate(sorted((root / "photos").iterdir())[:2]):
        names = (f"v-{index}-{k}.jpg" for k in range(10_000))
        shutil.copy(path, root / "photos" / next(name for name in names if split_of(name) == "validation"))
    return root


@pytest.fixture(scope="module")
def small() -> Iterator[None]:
    """A study that a test can afford."""
    with pytest.MonkeyPatch.context() as patch:
        budget = dataclasses.replace(arms.BUDGET, **SMALL)
        for module in (arms, collect, plan, run):
            patch.setattr(module, "BUDGET", budget)
        patch.setattr(study, "LEAST", study.LEAST | {"samples": COUNT * SMALL["batch"]})
        patch.setattr(measure, "CROP", 64)
        patch.setattr(measure, "SWAPPED", 1)
        patch.setattr(timing, "WARM", 0)
        patch.setattr(timing, "TIMED", 1)
        patch.setattr(run, "PRIOR_BATCH", 2)
        patch.setattr(run, "PRIOR_CROP", 32)
        patch.setattr(run, "make_start", lambda work: shutil.copytree(small_network(), work / "start"))
        yield


def command(folder: Path, *more: str) -> list[str]:
    """The study in `folder`."""
    given = {"photos": folder / "photos", "samples": COUNT * SMALL["batch"], "prior-samples": 4}
    given |= {"validation": 2, "device": "cpu", "tasks": ",".join(TASKS), "seeds": 1}
    given |= {"work": folder / "work", "out": folder / "out"}
    return [
        "strategies",
        *(word for name, value in given.items() for word in (f"--{name}", str(value))),
        *more,
    ]


@pytest.fixture(scope="module")
def result(folder: Path, small: None) -> dict:
    """What the command wrote."""
    assert study.main(command(folder, "--arms", ",".join(CHOSEN))) == 0
    return json.loads((folder / "out" / "study-strategies.json").read_text())


def test_every_arm_is_measured_on_every_photo(result: dict, folder: Path) -> None:
    assert list(result["arms"]) == list(CHOSEN) and result["config"]["tasks"] == list(TASKS)
    for name, arm in result["arms"].items():
        pair = result["grouping"].get(name.removeprefix("pair-"))
        assert set(arm["tasks"]) == set(pair or TASKS)
        marks = [str(mark) for mark in MARKS if not ARMS[name].starts_from or mark > arms.HALF]
        (found,) = arm["runs"].values()
        assert list(found["scores"]) == marks
        for tasks in found["scores"].values():
            assert set(tasks) == set(arm["tasks"])
            assert {len(values) for scores in tasks.values() for values in scores.values()} == {2}
        assert arm["seconds_per_step"] > 0 and arm["trainable"] > 0
        if not pair:
            assert {asked for row in found["swap"].values() for asked in row} == set(TASKS)
    assert str(folder) not in (folder / "out" / "study-strategies.json").read_text()
    names = {"study-strategies.json", "study-strategies.md", "study-strategies.png", "study.md", "study.webp"}
    assert names <= {path.name for path in (folder / "out").iterdir()}


def test_arms_train_what_the_table_says(result: dict, folder: Path) -> None:
    trained = {name: arm["trainable"] for name, arm in result["arms"].items()}
    assert trained["separate"] == len(TASKS) * trained["shared"] and trained["no-prompt"] == trained["shared"]
    assert trained["trained-on"] == trained["random-unet"] == trained["full"] / len(TASKS) > trained["shared"]
    assert trained["no-unet"] < trained["shared"]
    stored = {name: arm["stored_mb_per_task"] for name, arm in result["arms"].items()}
    assert (
        stored["shared"] == stored["embedding"] == 0 < stored["lora-2"] < stored["separate"] < stored["full"]
    )
    start, prior = (load_network(folder / "work" / name) for name in ("start", "prior"))
    unets = [dict(network.prior.unet.named_parameters()) for network in (start, prior)]
    assert not torch.equal(unets[0]["conv_in.weight"], unets[1]["conv_in.weight"])
    assert torch.equal(start.prior.vae.encoder.conv_in.weight, prior.prior.vae.encoder.conv_in.weight)


def test_a_deaf_network_is_deaf_and_the_tables_come_from_the_json(result: dict, folder: Path) -> None:
    for name in ("no-prompt", "no-unet"):
        assert statistics.obedience(result, name) == 0
        for row in result["arms"][name]["runs"]["0"]["swap"].values():
            assert len({tuple(cell["psnr"]) for cell in row.values()}) == 1
    gain = statistics.estimate(result, "separate").mean
    outputs = result["arms"]["separate"]["runs"]["0"]["scores"]["1.0"]
    by_hand = [
        after - before
        for task in TASKS
        for after, before in zip(outputs[task]["psnr"], result["inputs"][task]["psnr"], strict=True)
    ]
    assert gain == pytest.approx(sum(by_hand) / len(by_hand), abs=1e-6)
    assert f"{gain:+.2f}" in (folder / "out" / "study.md").read_text()


def test_a_study_goes_on_where_it_was_killed(result: dict, folder: Path, small: None) -> None:
    whole = folder / "work" / "shared" / "seed0" / "network"
    again = folder / "again"
    shutil.copytree(
        folder / "work", again, ignore=shutil.ignore_patterns("shared", "lora-*", "full", "*.npy")
    )
    (again / "data-seed0").rmdir() if (again / "data-seed0").is_symlink() else shutil.rmtree(
        again / "data-seed0"
    )
    (again / "data-seed0").symlink_to(folder / "work" / "data-seed0")
    unit, steps = Unit("shared", 0, TASKS), 0

    class Killed(BaseException):
        pass

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arms, "BUDGET", dataclasses.replace(arms.BUDGET, save_minutes=1e-9))
        step = run.Optimisation.step

        def counted(self: run.Optimisation, loader: object) -> object:
            nonlocal steps
            steps += 1
            if steps == 8:
                raise Killed
            return step(self, loader)

        patch.setattr(run.Optimisation, "step", counted)
        with pytest.raises(Killed):
            run.run(unit, again, COUNT, "cpu")
        run.run(unit, again, COUNT, "cpu")
    assert steps == 8 + len(TASKS) * COUNT - 7
    for mark in MARKS:
        name = f"scores-{mark}.json"
        kept = again / "shared" / "seed0" / "network" / name
        assert json.loads(kept.read_text()) == json.loads((whole / name).read_text())


def test_a_prior_that_was_interrupted_is_none_yet(result: dict, folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "work" / "start", tmp_path / "start")
    parts = plan.load_parts(plan.Config("none", photos=str(folder / "photos")), "train", None)
    step = run.Optimisation.step

    def interrupted(self: run.Optimisation, loader: object) -> object:
        os.kill(os.getpid(), signal.SIGINT)  # as Ctrl-C does
        return step(self, loader)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run.Optimisation, "step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run.pretrain(tmp_path, 6, parts, "cpu")
    assert not (tmp_path / "prior").exists()
    run.pretrain(tmp_path, 6, parts, "cpu")
    assert (tmp_path / "prior" / "unet").is_dir()
    ended = json.loads((tmp_path / "prior-run" / "checkpoint" / "checkpoint.json").read_text())
    assert ended["step"] == 3, "it went on with the step that it had made"


def test_nothing_runs_twice_and_other_options_are_refused(
    result: dict, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in (folder / "work").rglob("*.json")}
    assert study.main(command(folder, "--arms", ",".join(CHOSEN))) == 0
    assert before == {path: path.stat().st_mtime_ns for path in (folder / "work").rglob("*.json")}
    assert study.main(command(folder, "--validation", "1")) == 2
    assert "validation is 2 there, 1 here" in capsys.readouterr().err


def test_every_arm_sees_the_same_batches(result: dict, folder: Path, small: None) -> None:
    data, config = folder / "work" / "data-seed0", arms.BUDGET
    shared = batches.Batches(data, TASKS, config, CPU)
    alone = batches.Batches(data, TASKS[1:2], config, CPU)
    later = batches.Batches(data, TASKS, config, CPU, first=2)
    for round_ in range(COUNT):
        one, other = shared(round_ * len(TASKS) + 1)[0], alone(round_)[0]
        assert one.tasks == other.tasks == {TASKS[1]: 1.0} and torch.equal(one.degraded, other.degraded)
    assert torch.equal(later(0)[0].degraded, shared(2 * len(TASKS))[0].degraded)


def test_a_wrong_prompt_must_change_nothing_unless_no_prompt_is_heard(tmp_path: Path, folder: Path) -> None:
    config = dataclasses.replace(arms.BUDGET, **SMALL)
    parts = plan.load_parts(plan.Config("none", photos=str(folder / "photos")), "train", None)
    batches.make_batches(tmp_path, "dehaze", 30, config, parts)
    hearing, deaf = (batches.Batches(tmp_path, ["dehaze"], config, CPU, deaf=deaf) for deaf in (False, True))
    kinds = hearing.kinds["dehaze"]
    assert 0 < kinds.count("wrong") < 10
    wrong, right = kinds.index("wrong"), kinds.index("right")
    batch = hearing.of("dehaze", wrong)[0]
    assert batch.target is batch.degraded and not torch.equal(
        deaf.of("dehaze", wrong)[0].target, batch.degraded
    )
    batch = hearing.of("dehaze", right)[0]
    assert (batch.degraded - batch.target).abs().mean() > 0.01


def test_every_seed_runs_the_arms_that_the_conclusion_rests_on() -> None:
    options = plan.Options("strategies", "photos", seeds=2, arms=("lora-8", "embedding", "pair-best"))
    found = {(unit.arm, unit.seed) for unit in plan.units_of(options)}
    expected = {(name, seed) for name in ("shared", "lora-8", "separate", "trained-on") for seed in (0, 1)}
    assert found == expected | {("embedding", 0), ("pair-best", 0)}


def test_what_is_missing_is_made_in_order_and_side_by_side(tmp_path: Path) -> None:
    a, b, c, d = (tmp_path / name for name in "abcd")
    jobs = [Job(c, (a, b), partial(Path.touch, c)), Job(a, (), partial(Path.touch, a))]
    jobs += [Job(b, (a,), partial(Path.touch, b)), Job(d, (), partial(Path.touch, d))]
    assert [job.makes for job in missing(jobs, [c])] == [c, a, b]
    run_all(jobs, [b])
    assert a.exists() and b.exists() and not c.exists()
    a.unlink()
    assert [job.makes for job in missing(jobs, [b, d])] == [d]
    a.touch()
    run_all(jobs, [c, d], processes=2)
    assert c.exists() and d.exists()
    with pytest.raises(FileNotFoundError):
        run_all([Job(tmp_path / "e", (), partial(Path.unlink, tmp_path / "none"))], [tmp_path / "e"], 2)


def test_a_study_without_a_photo_to_measure_on_says_so(tmp_path: Path) -> None:
    sample_photos(tmp_path / "photos")
    with pytest.raises((TrainingError, FileNotFoundError), match="validation"):
        measure.make_held_out(str(tmp_path / "photos"), 4, TASKS, tmp_path / "held-out.pt")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["strategies"], "missing: --photos"),
        (["strategies", "--photos", "nowhere"], "There is no file or folder nowhere"),
        (["strategie", "--photos", "here"], "invalid choice 'strategie'"),
        (["strategies", "--photos", "nowhere", "--seeds", "0"], "--seeds is 0: use 1 or more."),
        (["strategies", "--photos", "nowhere", "--samples", "3"], "--samples is 3: use "),
        (
            ["strategies", "--photos", "nowhere", "--photos-limit", "-1"],
            "--photos-limit is -1: use 1 or more.",
        ),
        (["strategies", "--photos", "nowhere", "--arms", "lora-3"], "--arms has 'lora-3': use separate,"),
        (["strategies", "--photos", "nowhere", "--tasks", "deblur"], "--tasks names fewer than three"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    words: list[str],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        status: object = study.main(words)
    except SystemExit as stop:
        status = stop.code
    message = capsys.readouterr().err
    assert status == 2 and sentence in message and len(message.splitlines()) == 1
