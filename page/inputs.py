"""What a browser or an API client sends, as a checked path and a `lwr.request.Request`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gradio.utils import get_upload_folder
from PIL import Image

from lwr.request import REPAIRS, Request, RestoreError
from page.errors import not_restored
from page.words import said

PREVIEW = ".preview.webp"  # ends the name of a picture that is shown for a photo, which lies beside it
FLAGS = ("auto", "old", "fast", *REPAIRS)  # fields of Request that are true or false
# and those that may arrive as text: "2", "0.5"
NUMBERS = ("scale", "steps", "fidelity", "seed", "strength")


def read_request(**sent: Any) -> Request:
    """The Request in what was sent; None, "" and "auto" leave a field open. RestoreError when it is bad.

    `Restorer.resolve` checks the values.
    """
    given = {name: value for name, value in sent.items() if value not in (None, "", "auto")}
    as_they_are = {name: given.pop(name) for name in FLAGS if name in given}
    if isinstance(given.get("mask"), Image.Image):
        as_they_are["mask"] = given.pop("mask")
    texts = {name: str(given[name]) for name in given if name not in NUMBERS}
    if isinstance(given.get("task"), Mapping):
        texts["task"] = dict(given["task"])  # {task: strength}
    try:
        numbers = {name: _number(given[name]) for name in NUMBERS if name in given}
    except (TypeError, ValueError, OverflowError) as error:
        raise RestoreError(f"Scale, steps, fidelity, seed and strength must be numbers: {error}.") from None
    return Request(**texts, **numbers, **as_they_are)


def _number(value: Any) -> int | float:
    """4 for 4 and "4", 0.5 for "0.5"; a seed keeps all its digits."""
    if isinstance(value, bool):
        raise ValueError(f"{value} is no number")
    return int(value) if str(value).lstrip("-").isdecimal() else float(value)


def uploaded(image: Any) -> str:
    """The path of an upload; nothing outside Gradio's upload folder is ever opened."""
    path = upload_path(image)
    if path is None:
        raise not_restored(said("There is no photo yet: choose one first."))
    return path


def upload_path(image: Any) -> str | None:
    """The path of an upload, or None when it is none; of a preview, the photo that it shows."""
    path = image.get("path") if isinstance(image, dict) else None
    inside = isinstance(path, str) and "\0" not in path
    if not inside or Path(get_upload_folder()).resolve() not in Path(path).resolve().parents:
        return None
    shown = path.removesuffix(PREVIEW)
    return shown if shown != path and Path(shown).is_file() else path
