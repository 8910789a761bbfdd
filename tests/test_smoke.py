"""The recipes from photographs to a usable network, a step a stage, by the commands that their scripts give.

A script gets a Python that only notes them; then they run here, as so many processes would take a minute to
import torch. In tests/test_training_resume.py and tests/test_cli.py the same commands are real processes.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from toy_runs import small_network
from typer.testing import CliRunner

from lwr.cli import app
from lwr.loading.adapter import load_adapter
from lwr.loading.priors import EMBEDDED
from training import run
from training.recipe import STAGES, plan

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / "lwr" / "samples"


def commands(folder: Path, script: str, *arguments: object, **environment: str) -> list[list[str]]:
    """What a script of training/runs gives Python to do, without doing it."""
    noting, notes = folder / "python", folder / "commands.jsonl"
    code = f"import json, sys\nprint(json.dumps(sys.argv[1:]), file=open({str(notes)!r}, 'a'))\n"
    noting.write_text(f"#!{sys.executable}\n{code}")
    noting.chmod(0o755)
    words = [ROOT / "training" / "runs" / script, *map(str, arguments)]
    own = os.environ | {"PYTHON": str(noting)} | environment
    subprocess.run(words, env=own, check=True, capture_output=True)
    return [json.loads(line) for line in notes.read_text().splitlines()]


def do(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """`python -m training.run ...` in this process."""
    assert command[:2] == ["-m", "training.run"]
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", command[1:])
    run.main()


def restored(network: Path, out: Path) -> None:
    """The network has an adapter for haze, and restores a photo with it."""
    assert load_adapter(network / "adapters" / "dehaze", "dehaze", "embedded").pairs
    words = ["restore", str(SAMPLES / "hazy-rocket.jpg"), "--task", "dehaze", "--prior", str(network)]
    done = CliRunner().invoke(app, [*words, "--out", str(out), "--overwrite"])
    assert done.exit_code == 0, done.output
    with Image.open(SAMPLES / "hazy-rocket.jpg") as before, Image.open(out) as after:
        assert after.size == before.size
        assert after.convert("RGB").tobytes() != before.convert("RGB").tobytes()


def test_cpu_smoke_recipe_ends_in_an_adapter_that_restores_a_photo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    *stages, restore = commands(tmp_path, "cpu_smoke.sh", SAMPLES, tmp_path / "out", 1)
    assert len(stages) == 6
    for stage in stages:
        do(stage, monkeypatch)
    assert restore[:3] == ["-m", "lwr", "restore"] and str(tmp_path / "out/adapter/network") in restore
    restored(tmp_path / "out/adapter/network", tmp_path / "restored.png")


def test_chosen_stages_start_from_the_start_and_share_all_the_minutes(tmp_path: Path) -> None:
    words = ["--photos", str(SAMPLES), "--out", str(tmp_path), "--minutes", "8", "--start", str(EMBEDDED)]
    large, adapter = plan([*words, "--stages", "large,adapter"])
    assert (large.init, adapter.init) == (str(EMBEDDED), large.out)
    assert large.minutes + adapter.minutes == pytest.approx(8)


def test_one_gpu_recipe_runs_on_a_cpu_from_any_network(tmp_path: Path) -> None:
    tiny = ["--steps", 1, "--batch", 4, "--crop", 32, "--precision", "no", "--distance", "gradient"]
    tiny += ["--workers", 1, "--photos-limit", 4]
    script = ROOT / "training" / "runs" / "one_gpu.sh"
    command = [str(word) for word in ("bash", script, SAMPLES, tmp_path / "out", 25, *tiny)]
    environment = os.environ | {"START": str(small_network()), "PYTHON": sys.executable}
    subprocess.run(command, check=True, env=environment)
    configs = [json.loads(path.read_text()) for path in (tmp_path / "out").glob("*/config.json")]
    assert sum(config["minutes"] for config in configs) == pytest.approx(25)
    assert len({config["seed"] for config in configs}) == len(configs) == len(STAGES)
    network = tmp_path / "out/adapter/network"
    restored(network, tmp_path / "restored.png")
    assert max(path.stat().st_size for path in network.rglob("*") if path.is_file()) < 10e6
