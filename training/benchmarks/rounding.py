"""How far rounding to bfloat16 moves pixels: `python -m training.benchmarks.rounding --photos PHOTOS` writes
training/results/rounding.json and prints the table of training/README.md.

Validation photos with the damage of each task are restored with `--precision auto`, which rounds where the
processor has matrix units (see lwr/models/matrix_units.py), and with float32.
"""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lwr.images.pixels import to_pil
from lwr.loading.priors import EMBEDDED, LITE
from lwr.restore import Restorer
from lwr.tasks import TASKS
from training.benchmarks.light.quality import DamagedPhotos
from training.benchmarks.record import RESULTS, made_with, write
from training.command_line import parse

COMMAND = "python -m training.benchmarks.rounding --photos PHOTOS"


@dataclass(frozen=True)
class Options:
    """What is restored."""

    photos: str = "PHOTOS"
    models: tuple[str, ...] = (EMBEDDED.name, LITE)
    limit: int = 48  # photos
    side: int = 512  # pixels, of their middles
    tasks: tuple[str, ...] = tuple(name for name, task in TASKS.items() if task.default_scale == 1)
    out: Path = RESULTS / "rounding.json"


def main() -> None:
    """Entry point."""
    options = parse(Options, None, COMMAND, __doc__)
    damaged = DamagedPhotos(options.photos, options.limit, options.side, options.tasks)
    results = made_with(COMMAND) | {"side": options.side, "models": {}}
    for model in options.models:
        rounded, exact = (Restorer.load(model, device="cpu", precision=p) for p in ("auto", "float32"))
        if not rounded.network.rounds:
            raise SystemExit("This processor has no matrix units for bfloat16 (AMX): nothing is rounded.")
        found = {task: list(_apart(rounded, exact, damaged, task)) for task in options.tasks}
        results["models"][model] = {task: _summary(apart) for task, apart in found.items()}
    write(results, options.out)
    print(table(results))


def table(results: dict[str, Any]) -> str:
    """Levels by task and model, as Markdown."""
    models = results["models"]
    lines = [f"| task | {' | '.join(models)} |", f"|---{'|---' * len(models)}|"]
    for task in next(iter(models.values())):
        cells = (f"{each[task]['most']:.2f} ({each[task]['median']:.2f})" for each in models.values())
        lines.append(f"| {task} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _apart(rounded: Restorer, exact: Restorer, damaged: DamagedPhotos, task: str) -> Iterator[float]:
    """Of each photo the largest difference, in 8-bit levels."""
    for kept in damaged.of([task]):
        photo = to_pil(kept.degraded)
        one, other = (restorer(photo, task=task).loaded.pixels for restorer in (rounded, exact))
        yield (one - other).abs().max().item() * 255


def _summary(apart: list[float]) -> dict[str, float]:
    return {
        "photos": len(apart),
        "most": round(max(apart), 3),
        "median": round(statistics.median(apart), 3),
        "over_one": sum(one > 1 for one in apart),
    }


if __name__ == "__main__":
    main()
