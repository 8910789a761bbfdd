"""How torch's threads should wait for each other: `python -m training.benchmarks.threads` writes
training/results/threads.json and prints the table of training/README.md.

Every figure is the median of warm passes over a 512x512 photo in a fresh process with one setting of OpenMP's
variables, and once with fewer threads where others keep cores busy, as our programs have it; alone, and
beside a program that keeps one core busy. All wait while one works, and take turns pass by pass, so that
whatever else goes on meets all of them.
"""

import json
import os
import statistics
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from lwr.threads import DECIDED_BY, SPINS
from training.benchmarks.processes import Worker, clean_environment, neighbour
from training.benchmarks.record import RESULTS, made_with, write
from training.command_line import parse
from training.machine import commit

COMMAND = "python -m training.benchmarks.threads"
USED = f"GOMP_SPINCOUNT={SPINS} and fewer threads beside others"
SETTINGS: dict[str, dict[str, str]] = {
    "as torch comes": {},
    "OMP_WAIT_POLICY=PASSIVE": {"OMP_WAIT_POLICY": "PASSIVE"},
    **{f"GOMP_SPINCOUNT={n}": {"GOMP_SPINCOUNT": str(n)} for n in (100, 1000, 5000, 20_000, 100_000)},
    "OMP_NUM_THREADS=1": {"OMP_NUM_THREADS": "1"},
    USED: {"GOMP_SPINCOUNT": SPINS},
}
SITUATIONS = {"alone": False, "beside a busy program": True}
Passes: TypeAlias = dict[str, dict[str, list[float]]]  # {setting: {situation: seconds}}
# Seconds of a pass for each line that comes; without `training`, whose programs choose a setting themselves.
WORK = """
import sys
from lwr.restore import Restorer
from lwr.models.sharing import watch_passes
restorer, photo = Restorer.load(), sys.argv[1]
if sys.argv[2:]:
    watch_passes({})
restorer(photo, task="deblur")
for _ in sys.stdin:
    print(restorer(photo, task="deblur").seconds, flush=True)
"""


@dataclass(frozen=True)
class Options:
    """How often, and on what terms with other programs."""

    rounds: int = 5  # passes of each setting in each situation
    only: tuple[str, ...] = ()  # settings that are measured, beside what the file has; none: all, afresh
    priority: int = 0  # -20 to 19, of Linux's autogroup, of all processes; below 0 as root
    out: Path = RESULTS / "threads.json"


def main() -> None:
    """Entry point."""
    options = parse(Options, None, COMMAND, __doc__)
    names = [name for name in SETTINGS if not options.only or name in options.only]
    kept = json.loads(options.out.read_text()) if options.only and options.out.exists() else {}
    found: Passes = kept.get("passes", {})
    for name in names:
        found.setdefault(name, {situation: [] for situation in SITUATIONS})
    loads: list[float] = []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        photo = str(_photo(Path(folder)))
        workers = {
            name: stack.enter_context(Worker(_work(name, photo), _environment(name))) for name in names
        }
        for worker in workers.values():
            worker.ask()  # which waits until it is loaded
        for worker in workers.values():
            worker.prioritise(options.priority)
        started = time.perf_counter()
        for index in range(options.rounds):
            loads.append(round(os.getloadavg()[0], 1))
            for situation, busy in SITUATIONS.items():
                with neighbour(busy, options.priority):
                    for name in names if index % 2 == 0 else names[::-1]:
                        found[name][situation].append(round(float(workers[name].ask()), 4))
        seconds = round(time.perf_counter() - started)
    run = {"commit": commit(), "settings": names, "priority": options.priority, "seconds": seconds}
    results = made_with(COMMAND, ("torch",)) | {"used": USED, "settings": summary(found), "passes": found}
    results["runs"] = [*kept.get("runs", []), run | {"load_before_each_round": loads}]
    write(results, options.out)
    print(table(results))


def summary(found: Passes) -> dict[str, dict[str, float]]:
    """{setting: {situation: median seconds, "over_the_best": the larger share above the fastest}}."""
    medians = {
        name: {situation: statistics.median(seconds) for situation, seconds in each.items()}
        for name, each in found.items()
    }
    best = {situation: min(one[situation] for one in medians.values()) for situation in SITUATIONS}
    return {
        name: {
            **{situation: round(seconds, 3) for situation, seconds in each.items()},
            "over_the_best": round(max(each[one] / best[one] for one in SITUATIONS) - 1, 3),
        }
        for name, each in medians.items()
    }


def table(results: dict[str, Any]) -> str:
    """The settings as Markdown, in the order in which they are measured."""
    rows = [f"| setting | {' | '.join(SITUATIONS)} | over the best, at worst |", "|---|---|---|---|"]
    for name in filter(results["settings"].__contains__, SETTINGS):
        one = results["settings"][name]
        seconds = " | ".join(f"{one[situation]:.2f} s" for situation in SITUATIONS)
        shown = f"**`{name}`** (used)" if name == results["used"] else name if " " in name else f"`{name}`"
        rows.append(f"| {shown} | {seconds} | {one['over_the_best']:.0%} |")
    return "\n".join(rows)


def _work(name: str, photo: str) -> list[str]:
    return ["-c", WORK, photo, *(["shared"] if name == USED else [])]


def _environment(name: str) -> dict[str, str]:
    return clean_environment(*DECIDED_BY, "OMP_NUM_THREADS") | SETTINGS[name]


def _photo(folder: Path) -> Path:
    """The 512x512 photo of the benchmark of speed, as a file."""
    from lwr.images.files import save
    from training.benchmarks.speed import square_photo

    return save(square_photo(), folder / "photo.png")


if __name__ == "__main__":
    main()
