"""The recipe from photographs to a usable adapter, a step a stage, by the commands that its script gives.

The script gets a Python that only notes them; then they run here, as seven processes would take a minute to
import torch. In tests/test_training_resume.py and tests/test_cli.py the same commands are real processes.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from lwr.cli import app
from lwr.loading.adapter import load_adapter
from training import run

ROOT = Path(__file__).parents[1]


def test_cpu_smoke_recipe_ends_in_an_adapter_that_restores_a_photo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noting, notes = tmp_path / "python", tmp_path / "commands.jsonl"
    code = f"import json, sys\nprint(json.dumps(sys.argv[1:]), file=open({str(notes)!r}, 'a'))\n"
    noting.write_text(f"#!{sys.executable}\n{code}")
    noting.chmod(0o755)
    recipe = [ROOT / "training" / "runs" / "cpu_smoke.sh", ROOT / "lwr" / "samples", tmp_path / "out", "1"]
    subprocess.run(recipe, env=os.environ | {"PYTHON": str(noting)}, check=True, capture_output=True)
    *stages, restore = [json.loads(line) for line in notes.read_text().splitlines()]
    monkeypatch.chdir(ROOT)
    for module, *words in (command[1:] for command in stages):
        assert module == "training.run" and len(stages) == 6
        monkeypatch.setattr(sys, "argv", [module, *words])
        run.main()
    assert restore[:2] == ["-m", "lwr"]
    done = CliRunner().invoke(app, restore[2:])
    assert done.exit_code == 0, done.output
    assert load_adapter(tmp_path / "out/adapter/network/adapters/dehaze", "dehaze", "embedded").pairs
    with (
        Image.open(ROOT / "lwr/samples/hazy-rocket.jpg") as before,
        Image.open(tmp_path / "out/restored.png") as after,
    ):
        assert after.size == before.size
