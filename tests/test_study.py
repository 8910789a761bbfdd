"""The whole study with a tiny budget and a small network: every arm, resumed after a kill, collected as JSON."""

import dataclasses
import json
import os
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_runs import sample_photos, small_network

from lwr.tasks import TASKS
from training.checkpoint import TrainingError
from training.data.photos import split_of
from training.study import __main__ as study
from training.study import arms, batches, collect, jobs, measure, plan, run
from training.study.arms import ARMS, MARKS, Unit

SMALL = {"crop": 32, "batch": 2, "group": 1, "warmup": 1}
COUNT = 4  # batches of each task


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
def small() -> Iterator[pytest.MonkeyPatch]:
    """A study that a test can afford."""
    with pytest.MonkeyPatch.context() as patch:
        budget = dataclasses.replace(arms.BUDGET, **SMALL)
        for module in (arms, batches, collect, plan, run):
            if hasattr(module, "BUDGET"):
                patch.setattr(module, "BUDGET", budget)
        patch.setattr(measure, "CROP", 64)
        patch.setattr(measure, "SWAPPED", 1)
        patch.setattr(run, "PRIOR_BATCH", 2)
        patch.setattr(run, "PRIOR_CROP", 32)
        patch.setattr(run, "make_start", lambda work: shutil.copytree(small_network(), work / "start"))
        yield patch


def options(folder: Path, **changes: object) -> plan.Options:
    """Of the study in `folder`."""
    given = {"samples": COUNT * SMALL["batch"], "prior_samples": 4, "validation": 2, "device": "cpu", "seeds": 2}
    places = {"work": folder / "work", "out": folder / "out"}
    return plan.Options("strategies", str(folder / "photos"), **given | places | changes)


@pytest.fixture(scope="module")
def result(folder: Path, small: pytest.MonkeyPatch) -> dict:
    """What the command wrote."""
    small.setattr(plan, "LEAST_SAMPLES", 8)
    words = ["strategies", "--photos", str(folder / "photos"), "--samples", str(COUNT * SMALL["batch"])]
    words += ["--prior-samples", "4", "--validation", "2", "--device", "cpu"]
    words += ["--work", str(folder / "work"), "--out", str(folder / "out")]
    small.setattr(study, "LEAST", study.LEAST | {"samples": 8})
    assert study.main(words) == 0
    return json.loads((folder / "out" / "study-strategies.json").read_text())


def test_every_arm_is_measured_on_every_photo(result: dict) -> None:
    assert list(result["arms"]) == list(ARMS)
    for name, arm in result["arms"].items():
        assert list(arm["runs"]) == (["0", "1"] if ARMS[name].every_seed else ["0"])
        for found in arm["runs"].values():
            assert list(found["scores"]) == [str(mark) for mark in MARKS]
            for tasks in found["scores"].values():
                assert set(tasks) == set(arm["tasks"])
                assert {len(values) for scores in tasks.values() for values in scores.values()} == {2}
