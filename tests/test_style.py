"""The house rules a machine can check: small files, classes and functions, and the field's own words."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("lwr", "page", "training")
MOST = {"file": 400, "class": 150, "function": 49}  # lines
# What the field's terms have replaced; English words that a sentence of a user may hold are data, not prose.
REPLACED = re.compile(
    r"\b(anew|begun|blindfold|rungs?|ladder|opponent|mended|wishes|redraws|for who has|the look)\b", re.I
)
DATA = {"lwr/prompt/english.py", "lwr/prompt/general.py"}


def sources() -> list[Path]:
    return [ROOT / "app.py", *(path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py")))]


def too_long(path: Path) -> Iterator[str]:
    text = path.read_text(encoding="utf-8")
    sizes = [("file", path.name, text.count("\n"))]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            kind = "class" if isinstance(node, ast.ClassDef) else "function"
            sizes.append((kind, node.name, node.end_lineno - node.lineno + 1))
    for kind, name, lines in sizes:
        if lines > MOST[kind]:
            yield f"{path.relative_to(ROOT)}: {kind} {name} has {lines} lines, {MOST[kind]} at most"


@pytest.mark.parametrize("version", ["py311", "py312"])
def test_sources_are_valid_for_python(version: str) -> None:
    """3.11 is what the README names, 3.12 what ZeroGPU has; W605: an escape that 3.12 warns of."""
    rules = ["--select", "E9,F,W605", "--ignore", "F722", "--isolated", "--no-cache"]
    ruff = [sys.executable, "-m", "ruff", "check", "--target-version", version, *rules, str(ROOT)]
    found = subprocess.run(ruff, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr
    gone = {"asynchat", "asyncore", "distutils", "imp", "smtpd"}  # in 3.12
    imported = {
        (getattr(node, "module", None) or node.names[0].name).split(".")[0]
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert not gone & imported


def test_files_classes_and_functions_are_small() -> None:
    found = [line for path in sources() for line in too_long(path)]
    assert not found, "\n".join(found)


def test_prose_uses_the_words_of_the_field() -> None:
    texts = [*sources(), *ROOT.glob("*.md"), *(ROOT / "cards").glob("*.md"), *ROOT.glob("training/**/*.md")]
    found = [
        f"{name}:{number} says {match[0]!r}"
        for path in texts
        if (name := str(path.relative_to(ROOT))) not in DATA
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        for match in REPLACED.finditer(line)
    ]
    assert not found, "\n".join(found)
