"""The tasks to do and their strengths: a chip and a slider each; they follow the sentence.

Three more chips, for old photos, are no tasks: one does what "restore this old photo" does, the others one of
its repairs alone. These show where they are ticked, or the first is (page.css).
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import gradio as gr

from lwr.prompt import Route, route
from lwr.prompt.old import REPAIRS
from lwr.tasks import TASKS
from page.words import known, phrase, t

SUGGESTED = "suggested"  # of a chip: by the photo
OLD = "old"
AGED = {OLD: "Old photo", "scratches": "Fill scratches", "fading": "Fix faded colours"}


def build() -> gr.CheckboxGroup:
    """The chips."""
    return gr.CheckboxGroup(
        _choices({name: known(title) for name, title in _titles().items()}),
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
    titles = {name: phrase(title) + marks.get(name, "") for name, title in _titles().items()}
    return gr.CheckboxGroup(choices=_choices(titles))


def _titles() -> dict[str, str]:
    return {name: task.title for name, task in TASKS.items()} | AGED


def _choices(titles: Mapping[str, str]) -> list[tuple[str, str]]:
    """(title, value) of each chip; those of old photos where they take no fourth row on a phone."""
    names = list(TASKS)
    return [(titles[name], name) for name in (*names[:2], *AGED, *names[2:])]


def understood(text: str, routed: str) -> list[Any]:
    """Chips and strengths for a sentence, and the sentence itself; a link has set them already."""
    if (text or "") == (routed or ""):  # nor does a late event undo what was ticked since
        return [gr.skip()] * (len(TASKS) + 2)
    found = route(str(text or ""))
    return [*values_for(found.tasks, aged(found)), text]


def aged(found: Route) -> list[str]:
    """The chips of AGED that a sentence ticks: OLD for all, else one for each repair."""
    return [OLD] if found.general and set(found.repairs) == set(REPAIRS) else [*found.repairs]


def values_for(tasks: Mapping[str, float], aged: Sequence[str] = ()) -> list[Any]:
    """The values of the chips and of each slider for {task: strength}, and for chips of AGED."""
    return [
        [*tasks, *aged],
        *(gr.Slider(value=tasks.get(name, 1.0), visible=name in tasks) for name in TASKS),
    ]


def sliders_for(chosen: list[str]) -> list[gr.Slider]:
    """Show the sliders of the chosen tasks."""
    return [gr.Slider(visible=name in chosen) for name in TASKS]
