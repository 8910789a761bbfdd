"""What was asked for and with what it was done, written into every result, and read back from it.

It lies in the file's XMP, which PNG, JPEG, WebP and TIFF all hold, as JSON: the request as it was made, so
that the same can be asked of another photo, the settings that came of it, and the versions.
"""

import dataclasses
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lwr.images import xmp
from lwr.request import REPAIRS, Request, RestoreError, Settings
from lwr.version import __version__

if TYPE_CHECKING:
    from lwr.images.photo import Loaded

LONGEST = 100_000  # characters
_USUAL = asdict(Request())
# What a given option replaces in a record.
_INSTEAD = {"scale": ("size",), "size": ("scale",), "prompt": ("task", "auto"), "task": ("auto",)}


@dataclass(frozen=True)
class Record:
    """What a result says about how it was made."""

    request: Request
    settings: dict[str, Any]  # as `Settings.json` gave them
    version: str  # of lwr


def with_record(photo: "Loaded", request: Request, settings: Settings) -> "Loaded":
    """The photo with this record in its XMP, instead of an earlier one."""
    record = {"lwr": __version__, "request": _lasting(request), "settings": settings.json()}
    return dataclasses.replace(photo, xmp=xmp.with_settings(photo.xmp, json.dumps(record, default=_plain)))


def recorded(path: str | Path) -> Record | None:
    """The record in a file; None when it has none that can be read."""
    from lwr.images.metadata import settings_in  # numpy

    text = settings_in(Path(path))
    if text is None or len(text) > LONGEST:
        return None
    try:
        found = json.loads(text)
        json.dumps(found, ensure_ascii=False).encode()  # half a character, "\ud800", can go nowhere
        request, settings = found["request"], found["settings"]
        known = {one.name for one in fields(Request)}
        given = {str(name): value for name, value in request.items() if name in known}
        if isinstance(given.get("size"), list):
            given["size"] = tuple(given["size"])
        return Record(Request(**given), dict(settings), str(found["lwr"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def like(path: str | Path, request: Request, prior: str | None = None) -> Request:
    """The request that made the result at `path`; what `request` names wins, and so does a `prior` if given.

    RestoreError when there is no such file or it does not say how it was made.
    """
    if not str(path):
        raise RestoreError("The file to be like has no name: give a result of lwr.")
    if not os.path.exists(path):
        raise RestoreError(f"There is no file {path}: give a result of lwr.")
    if os.path.isdir(path):
        raise RestoreError(f"{path} is a folder: give one result of lwr.")
    found = recorded(path)
    if found is None:
        raise RestoreError(
            f"{path} does not say how it was made: give a result of lwr as it was written, or name the "
            "settings."
        )
    given = _given(request)
    left = {other for name in given for other in _INSTEAD.get(name, ())}
    left |= {"fast"} if prior else set()
    kept = {name: value for name, value in vars(found.request).items() if name not in left}
    return Request(**(kept | given))


def differences(path: str | Path, request: Request, settings: Settings) -> Iterator[str]:
    """Sentences on why `request`, made like the result at `path`, will not do the same: weights, a mask."""
    found = recorded(path)
    if found is None:
        return
    made = found.settings.get("prior", settings.prior)
    if made != settings.prior:
        yield f"{path} was made with {made}, and this is {settings.prior}: the pixels will differ."
    if found.settings.get("filled") and not (request.mask or "scratches" in settings.repairs):
        yield f"{path} was filled by a mask, which is of one photo: here nothing is filled without --mask."


def _given(request: Request) -> dict[str, Any]:
    """The fields that say anything."""
    return {name: value for name, value in vars(request).items() if value != _USUAL[name]}


def _lasting(request: Request) -> dict[str, Any]:
    """The same without a mask, which is of one photo; what was only filled asks nothing of others."""
    given = _given(request)
    if given.pop("mask", None) is not None and not given.keys() & {"prompt", "task", "auto", "old", *REPAIRS}:
        given["task"] = {}
    return given


def _plain(value: Any) -> Any:
    """What JSON has no kind for: mappings of other types, numbers of other libraries."""
    return dict(value) if isinstance(value, Mapping) else float(value)
