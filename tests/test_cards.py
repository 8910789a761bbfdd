"""Every number in a card comes from a file in training/results: none is typed, none is of other weights."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from PIL import Image

from lwr.loading.adapter import load_adapter
from lwr.loading.priors import EMBEDDED
from lwr.models.config import PriorConfig
from lwr.tasks import TASKS
from page import about_tab
from training.evaluation import report
from training.presets import PRESETS
from training.publishing import failures, numbers_picture
from training.publishing.cards import TEMPLATES, Measured, adapter_card, prior_card, space_card
from training.publishing.names import Names
from training.publishing.results import FOLDER, Results

NAMES = Names("somebody", "v1.2.3")
PINS = {task: NAMES.pin(task) for task in TASKS}
PRIOR = PriorConfig(**json.loads((EMBEDDED / "prior.json").read_text()))
ADAPTERS = {task: load_adapter(EMBEDDED / "adapters" / task, task).metadata for task in TASKS}
# A number with decimals, or with a unit behind it; "fidelity 0.5" is a setting and no measurement.
MEASUREMENT = re.compile(
    r"(?<![\w.-])(?<!fidelity )[-+]?(?:\d+\.\d+(?![\w.])|\d+(?= ?(?:%|dB|[GM]B|seconds|minutes|core|photog)))"
)


def prose(card: str) -> str:
    """A card without metadata, code, addresses and how photos degrade (which the task's file says)."""
    text = re.sub(r"^---\n.*?\n---\n", "", card, flags=re.DOTALL)
    text = re.sub(r"## How photos degrade\n.*?\nTraining drew", "Training drew", text, flags=re.DOTALL)
    return re.sub(r"```.*?```|`[^`]*`|\]\([^)]*\)", " ", text, flags=re.DOTALL)


def cards(results: Results) -> Iterator[tuple[str, str]]:
    measured = Measured.of(results, PRIOR, ADAPTERS)
    yield "prior", prior_card(NAMES, PINS, measured)
    for name, task in TASKS.items():
        yield name, adapter_card(NAMES, task, ADAPTERS[name], 1_940_000, measured)
    yield "space", space_card(NAMES, PINS, measured, Path("requirements.txt").read_text())


def strangers(card: str, given: set[str]) -> set[str]:
    """Measurements in a card that no results file gave."""
    known = {number.lstrip("+-") for number in given}
    return {found for found in MEASUREMENT.findall(prose(card)) if found.lstrip("+-") not in known}


@pytest.mark.parametrize("template", sorted(TEMPLATES.glob("*.md")), ids=lambda path: path.stem)
def test_no_measurement_is_typed_into_a_template(template: Path) -> None:
    text = re.sub(r"{%.*?%}|{{.*?}}", " ", template.read_text(), flags=re.DOTALL)
    assert not MEASUREMENT.findall(prose(text))


def test_every_number_in_a_card_has_a_results_file() -> None:
    results = Results()
    for name, card in cards(results):
        assert not strangers(card, results.given), name
        assert len(MEASUREMENT.findall(prose(card))) > 20, f"the card of {name} shows no numbers"


def test_the_check_finds_a_typed_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(TEMPLATES, tmp_path / "cards")
    with (tmp_path / "cards" / "adapter.md").open("a") as file:
        file.write("\nIt is 98.76 dB better and 77 % smaller.\n")
    monkeypatch.setattr("training.publishing.cards.TEMPLATES", tmp_path / "cards")
    results = Results()
    found = {name: strangers(card, results.given) for name, card in cards(results)}
    assert found == {"prior": set(), "space": set()} | dict.fromkeys(TASKS, {"98.76", "77"})


def test_results_of_other_weights_are_left_out() -> None:
    measured = Measured.of(Results(), replace(PRIOR, revision="99.0.0"), ADAPTERS)
    card = prior_card(NAMES, PINS, measured)
    assert "This version has not been measured" in card
    assert ModelCard(card).data.eval_results is None
    other = ADAPTERS | {"deblur": replace(ADAPTERS["deblur"], version="99.0.0")}
    measured = Measured.of(Results(), PRIOR, other)
    assert "has not been measured" in adapter_card(NAMES, TASKS["deblur"], other["deblur"], 10**6, measured)
    assert "has not been measured" not in adapter_card(
        NAMES, TASKS["dehaze"], other["dehaze"], 10**6, measured
    )


def test_without_results_there_are_no_numbers(tmp_path: Path) -> None:
    shutil.copy(FOLDER / "training.json", tmp_path)
    for _, card in cards(Results(tmp_path)):
        assert "dB" not in prose(card)


def test_the_space_runs_on_what_zerogpu_lists() -> None:
    card = ModelCard(dict(cards(Results()))["space"])
    assert card.data.to_dict()["python_version"] in ("3.10.13", "3.12.12")
    torch = re.search(r"^torch==(\d+)\.(\d+)", Path("requirements.txt").read_text(), re.MULTILINE)
    assert (2, 8) <= (int(torch[1]), int(torch[2])) <= (2, 13)


def test_the_worst_photo_is_shown_and_credited() -> None:
    sheets = json.loads((FOLDER / "evaluate.json").read_text())["sheets"]
    photos = json.loads((FOLDER / "evaluate.json").read_text())["photos"]
    for task in TASKS:
        *_, worst = sheets[f"evaluate-{task}.jpg"]
        gains = [row["psnr_output"] - row["psnr_input"] for row in photos[worst["case"]].values()]
        assert worst["psnr_gain"] == pytest.approx(min(gains), abs=1e-3)
        assert (FOLDER / f"evaluate-{task}.jpg").exists()
    for name, card in cards(Results()):
        if name in TASKS:
            assert all(row["credit"] in card for row in sheets[f"evaluate-{name}.jpg"])


def test_the_tables_are_those_of_the_measurements() -> None:
    results = json.loads((FOLDER / "evaluate.json").read_text())
    assert (FOLDER / "evaluate.md").read_text() == report.markdown(results)
    assert (FOLDER / "evaluate-short.md").read_text() == report.short(results)


def test_the_picture_of_numbers_shows_ours_the_input_and_each_peer(tmp_path: Path) -> None:
    results = json.loads((FOLDER / "evaluate.json").read_text())
    for task in TASKS:
        methods = numbers_picture.methods_of(task, results)
        tried = {
            case.split("|")[1].removeprefix("baseline ")
            for case in results["scores"]
            if case.startswith(task)
        }
        names = [method.name for method in methods]
        assert names[0] in ("input", "bicubic")
        assert set(names[1:]) >= tried - {*TASKS, *names[:1]} and any("(default)" in name for name in names)
    peers = {
        "enlarging": "1 to 4 pixels",
        "machine": "m",
        "scenes": {"LWR": {"seconds": 1}, "other": {"seconds": 2}},
    }
    numbers_picture.draw(results, peers, tmp_path / "numbers.webp")
    with Image.open(tmp_path / "numbers.webp") as picture:
        assert picture.width < picture.height < 3000 and [path.name for path in tmp_path.iterdir()] == [
            "numbers.webp"
        ]


def test_each_failure_is_of_the_shipped_weights_and_has_a_caption() -> None:
    shown = json.loads((about_tab.FAILURES / "failures.json").read_text())
    assert [one["name"] for one in shown] == list(about_tab.CAPTIONS) == list(failures.FAILURES)
    for one in shown:
        assert one["prior"] == PRIOR.name, "run python -m training.publishing.about_pictures again"
        assert (about_tab.FAILURES / one["file"]).exists()


def test_measurements_name_stages_as_presets_do() -> None:
    trained = {run["stage"] for run in json.loads((FOLDER / "training.json").read_text())["runs"]}
    assert trained | json.loads((FOLDER / "benchmark.json").read_text())["training"].keys() <= PRESETS.keys()
