"""Studies: strategies trained at an equal budget, measured on the same photos, written as table and plot."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch
from toy_runs import small_network

from lwr.loading.load import load_network
from lwr.tasks import TASKS
from training import study
from training.checkpoint import TrainingError
from training.data.photos import split_of
from training.presets import PRESETS, STUDIES

SAMPLES = Path(__file__).parents[1] / "lwr" / "samples"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """The sample photos twice, under names of the training and of the validation split."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for split in ("train", "validation"):
        for index, path in enumerate(sorted(SAMPLES.glob("*.jpg"))):
            names = (f"{split}-{index}-{k}.jpg" for k in range(10_000))
            shutil.copy(path, folder / next(name for name in names if split_of(name) == split))
    return folder


def test_a_study_starts_from_the_shipped_prior_with_untrained_parts(tmp_path: Path) -> None:
    study.fresh_start(tmp_path / "network")
    start, shipped = load_network(tmp_path / "network"), load_network()
    weights = shipped.prior.state_dict()
    assert all(torch.allclose(x, weights[name], atol=1e-2) for name, x in start.prior.state_dict().items())
    assert start.prior.vae.config.scaling_factor == shipped.prior.vae.config.scaling_factor
    assert not torch.equal(start.encoder.enter.weight, shipped.encoder.enter.weight)


def test_a_study_compares_its_rows_on_the_same_photos(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(STUDIES, "tiny", ("separate", "shared"))
    monkeypatch.setattr(study, "CROP", 64)
    monkeypatch.setattr(study, "fresh_start", lambda folder: shutil.copytree(small_network(), folder))
    options = study.Options("tiny", str(photos), seeds=2, minutes=0.003, photos_limit=None, validation=2)
    result = study.study(options)
    rows = result["rows"]
    assert rows["separate"]["trainable"] == len(TASKS) * rows["shared"]["trainable"] > 0
    assert rows["shared"]["over_shared"] == {"mean": 0, "ci95": 0}
    for row in rows.values():
        assert len(row["gain_by_seed"]) == 2 and min(row["steps"]) > 0
        assert len(row["by_image"]) == 2 * len(TASKS)
        assert {len(asked) for asked in row["prompt_swap"].values()} == {len(TASKS)}
        images = [name for name in row["by_image"] if name.endswith("|dehaze")]
        mean = sum(row["by_image"][name] for name in images) / len(images)
        assert mean == pytest.approx(row["gain_by_task"]["dehaze"], abs=0.002)
    kept = {path: path.stat().st_mtime_ns for path in Path("runs").rglob("result.json")}
    assert len(kept) == 4
    assert study.study(options)["rows"] == json.loads(json.dumps(rows))  # nothing runs again
    assert kept == {path: path.stat().st_mtime_ns for path in Path("runs").rglob("result.json")}
    for change in ({"minutes": 0.02}, {"photos_limit": 3}, {"validation": 1}):
        ((name, value),) = change.items()
        with pytest.raises(TrainingError, match=f"{name} is {getattr(options, name)} there, {value} here"):
            study.study(dataclasses.replace(options, **change))
    assert study.table(result).count("| separate |") == 2
    one = study._paired({"a|" + task: 1.0 for task in TASKS}, {"a|" + task: 0.5 for task in TASKS})
    assert one == {"mean": 0.5, "ci95": None}, "a single photo has no interval"
    study.plot(result, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 5000


def test_a_study_without_a_photo_to_measure_on_trains_nothing(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(study, "CROP", 10_000)
    monkeypatch.setattr(study, "fresh_start", lambda folder: pytest.fail("it starts"))
    with pytest.raises(TrainingError, match="No clear photo of split validation in .* 10000 pixels"):
        study.study(study.Options("strategies", str(photos), seeds=1, minutes=0.01))


def test_every_studied_row_is_a_preset_with_the_same_budget() -> None:
    for rows in STUDIES.values():
        assert study.BASE in rows
        budgets = {(PRESETS[r].minutes, PRESETS[r].batch, PRESETS[r].crop, PRESETS[r].lr) for r in rows}
        assert len(budgets) == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["strategies"], "missing: --photos"),
        (["strategies", "--photos", "nowhere"], "There is no file or folder nowhere"),
        (["strategie", "--photos", "here"], "invalid choice 'strategie'"),
        (["strategies", "--photos", "nowhere", "--minutes", "none"], "There is no file or folder nowhere"),
        (["strategies", "--photos", "nowhere", "--seeds", "0"], "--seeds is 0: use 1 or more."),
        (["strategies", "--photos", "nowhere", "--validation", "0"], "--validation is 0: use 1 or more."),
        (
            ["strategies", "--photos", "nowhere", "--photos-limit", "-1"],
            "--photos-limit is -1: use 1 or more.",
        ),
        (
            ["strategies", "--photos", "nowhere", "--minutes", "-1"],
            "--minutes is -1.0: use a number above 0.",
        ),
        (["strategies", "--photos", "nowhere", "--minutes", "0"], "--minutes is 0.0: use a number above 0."),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status: object = study.main(words)
    except SystemExit as stop:
        status = stop.code
    message = capsys.readouterr().err
    assert status == 2 and sentence in message and len(message.splitlines()) == 1
