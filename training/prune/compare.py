"""How well pruned networks recovered: `python -m training.prune.compare RUNS --out FILE` reads their logs.

RUNS is a folder of runs of the preset `recover` that took the same batches (`--batches`). Of each the means
over the last steps that all have taken: the loss, what it is of the teacher's photo, the distance of features
(relative squared error), the perceptual distance, and each task's gain on its own damage (dB, the batch's
median).
"""

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tyro.conf import Positional

from lwr.tasks import TASKS
from training.command_line import fail, parse

PROG = "python -m training.prune.compare"
LAST = 250  # steps
MEASURES = ("loss", "taught", "features", "distance_perceptual", *(f"gain_{task}" for task in TASKS))


@dataclass(frozen=True)
class Options:
    """What is compared."""

    runs: Positional[Path]  # folder of run folders
    out: Path = Path("pruning.json")


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point; a mistake ends it with status 2 and a sentence."""
    options = parse(Options, arguments, PROG, __doc__)
    logs = {path.parent.name: _lines(path) for path in sorted(options.runs.glob("*/log.jsonl"))}
    logs = {name: lines for name, lines in logs.items() if lines}
    if not logs:
        fail(PROG, f"{options.runs} has no run folder with a log.jsonl in which a step is logged.")
    end = min(lines[-1]["step"] for lines in logs.values())
    rows = {name: means(lines, max(0, end - LAST), end) for name, lines in logs.items()}
    found = {"steps": [max(0, end - LAST), end], "runs": rows}
    options.out.write_text(json.dumps(found, indent=2) + "\n")
    print(table(found))


def _lines(path: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [line for line in lines if "loss" in line]


def means(lines: Sequence[dict[str, Any]], first: int, end: int) -> dict[str, float]:
    """{measure: mean} over the log's lines after step `first` up to `end`, and the run's last step."""
    taken = [line for line in lines if first < line["step"] <= end]
    found = {name: [line[name] for line in taken if name in line] for name in MEASURES}
    means = {name: round(statistics.fmean(values), 4) for name, values in found.items() if values}
    return {"last_step": lines[-1]["step"]} | means


def table(found: dict[str, Any]) -> str:
    """The runs as a Markdown table, the least loss first."""
    first, end = found["steps"]
    rows = sorted(found["runs"].items(), key=lambda row: row[1]["loss"])
    heads = [name.removeprefix("gain_").replace("distance_", "") for name in MEASURES]
    lines = [f"| steps {first} to {end} | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for name, row in rows:
        cells = (f"{row[one]:.3f}" if one in row else "" for one in MEASURES)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
