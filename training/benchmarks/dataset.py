"""How fast the multi-task dataset is built here: `python -m training.benchmarks.dataset --photos PHOTOS`
writes training/results/dataset.json and dataset-profile.txt. By default 200 photos x all tasks at 512 pixels,
with one worker, with two, and once more with one under the profiler.
"""

import cProfile
import io
import json
import pstats
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from training.benchmarks.record import RESULTS, made_with, write
from training.command_line import parse

COMMAND = "python -m training.benchmarks.dataset"
# What the time should go into: (file, function) whose cumulative times do not overlap.
WORK = {
    "degrading": ("degrading.py", "degrade_one"),
    "decoding": ("curate.py", "clean_picture"),
    "encoding": ("schema.py", "webp"),
}


@dataclass(frozen=True)
class Options:
    """Of the command line."""

    photos: str  # clean photos with open licences
    count: int = 200  # images a task


def main() -> None:
    """Entry point."""
    options = parse(Options, None, COMMAND, __doc__)
    words = ["--photos", options.photos, "--per-task", str(options.count), "--workers"]
    with tempfile.TemporaryDirectory() as folder:
        one, two = (_build([*words, workers, "--out", f"{folder}/{workers}"]) for workers in "12")
        shares = _profile([*words, "1", "--out", f"{folder}/profiled"])
    results = made_with(f"{COMMAND} --photos PHOTOS", ("torch", "pillow", "pyarrow")) | {
        "images": options.count,
        "runs": {"1 worker": one, "2 workers": two},
        "two_workers_over_one": round(one["seconds"] / two["seconds"], 2),
        "share_of_time": shares,
    }
    write(results, RESULTS / "dataset.json")


def _build(options: Sequence[str]) -> dict[str, float]:
    """One build from the command line: seconds with start and card, images/s, and the tree's peak memory."""
    command = [sys.executable, "-m", "training.build_dataset", *options, "--json"]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    peak, done = [0.0], threading.Event()
    watcher = threading.Thread(target=_watch, args=(process.pid, peak, done))
    watcher.start()
    output = process.communicate()[0]
    seconds = time.perf_counter() - start
    done.set()
    watcher.join()
    if process.returncode:
        raise SystemExit(process.returncode)  # it has said why
    return {
        "seconds": round(seconds, 1),
        "images_per_s": round(json.loads(output)["written"] / seconds, 2),
        "peak_gb_all_processes": round(peak[0], 2),
    }


def _watch(pid: int, peak: list[float], done: threading.Event) -> None:
    """Keep the most that a process and its children held at once, in GB; pages they share count once."""
    while not done.wait(1.0):  # reading it takes milliseconds of a core
        try:
            tree = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
            peak[0] = max(peak[0], sum(each.memory_full_info().pss for each in tree) / 1e9)
        except psutil.Error:  # one of them ended meanwhile
            continue


def _profile(options: Sequence[str]) -> dict[str, float]:
    """Build in this process under cProfile: the share of each kind of work; the table goes to a file."""
    from training.build_dataset import main as build

    profiler = cProfile.Profile()
    status = profiler.runcall(build, options)
    if status:
        raise SystemExit(status)
    text = io.StringIO()
    stats = pstats.Stats(profiler, stream=text).strip_dirs().sort_stats("cumulative")
    spent = {
        kind: sum(row[3] for (file, _, name), row in stats.stats.items() if (file, name) == place)
        for kind, place in WORK.items()
    }
    spent["together"] = sum(spent.values())
    shares = {kind: round(seconds / stats.total_tt, 3) for kind, seconds in spent.items()}
    stats.print_stats(45)
    lines = [f"# {COMMAND}: one worker under cProfile", f"# shares of {stats.total_tt:.1f} s: {shares}"]
    lines += [line.rstrip() for line in text.getvalue().splitlines()]
    (RESULTS / "dataset-profile.txt").write_text("\n".join(lines) + "\n")
    return shares


if __name__ == "__main__":
    main()
