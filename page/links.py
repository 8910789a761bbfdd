"""Link to these settings: the inputs written into an address, and read from it when the page opens."""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs

import gradio as gr

from lwr.prompt import MAX_CHARACTERS, route, size_of
from lwr.tasks import TASKS
from page import chips
from page.options import FIDELITIES, MAX_SIZE_TEXT, OPTIONS, QUALITY, SCALES

NAMES = ("prompt", "tasks", *OPTIONS)  # parameters of the address; tasks is "dehaze:0.5,deblur:1,old"
# Takes the values of NAMES and the strength of each task; copies the link and returns it.
JS = f"""(...values) => {{
  const names = {json.dumps(NAMES)}, tasks = {json.dumps(list(TASKS))};
  const link = new URL(window.location.origin + window.location.pathname);
  const strengths = values.slice(names.length);
  values[1] = values[1].map(
    (task) => tasks.includes(task) ? task + ":" + strengths[tasks.indexOf(task)] : task);
  names.forEach((name, i) => {{
    if (values[i] !== null) {{ link.searchParams.set(name, String(values[i])); }}
  }});
  navigator.clipboard?.writeText(link.toString()).catch(() => {{}});
  return link.toString();
}}"""


def from_link(request: gr.Request, fast: bool = False) -> list[Any]:
    """Values from the page's address: NAMES, the strength of each task, and the sentence they stand for.

    What the address lacks, or has wrong, stays as it is, and so does a choice of network without `fast`.
    """
    given = {name: found[-1] for name, found in parse_qs(str(request.query_params)).items()}
    if not set(given) & set(NAMES):  # no link: a quick visitor may have typed already
        return [gr.skip()] * (len(NAMES) + len(TASKS) + 1)
    return values_for(given, fast)


def values_for(given: Mapping[str, str], fast: bool = False) -> list[Any]:
    """Values of the widgets for {name of NAMES: text}; what is lacking, or is no choice, stays as it is.

    `fast`: there is a smaller network to choose.
    """
    prompt, text = given.get("prompt", "")[:MAX_CHARACTERS], given.get("tasks")
    tasks = route(prompt).tasks if text is None else _tasks(text)
    aged = chips.aged(route(prompt)) if text is None else [n for n in chips.AGED if n in text.split(",")]
    chosen, *strengths = chips.values_for(tasks, aged)
    known = {
        "scale": {scale: scale for scale in SCALES},
        "steps": {str(steps): steps for _, steps in QUALITY},
        "fidelity": {fidelity: fidelity for fidelity in FIDELITIES},
        "seed": _seed(given.get("seed", "")),
        "size": {"": ""} | _size(given.get("size", "")),
        "fast": {"true": True, "false": False} if fast else {},
    }
    options = [known[name].get(given.get(name), gr.skip()) for name in OPTIONS]
    return [prompt, chosen, *options, *strengths, prompt]


def _tasks(text: str) -> dict[str, float]:
    """{task: strength} of "dehaze:0.5,deblur:1"; what is no task is left out."""
    found = {}
    for name, strength in (part.partition(":")[::2] for part in text.split(",")):
        with suppress(ValueError):  # no number
            if name in TASKS and 0 < float(strength or 1) <= 1:
                found[name] = float(strength or 1)
    return found


def _size(text: str) -> dict[str, str]:
    """{text: text} of a size, else {}."""
    return {text: text} if len(text) <= MAX_SIZE_TEXT and size_of(text) else {}


def _seed(text: str) -> dict[str, int]:
    """{text: number} of a whole number that a browser keeps exactly, else {}."""
    return {text: int(text)} if text.isascii() and text.isdigit() and len(text) < 16 else {}
