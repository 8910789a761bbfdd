"""Wrong prompts: `python -m training.benchmarks.swap --photos PHOTOS` writes training/results/swap.json.

Photos with one damage each get the sentence of every task, as a visitor would say it: the diagnosis is
heeded. The rule: a wrong sentence gains less than a quarter of what the right one does, and harms by less
than 0.5 dB. (`training.evaluate --swap` asks by the task's name, which is done whatever the photo shows.)
"""

from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from tqdm import tqdm

from lwr.images.files import to_pil, to_tensor
from lwr.images.metrics import psnr
from lwr.restore import Restorer
from lwr.tasks import TASKS
from training.benchmarks.record import RESULTS, made_with, write
from training.command_line import parse
from training.evaluation.samples import clean_photos, damaged_samples

COMMAND = "python -m training.benchmarks.swap"
MOST_GAIN, MOST_HARM = 0.25, 0.5  # share of the right prompt's gain; dB
Matrix = dict[str, dict[str, float]]  # {damage: {task asked for: dB}}


@dataclass(frozen=True)
class Options:
    """What to measure on, and where to."""

    photos: str  # folder of pictures, tar or parquet shards, or a Hub dataset NAMESPACE/NAME
    limit: int = 24
    out: Path = RESULTS / "swap.json"


def main() -> None:
    """Entry point."""
    options = parse(Options, None, COMMAND, __doc__)
    restorer, gains = Restorer.load(), {damage: {task: [] for task in TASKS} for damage in TASKS}
    heeded = {damage: {task: [] for task in TASKS} for damage in TASKS}
    photos = tqdm(clean_photos(options.photos, "validation", options.limit, []), "photos")
    for sample in damaged_samples(photos, tuple(TASKS)):
        photo = to_pil(sample.degraded)
        before = psnr(to_tensor(photo), sample.clean).item()
        for task, one in TASKS.items():
            restored = restorer(photo, one.instruction, scale=1)
            after = psnr(to_tensor(restored.image), sample.clean).item()
            gains[sample.damage][task].append(after - before)
            heeded[sample.damage][task].append(restored.tasks.get(task, 0) > 0)
    matrix = _means(gains)
    results = made_with(COMMAND) | {"photos": options.limit, "gain_db": matrix, "done": _means(heeded)}
    write(results | {"against_the_rule": against(matrix)}, options.out)


def _means(values: dict[str, dict[str, list[float]]]) -> Matrix:
    return {
        damage: {task: round(fmean(each), 3) for task, each in row.items()} for damage, row in values.items()
    }


def against(matrix: Matrix) -> list[str]:
    """The wrong prompts that gain or harm too much, as sentences."""
    found = []
    for damage, row in matrix.items():
        for task, gain in row.items():
            share = gain / row[damage] if row[damage] > 0 else 0.0
            if task != damage and gain <= -MOST_HARM:
                found.append(f"{task} on {damage}: {gain:+.2f} dB")
            elif task != damage and share >= MOST_GAIN:
                found.append(
                    f"{task} on {damage}: {gain:+.2f} dB, {share:.0%} of {damage}'s {row[damage]:+.2f}"
                )
    return found


if __name__ == "__main__":
    main()
