"""Fixtures that several files share, and a Hub of our own: no test ever talks to the real one."""

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# The clients read these when they are imported. Until a test starts the server on this port, nobody answers.
with socket.socket() as _free:
    _free.bind(("127.0.0.1", 0))
    HUB_PORT = _free.getsockname()[1]
HOME = tempfile.mkdtemp(prefix="lwr-tests-")
os.environ |= {
    "HF_ENDPOINT": f"http://127.0.0.1:{HUB_PORT}",
    "HF_HOME": HOME,
    "HF_HUB_DISABLE_XET": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
}
os.environ.pop("HF_TOKEN", None)

from hub_server import RunningHub  # noqa: E402
from served import server  # noqa: E402, F401
from toy_runs import finished, new_root  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def hub_home() -> Iterator[None]:
    """Remove what the clients kept."""
    yield
    shutil.rmtree(HOME, ignore_errors=True)


@pytest.fixture(scope="module")
def running_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """A Hub that answers at HF_ENDPOINT."""
    hub = RunningHub(tmp_path_factory.mktemp("hub"), HUB_PORT)
    yield hub
    hub.stop()


@pytest.fixture(scope="session")
def small_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished multi-task dataset of a few small pictures."""
    from test_dataset import build, photos

    folder = tmp_path_factory.mktemp("set")
    assert build(photos(folder / "photos", 6), folder / "set") == 0
    return folder / "set"


@pytest.fixture
def toy_root(tmp_path: Path) -> Iterator[Path]:
    """A folder with photos and a network to start from, removed afterwards."""
    yield new_root(tmp_path)
    shutil.rmtree(tmp_path)


@pytest.fixture
def finished_root(toy_root: Path) -> Path:
    """The same, in which toy("wrapping", ..., "run") has run to its end."""
    return finished(toy_root)
