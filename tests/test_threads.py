"""How torch's threads wait: our programs decide before torch is there, users win, `import lwr` never does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lwr.threads import DECIDED_BY, SPINS, SPINS_OF_TRAINING, thread_settings
from training.benchmarks import threads

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "training" / "results"
SHOW = "import os; print(repr(os.environ.get('GOMP_SPINCOUNT')))"
PROGRAMS = {
    "the command line": "from lwr.cli import app; app(['tasks'], standalone_mode=False)",
    "training": "import training.run",
    "the page": """
import sys
sys.modules["gradio"] = None  # it is the next that the page imports, and takes long
try:
    import app
except ImportError:
    pass
""",
}


def environment_after(code: str, **variables: str) -> str:
    """GOMP_SPINCOUNT as a program has it after this code."""
    environment = {name: value for name, value in os.environ.items() if name not in DECIDED_BY} | variables
    command = [sys.executable, "-c", f"{code}\n{SHOW}"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def test_it_is_set_where_nobody_has_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert thread_settings({}) == thread_settings({"OMP_NUM_THREADS": "2"}) == {"GOMP_SPINCOUNT": SPINS}
    assert not any(thread_settings({name: value}) for name in DECIDED_BY for value in ("5", ""))


def test_it_is_not_set_once_torch_has_read_it() -> None:
    import torch  # noqa: F401

    assert thread_settings({}) == {}


@pytest.mark.parametrize("code", PROGRAMS.values(), ids=list(PROGRAMS))
def test_programs_set_it_and_users_win(code: str) -> None:
    assert environment_after(code) == repr(SPINS_OF_TRAINING if "training" in code else SPINS)
    assert environment_after(code, GOMP_SPINCOUNT="7") == "'7'"
    assert environment_after(code, OMP_WAIT_POLICY="ACTIVE") == "None"


def test_as_a_library_it_leaves_the_environment_alone() -> None:
    assert environment_after("import lwr.restore, lwr.cli") == "None"


def test_the_page_sets_it_before_all_that_may_import_torch() -> None:
    lines = (ROOT / "app.py").read_text().splitlines()
    used = next(i for i, line in enumerate(lines) if line.startswith("os.environ.update(thread_settings())"))
    imported = [line.split()[1] for line in lines[:used] if line.startswith(("import ", "from "))]
    assert set(imported) <= {"os", "sys", "uuid", "functools", "inspect", "typing", "lwr.threads"}


def thread_settings_of_a_program() -> dict[str, str]:
    """What a program without a word from the user gets."""
    return {"GOMP_SPINCOUNT": environment_after(PROGRAMS["the command line"]).strip("'")}


def test_the_setting_is_the_one_that_was_measured_and_the_readme_shows_it() -> None:
    results = json.loads((RESULTS / "threads.json").read_text())
    assert results["used"] == threads.USED and results["used"] in results["settings"]
    assert threads.SETTINGS[threads.USED] == thread_settings_of_a_program() == {"GOMP_SPINCOUNT": SPINS}
    assert results["settings"] == threads.summary(results["passes"])
    assert threads.table(results) in (ROOT / "training" / "README.md").read_text()


def test_medians_are_compared_with_the_fastest_setting() -> None:
    alone, beside = threads.SITUATIONS
    found = {"a": {alone: [1.0, 9.0, 1.2], beside: [3.0]}, "b": {alone: [1.0], beside: [4.0]}}
    assert threads.summary(found) == {
        "a": {alone: 1.2, beside: 3.0, "over_the_best": 0.2},
        "b": {alone: 1.0, beside: 4.0, "over_the_best": 0.333},
    }
