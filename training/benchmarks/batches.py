"""What the pipeline of a batch is worth: `python -m training.benchmarks.batches` writes
training/results/batches.json.

The same photos, as files, are restored one after the other (read, restore, write) and in the pipeline, which
reads the next and writes the last meanwhile. Both take turns in one run, because CPUs differ and change their
speed: the ratio counts.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from lwr.batch.inputs import Named
from lwr.batch.output_names import Output
from lwr.batch.pipeline import Pipeline, Room
from lwr.batch.plan import Job
from lwr.batch.report import Report
from lwr.images.files import load, resize, save
from lwr.request import Request
from lwr.restore import Restorer
from training.benchmarks.record import RESULTS, fresh, made_with, write
from training.benchmarks.speed import SAMPLES
from training.command_line import parse
from training.machine import peak_gb

COMMAND = "python -m training.benchmarks.batches"


@dataclass(frozen=True)
class Options:
    """What is measured."""

    photos: int = 12
    side: int = 512  # pixels, of square JPEGs
    rounds: int = 3  # of which the medians count
    task: str = "deblur"
    format: str = "png"  # of the results
    out: Path = RESULTS / "batches.json"


def main() -> None:
    """Entry point."""
    options = parse(Options, None, COMMAND, __doc__)
    results = made_with(COMMAND, ("torch", "pillow"))
    results |= {"photos": options.photos, "side": options.side, "format": options.format}
    seconds = fresh(turns, options)
    for way, taken in seconds.items():
        peak = fresh(turns, options, (way,), 1, peak_gb)
        results[way] = {"seconds": round(statistics.median(taken), 2), "peak_gb": round(peak, 2)}
    pairs = zip(*seconds.values(), strict=True)
    results["pipeline_over_one_by_one"] = round(statistics.median(b / a for a, b in pairs), 3)
    write(results, options.out)


def turns(
    options: Options,
    ways: tuple[str, ...] = ("one by one", "pipeline"),
    rounds: int | None = None,
    measure: Callable[[], float] | None = None,
) -> dict[str, list[float]] | float:
    """{way: seconds of each round}, the ways in turns, or what `measure` says after them."""
    restorer, request = Restorer.load(), Request(task=options.task)
    taken: dict[str, list[float]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as folder:
        photos = make_photos(Path(folder), options.photos, options.side)
        restorer(photos[0], request)  # the first pass is slower
        for number in range(options.rounds if rounds is None else rounds):
            for way in ways if number % 2 == 0 else ways[::-1]:
                out = Path(folder) / f"{way} {number}"
                out.mkdir()
                start = time.perf_counter()
                WAYS[way](restorer, request, photos, out, options.format)
                taken[way].append(time.perf_counter() - start)
    return taken if measure is None else measure()


def one_by_one(restorer: Restorer, request: Request, photos: list[Path], out: Path, kind: str) -> None:
    """Read, restore and write a photo, then the next."""
    for photo in photos:
        save(restorer(photo, request).loaded, out / f"{photo.stem}.{kind}")


def pipeline(restorer: Restorer, request: Request, photos: list[Path], out: Path, kind: str) -> None:
    """As the command line does."""
    targets = [out / f"{photo.stem}.{kind}" for photo in photos]
    named = [Named(str(photo)) for photo in photos]
    jobs = [Job(number, *pair) for number, pair in enumerate(zip(named, targets, strict=True))]
    with redirect_stdout(StringIO()):
        Pipeline(restorer, request, Output(), Report(), Room.within(None)).run(jobs)


def make_photos(folder: Path, count: int, side: int) -> list[Path]:
    """Square photos as files, cut from the samples in turn."""
    samples = [load(path).rgb for path in sorted(SAMPLES.glob("*.jpg"))]
    paths = []
    for number in range(count):
        photo = samples[number % len(samples)]
        least = min(photo.shape[-2:])
        square = resize(photo[..., :least, :least], (side, side))
        paths.append(save(square.roll(7 * number, -1), folder / f"{number}.jpg"))
    return paths


WAYS = {"one by one": one_by_one, "pipeline": pipeline}


if __name__ == "__main__":
    main()
