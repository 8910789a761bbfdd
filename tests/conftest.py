"""What several test files share, how the suite is divided among processes, and a Hub of our own: no test ever
talks to the real one.

The whole suite runs in one process for each core, four at most, of one thread each. A few files named on the
command line run in this process, where `--pdb` and `-s` work. `-n NUMBER` decides otherwise. Each process has
its own port, home and temporary folders.
"""

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from xdist.scheduler import LoadScopeScheduling

# A port that nobody else takes while this socket is bound, and where nobody answers until a Hub listens.
_reserved = socket.socket()
_reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
_reserved.bind(("127.0.0.1", 0))
HUB_PORT = _reserved.getsockname()[1]
HOME = tempfile.mkdtemp(prefix="lwr-tests-")
os.environ |= {  # read when the libraries are imported, also in processes that tests start
    "HF_ENDPOINT": f"http://127.0.0.1:{HUB_PORT}",
    "HF_HOME": HOME,
    "HF_HUB_DISABLE_XET": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_ETAG_TIMEOUT": "120",  # seconds: this machine may be busy
    "HF_HUB_DOWNLOAD_TIMEOUT": "120",
    "OMP_NUM_THREADS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}
os.environ.pop("HF_TOKEN", None)

if TYPE_CHECKING:  # what is heavy is imported where it is used: the process that only divides starts at once
    from lwr.restore import Restorer

from hub_server import RunningHub  # noqa: E402
from served import server  # noqa: E402, F401
from small_sets import built, load, mine, no_histograms, source  # noqa: E402, F401

MOST_PROCESSES = 4  # each needs up to 3 GB
# Files that share what takes long to make, so they run in one process.
TOGETHER = {
    "test_app.py": "page",
    "test_page.py": "page",
    "test_brush.py": "page",
    "test_service.py": "service",
    "test_findings.py": "service",
    "test_words.py": "service",
    "test_mcp.py": "page",
}
# Files that take longest, longest first, so that all processes end at about the same time.
FIRST = (
    "test_app.py",
    "test_page.py",
    "test_zerogpu.py",
    "test_mcp.py",
    "test_training_resume.py",
    "test_dataset.py",
    "test_priors.py",
    "test_publish.py",
    "test_pixels.py",
    "test_training_stages.py",
    "test_stablesr.py",
    "test_evaluate.py",
    "test_training_sd.py",
    "test_batch.py",
    "test_cli.py",
    "test_training_run.py",
    "test_smoke.py",
    "test_hub.py",
    "test_memory.py",
    "test_restore.py",
    "test_fidelity.py",
    "test_dataset_photos.py",
    "test_training_batches.py",
    "test_publish_refusals.py",
)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """How many processes `-n auto`, the default, starts; 0: this one does all."""
    if not any(Path(argument).is_dir() for argument in config.args):
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MOST_PROCESSES)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files come first."""
    items.sort(key=lambda item: FIRST.index(item.path.name) if item.path.name in FIRST else len(FIRST))


class ByFile(LoadScopeScheduling):
    """A process takes a whole file, or several that belong together, and then the next."""

    def _split_scope(self, nodeid: str) -> str:
        name = Path(nodeid.split("::")[0]).name
        return TOGETHER.get(name, name)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByFile:
    """Instead of xdist's own."""
    config.option.loadscopereorder = False  # keep the order of `FIRST`
    return ByFile(config, log)


def pytest_unconfigure() -> None:
    """Remove what the clients kept."""
    shutil.rmtree(HOME, ignore_errors=True)


@pytest.fixture(scope="module")
def running_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """A Hub that answers at HF_ENDPOINT; as this machine may be busy, it is waited for."""
    hub = RunningHub(tmp_path_factory.mktemp("hub"), HUB_PORT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lwr.loading.hub.TIMEOUT", 120.0)
        yield hub
    hub.stop()


@pytest.fixture(scope="session")
def small_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished multi-task dataset of a few small pictures."""
    from small_sets import build, photos

    folder = tmp_path_factory.mktemp("set")
    assert build(photos(folder / "photos", 6), folder / "set") == 0
    return folder / "set"


@pytest.fixture(scope="session")
def restorer() -> "Restorer":
    """The one that ships; no test gives it an adapter."""
    from lwr.restore import Restorer

    return Restorer.load(device="cpu")


@pytest.fixture(scope="session")
def priors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny prior of every kind: sd, v, turbo, pruned, stablesr."""
    from tiny_priors import every_kind

    return every_kind(tmp_path_factory.mktemp("priors"))


@pytest.fixture(scope="session")
def sd(priors: Path) -> "Restorer":
    """The tiny Stable Diffusion; no test changes it."""
    from lwr.restore import Restorer

    return Restorer.load(str(priors / "sd"), device="cpu")


@pytest.fixture
def toy_root(tmp_path: Path) -> Iterator[Path]:
    """A folder with photos and a network to start from, removed afterwards."""
    from toy_runs import new_root

    yield new_root(tmp_path)
    shutil.rmtree(tmp_path)


@pytest.fixture
def finished_root(toy_root: Path) -> Path:
    """The same, in which toy("refiner", ..., "run") has run to its end."""
    from toy_runs import finished

    return finished(toy_root)
