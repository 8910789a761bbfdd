"""The READMEs: commands that parse, links that lead somewhere, numbers as measured, words of the field."""

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command
from tyro.conf import FlagConversionOff

from lwr.cli import app
from training import build_dataset, run
from training.benchmarks.light import __main__ as light
from training.command_line import parse
from training.diagnosis import __main__ as diagnosis
from training.evaluation.plan import read_arguments
from training.prune import __main__ as prune
from training.prune import join
from training.study import __main__ as study

ROOT = Path(__file__).parents[1]
LWR = ROOT / "lwr"
README, TRAINING = ROOT / "README.md", ROOT / "training" / "README.md"
ALL = (README, TRAINING, LWR / "stablesr" / "README.md")
# Words that code may use and prose should not; test_style.py has those that neither should.
AVOIDED = re.compile(r"\b(told|chain|facts|settled?|mends?|steers?|for who)\b", re.IGNORECASE)


def name(file: Path) -> str:
    """What a file is called in the names of tests."""
    return file.relative_to(ROOT).as_posix()


def commands(file: Path, start: str) -> list[list[str]]:
    """The arguments of every command in a code block of a file that begins with `start`."""
    blocks = re.findall(r"```bash\n(.*?)```", file.read_text(encoding="utf-8"), re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line.removeprefix(start), comments=True) for line in lines if line.startswith(start)]


def cells(line: str) -> list[str]:
    """The cells of a row of a Markdown table."""
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_readme_is_short_and_begins_with_pictures() -> None:
    text = README.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 250
    title, strip = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL).split("\n\n")[:2]
    assert title.strip().startswith("# ") and strip.startswith("![")


def test_ci_finds_the_test_command() -> None:
    text = README.read_text(encoding="utf-8")
    assert "python3.11 -m venv .venv .*pytest" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert len(re.findall(r"^python3.11 -m venv .venv .*pytest$", text, re.MULTILINE)) == 1


@pytest.mark.parametrize("file", ALL, ids=name)
def test_links_lead_to_files_and_headings(file: Path) -> None:
    for target in re.findall(r"\]\((?!http)([^)]+)\)", file.read_text(encoding="utf-8")):
        path, _, heading = target.partition("#")
        there = file.parent / path if path else file
        assert there.exists(), target
        if heading:
            titles = re.findall(r"^#+ (.*)$", there.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in [re.sub(r"[^\w -]", "", t).lower().replace(" ", "-") for t in titles], target


@pytest.mark.parametrize("file", (README, TRAINING), ids=name)
def test_the_file_lists_name_files_that_exist(file: Path) -> None:
    listing = re.search(r"## Files\n\n```\n(.*?)```", file.read_text(encoding="utf-8"), re.DOTALL)[1]
    named = re.findall(r"(?<![\w{])[\w/]+(?:\.py|\.sh|/)(?!\w)", listing)
    assert len(named) > 15
    for one in named:
        assert any(ROOT.glob(one)) or any(LWR.rglob(one)) or any(TRAINING.parent.rglob(one)), one


@pytest.mark.parametrize("file", ALL, ids=name)
def test_commands_of_the_product_parse(file: Path) -> None:
    command = get_command(app)
    found = [*commands(file, "lwr "), *commands(file, "python -m lwr ")]
    assert len(found) > 5 or file != README
    for name, *arguments in found:
        assert command.commands[name].make_context(name, arguments).params


def of_a_task(arguments: list[str]) -> list[str]:
    """Arguments that leave the task's name open, for one."""
    return ["dehaze" if word == "NAME" else word for word in arguments]


def test_commands_of_training_parse() -> None:
    found = [*commands(README, "python -m training.run "), *commands(TRAINING, "python -m training.run ")]
    assert len(found) > 10
    diagnoses = [arguments for arguments in found if arguments[0] == run.DIAGNOSE]
    assert diagnoses
    for _, *arguments in diagnoses:
        assert parse(diagnosis.Options, arguments, diagnosis.PROG).photos or not arguments
    for arguments in (one for one in found if one not in diagnoses):
        config, dry = run.resolve(of_a_task(arguments))
        assert not dry and (config.photos == "PHOTOS") == (config.data is None)
        assert config.photos or config.data
    for module in (prune, join):
        pruned = commands(TRAINING, f"{module.PROG} ")
        assert pruned and all(parse(FlagConversionOff[module.Options], one, module.PROG) for one in pruned)
    for file in (README, TRAINING):
        for arguments in commands(file, "python -m training.evaluate "):
            assert read_arguments(of_a_task(arguments), "").source
        for module in (build_dataset, study, light):
            for arguments in commands(file, f"{module.COMMAND} "):
                assert parse(module.Options, arguments, module.COMMAND).out


def test_numbers_of_the_study_are_those_of_its_sentences() -> None:
    text = README.read_text(encoding="utf-8")
    (said,) = re.findall(r"\[The study\]\(training/results/study\.md\)[^;]*;[^.]*\.\d+[^.]*\.", text)
    numbers = re.findall(r"[+-]?\d+\.\d+", said)
    short = (ROOT / "training" / "results" / "study-short.md").read_text(encoding="utf-8")
    assert len(numbers) == 5 and all(number in short for number in numbers), numbers
    verdicts = [
        re.findall(r"is better|is worse|helps|harms|no clear difference", line) for line in short.splitlines()
    ]
    assert [found[0] for found in verdicts if found][::2] == ["is better", "helps"]


def test_scores_are_those_of_the_results() -> None:
    measured = {}
    for line in (ROOT / "training" / "results" / "evaluate.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("| ") and len(row := cells(line)) == 10:
            damage, asked, fidelity, _, psnr, ssim, lpips, niqe, *_ = row
            if asked == damage or asked.startswith("baseline "):
                name = fidelity if asked == damage else asked.replace("baseline ", "baseline: ")
                measured[damage, name] = [psnr, ssim, lpips, niqe.partition(" (")[0]]
    rows = map(cells, README.read_text(encoding="utf-8").splitlines())
    shown = [row for row in rows if len(row) == 6 and "->" in row[3] and row[0] != "damage"]
    assert len(shown) >= 8  # each task at its default, at 1, and its baseline
    for damage, fidelity, *scores in shown:
        assert measured[damage, fidelity.removesuffix(" (default)")] == scores, (damage, fidelity)


@pytest.mark.parametrize("file", (*ALL, *sorted((ROOT / "cards").glob("*.md"))), ids=name)
def test_prose_uses_the_words_of_the_field(file: Path) -> None:
    text = re.sub(r"{%.*?%}|{{.*?}}", " ", file.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert not [found[0] for found in AVOIDED.finditer(text)]
