"""Measure adapters from a Hub on this machine: cold fetch, warm switch, sizes, many requests at once.

    python -m training.benchmarks.adapters      # writes training/results/adapters.json

The Hub is tests/hub_server.py in a process of its own, so that nothing leaves the machine.
"""

import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
OUT = Path(__file__).parents[1] / "results" / "adapters.json"
COMMAND = "python -m training.benchmarks.adapters"
NAMESPACE, VERSION = "alice", "v1.0.0"
REPEATS = 7
REQUESTS = 20
COLD = """
import sys, time
from lwr.restore import Restorer
from lwr.loading.adapter import Adapter
restorer = Restorer.load(device="cpu")
begun = time.perf_counter()
restorer.use(Adapter.fetch(sys.argv[1], revision=sys.argv[2]))
print(time.perf_counter() - begun)
"""


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
    """All figures; the environment must name the Hub, whose clients read it when they are imported."""
    from lwr.loading.adapter import MEMORY, WEIGHTS, Adapter
    from lwr.restore import Restorer
    from lwr.tasks import TASKS
    from training.publish import main as publish

    assert publish(["all", "--namespace", NAMESPACE, "--version", VERSION]) == 0
    repos = {task: f"{NAMESPACE}/lwr-{task}" for task in TASKS}
    cold = [_cold(root / f"cold-{number}", repos["dehaze"]) for number in range(REPEATS)]
    restorer = Restorer.load(device="cpu")
    adapters = {task: Adapter.fetch(repo, VERSION) for task, repo in repos.items()}
    switches = []
    for number in range(3 * REPEATS):
        task = list(TASKS)[number % len(TASKS)]
        begun = time.perf_counter()
        restorer._attach({task: adapters[task]}, {task: 1.0})
        switches.append(time.perf_counter() - begun)
    picture = ROOT / "lwr" / "samples" / "small-cat.jpg"
    right = {task: restorer(picture, task=task, scale=1).image.tobytes() for task in TASKS}
    restorer = Restorer.load(device="cpu")
    restorer.adapters.pins = {task: f"{repo}@{VERSION}" for task, repo in repos.items()}
    MEMORY.clear()
    asked = [list(TASKS)[number % len(TASKS)] for number in range(REQUESTS)]
    begun = time.perf_counter()
    with ThreadPoolExecutor(REQUESTS) as threads:
        made = list(threads.map(lambda task: restorer(picture, task=task, scale=1).image.tobytes(), asked))
    together = time.perf_counter() - begun
    folder = ROOT / "lwr" / "embedded" / "adapters"
    return {
        "command": COMMAND,
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "prior": restorer.resolve(task="dehaze").prior,
        "cold_fetch_and_attach_s": {"median": _round(statistics.median(cold)), "most": _round(max(cold))},
        "warm_switch_ms": {
            "median": _round(1000 * statistics.median(switches[1:]), 1),
            "most": _round(1000 * max(switches[1:]), 1),
        },
        "adapter_mb": {task: _round((folder / task / WEIGHTS).stat().st_size / 1e6) for task in TASKS},
        "at_once": {
            "requests": REQUESTS,
            "tasks": len(TASKS),
            "wrong_pictures": sum(one != right[task] for one, task in zip(made, asked, strict=True)),
            "seconds": _round(together),
        },
    }


def _cold(cache: Path, repo: str) -> float:
    """Seconds of fetch and attach in a new process with an empty cache."""
    environment = os.environ | {"HF_HUB_CACHE": str(cache)}
    words = [sys.executable, "-c", COLD, repo, VERSION]
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def _round(value: float, digits: int = 2) -> float:
    return round(value, digits)


def main() -> None:
    """Measure, write and print."""
    with tempfile.TemporaryDirectory() as folder, loopback_hub(Path(folder)) as environment:
        os.environ |= environment | {"HF_HOME": folder}
        found = measure(Path(folder))
    OUT.write_text(json.dumps(found, indent=2) + "\n")
    print(OUT.read_text())


if __name__ == "__main__":
    main()
