"""A pass takes fewer threads while other programs keep cores busy, and its pixels do not depend on it."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from lwr.models import sharing
from lwr.models.sharing import NUMBERED_BY, planned_threads, watch_passes, watched

ROOT = Path(__file__).parents[1]
CPU = torch.device("cpu")
# The same photos with all threads, and with one from the first, an early and a late convolution on
PIXELS = """
import torch
from PIL import Image
from lwr.models import sharing
from lwr.restore import Restorer

torch.set_num_threads(2)
sharing.watch_passes({{}})
restorer = Restorer.load("{network}")
photo = Image.open("lwr/samples/hazy-rocket.jpg").convert("RGB").resize((320, 256))

def watch(last):
    def run(self, convolution):
        self.done = getattr(self, "done", -1) + 1
        if self.done == last:
            self.threads = 1
            torch.set_num_threads(1)
        seen.add(torch.get_num_threads())
        return convolution()
    return run

for task in ("dehaze", "low-light", "super-resolution"):
    found = []
    for last in (None, 0, 10, 50):
        seen, sharing._Watch.run = set(), watch(last)
        found.append(restorer(photo, task=task, scale=1).loaded.pixels)
        assert torch.get_num_threads() == 2 and seen == {{None: {{2}}, 0: {{1}}}}.get(last, {{1, 2}})
    assert all(torch.equal(found[0], other) for other in found[1:]), task
"""


# The same photo alone with all threads, and as it comes, beside busy programs for every core
BUSY = """
import os, subprocess, sys, torch
from lwr.models import sharing
from lwr.restore import Restorer

torch.set_num_threads(2)
restorer = Restorer.load("embedded-lite")
wanted = restorer("lwr/samples/hazy-rocket.jpg", task="dehaze").loaded.pixels
sharing.watch_passes({})
run, seen = sharing._Watch.run, []

def and_note(self, convolution):
    result = run(self, convolution)
    seen.append(torch.get_num_threads())
    return result

sharing._Watch.run = and_note
busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * os.cpu_count())]
try:
    found = restorer("lwr/samples/hazy-rocket.jpg", task="dehaze").loaded.pixels
finally:
    for one in busy:
        one.kill()
assert seen[-1] == 1, seen  # nothing is noted once one thread is left
assert torch.equal(found, wanted) and torch.get_num_threads() == 2
"""


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    sharing._threads = None
    torch.set_num_threads(before)


class Clock:
    """Seconds and processor time, as convolutions take them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = self.used = 0.0
        monkeypatch.setattr(sharing.time, "perf_counter", lambda: self.now)
        monkeypatch.setattr(sharing.time, "process_time", lambda: self.used)

    def convolution(self, cores: float, seconds: float = 0.003) -> Callable[[], int]:
        """One for which threads got so many cores; it gives how many threads there were."""

        def work() -> int:
            self.now += seconds
            self.used += cores * seconds
            return torch.get_num_threads()

        return work


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def threads_of(clock: Clock, cores: list[float]) -> list[int]:
    """Of each convolution of a pass, for which threads get so many cores."""
    with sharing.sharing():
        return [watched(clock.convolution(min(each, torch.get_num_threads())), CPU) for each in cores]


@pytest.mark.parametrize("network", ["embedded", "embedded-lite"])
def test_the_pixels_are_the_same_bit_for_bit(network: str) -> None:
    code = PIXELS.format(network=network)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere processor time is too coarse")
def test_beside_real_programs_the_pass_steps_back_and_gives_the_same_pixels() -> None:
    done = subprocess.run([sys.executable, "-c", BUSY], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("cores", [1.0, 1.33])
def test_beside_a_busy_program_one_thread_is_left_within_a_tenth_of_a_second(
    two_threads: None, clock: Clock, cores: float
) -> None:
    watch_passes({})
    found = threads_of(clock, [cores] * 100)
    assert found[0] == 2 and set(found[33:]) == {1}
    assert torch.get_num_threads() == 2
    assert threads_of(clock, [2.0] * 100) == [2] * 100  # the next pass begins with all again


def test_alone_all_threads_are_kept(two_threads: None, clock: Clock) -> None:
    watch_passes({})
    usual = [1.9, 2.3, 1.7, 2.0, 1.0] * 40  # 0.95 of what is there; small ones are badly timed
    interrupted = [2.0] * 20 + [1.1] * 6 + [2.0] * 60
    assert set(threads_of(clock, usual)) == set(threads_of(clock, interrupted)) == {2}


def test_of_more_threads_one_goes_after_the_other(clock: Clock) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        watch_passes({})
        found = threads_of(clock, [2.0] * 200)
        assert found[0] == 4 and found[-1] == 2 and 3 in found
    finally:
        sharing._threads = None
        torch.set_num_threads(before)


def test_work_is_cut_for_all_threads_whatever_their_number(two_threads: None, clock: Clock) -> None:
    assert planned_threads() == 2
    watch_passes({})
    with sharing.sharing():
        for _ in range(40):
            watched(clock.convolution(1.0), CPU)
        assert (torch.get_num_threads(), planned_threads()) == (1, 2)


def test_what_runs_elsewhere_says_nothing_about_cores(two_threads: None, clock: Clock) -> None:
    watch_passes({})
    with sharing.sharing():
        for _ in range(100):
            assert watched(clock.convolution(0.1), torch.device("cuda")) == 2


def test_other_threads_of_the_program_and_errors_leave_their_number_alone(
    two_threads: None, clock: Clock
) -> None:
    watch_passes({})
    found: list[int] = []
    with pytest.raises(ValueError, match="broken"), sharing.sharing():
        for _ in range(40):
            watched(clock.convolution(1.0), CPU)
        other = threading.Thread(target=lambda: found.append(watched(clock.convolution(1.0), CPU)))
        other.start()
        other.join()
        raise ValueError("broken")
    assert torch.get_num_threads() == 2 and len(found) == 1


def test_it_is_off_in_other_programs_and_where_the_user_named_a_number(two_threads: None) -> None:
    assert sharing._threads is None  # importing switches nothing on
    for name in NUMBERED_BY:
        watch_passes({name: "2"})
        assert sharing._threads is None
    watch_passes({})
    assert sharing._threads == (2 if sys.platform == "linux" else None)


def test_the_command_line_switches_it_on() -> None:
    code = """
import torch
from lwr.models import sharing
from lwr.weights import Loading
torch.set_num_threads(2)
Loading(prior="embedded-lite").restorer()
print(sharing._threads)
"""
    environment = {name: value for name, value in os.environ.items() if name not in NUMBERED_BY}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2" if sys.platform == "linux" else "None"]


def test_one_thread_and_many_are_left_as_they_are(two_threads: None) -> None:
    for number in (1, sharing.MOST_THREADS + 1):
        torch.set_num_threads(number)
        watch_passes({})
        assert sharing._threads is None
