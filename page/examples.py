"""Photos to try, with results that were made in advance and show at once.

`python -m training.publishing.page_examples` makes them with the shipped weights.
"""

import json
from pathlib import Path
from typing import Any

import gradio as gr

FOLDER = Path(__file__).parent / "examples"
SAMPLES = Path(__file__).parents[1] / "lwr" / "samples"
INDEX = FOLDER / "examples.json"


def found() -> list[dict[str, Any]]:
    """A record of each example: before, after, sentence, done, credit."""
    return json.loads(INDEX.read_text(encoding="utf-8"))


def build() -> gr.Gallery:
    """The gallery; a click shows the comparison and fills in photo and sentence."""
    pictures = [(str(FOLDER / one["before"]), f"“{one['sentence']}”") for one in found()]
    gallery = gr.Gallery(
        pictures,
        label="Examples: click one to see its result",
        columns=4,
        rows=1,
        height="auto",
        object_fit="cover",
        allow_preview=False,
        interactive=False,
        buttons=[],
        elem_id="examples",
    )
    credits = dict.fromkeys(one["credit"] for one in found())
    gr.Markdown(f"Photos: {'; '.join(credits)}.", elem_classes="credit")
    return gallery


def show(event: gr.SelectData) -> tuple[Any, ...]:
    """(photo, sentence, comparison, what was done, the part of the page for results) of the chosen one."""
    one = found()[event.index]
    photo, before, after = SAMPLES / one["photo"], FOLDER / one["before"], FOLDER / one["after"]
    return str(photo), one["sentence"], (str(before), str(after)), one["done"], gr.Column(visible=False)
