"""The benchmark of a start: cores are lent and given back, and every part of a run is timed."""

import os
from pathlib import Path

import pytest

from training.benchmarks import start


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores are chosen on Linux only")
def test_cores_are_given_back() -> None:
    mine = os.sched_getaffinity(0)
    with pytest.raises(ZeroDivisionError), start.on_cores(1):
        assert os.sched_getaffinity(0) == {max(mine)}
        raise ZeroDivisionError
    assert os.sched_getaffinity(0) == mine


def test_a_run_times_the_command_and_its_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "PHOTO", start.PHOTO.with_name("small-cat.jpg"))
    found = start.measured(start.ROOT, tmp_path / "out.png", 1)
    assert set(found) == {"command", "torch alone", *start.PARTS} and (tmp_path / "out.png").exists()
    wall = {what: seconds[0] for what, seconds in found.items()}
    assert min(wall.values()) > 0 and wall["torch alone"] < wall["command"]
    assert wall["imports"] > wall["file"] and wall["imports"] > wall["weights"]


def test_figures_are_medians() -> None:
    runs = [{"command": [wall, wall / 2]} for wall in (4.0, 9.0, 2.0)]
    assert start.summary(runs) == {"command": {"wall_s": 4.0, "cpu_s": 2.0}}
