"""A file that a visitor has just given: shown where a browser cannot, and its settings brought back."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from lwr.images import files as images
from lwr.images.formats import kind_of
from lwr.prompt import route
from lwr.record import recorded
from lwr.request import Request
from lwr.tasks import TASKS
from page import chips, links
from page.errors import VISITOR_ERRORS, sentence
from page.inputs import PREVIEW, upload_path
from page.options import FIDELITIES, SCALES
from page.service import new_folder
from page.words import said

SET_AGAIN = "This file says how it was made: those settings are set again."
BY_THE_PHOTO = "This file says how it was made: by what its photo needed."
ALSO_BY_THE_PHOTO = "What its photo needed beside that was done too, which is no choice here."
ENHANCE = "enhance"  # says in a sentence that the photo decides
SHOWN = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "AVIF")  # by every browser
NAMED = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".avif")  # these get their sentence in the plan
# for the event; over the queue, as only there a function can show a note
ON_UPLOAD = {
    "preprocess": False,
    "show_progress": "hidden",
    "api_visibility": "private",
    "concurrency_limit": None,
}
PREVIEW_SIDE = 2048  # pixels
KEEP = 1 + len(links.NAMES) + len(TASKS) + 1  # values: the photo, then those of `links.values_for`


def taken(image: Any, fast: bool = False) -> list[Any]:
    """Values for the photo and for the widgets of `links.values_for`; what is refused is said and let go.

    `fast`: there is a smaller network to choose.
    """
    path = upload_path(image)
    if path is None:
        return [gr.skip()] * KEEP
    photo = shown(image)
    found = recorded(path) if photo is not None else None
    if found is None:
        return [photo, *[gr.skip()] * (KEEP - 1)]
    try:
        given, notes = _texts(found.request)
    except (TypeError, ValueError, OverflowError):
        return [photo, *[gr.skip()] * (KEEP - 1)]
    again = SET_AGAIN if given["prompt"] or given.get("tasks") or given["size"] else BY_THE_PHOTO
    gr.Info(said(" ".join([again, *notes])), title=said("Note"))
    return [photo, *links.values_for(given, fast)]


def shown(image: Any) -> Any:
    """The value of a picture widget after an upload: a preview, nothing new, or None for what is no photo."""
    path = upload_path(image)
    if path is None or kind_of(path) in SHOWN:
        return gr.skip()
    try:
        return _preview(Path(path))
    except VISITOR_ERRORS as error:
        if Path(path).suffix.lower() in NAMED:
            return gr.skip()
        gr.Warning(sentence(error, path), title=said("Not taken"))
        return None


def _preview(path: Path) -> str:
    """A smaller WebP of the photo, beside a second name of the photo itself."""
    loaded = images.load(path)
    picture = images.to_pil(loaded.pixels, loaded.alpha)
    picture.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE), Image.Resampling.BICUBIC)
    photo = new_folder() / path.name
    try:
        os.link(path, photo)
    except OSError:  # a disk without hard links
        shutil.copyfile(path, photo)
    picture.save(f"{photo}{PREVIEW}", "WEBP", quality=85)
    return f"{photo}{PREVIEW}"


def _texts(request: Request) -> tuple[dict[str, str], list[str]]:
    """({name of `links.NAMES`: text}, sentences on what no widget can hold) of a result's request.

    Whatever stands in a file may be of any type: TypeError or ValueError where it cannot be read.
    """
    size, notes = request.size or "", []
    given = {
        "prompt": _sentence(request, notes),
        "seed": str(int(request.seed)),
        "size": "x".join(map(str, size)) if isinstance(size, tuple) else str(size),
        "fast": "true" if request.fast is True else "false",
    }
    tasks = {} if request.task in (None, "auto") else request.task
    tasks = dict(tasks) if isinstance(tasks, Mapping) else {tasks: 1}
    if request.strength is not None:
        tasks = dict.fromkeys(tasks or route(given["prompt"]).tasks, float(request.strength))
        if not tasks or not request.strength:
            notes.append(f"Its strength, {float(request.strength):g}, is no choice here.")
    aged = {name for name in chips.AGED if getattr(request, name) is True}
    if aged and not tasks:
        tasks = dict(route(given["prompt"]).tasks)
    if aged or tasks:
        aged |= set() if request.task else set(chips.aged(route(given["prompt"])))
    chosen = [f"{name}:{strength}" for name, strength in tasks.items()]
    chosen += [name for name in chips.AGED if name in aged]
    if chosen:
        given["tasks"] = ",".join(chosen)
    if request.steps is not None:
        given["steps"] = str(request.steps)
    for name, value, choices in (
        ("scale", request.scale, SCALES),
        ("fidelity", request.fidelity, FIDELITIES),
    ):
        given[name] = "auto"
        if value not in (None, "auto"):
            given[name] = min(choices[1:], key=lambda choice: abs(float(choice) - float(value)))
            if float(given[name]) != float(value):
                notes.append(f"Its {name}, {float(value):g}, is no choice here: {given[name]} is set.")
    return given, notes


def _sentence(request: Request, notes: list[str]) -> str:
    """The prompt; where the photo decided beside a size, a word that says so, and beside tasks a note."""
    prompt = str(request.prompt)
    alone = not prompt.strip() and not request.task and request.scale is None and not request.size
    alone = alone and not (request.scratches or request.fading)
    if not request.auto or alone or route(prompt).general:
        return prompt
    if prompt.strip() or request.task:
        notes.append(ALSO_BY_THE_PHOTO)
        return prompt
    return ENHANCE
