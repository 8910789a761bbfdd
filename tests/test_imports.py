"""The architecture in one test: imports go one way, and what should start at once imports nothing heavy."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pytest

import lwr
from lwr.tasks import TASKS
from lwr.tasks.base import Task

ROOT = Path(__file__).resolve().parents[1]

# What a folder or file of lwr may import of lwr beside itself; others have no place in the plan.
BELOW_LOADING = ("models", "prompt", "tasks", "degrade", "images")
BELOW_RESTORE = (*BELOW_LOADING, "loading", "request")
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "images": (),
    "degrade": (),
    "tasks": ("degrade",),
    "prompt": ("tasks",),
    "models": (),  # no task, no file, no Hub
    "loading": BELOW_LOADING,
    "repair": ("images",),  # no network
    "stablesr": ("models", "loading"),
    "adapter": ("loading",),
    "request": BELOW_LOADING,
    "diagnose": ("models", "images", "tasks", "loading"),
    "large": BELOW_RESTORE,
    "fit": (*BELOW_RESTORE, "diagnose"),
    "passes": (*BELOW_RESTORE, "large"),
    "record": ("images", "request", "version"),
    "failures": BELOW_RESTORE,
    "restore": (*BELOW_RESTORE, "diagnose", "failures", "fit", "large", "passes", "record", "repair"),
    "options": (),
    "streams": (),
    "threads": (),
    "batch": (*BELOW_RESTORE, "diagnose", "restore"),
    "export": (*BELOW_RESTORE, "batch", "restore", "version"),
    "weights": (*BELOW_RESTORE, "restore"),
    "cli": (
        *BELOW_RESTORE,
        "__init__",
        "record",
        "restore",
        "stablesr",
        "options",
        "streams",
        "threads",
        "batch",
        "export",
        "weights",
    ),
    "version": (),
    "__init__": ("restore", "version"),
    "__main__": ("cli",),
}
# What a folder of the repository never imports, in functions neither.
ABOVE_LWR = ("training", "page", "app", "tests")
HUB = ("huggingface_hub", "requests", "httpx", "httpx2", "urllib")
FILES = ("pathlib", "os", "io", "shutil", "tempfile", "glob", "safetensors")
NEVER: dict[str, tuple[str, ...]] = {
    "lwr": (*ABOVE_LWR, "gradio", "spaces", "peft"),
    "lwr/images": (*HUB, "diffusers", "transformers"),
    "lwr/degrade": (*HUB, *FILES, "diffusers", "transformers"),
    "lwr/tasks": (*HUB, *FILES, "diffusers", "transformers"),
    "lwr/prompt": (*HUB, *FILES, "torch", "numpy", "diffusers", "transformers"),
    "lwr/models": (*HUB, *FILES),
    "training": ("page", "app", "gradio", "spaces", "tests"),
    "page": ("training", "app", "diffusers", "tests"),
    "app.py": ("training", "torch", "diffusers", "tests"),
}
OPENING = ("open", "from_pretrained", "save_pretrained", "read_text", "write_text", "load_file", "save_file")


@dataclass(frozen=True)
class Import:
    line: int
    name: str  # in full: "lwr.tasks.base.Task"
    lazy: bool  # inside a function

    @property
    def top(self) -> str:
        return self.name.split(".")[0]


def sources(folder: str) -> list[Path]:
    path = ROOT / folder
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


def place(path: Path) -> str:
    """ "tasks" for lwr/tasks/dehaze.py, "request" for lwr/request.py."""
    return path.relative_to(ROOT / "lwr").parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[Import]:
    """All that a file imports, also inside functions."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    inside = {node for function in functions for node in ast.walk(function)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (Import(node.lineno, alias.name, node in inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) + 1 - node.level]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            for alias in node.names:
                yield Import(node.lineno, f"{module}.{alias.name}", node in inside)


def wrong_imports(path: Path) -> Iterator[str]:
    """A sentence for each import of a file that goes the wrong way."""
    where = path.relative_to(ROOT).as_posix()
    never = {top for folder, tops in NEVER.items() if f"{where}/".startswith(f"{folder}/") for top in tops}
    for one in imports(path):
        _, *rest = one.name.split(".")
        if one.top in never:
            yield f"{where}:{one.line} imports {one.name}; this folder never imports {one.top}"
        if not where.startswith("lwr/"):
            continue
        if one.top == "accelerate" and not (where == "lwr/loading/offload.py" and one.lazy):
            yield f"{where}:{one.line} imports {one.name}; only functions of lwr/loading/offload.py do"
        here, allowed = place(path), MAY_IMPORT.get(place(path), ())
        used = rest[0] if rest and rest[0] in MAY_IMPORT else "__init__"
        if one.top == "lwr" and used not in (here, *allowed):
            yield f"{where}:{one.line} imports {one.name}; of lwr, {here} imports {allowed or 'nothing'}"


def test_imports_go_one_way() -> None:
    unplaced = [str(path.relative_to(ROOT)) for path in sources("lwr") if place(path) not in MAY_IMPORT]
    assert not unplaced, f"say in MAY_IMPORT what {', '.join(unplaced)} may import"
    files = [path for folder in ("lwr", "training", "page", "app.py") for path in sources(folder)]
    wrong = [sentence for path in files for sentence in wrong_imports(path)]
    assert not wrong, "\n".join(wrong)


def test_the_check_finds_every_way_of_importing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    tasks, models, offload = "lwr/tasks/bad.py", "lwr/models/bad.py", "lwr/loading/offload.py"
    restore, training = "lwr/restore.py", "training/publishing/bad.py"
    bad = {
        tasks: """import gradio as gr
            from lwr import restore
            from ..models.prior import Prior
            def f():
                import diffusers.models
                from lwr.tasks.base import Task
                from lwr import degrade""",
        models: """from pathlib import Path
            import torch
            def f():
                from lwr.tasks import TASKS""",
        offload: """def f():
                import accelerate
            from accelerate import hooks""",
        restore: """def f():
                import accelerate.hooks
                from lwr.cli import app
                import lwr.loading.hub""",
        training: """def f():
                from page import examples
                from training import run""",
    }
    found = []
    for name, code in bad.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code.replace("\n            ", "\n"))
        found += [sentence.split(" imports")[0] for sentence in wrong_imports(path)]
    expected = {tasks: (1, 2, 3, 5), models: (1, 4), offload: (3,), restore: (2, 3), training: (2,)}
    assert found == [f"{name}:{line}" for name, lines in expected.items() for line in lines]


def test_models_open_no_file() -> None:
    for path in sources("lwr/models"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = getattr(node.func, "attr", getattr(node.func, "id", ""))
                assert called not in OPENING, f"{path.relative_to(ROOT)}:{node.lineno} calls {called}"


def test_no_imports_in_circles() -> None:
    files = {
        ".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): p
        for p in sources("lwr")
    }
    used: dict[str, set[str]] = {}
    for name, path in files.items():
        wanted = [one.name for one in imports(path)]
        used[name] = {other if other in files else other.rpartition(".")[0] for other in wanted} & set(files)

    def walk(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"a circle of imports: {' -> '.join((*path, name))}"
        for other in used[name]:
            walk(other, (*path, name))

    for name in files:
        walk(name, ())


COMMANDS = (
    ["--help"],
    ["restore", "--help"],
    ["diagnose", "--help"],
    ["tasks"],
    ["route", "remove the haze"],
    ["--version"],
)
LIGHT = [
    "import lwr",
    "import lwr.tasks, lwr.prompt, lwr.request",
    *(f"from lwr.cli import app; app({arguments}, standalone_mode=False)" for arguments in COMMANDS),
]


@pytest.mark.parametrize("code", LIGHT)
def test_what_should_answer_at_once_imports_no_torch(code: str) -> None:
    ending = "import sys; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    command = [sys.executable, "-c", f"{code}\n{ending}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    modules = set(done.stdout.splitlines()[-1].split())
    heavy = {"torch", "numpy", "PIL", "diffusers", "transformers", "huggingface_hub", "gradio", "accelerate"}
    assert "lwr" in modules and not heavy & modules, f"{code} also imports {heavy & modules}"


@pytest.mark.parametrize(
    "command", [["restore", "--prompt", "remove the haze", "--out"], ["diagnose", "--maps"]]
)
def test_a_photo_takes_no_more_imports_than_it_needs(command: list[str], tmp_path: Path) -> None:
    photo, out = ROOT / "lwr" / "samples" / "small-cat.jpg", tmp_path / "out"
    words = [command[0], str(photo), *command[1:], f"{out}{os.sep}"]
    out.mkdir()
    code = f"from lwr.cli import app; app({words}, standalone_mode=False); import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    modules = set(done.stdout.splitlines()[-1].split())
    heavy = {"transformers", "tokenizers", "peft", "scipy", "sympy", "torch._dynamo", "gradio", "datasets"}
    assert any(out.iterdir()) and "torch" in modules and not heavy & modules


def test_public_names_stay() -> None:
    from lwr import Restorer
    from lwr.adapter import Adapter
    from lwr.loading.adapter import Adapter as LoadingAdapter
    from lwr.prompt import route
    from lwr.restore import Restorer as InItsFile

    assert Restorer is InItsFile and Adapter is LoadingAdapter and route("remove the haze").understood
    assert {"Restorer", "__version__"} <= set(lwr.__all__) <= set(dir(lwr))
    with pytest.raises(AttributeError, match="'lwr' has no attribute 'restorer'"):
        _ = lwr.restorer


def test_every_file_in_tasks_holds_a_task_that_is_gathered() -> None:
    files = [path.stem for path in sources("lwr/tasks") if path.stem not in ("__init__", "base")]
    found = {}
    for stem in files:
        task = getattr(import_module(f"lwr.tasks.{stem}"), "TASK", None)
        assert isinstance(task, Task), f"lwr/tasks/{stem}.py has no constant TASK"
        assert task.name.replace("-", "_") == stem, f"lwr/tasks/{stem}.py holds the task {task.name}"
        found[task.name] = task
    assert found == TASKS and {"super-resolution", "deblur", "dehaze"} <= set(TASKS)


def test_init_files_hold_a_docstring_only() -> None:
    gathering = ("lwr/__init__.py", "lwr/tasks/__init__.py", "lwr/prompt/__init__.py")
    for path in sources("lwr"):
        where = path.relative_to(ROOT).as_posix()
        if path.name == "__init__.py" and where not in gathering:
            body = ast.parse(path.read_text(encoding="utf-8")).body
            assert len(body) == 1 and isinstance(body[0], ast.Expr), f"{where} is more than a docstring"
