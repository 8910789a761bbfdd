"""What quicker convolutions and tiles that pass together save: `python -m training.benchmarks.convolutions`
writes training/results/convolutions.json and prints the tables of training/README.md.

Each convolution of the embedded network's pass over a 512x512 photo, directly and as lwr.models.convolutions
does it, in one thread; and whole passes of 512x512 and 2048x2048 with one and two threads, as before and as
now, in turns.
"""

import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F

from lwr import large
from lwr.images.files import to_pil
from lwr.loading.load import without_bars
from lwr.models import convolutions
from lwr.restore import Restorer
from training.benchmarks.record import RESULTS, made_with, write
from training.benchmarks.speed import square_photo
from training.command_line import fail, parse

COMMAND = "python -m training.benchmarks.convolutions"
TASK = "deblur"
Shape = tuple[int, int, int, int, int]  # channels in, channels out, side of the kernel, height, width


@dataclass(frozen=True)
class Options:
    """How much is timed."""

    sides: tuple[int, ...] = (512, 2048)  # pixels, of square photos
    threads: tuple[int, ...] = (1, 2)
    rounds: int = 5  # passes of 512 pixels, before and now; of more pixels, as many as take that long
    repeats: int = 9  # calls of each convolution
    out: Path = RESULTS / "convolutions.json"


def main() -> None:
    """Entry point."""
    options = parse(Options, None, COMMAND, __doc__)
    if not convolutions._is_available():
        fail(
            COMMAND,
            "The quicker convolutions are only used with AVX2 and without AVX-512: nothing is changed here.",
        )
    without_bars()
    restorer = Restorer.load("embedded", device="cpu")
    results = made_with(COMMAND, ("torch",)) | {
        "convolutions": timed_convolutions(shapes(restorer), options.repeats),
        "passes": [_passes(restorer, s, t, options.rounds) for s in options.sides for t in options.threads],
    }
    write(results, options.out)
    print(tables(results))


def shapes(restorer: Restorer) -> Counter[Shape]:
    """{convolution of a pass that goes the quicker way: how often}, most work first."""
    found: Counter[Shape] = Counter()
    whole = convolutions._rows

    def rows(photo: torch.Tensor, weight: torch.Tensor, *rest: Any) -> torch.Tensor:
        output = whole(photo, weight, *rest)
        out, channels, side, _ = weight.shape
        found[channels, out, side, *output.shape[2:]] += 1
        return output

    with _threads(1), patch.object(convolutions, "_rows", rows):
        restorer(to_pil(square_photo(512)), task=TASK)
    return Counter(dict(sorted(found.items(), key=lambda one: -one[1] * _products(one[0]))))


def _products(shape: Shape) -> int:
    channels, out, side, height, width = shape
    return channels * out * side * side * height * width


@torch.inference_mode()
def timed_convolutions(found: Counter[Shape], repeats: int) -> list[dict[str, Any]]:
    """Milliseconds of each, directly and now, and the largest difference for outputs of about 1."""
    rows = []
    for (channels, out, side, height, width), count in found.items():
        x = torch.randn(1, channels, height + side - 1, width + side - 1)
        weight = torch.randn(out, channels, side, side) / (channels * side * side) ** 0.5

        def direct(x: torch.Tensor = x, weight: torch.Tensor = weight) -> torch.Tensor:
            return F.conv2d(x, weight)

        def now(x: torch.Tensor = x, weight: torch.Tensor = weight) -> torch.Tensor:
            return convolutions.conv2d(x, weight)

        with _threads(1):
            times = {"direct": _milliseconds(direct, repeats), "now": _milliseconds(now, repeats)}
            apart = (direct() - now()).abs().max().item()
        shape = {"channels": [channels, out], "kernel": side, "output": [height, width], "count": count}
        rows.append(shape | {f"{k}_ms": round(v, 3) for k, v in times.items()} | {"apart": apart})
    return rows


def _milliseconds(run: Callable[[], object], repeats: int) -> float:
    run()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times)


def _passes(restorer: Restorer, side: int, threads: int, rounds: int) -> dict[str, Any]:
    """Median seconds of the product's pass before and now, and by how much pixels differ, of 255."""
    photo = to_pil(square_photo(side))
    rounds = max(1, round(rounds * (512 / side) ** 2))
    seconds: dict[str, list[float]] = {"before": [], "now": []}
    outputs = {}
    with _threads(threads):
        for _ in range(rounds + 1):
            for name in seconds:
                with as_before() if name == "before" else nullcontext():
                    done = restorer(photo, task=TASK)
                seconds[name].append(done.seconds)
                pixels = done.loaded.pixels
                outputs[name] = pixels if pixels.dtype == torch.uint8 else pixels * 255
    apart = (outputs["before"].float() - outputs["now"].float()).abs().max().item()
    medians = {name: round(statistics.median(times[1:]), 3) for name, times in seconds.items()}
    return {"side": side, "threads": threads, "rounds": rounds, **medians, "apart": round(apart, 4)}


@contextmanager
def as_before() -> Iterator[None]:
    """Within it convolutions are torch's own, and tiles pass one after the other."""
    with (
        patch.object(convolutions, "_is_available", lambda: False),
        patch.object(large, "tiles_at_once", lambda *_: 1),
    ):
        yield


@contextmanager
def _threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def tables(results: dict[str, Any]) -> str:
    """Both as Markdown: passes, and the convolutions that take most of the time."""
    lines = ["| photo | threads | before | now | |", "|---|---|---|---|---|"]
    for one in results["passes"]:
        before, now = one["before"], one["now"]
        lines.append(
            f"| {one['side']}x{one['side']} | {one['threads']} | {before:.2f} s | {now:.2f} s "
            f"| {now / before - 1:+.0%} |"
        )
    lines += ["", "| channels | kernel | output | in a pass | direct | now |", "|---|---|---|---|---|---|"]
    for one in results["convolutions"][:8]:
        (channels, out), (height, width), side = one["channels"], one["output"], one["kernel"]
        times = f"{one['direct_ms']:.1f} ms | {one['now_ms']:.1f} ms"
        lines.append(f"| {channels} to {out} | {side}x{side} | {height}x{width} | {one['count']} | {times} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
