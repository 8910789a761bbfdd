"""A visitor's errors as sentences: safe to show in a page, and they name no folder of the server."""

import html
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gradio as gr

from lwr.images.disk import FULL
from lwr.images.files import DiskFullError, ImageError
from lwr.loading.adapter import AdapterError
from lwr.request import RestoreError
from page.words import said

LOG = logging.getLogger("lwr.page")
DISK_FULL = "The server's disk is full, so the result could not be kept: try again later."
FAULT = "This program failed, which is its own fault: try other settings or another photo."
VISITOR_ERRORS = (ImageError, RestoreError, AdapterError)  # each says in one sentence what is wrong


class CancelledError(Exception):
    """The visitor pressed Cancel."""


@contextmanager
def errors_for_visitors(photo: str = "") -> Iterator[None]:
    """Turn a visitor's error into a `gr.Error` of one sentence; `photo` is the path of the upload."""
    try:
        yield
    except VISITOR_ERRORS as error:
        LOG.warning("refused a request: %s", type(error).__name__)  # never a visitor's prompt or file name
        raise not_restored(sentence(error, photo)) from None
    except OSError as error:
        if error.errno not in FULL:
            raise
        LOG.error("the disk is full where uploads and results are kept")
        raise not_restored(said(DISK_FULL)) from None
    except CancelledError:
        raise gr.Error(
            said("Your photo was not changed."), title=said("Stopped"), print_exception=False
        ) from None


def not_restored(why: str) -> gr.Error:
    """The error that shows this sentence."""
    return gr.Error(why, title=said("Not restored"), print_exception=False)


def not_done(error: gr.Error) -> str:
    """The Markdown that stands where the progress did."""
    title = said("Not restored" if error.title == "Error" else error.title)
    return f"**{title}.** {said(error.message)}"


def sentence(error: Exception, photo: str = "") -> str:
    """The error's text, escaped since browsers show it as HTML, with the photo's name for its path."""
    if isinstance(error, DiskFullError):  # its text is for those who can free space
        LOG.error("the disk is full where uploads and results are kept")
        return said(DISK_FULL)
    text = str(error).replace(photo, Path(photo).name) if photo else str(error)
    return said(html.escape(text, quote=False))
