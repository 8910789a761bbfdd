"""The app started as a user starts it, and pictures to give it."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image, ImageFilter

ROOT = Path(__file__).parent.parent
MAKE, ORIENTATION = 271, 274  # EXIF tags
START = 600  # seconds that a server may take to start on a busy machine


@dataclass(frozen=True)
class Server:
    """A running `python app.py`."""

    url: str
    log: Path  # what it writes to its terminal
    folder: Path  # its LWR_FOLDER


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests of the page and its API, started as a user starts it."""
    scratch = tmp_path_factory.mktemp("server")
    folder = scratch / "photos"
    folder.mkdir()
    with running_app(scratch, own={"LWR_FOLDER": str(folder)}) as url:
        yield Server(url, scratch / "log.txt", folder)


@contextmanager
def running_app(
    scratch: Path,
    folder: Path = ROOT,
    own: Mapping[str, str] | None = None,
    command: Sequence[str] = ("app.py",),
) -> Iterator[str]:
    """The address of `python app.py` in `folder`, on a free port; what it prints goes to scratch/log.txt."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address, log = f"http://127.0.0.1:{port}", scratch / "log.txt"
    usual = {"GRADIO_SERVER_PORT": str(port), "GRADIO_TEMP_DIR": str(scratch / "uploads")}
    with log.open("w") as output:
        server = subprocess.Popen(
            [sys.executable, *command],
            cwd=folder,
            env=os.environ | usual | dict(own or {}),
            stdout=output,
            stderr=output,
            start_new_session=True,  # a group, which its own processes belong to
        )
    try:
        until = time.monotonic() + START
        while not answers(address):
            assert server.poll() is None and time.monotonic() < until, f"no server:\n{log.read_text()}"
            time.sleep(0.3)
        yield address
    finally:
        server.terminate()
        server.wait(120)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)  # what it left running


def answers(address: str) -> bool:
    """Whether a page is there."""
    try:
        return urllib.request.urlopen(address, timeout=5).status == 200
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def picture(width: int, height: int) -> Image.Image:
    """A photo with haze, and blurred."""
    photo = Image.open(ROOT / "lwr" / "samples" / "hazy-rocket.jpg").resize((width, height))
    return photo.filter(ImageFilter.GaussianBlur(1.2))


def exif(orientation: int = 1) -> Image.Exif:
    """EXIF of a camera."""
    tags = Image.Exif()
    tags[MAKE], tags[ORIENTATION] = "Test Camera", orientation
    return tags
