"""The texts by which a program names a photo: an upload, a data URL, a web address, a path in LWR_FOLDER."""

import base64
import binascii
import json
import mimetypes
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, unquote_to_bytes, urlparse

from gradio.utils import get_space

from lwr.images.files import ImageError
from page.fetching import fetch
from page.inputs import upload_path
from page.service import new_folder
from page.uploads import MAX_BYTES, MAX_FILE_SIZE

FOLDER = "LWR_FOLDER"  # of the environment: photos in this folder may be named by their path
OF_UPLOADS = "/gradio_api/file="
WAYS = "what /gradio_api/upload answered, a data URL, or a public http or https address"
_OTHER_ADDRESS = re.compile(r"file:|[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_URL_SAFE = str.maketrans("-_", "+/")  # base64 for addresses
_LONGEST_NAME = 100  # bytes; file systems take 255
_UNSAFE = re.compile(r"[^\w. ()-]+")


def received(text: Any) -> str:
    """The path of the photo that `text` names, in Gradio's upload folder; ImageError says what is refused."""
    text = _text(text)
    if text[:5].lower() == "data:":
        return _kept(*_of_data_url(text))
    if (path := _uploaded(text)) is not None:
        return path
    if re.match(r"https?://", text, re.IGNORECASE):
        return _kept(*fetch(text, MAX_BYTES))
    if _OTHER_ADDRESS.match(text):
        raise ImageError(f"Only http and https addresses are taken: give {ways()}.")
    return _kept(*_of_folder(text))


def ways() -> str:
    """What `received` takes, as a part of a sentence."""
    folder = _folder()
    return WAYS if folder is None else f"{WAYS}, or a path in {FOLDER}"


def _text(sent: Any) -> str:
    """What the upload endpoint answered is a list of one path; clients also send {"path": ...}."""
    if isinstance(sent, str) and sent.strip()[:1] in ("[", "{"):
        with suppress(ValueError):
            sent = json.loads(sent)
    if isinstance(sent, list) and len(sent) == 1:
        sent = sent[0]
    if isinstance(sent, dict):
        sent = sent.get("path")
    if not isinstance(sent, str) or not sent.strip() or "\0" in sent:
        raise ImageError(f"There is no photo: give {ways()}.")
    return sent.strip()


def _uploaded(text: str) -> str | None:
    """The path of an upload, from a path or from this server's address of it; else None."""
    if re.match(r"https?://", text, re.IGNORECASE):
        try:
            text = urlparse(text).path
        except ValueError:  # such as http://[::1
            return None
    if OF_UPLOADS in text:
        text = unquote(text.partition(OF_UPLOADS)[2])
    path = upload_path({"path": text})
    if path is not None and not Path(path).is_file():
        raise ImageError("This upload is not there any more: upload the photo again.")
    return path


def _of_data_url(text: str) -> tuple[bytes, str]:
    """(content, file name) of data:TYPE;base64,CONTENT."""
    head, comma, content = text.partition(",")
    kind, *options = (part.strip().lower() for part in head[len("data:") :].split(";"))
    if len(content) > 2 * MAX_BYTES:
        raise _too_large()
    try:
        packed = "base64" in options
        data = _unpacked(unquote(content)) if packed else unquote_to_bytes(content)
    except (binascii.Error, ValueError):
        data = b""
    if not comma or not data:
        raise ImageError("The data URL is cut short or damaged: send data:image/jpeg;base64, and the photo.")
    return data, f"photo{mimetypes.guess_extension(kind) or ''}"


def _unpacked(text: str) -> bytes:
    """The content of base64 in either alphabet, with or without its padding; binascii.Error if cut short."""
    return base64.b64decode(text.translate(_URL_SAFE) + "==", validate=False)


def _of_folder(text: str) -> tuple[bytes, str]:
    """(content, file name) of a photo in LWR_FOLDER; nothing outside it is opened, whatever leads there."""
    folder = _folder()
    if folder is None:
        raise ImageError(f"Paths are refused, as this server opens no files of its machine: give {ways()}.")
    try:
        path = (folder / Path(text).expanduser()).resolve()
        inside, there = path.is_relative_to(folder), path.is_file()
    except (OSError, ValueError, RuntimeError):
        inside = there = False
    if not inside:
        raise ImageError(f"This path is outside {FOLDER} and refused: give one inside it, or {WAYS}.")
    if not there:
        raise ImageError(f"There is no photo {path.name} in {FOLDER}: check the name.")
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ImageError(f"{path.name} cannot be read ({error.strerror}): check its permissions.") from None
    return content, path.name


def _folder() -> Path | None:
    """The folder that the person who runs the server has opened to programs; never one of a Space."""
    named = os.environ.get(FOLDER)
    return Path(named).expanduser().resolve() if named and get_space() is None else None


def _kept(content: bytes, name: str) -> str:
    """The path of a new upload with this content."""
    if len(content) > MAX_BYTES:
        raise _too_large()
    safe = _UNSAFE.sub("_", Path(name).name).encode()[-_LONGEST_NAME:].decode(errors="ignore")
    file = new_folder() / (safe.lstrip(".") or "photo")
    file.write_bytes(content)
    return str(file)


def _too_large() -> ImageError:
    return ImageError(f"The photo is larger than {MAX_FILE_SIZE}: make it smaller first.")
