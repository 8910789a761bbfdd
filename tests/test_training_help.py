"""Every program in training/ prints help without working, and answers a wrong option in one sentence."""

import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROGRAMS = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")
    for path in (ROOT / "training").rglob("*.py")
    if 'if __name__ == "__main__":' in path.read_text(encoding="utf-8")
)
WRITES = ("w", "a", "x", "+")
_watching = False


def _refuse_work(event: str, arguments: tuple) -> None:
    """Stop a program that writes into the repository or starts another program."""
    if not _watching:
        return
    if event == "subprocess.Popen":
        raise AssertionError(f"it starts {arguments[0]}")
    if event == "open" and isinstance(arguments[0], str) and any(c in (arguments[1] or "") for c in WRITES):
        assert ROOT not in Path(arguments[0]).absolute().parents, f"it writes {arguments[0]}"


sys.addaudithook(_refuse_work)


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setitem(globals(), "_watching", True)


def _run(program: str, *words: str) -> int:
    """The exit status of `python -m PROGRAM WORDS`, in this process."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as stop:
        patch.setattr(sys, "argv", [program, *words])
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    return stop.value.code


def test_programs_are_found_by_folder() -> None:
    assert len(PROGRAMS) > 20 and {"training.run", "training.diagnosis"} <= set(PROGRAMS)


@pytest.mark.usefixtures("watched")
@pytest.mark.filterwarnings("ignore:.*found in sys.modules after import:RuntimeWarning")
@pytest.mark.parametrize("program", PROGRAMS)
def test_help_is_printed_and_nothing_is_run(program: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert not _run(program, "--help")
    out = capsys.readouterr().out
    assert "usage: python -m training." in out and "show this help message" in out


@pytest.mark.usefixtures("watched")
@pytest.mark.filterwarnings("ignore:.*found in sys.modules after import:RuntimeWarning")
@pytest.mark.parametrize("program", PROGRAMS)
def test_unknown_option_is_one_sentence(program: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(program, "--no-such-option") == 2
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.count("\n") == 1 and shown.err.endswith((".\n", "?\n"))
    assert shown.err.startswith("python -m training.") and "--no-such-option" in shown.err
