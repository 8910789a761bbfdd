"""A task is one new file and its adapter: a stranger's is dropped into a copy and does all that ours do."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from small_sets import photos

ROOT = Path(__file__).parents[1]
TASK = '''"""Task "unbleach": photos that hung in the sun."""

from lwr.tasks.base import Task, Vocabulary


def degrade(clean, generator, params=None):
    """Mix (B,3,H,W) in [0,1] with a pale grey; 8-bit, same shape."""
    import torch

    if params is None:
        shares = torch.rand(len(clean), generator=generator, device=clean.device) * 0.4 + 0.3
        params = [{"share": round(share, 3)} for share in shares.tolist()]
    share = clean.new_tensor([one["share"] for one in params])[:, None, None, None]
    return torch.lerp(clean, torch.full_like(clean, 0.8), share).mul(255).round().div(255), params


TASK = Task(
    name="unbleach",
    title="Undo bleaching",
    instruction="undo the bleaching",
    examples=("undo the bleaching", "it hung in the sun"),
    vocabulary=Vocabulary(
        defects=("bleaching", "sun bleached", "bleached", "hung in the sun"), actions=("unbleach",)
    ),
    degrade=degrade,
    default_scale=1.0,
    arises="file",
    color_fix="none",
    formation="`I = J (1 - share) + 0.8 share`.",
    default_fidelity=1.0,
)
'''
# What a new task goes through; every step prints what the test then looks at.
STEPS = """
import json, shutil, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from PIL import Image
from lwr.prompt import route
from lwr.request import Request
from lwr.restore import Restorer
from lwr.tasks import TASKS
found = {"routed": [route(text).tasks for text in ("it was bleached", "unbleach and dehaze")]}

from typer.testing import CliRunner
from lwr.cli import app as command
words = ["degrade", "photos/00.png", "--task", "unbleach", "--seed", "1", "--out", "bad.png"]
found["degrade"] = CliRunner().invoke(command, words).exit_code

from training.build_dataset import main as build
words = ["--photos", "photos", "--out", "set", "--size", "64", "--workers", "1", "--tasks", "unbleach,deblur"]
found["dataset"] = [build(words), build(["--out", "set", "--verify"])]
found["dataset card"] = Path("set/README.md").read_text()

from training.run import resolve, run
words = "adapter --photos photos --tasks unbleach --init lwr/embedded --out run --steps 2 --batch 2 --crop 32"
words += " --scene 1 --distance gradient --tracker none --validate-minutes 0 --log-steps 1"
run(resolve(words.split())[0])
shutil.copytree("run/network/adapters/unbleach", "lwr/embedded/adapters/unbleach")

restored = Restorer.load()("bad.png", "strongly unbleach it")
found["restored"] = [restored.tasks, list(restored.image.size), restored.settings.fidelity]

from training.evaluate import main as evaluate
words = ["--clean", "photos", "--split", "all", "--limit", "1", "--task", "unbleach", "--out", "scores.json"]
found["evaluate"] = evaluate(words)
found["scores"] = json.loads(Path("scores.json").read_text())["scores"]

import app
layout = json.dumps(app.demo.get_config_file(), default=str)
found["page"] = [title in layout for title in ("Undo bleaching", "Strength: undo bleaching")]

from lwr.loading.adapter import load_adapter
from lwr.loading.priors import EMBEDDED
from lwr.models.config import PriorConfig
from training.publishing.cards import Measured, adapter_card, prior_card
from training.publishing.names import Names
from training.publishing.results import Results
names, prior = Names("somebody", "v1.0.0"), PriorConfig(**json.loads((EMBEDDED / "prior.json").read_text()))
metadata = load_adapter(EMBEDDED / "adapters" / "unbleach", "unbleach").metadata
measured = Measured.of(Results(), prior, {"unbleach": metadata})
found["card"] = adapter_card(names, TASKS["unbleach"], metadata, 1_000_000, measured)
found["prior card"] = prior_card(names, {task: names.pin(task) for task in TASKS}, measured)
Path("found.json").write_text(json.dumps(found))
"""


def linked(source: Path, target: Path, own: dict[str, object]) -> None:
    """A folder whose entries are links to those of `source`, but for `own`: {name: the same, of a folder}."""
    target.mkdir()
    for path in source.iterdir():
        if path.name in own:
            linked(path, target / path.name, own[path.name])
        elif path.name not in (".git", "__pycache__", "runs"):
            (target / path.name).symlink_to(path)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What came out of STEPS, in a copy of this repository with one more file."""
    copy = tmp_path_factory.mktemp("stranger") / "copy"
    linked(ROOT, copy, {"lwr": {"tasks": {}, "embedded": {"adapters": {}}}})
    (copy / "lwr" / "tasks" / "unbleach.py").write_text(TASK)
    photos(copy / "photos", 6)
    environment = os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", STEPS], cwd=copy, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return json.loads((copy / "found.json").read_text())


def test_its_sentences_are_understood_alone_and_beside_others(found: dict) -> None:
    assert found["routed"] == [{"unbleach": 1.0}, {"unbleach": 1.0, "dehaze": 1.0}]


def test_it_damages_photos_and_becomes_a_part_of_the_dataset(found: dict) -> None:
    assert found["degrade"] == 0 and found["dataset"] == [0, 0]
    assert "config_name: unbleach" in found["dataset card"] and "0.8 share" in found["dataset card"]


def test_its_adapter_trains_restores_and_is_measured(found: dict) -> None:
    assert found["restored"] == [{"unbleach": 1.0}, [80, 72], 1.0] and found["evaluate"] == 0
    asked = {case.split("|")[1] for case in found["scores"]}
    assert {"unbleach", "dehaze", "baseline input"} <= asked, "its own prompt and every other task's"


def test_the_page_and_the_cards_show_it(found: dict) -> None:
    assert all(found["page"])
    assert "undo bleaching" in found["card"] and "it hung in the sun" in found["card"]
    assert "lwr-unbleach" in found["prior card"]
