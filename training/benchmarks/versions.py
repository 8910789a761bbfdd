"""A pass before and now: `python -m training.benchmarks.versions` writes training/results/versions.json and
prints the table of training/README.md.

The version of a commit and this one restore the same photos on the same machine, each in a process of its
own, and take turns of some passes, of which the first do not count, as a process that waits grows cold;
their results are compared. Needs the repository with its history.
"""

import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from training.benchmarks.processes import Worker, clean_environment
from training.benchmarks.record import RESULTS, made_with, write
from training.benchmarks.speed import square_photo
from training.command_line import parse
from training.machine import ROOT, commit

COMMAND = "python -m training.benchmarks.versions"
VERSIONS = ("before", "now")
COLD = 3  # passes of a turn that a process takes to be warm again
# Seconds of a pass for each line that comes; what it made of the photo goes into a file.
WORK = """
import sys, time, torch
photo, words, threads, into = sys.argv[1:]
torch.set_num_threads(int(threads))
from lwr.restore import Restorer
try:
    from lwr.loading.limits import keep_freed
    keep_freed()
except ImportError:
    pass
restorer = Restorer.load("embedded", device="cpu")
restorer(photo, words)
for _ in sys.stdin:
    began = time.perf_counter()
    restored = restorer(photo, words)
    seconds = time.perf_counter() - began
    torch.save(restored.loaded.pixels, into)
    print(seconds, flush=True)
"""


@dataclass(frozen=True)
class Options:
    """What is compared."""

    before: str = "a23a962"  # commit
    sides: tuple[int, ...] = (512, 2048)  # pixels, of square photos
    threads: tuple[int, ...] = (1, 2)
    words: str = "remove the haze"
    rounds: int = 3  # turns of each
    passes: int = 10  # in a turn; the first COLD do not count
    out: Path = RESULTS / "versions.json"


def main() -> None:
    """Entry point."""
    options = parse(Options, None, COMMAND, __doc__)
    rows = []
    with _worktree(options.before) as old, tempfile.TemporaryDirectory() as folder:
        for side in options.sides:
            photo = _photo(side, Path(folder))
            for threads in options.threads:
                places = dict(zip(VERSIONS, (old, ROOT), strict=True))
                rows.append({"side": side, "threads": threads, **_compared(places, photo, threads, options)})
    results = made_with(COMMAND, ("torch",)) | {"before": options.before, "now": commit(), "rows": rows}
    terms = {"words": options.words, "rounds": options.rounds, "passes": options.passes}
    write(results | terms, options.out)
    print(table(results))


def table(results: dict[str, Any]) -> str:
    """The rows as Markdown."""
    lines = ["| photo | threads | before | now | | largest difference |", "|---|---|---|---|---|---|"]
    for row in results["rows"]:
        before, now = (row[f"{name}_s"] for name in VERSIONS)
        size = f"{row['side']}x{row['side']}"
        times = f"{before:.2f} s | {now:.2f} s | {now / before - 1:+.0%}"
        lines.append(f"| {size} | {row['threads']} | {times} | {row['apart_levels']:.2f}/255 |")
    return "\n".join(lines)


def _compared(places: dict[str, Path], photo: Path, threads: int, options: Options) -> dict[str, float]:
    """Median seconds of both versions, and how far their results are apart at most, in 8-bit levels."""
    seconds: dict[str, list[float]] = {name: [] for name in VERSIONS}
    into = {name: photo.with_suffix(f".{name}") for name in VERSIONS}
    with ExitStack() as stack:
        workers = {}
        for name, place in places.items():
            words = ["-c", WORK, str(photo), options.words, str(threads), str(into[name])]
            environment = clean_environment("OMP_NUM_THREADS")
            workers[name] = stack.enter_context(Worker(words, environment, place))
            workers[name].ask()  # loaded and warm
        for index in range(options.rounds):
            for name in VERSIONS if index % 2 == 0 else VERSIONS[::-1]:
                taken = [float(workers[name].ask()) for _ in range(options.passes)]
                seconds[name] += taken[min(COLD, options.passes - 1) :]
    before, now = (_levels(torch.load(path)) for path in into.values())
    medians = {f"{name}_s": round(statistics.median(each), 3) for name, each in seconds.items()}
    return medians | {"apart_levels": round((now - before).abs().max().item(), 2)}


def _levels(pixels: torch.Tensor) -> torch.Tensor:
    """Levels (uint8) or floats in [0,1] -> floats in [0,255]."""
    return pixels.float() if pixels.dtype == torch.uint8 else pixels * 255


@contextmanager
def _worktree(before: str) -> Iterator[Path]:
    """The repository's files as they were at a commit; SystemExit where it has none."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "before"
        made = ["git", "worktree", "add", "--detach", str(place), before]
        done = subprocess.run(made, cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"There is no commit {before} to compare with: {done.stderr.strip()}")
        try:
            yield place
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(place)], cwd=ROOT, check=True)


def _photo(side: int, folder: Path) -> Path:
    from lwr.images.files import save

    return save(square_photo(side), folder / f"{side}.png")


if __name__ == "__main__":
    main()
