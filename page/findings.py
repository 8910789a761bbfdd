"""What is wrong with the photo, shown as soon as it is there: a sentence, and a bar for each defect."""

from itertools import count
from typing import Any

import gradio as gr
from gradio.data_classes import GradioModel

from lwr.diagnose import Diagnosis, defect_of
from lwr.tasks import TASKS
from page import chips
from page.errors import VISITOR_ERRORS
from page.inputs import upload_path
from page.service import Service
from page.widget import Widget
from page.words import phrase, said

TITLE = "What is wrong with the photo"
NO_TASK = "no task yet"
TEMPLATE = """
<div class="findings" role="group" aria-label="{{value.title}}" data-serial="{{value.serial}}">
  <p role="status">{{value.sentence}}</p>
  <ul>
  {{#each value.bars}}
    <li class="{{this.kind}}">
      <span>{{this.name}} <small>{{this.note}}</small></span>
      <span class="bar" aria-hidden="true"><span style="width: {{this.percent}}%"></span></span>
      <span>{{this.percent}}%</span>
    </li>
  {{/each}}
  </ul>
</div>"""
# Those of another photo fade until the new ones are there.
FADE = """(photo) => {
  document.querySelector("#findings .findings")?.classList.add("old");
  return [photo];
}"""
_serials = count(1)


class Bar(GradioModel):
    """One defect."""

    name: str  # what a photo with it is: "hazy"
    percent: int
    kind: str  # "there", or "" where the photo does not have it
    note: str


class Found(GradioModel):
    """What the browser is sent."""

    title: str
    sentence: str
    bars: list[Bar]
    serial: int  # Gradio changes nothing in the page for a value that it has already, and it would stay faded


class Findings(Widget):
    """A widget with what `found` returns as its value; with None it takes no room."""

    data_model = Found

    def __init__(self, **given: Any) -> None:
        super().__init__(None, TEMPLATE, **given)

    def postprocess(self, value: Found | None) -> Found | None:
        """The value as it is: its words are those of the visitor whose event made it."""
        return value


def look(service: Service, image: Any) -> tuple[Found | None, gr.CheckboxGroup]:
    """(bars, chips) for a picture widget's value; what is no photo has no bars, and the plan says why."""
    path = upload_path(image)
    try:
        diagnosis = None if path is None else service.diagnose(path)
    except VISITOR_ERRORS:
        diagnosis = None
    if diagnosis is None:
        return None, chips.marked(())
    return found(diagnosis), chips.marked(diagnosis.tasks)


def found(diagnosis: Diagnosis) -> Found:
    """The sentence and the bars in the visitor's language."""
    present = diagnosis.present
    bars = [
        Bar(
            name=phrase(defect_of(name)),
            percent=round(100 * severity),
            kind="there" if name in present else "",
            note="" if name in TASKS else f"({phrase(NO_TASK)})",
        )
        for name, severity in diagnosis.severities.items()
    ]
    return Found(title=said(TITLE), sentence=said(diagnosis.sentence), bars=bars, serial=next(_serials))
