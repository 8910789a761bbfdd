"""`pip install .`: what is in the wheel, its version, its dependencies and its command."""

import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import lwr

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel of a copy of this tree, without its dependencies."""
    tree = tmp_path_factory.mktemp("tree")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    for name in ("lwr", "page", "training"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__", "results"))
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", tree, tree]
    subprocess.run(command, check=True, capture_output=True)
    return zipfile.ZipFile(next(tree.glob("*.whl")))


def test_the_wheel_holds_lwr_with_its_weights_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    inside = {name for name in wheel.namelist() if not name.startswith(f"lwr-{lwr.__version__}.dist-info/")}
    here = {path.relative_to(ROOT).as_posix() for path in (ROOT / "lwr").rglob("*") if path.is_file()}
    assert inside == {name for name in here if "__pycache__" not in name}
    for name in (name for name in inside if name.startswith("lwr/embedded/")):
        assert wheel.getinfo(name).file_size == (ROOT / name).stat().st_size
    assert {"lwr/embedded/prior.json", "lwr/samples/hazy-rocket.jpg"} <= inside


def test_it_names_its_version_command_and_extras(wheel: zipfile.ZipFile) -> None:
    about = f"lwr-{lwr.__version__}.dist-info"
    assert "lwr = lwr.cli:app" in wheel.read(f"{about}/entry_points.txt").decode()
    metadata = wheel.read(f"{about}/METADATA").decode().splitlines()
    assert {f"Provides-Extra: {extra}" for extra in ("space", "train", "ray", "test")} <= set(metadata)
    assert "Requires-Dist: gradio" not in "\n".join(line for line in metadata if "extra ==" not in line)


def test_a_space_installs_the_library_and_its_page() -> None:
    needed = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    named = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["space"]]
    assert [line for line in needed if not line.startswith("#")] == named


def test_requirements_files_point_to_extras() -> None:
    for folder, extra in (("training", "train"), ("tests", "test")):
        lines = (ROOT / folder / "requirements.txt").read_text(encoding="utf-8").splitlines()
        assert [line for line in lines if not line.startswith("#")] == [f"-e .[{extra}]"]
        assert extra in PROJECT["optional-dependencies"]
