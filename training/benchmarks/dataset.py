"""How fast the multi-task dataset is built here: `python -m training.benchmarks.dataset` writes
training/results/dataset.json and dataset-profile.txt. By default 200 photos x all tasks at 512 pixels, with
one worker, with two, and once more with one under the profiler.
"""

import argparse
import cProfile
import io
import json
import os
import platform
import pstats
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import psutil

RESULTS = Path("training/results")
# What the time should go into: (file, function) whose cumulative times do not overlap.
WORK = {
    "degrading": ("recipe.py", "degrade_one"),
    "decoding": ("curate.py", "clean_picture"),
    "encoding": ("schema.py", "webp"),
}


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m training.benchmarks.dataset", description=__doc__)
    parser.add_argument("--photos", default="../shared/photos", help="clean photos with open licences")
    parser.add_argument("--count", type=int, default=200, help="images a task")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        options = ["--photos", arguments.photos, "--per-task", str(arguments.count)]
        runs = {
            f"{n} worker{'s' if n > 1 else ''}": _run([*options, "--workers", str(n)], folder) for n in (1, 2)
        }
        profile = _profile([*options, "--workers", "1", "--out", f"{folder}/profiled"])
    one, two = (run["seconds"] for run in runs.values())
    results = {
        "command": "python -m training.benchmarks.dataset",
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "versions": {name: version(name) for name in ("torch", "pillow", "pyarrow")},
        "images": arguments.count,
        "runs": runs,
        "two_workers_over_one": round(one / two, 2),
        "share_of_time": profile,
    }
    (RESULTS / "dataset.json").write_text(json.dumps(results, indent=2) + "\n")
    print(json.dumps(results, indent=2))


def _run(options: Sequence[str], folder: str) -> dict[str, float]:
    """One build from the command line: seconds with start and card, images/s, and the tree's peak memory."""
    out = f"{folder}/{options[-1]}"
    command = [sys.executable, "-m", "training.build_dataset", *options, "--out", out, "--json"]
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    peak, done = [0.0], threading.Event()
    watcher = threading.Thread(target=_watch, args=(process.pid, peak, done))
    watcher.start()
    output = process.communicate()[0]
    seconds = time.perf_counter() - begun
    done.set()
    watcher.join()
    if process.returncode:
        raise SystemExit(f"the build ended with status {process.returncode}")
    images = json.loads(output)["written"]
    return {
        "seconds": round(seconds, 1),
        "images_per_s": round(images / seconds, 2),
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
    profiler.enable()
    status = build(options)
    profiler.disable()
    if status:
        raise SystemExit(f"the build ended with status {status}")
    text = io.StringIO()
    stats = pstats.Stats(profiler, stream=text).strip_dirs().sort_stats("cumulative")
    total = stats.total_tt
    spent = {
        kind: sum(row[3] for (file, _, name), row in stats.stats.items() if (file, name) == place)
        for kind, place in WORK.items()
    }
    shares = {kind: round(seconds / total, 3) for kind, seconds in spent.items()}
    shares["together"] = round(sum(spent.values()) / total, 3)
    stats.print_stats(45)
    head = "# python -m training.benchmarks.dataset: one worker under cProfile\n"
    head += f"# shares of {total:.1f} s: {shares}\n"
    lines = [line.rstrip() for line in text.getvalue().splitlines()]
    (RESULTS / "dataset-profile.txt").write_text(head + "\n".join(lines) + "\n")
    return shares


if __name__ == "__main__":
    main()
