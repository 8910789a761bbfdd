"""Photos to try, with results that were made in advance and show at once.

`python -m training.publishing.page_examples` makes them with the shipped weights.
"""

import html
import json
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import FileData, GradioModel

from page.widget import Widget
from page.words import known, said, shown_later

FOLDER = Path(__file__).parent / "examples"
ROOT = Path(__file__).parents[1]
INDEX = FOLDER / "examples.json"
THUMBNAILS = """
{{#each value.examples}}
<button type="button" data-index="{{@index}}" title="{{this.sentence}}">
  <img src="{{this.thumbnail.url}}" alt="" width="96" height="72"><span>{{this.name}}</span>
</button>
{{/each}}"""
JS = """
element.addEventListener("click", (event) => {
  const pressed = event.target.closest("[data-index]");
  if (pressed) trigger("select", {index: Number(pressed.dataset.index), value: pressed.title});
});"""


class Example(GradioModel):
    """What the strip shows of one example."""

    name: str
    sentence: str
    thumbnail: FileData


class Examples(GradioModel):
    """What the browser is sent."""

    examples: list[Example]


class Strip(Widget):
    """A row of small pictures to press, with the credits behind an "i"; its event is `select`."""

    data_model = Examples

    def __init__(self, value: list[dict[str, Any]], **given: Any) -> None:
        credits = "".join(
            f"<li>{html.escape(one['name'])}: {html.escape(one['credit'])}</li>" for one in value
        )
        template = f"""
<div class="strip" role="group" aria-label="Examples">
  <div class="strip-row">{THUMBNAILS}</div>
  <details class="credits">
    <summary aria-label="Whose photos these are" title="Whose photos these are">i</summary>
    <ul>{credits}</ul>
  </details>
</div>"""
        super().__init__(value, template, JS, **given)

    def postprocess(self, value: list[dict[str, Any]]) -> Examples:
        """The records as the browser is sent them."""
        shown = [
            Example(
                name=one["name"],
                sentence=one["sentence"],
                thumbnail=FileData(path=str(FOLDER / one["thumbnail"])),
            )
            for one in value
        ]
        return Examples(examples=shown)


def found() -> list[dict[str, Any]]:
    """A record of each example: photo, after, thumbnail, sentence, done, credit."""
    return json.loads(INDEX.read_text(encoding="utf-8"))


def pictures(index: int = 0) -> tuple[str, str]:
    """(before, after) of an example; the first is what a visitor meets."""
    one = found()[index]
    return str(ROOT / one["photo"]), str(FOLDER / one["after"])


def caption(index: int = 0) -> str:
    """One line under an example's pictures."""
    one = found()[index]
    return f"**“{one['sentence']}”** {said(one['done'])}"


def first_caption() -> str:
    """The same of the first one, before anybody has come."""
    one = found()[0]
    return f"**“{one['sentence']}”** {known(one['done'])}"


def build() -> Strip:
    """The strip; a click shows the comparison and fills in photo and sentence."""
    shown_later("Examples", "Whose photos these are")
    for one in found():
        known(one["name"])
    return Strip(found(), elem_id="examples")


def show(event: gr.SelectData) -> tuple[Any, ...]:
    """(photo, sentence, comparison, no status, caption, no file to download) of the chosen one."""
    chosen, one = event.index, found()[event.index]
    shown = pictures(chosen)
    return shown[0], one["sentence"], shown, "", caption(chosen), gr.Column(visible=False)
