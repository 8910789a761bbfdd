"""The recipe from photographs to a usable adapter, as a stranger runs it, with a step for each stage."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from lwr.loading.adapter import load_adapter

ROOT = Path(__file__).parents[1]


@pytest.mark.timeout(3600)  # seven processes, each as slow as the machine is busy; nothing in them waits
def test_cpu_smoke_recipe_ends_in_an_adapter_that_restores_a_photo(tmp_path: Path) -> None:
    recipe = [ROOT / "training" / "runs" / "cpu_smoke.sh", ROOT / "lwr" / "samples", tmp_path / "out", "1"]
    run = subprocess.run(recipe, env=os.environ | {"PYTHON": sys.executable}, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]
    assert load_adapter(tmp_path / "out/adapter/network/adapters/dehaze", "dehaze", "embedded").pairs
    with (
        Image.open(ROOT / "lwr/samples/hazy-rocket.jpg") as before,
        Image.open(tmp_path / "out/restored.png") as after,
    ):
        assert after.size == before.size
