"""Fixtures that several files share."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from toy_runs import finished, new_root


@pytest.fixture
def toy_root(tmp_path: Path) -> Iterator[Path]:
    """A folder with photos and a network to start from, removed afterwards."""
    yield new_root(tmp_path)
    shutil.rmtree(tmp_path)


@pytest.fixture
def finished_root(toy_root: Path) -> Path:
    """The same, in which toy("wrapping", ..., "run") has run to its end."""
    return finished(toy_root)
