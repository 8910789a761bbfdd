"""The architecture in one test: imports go one way, and what should start at once imports nothing heavy."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from lwr.tasks import TASKS
from lwr.tasks.base import Task

ROOT = Path(__file__).resolve().parents[1]
NEVER = ("gradio", "spaces", "accelerate", "training", "app")  # belong to the page and to training
HEAVY = ("diffusers", "transformers", "peft", "huggingface_hub", "safetensors", "requests", "httpx", "urllib")


# What a part of lwr may import of lwr beside itself. A part is a folder, a file, or files of one first word
# (prompt.py, prompt_words.py); a part that is not named here has no place in the plan.
ALONE: tuple[str, ...] = ()
MODEL = ("hub", "weights", "sampling", "prior", "encoder", "modulate", "decoder", "network")
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "__init__": ALONE,
    "image": ALONE,
    "color": ALONE,
    "metrics": ALONE,
    "tiling": ALONE,
    "sampling": ALONE,
    "degrade": ALONE,
    "tasks": ("degrade",),
    "prompt": ("tasks",),
    "hub": ALONE,
    "weights": ALONE,
    "prior": MODEL,
    "encoder": MODEL,
    "modulate": MODEL,
    "decoder": MODEL,
    "network": MODEL,
    "adapter": MODEL,
    "stablesr": (*MODEL, "adapter"),
    "memory": (*MODEL, "restore"),
    "offload": MODEL,
    "restore": (*MODEL, "memory", "offload", "image", "color", "tiling", "tasks", "prompt", "adapter"),
    "cli": (*MODEL, "image", "tasks", "prompt", "adapter", "stablesr", "restore"),
    "__main__": ("cli",),
}


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def part(name: str) -> str:
    """ "prompt" for "prompt", "prompt_words.py" or "prompt.route"."""
    first = name.split(".")[0]
    return first if first.startswith("__") else first.split("_")[0]


def place(path: Path) -> str:
    """ "tasks" for lwr/tasks/dehaze.py, "image" for lwr/image.py."""
    return part(path.relative_to(ROOT / "lwr").parts[0])


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, full name) of all that a file imports, also inside functions."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) + 1 - node.level]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def offences(path: Path) -> Iterator[str]:
    """A sentence for each import of a file of lwr that goes the wrong way."""
    here, where = place(path), path.relative_to(ROOT)
    for line, name in imports(path):
        top, *rest = name.split(".")
        if top in NEVER:
            yield f"{where}:{line} imports {name}; lwr never imports {top}"
        elif here in ("tasks", "degrade") and top in HEAVY:
            yield f"{where}:{line} imports {name}; {here} imports no model and no network"
        elif top == "lwr" and rest and part(rest[0]) not in (here, *MAY_IMPORT[here]):
            allowed = ", ".join(MAY_IMPORT[here]) or "nothing"
            yield f"{where}:{line} imports {name}; of lwr, {here} imports {allowed}"


def test_imports_of_lwr_go_one_way() -> None:
    unplaced = [str(path.relative_to(ROOT)) for path in sources("lwr") if place(path) not in MAY_IMPORT]
    assert not unplaced, f"say in MAY_IMPORT what {', '.join(unplaced)} may import"
    found = [offence for path in sources("lwr") for offence in offences(path)]
    assert not found, "\n".join(found)


def test_the_check_finds_every_way_of_importing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    path = tmp_path / "lwr" / "tasks" / "bad.py"
    path.parent.mkdir(parents=True)
    path.write_text(
        "import gradio as gr\nfrom lwr import restore\nfrom ..prior import Prior\n\n\n"
        "def f():\n    import diffusers.models\n    from lwr.tasks.base import Task\n"
    )
    found = list(offences(path))
    assert [text.split(" imports")[0] for text in found] == [f"lwr/tasks/bad.py:{n}" for n in (1, 2, 3, 7)]


def test_no_imports_in_circles() -> None:
    files = {
        ".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): p
        for p in sources("lwr")
    }
    used: dict[str, set[str]] = {}
    for name, path in files.items():
        wanted = [other for _, other in imports(path)]
        used[name] = {other if other in files else other.rpartition(".")[0] for other in wanted} & set(files)

    def walk(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"a circle of imports: {' -> '.join((*path, name))}"
        for other in used[name]:
            walk(other, (*path, name))

    for name in files:
        walk(name, ())


def test_words_and_tasks_load_without_a_model() -> None:
    code = "import sys, lwr.tasks, lwr.prompt; print(sorted({m.split('.')[0] for m in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    heavy = [
        name for name in ("diffusers", "transformers", "peft", "gradio", "accelerate") if name in done.stdout
    ]
    assert not heavy, f"import lwr.tasks, lwr.prompt also loads {', '.join(heavy)}"


def test_every_file_in_tasks_holds_a_task_that_is_gathered() -> None:
    files = [path.stem for path in sources("lwr/tasks") if path.stem not in ("__init__", "base")]
    found = {}
    for stem in files:
        task = getattr(import_module(f"lwr.tasks.{stem}"), "TASK", None)
        assert isinstance(task, Task), f"lwr/tasks/{stem}.py has no constant TASK"
        assert task.name.replace("-", "_") == stem, f"lwr/tasks/{stem}.py holds the task {task.name}"
        found[task.name] = task
    assert found == TASKS and {"super-resolution", "deblur", "dehaze"} <= set(TASKS)


@pytest.mark.parametrize("path", [path for path in sources("lwr") if path.name == "__init__.py"], ids=str)
def test_init_files_hold_a_docstring_only(path: Path) -> None:
    body = ast.parse(path.read_text(encoding="utf-8")).body
    extra = [
        node.lineno
        for node in body
        if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
    ]
    assert not extra or place(path) == "tasks", (
        f"{path.relative_to(ROOT)}:{extra[0]} is more than a docstring"
    )
