"""Everything that a study's scores become, written to a folder."""

import json
import re
from pathlib import Path

from training.study import plots
from training.study.statistics import Result
from training.study.tables import HEADER, markdown
from training.study.text import sentences, study_md

FIGURE = "study.webp"  # of the About tab and the network's card
SHORT = "study-short.md"  # the three sentences beside it
LIST = re.compile(r"\[[^\[\]{}]*\]")


def write(result: Result, folder: Path) -> None:
    """study-NAME.json, .md and .png, study.md, and what page and card show."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / f"study-{result['study']}"
    stem.with_suffix(".json").write_text(as_json(result), encoding="utf-8")
    stem.with_suffix(".md").write_text(markdown(result), encoding="utf-8")
    plots.page(result, stem.with_suffix(".png"))
    (folder / "study.md").write_text(study_md(result), encoding="utf-8")
    write_shown(result, folder)


def write_shown(result: Result, folder: Path) -> None:
    """What page and card show: the main figure and the three sentences."""
    plots.main_figure(result, folder / FIGURE)
    (folder / SHORT).write_text(short(result), encoding="utf-8")


def short(result: Result) -> str:
    """The three sentences as the About tab shows them."""
    points = "\n".join(f"- {sentence}" for sentence in sentences(result))
    return f"{HEADER}\n\n{points}\n"


def as_json(result: Result) -> str:
    """JSON with the scores of all photos on one line."""
    text = json.dumps(result, indent=1, ensure_ascii=False)
    return (
        LIST.sub(lambda found: re.sub(r"\s*\n\s*", " ", found[0]).replace("[ ", "[").replace(" ]", "]"), text)
        + "\n"
    )
