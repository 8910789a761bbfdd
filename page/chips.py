"""The tasks to do and their strengths: a chip and a slider each; they follow the sentence.

One more chip, for old photos, is no task: it does what "restore this old photo" does.
"""

from collections.abc import Collection, Mapping
from typing import Any

import gradio as gr

from lwr.prompt import route
from lwr.tasks import TASKS
from page.words import known, phrase, t

SUGGESTED = "suggested"  # of a chip: by the photo
OLD, OLD_TITLE = "old", "Old photo"


def build() -> gr.CheckboxGroup:
    """The chips."""
    return gr.CheckboxGroup(
        _choices({name: known(task.title) for name, task in TASKS.items()} | {OLD: known(OLD_TITLE)}),
        label=t("What will be done"),
        info=t("Follows your sentence. Click to change it."),
        elem_id="tasks",
    )


def sliders() -> list[gr.Slider]:
    """A slider for each task, which shows while its chip is on."""
    return [
        gr.Slider(0.05, 1, 1, step=0.05, label=known(f"Strength: {task.title.lower()}"), visible=False)
        for task in TASKS.values()
    ]


def marked(needed: Collection[str]) -> gr.CheckboxGroup:
    """The chips, with a word on those that the photo needs; none is ticked by that."""
    marks = {name: f" · {phrase(SUGGESTED)}" for name in needed}
    titles = {name: phrase(task.title) + marks.get(name, "") for name, task in TASKS.items()}
    return gr.CheckboxGroup(choices=_choices(titles | {OLD: phrase(OLD_TITLE)}))


def _choices(titles: Mapping[str, str]) -> list[tuple[str, str]]:
    """(title, value) of each chip; that of old photos where it takes no fourth row on a phone."""
    names = list(TASKS)
    return [(titles[name], name) for name in (*names[:2], OLD, *names[2:])]


def understood(text: str, routed: str) -> list[Any]:
    """Chips and strengths for a sentence, and the sentence itself; a link has set them already."""
    if (text or "") == (routed or ""):  # nor does a late event undo what was ticked since
        return [gr.skip()] * (len(TASKS) + 2)
    found = route(str(text or ""))
    return [*values_for(found.tasks, found.old), text]


def values_for(tasks: Mapping[str, float], old: bool = False) -> list[Any]:
    """The values of the chips and of each slider for {task: strength}, and for an `old` photo."""
    return [
        [*tasks, *([OLD] if old else [])],
        *(gr.Slider(value=tasks.get(name, 1.0), visible=name in tasks) for name in TASKS),
    ]


def sliders_for(chosen: list[str]) -> list[gr.Slider]:
    """Show the sliders of the chosen tasks."""
    return [gr.Slider(visible=name in chosen) for name in TASKS]
