"""Measure adapters from a Hub on this machine: cold fetch, warm switch, sizes, many requests at once.

    python -m training.benchmarks.adapters      # writes training/results/adapters.json

The Hub is tests/hub_server.py in a process of its own, so that nothing leaves the machine.
"""

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING

from training.benchmarks.record import RESULTS, fresh, made_with, write
from training.command_line import parse_nothing
from training.machine import ROOT

if TYPE_CHECKING:
    from lwr.restore import Restorer

COMMAND = "python -m training.benchmarks.adapters"
NAMESPACE, VERSION = "alice", "v1.0.0"
PHOTO = ROOT / "lwr" / "samples" / "small-cat.jpg"
REPEATS = 7
REQUESTS = 20


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point."""
    parse_nothing(arguments, COMMAND, __doc__)
    with tempfile.TemporaryDirectory() as folder, loopback_hub(Path(folder)) as environment:
        os.environ |= environment | {"HF_HOME": folder}  # its clients read it when they are imported
        figures = measure(Path(folder))
    write(made_with(COMMAND) | figures, RESULTS / "adapters.json")


@contextmanager
def loopback_hub(root: Path) -> Iterator[dict[str, str]]:
    """The environment of clients that talk to a Hub of our own."""
    words = [sys.executable, str(ROOT / "tests" / "hub_server.py"), "--root", str(root / "hub")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield dict(re.findall(r"(\S+)=(\S+)", server.stdout.readline()))
        finally:
            server.terminate()


def measure(root: Path) -> dict[str, object]:
    """All figures, of adapters that are published first."""
    from lwr.loading.adapter import WEIGHTS
    from lwr.restore import Restorer
    from lwr.tasks import TASKS
    from training.publish import main as publish

    if publish(["all", "--namespace", NAMESPACE, "--version", VERSION]):
        raise SystemExit("The adapters could not be published to the Hub on the loopback.")
    repos = {task: f"{NAMESPACE}/lwr-{task}" for task in TASKS}
    fetches = [fresh(fetch, root / f"cold-{number}", repos["dehaze"]) for number in range(REPEATS)]
    restorer = Restorer.load(device="cpu")
    switches = switch(restorer, repos)
    slowest = max(switches, key=lambda pair: statistics.median(switches[pair]))
    right = {task: restorer(PHOTO, task=task, scale=1).image.tobytes() for task in TASKS}
    folder = ROOT / "lwr" / "embedded" / "adapters"
    return {
        "cold_fetch_and_attach_s": _median_and_most(fetches),
        "warm_switch_ms": _median_and_most([each for times in switches.values() for each in times], 1)
        | {
            "pairs": len(switches),
            "slowest_pair": " to ".join(slowest),
            "median_of_slowest_pair": round(statistics.median(switches[slowest]), 1),
        },
        "adapter_mb": {task: round((folder / task / WEIGHTS).stat().st_size / 1e6, 2) for task in TASKS},
        "at_once": at_once(repos, right),
    }


def fetch(cache: Path, repo: str) -> float:
    """Seconds of fetching and attaching an adapter, with an empty cache."""
    os.environ["HF_HUB_CACHE"] = str(cache)
    from lwr.loading.adapter import Adapter
    from lwr.restore import Restorer

    restorer = Restorer.load(device="cpu")
    start = time.perf_counter()
    restorer.use(Adapter.fetch(repo, revision=VERSION))
    return time.perf_counter() - start


def switch(restorer: "Restorer", repos: dict[str, str]) -> dict[tuple[str, str], list[float]]:
    """{(task before, task after): milliseconds of attaching the second's adapter}, for every pair of tasks.

    All adapters are in memory. A photo has no part in it, so this holds for any size.
    """
    from lwr.loading.adapter import Adapter

    attachment = restorer._attachment
    adapters = {task: Adapter.fetch(repo, VERSION) for task, repo in repos.items()}
    taken: dict[tuple[str, str], list[float]] = {pair: [] for pair in permutations(adapters, 2)}
    for _ in range(REPEATS):
        for (before, after), times in taken.items():
            attachment.attach([adapters[before]], [1.0])
            start = time.perf_counter()
            attachment.attach([adapters[after]], [1.0])
            times.append(1000 * (time.perf_counter() - start))
    return taken


def at_once(repos: dict[str, str], right: dict[str, bytes]) -> dict[str, float]:
    """Many requests of all tasks together, with nothing in memory; each is compared with its right pixels."""
    from lwr.loading.adapter import remembered
    from lwr.restore import Restorer

    restorer = Restorer.load(device="cpu")
    restorer.adapters.pins = {task: f"{repo}@{VERSION}" for task, repo in repos.items()}
    remembered.cache_clear()
    asked = [list(repos)[number % len(repos)] for number in range(REQUESTS)]
    start = time.perf_counter()
    with ThreadPoolExecutor(REQUESTS) as threads:
        made = list(threads.map(lambda task: restorer(PHOTO, task=task, scale=1).image.tobytes(), asked))
    return {
        "requests": REQUESTS,
        "tasks": len(repos),
        "wrong_pictures": sum(one != right[task] for one, task in zip(made, asked, strict=True)),
        "seconds": round(time.perf_counter() - start, 2),
    }


def _median_and_most(values: Sequence[float], digits: int = 2) -> dict[str, float]:
    return {"median": round(statistics.median(values), digits), "most": round(max(values), digits)}


if __name__ == "__main__":
    main()
