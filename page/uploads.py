"""Uploads that the server's disk does not take: a sentence, and nothing half stays."""

import contextlib
import time
from pathlib import Path

from fastapi import Request
from fastapi.responses import PlainTextResponse
from gradio.utils import get_upload_folder

from lwr.images.disk import FULL
from page.errors import LOG

SENTENCE = "The server's disk is full, so your photo could not be taken: try again later."
MAX_FILE_SIZE = "50 MB"  # of an upload
MAX_BYTES = 50 * 1024**2  # the same
STALE = 600  # seconds without a write after which an unfinished upload is given up


async def disk_full(_request: Request, error: OSError) -> PlainTextResponse:
    """The answer to an upload for which there is no room; other errors stay what they are."""
    if error.errno not in FULL:
        raise error
    LOG.error("the disk is full where uploads and results are kept")
    _remove_unfinished(Path(get_upload_folder()))
    return PlainTextResponse(SENTENCE, status_code=507)


def _remove_unfinished(folder: Path) -> None:
    """Gradio moves finished uploads into subfolders; what else lies here for long was cut short."""
    for path in folder.glob("tmp*"):
        with contextlib.suppress(OSError):
            if path.is_file() and time.time() - path.stat().st_mtime > STALE:
                path.unlink()
