"""What the diagnosis costs: time by size of the photo, time beyond the VAE encoder's, size of the head.

python -m training.benchmarks.diagnosis     # writes training/results/diagnosis-cost.json
"""

import statistics
import time
from collections.abc import Callable, Sequence

import torch

from lwr.diagnose import diagnose
from lwr.images.files import load
from lwr.images.pixels import resize, to_levels
from lwr.loading.diagnosis import FILE, load_encoder
from lwr.loading.priors import EMBEDDED
from training.benchmarks.record import RESULTS, made_with, write
from training.command_line import parse_nothing
from training.machine import ROOT

COMMAND = "python -m training.benchmarks.diagnosis"
SIDES = (512, 2048, 4000)  # pixels
ROUNDS = 9


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point."""
    parse_nothing(arguments, COMMAND, __doc__)
    photo = load(ROOT / "lwr" / "samples" / "moving-clock.jpg").rgb
    photos = {side: to_levels(resize(photo, (side, side))) for side in SIDES}
    small = photos[SIDES[0]] / 255
    encoder = load_encoder()
    with torch.inference_mode():
        encoding = median_seconds(lambda: encoder(small))
    whole = {side: median_seconds(lambda side=side: diagnose(photos[side])) for side in SIDES}
    found = {
        "head_bytes": (EMBEDDED.parent / FILE).stat().st_size,
        "seconds": {f"{side}x{side}": round(seconds, 3) for side, seconds in whole.items()},
        "encoding_512_s": round(encoding, 3),
    }
    print(found)
    write(made_with(COMMAND) | found, RESULTS / "diagnosis-cost.json")


def median_seconds(run: Callable[[], object]) -> float:
    """Of ROUNDS calls after a first one."""
    taken = []
    for _ in range(ROUNDS + 1):
        start = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[1:])


if __name__ == "__main__":
    main()
