"""What a start costs: `python -m training.benchmarks.start` writes training/results/start.json.

Seconds of `lwr restore` of a sample photo in fresh processes, on one core and on two, and by part: imports,
weights, the first pass, the file; beside them `import torch` alone, which no program with torch can do
without. With `--before FOLDER` another checkout takes turns with this one. A first run of each, which fills
caches, is not counted; figures are medians.
"""

import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from lwr.threads import DECIDED_BY
from training.benchmarks.processes import clean_environment, ran
from training.benchmarks.record import RESULTS, made_with, write
from training.command_line import parse
from training.machine import ROOT, commit

COMMAND = "python -m training.benchmarks.start"
PHOTO = ROOT / "lwr" / "samples" / "hazy-rocket.jpg"
PROMPT = "remove the haze"
CORES = (1, 2)
PARTS = ("imports", "weights", "pass", "file")
Seconds: TypeAlias = dict[str, list[float]]  # {what: [wall, CPU of user and system together]}
# Of a checkout's own `lwr`, in the order in which its command line does it.
BY_PART = """
import json, sys, time
clocks = [(float(sys.argv[1]), 0.0)]
lap = lambda: clocks.append((time.time(), time.process_time()))
import os
from lwr.threads import thread_settings
os.environ.update(thread_settings())
import lwr.cli
try:
    from lwr.loading.light_imports import import_diffusers_lightly
    import_diffusers_lightly()
except ImportError:  # an older checkout
    pass
import lwr.batch.pipeline
from lwr.images import files
from lwr.loading.load import without_bars
from lwr.restore import Restorer
without_bars()
lap()
restorer = Restorer.load()
lap()
restored = restorer(sys.argv[2], sys.argv[3])
lap()
files.save(restored.loaded, sys.argv[4], overwrite=True)
lap()
print(json.dumps([[b - a for a, b in zip(one, two)] for one, two in zip(clocks, clocks[1:])]))
"""


@dataclass(frozen=True)
class Options:
    """How often, beside what, and on what terms with other programs."""

    runs: int = 5  # processes of each kind, after a first one
    before: Path | None = None  # a checkout of another commit to compare with
    priority: int = 0  # -20 to 19, of Linux's autogroup, of all processes; below 0 as root
    out: Path = RESULTS / "start.json"


def main() -> None:
    """Entry point; the affinity of processes is Linux's."""
    options = parse(Options, None, COMMAND, __doc__)
    folders = {"now": ROOT} | ({"before": options.before.resolve()} if options.before else {})
    counts = [count for count in CORES if count <= len(os.sched_getaffinity(0))]
    runs: dict[str, dict[int, list[Seconds]]] = {n: {count: [] for count in counts} for n in folders}
    loads: list[float] = []
    with tempfile.TemporaryDirectory() as out:
        for _ in range(options.runs + 1):
            loads.append(round(os.getloadavg()[0], 1))
            for count in counts:
                for name, folder in folders.items():
                    with on_cores(count):
                        found = measured(folder, Path(out) / "restored.png", count, options.priority)
                    runs[name][count].append(found)
    results = made_with(COMMAND, ("torch", "diffusers", "transformers"))
    results |= {"photo": str(PHOTO.relative_to(ROOT)), "prompt": PROMPT, "runs": options.runs}
    results |= {"priority": options.priority, "load_before_each_round": loads}
    for name, folder in folders.items():
        by_cores = {f"cores_{count}": summary(each[1:]) for count, each in runs[name].items()}
        results[name] = {"commit": _commit(folder)} | by_cores
    write(results, options.out)


@contextmanager
def on_cores(count: int) -> Iterator[None]:
    """Within it this process, and what it starts, has so many of its cores: the last ones."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(cores)[-count:])
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def measured(folder: Path, out: Path, threads: int, priority: int = 0) -> Seconds:
    """One run of everything with a checkout's `lwr`."""
    environment = clean_environment(*DECIDED_BY) | {"OMP_NUM_THREADS": str(threads)}
    torch = ran(["-c", "import torch"], environment, folder, priority)
    command = ["-m", "lwr", "restore", str(PHOTO), "--prompt", PROMPT, "--out", str(out), "--overwrite"]
    whole = ran(command, environment, folder, priority)
    words = ["-c", BY_PART, str(time.time()), str(PHOTO), PROMPT, str(out)]
    parts = json.loads(ran(words, environment, folder, priority).output.splitlines()[-1])
    found = {"command": [whole.wall, whole.cpu], "torch alone": [torch.wall, torch.cpu]}
    return found | dict(zip(PARTS, parts, strict=True))


def summary(runs: list[Seconds]) -> dict[str, dict[str, float]]:
    """{what: {"wall_s", "cpu_s"}}: medians of the runs."""
    return {
        what: {
            f"{kind}_s": round(statistics.median(run[what][index] for run in runs), 2)
            for index, kind in enumerate(("wall", "cpu"))
        }
        for what in runs[0]
    }


def _commit(folder: Path) -> str | None:
    if folder == ROOT:
        return commit()
    git = ["git", "-C", str(folder), "rev-parse", "HEAD"]
    return subprocess.run(git, capture_output=True, text=True).stdout.strip() or None


if __name__ == "__main__":
    main()
