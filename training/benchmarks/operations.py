"""Where a pass is spent: `python -m training.benchmarks.operations` prints operations and seconds of each
part of an embedded network (`--prior FOLDER` for another than the shipped one), for one photo of 512x512.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from lwr.loading.load import load_network, without_bars
from lwr.loading.priors import EMBEDDED
from training.benchmarks.light.costs import multiply_adds
from training.command_line import parse

SIDE = 512
REPEATS = 3


@dataclass(frozen=True)
class Options:
    """What is measured."""

    prior: str = str(EMBEDDED)  # folder of a network


@torch.inference_mode()
def main(arguments: list[str] | None = None) -> None:
    """Entry point."""
    options = parse(Options, arguments, "python -m training.benchmarks.operations", __doc__)
    without_bars()
    network, photo = load_network(Path(options.prior)), torch.rand(1, 3, SIDE, SIDE)
    encoded = network.encode(photo)
    timestep = network.prior.config.start_timestep
    context = network.context({}, network.prior.config.text)
    parts: dict[str, Callable[[], object]] = {
        "VAE encoder": lambda: network.encode(photo),
        "time-aware encoder": lambda: network.encoder(encoded.latent, torch.tensor([timestep])),
        "time-aware encoder, UNet, SFT": lambda: network.predict(
            encoded.latent, timestep, encoded.latent, context
        ),
        "VAE decoder": lambda: network.decode(encoded.latent, encoded, 0.0),
        "VAE encoder, refiner": lambda: network.refine(photo, 1.0),
        "whole pass at fidelity 1": lambda: network.restore(photo, {}, torch.randn, fidelity=1.0),
    }
    for name, part in parts.items():
        part()  # the first is slower
        gflop = 2 * multiply_adds(part) / 1e9
        seconds = min(_timed(part) for _ in range(REPEATS))
        print(f"{name}: {gflop:.1f} GFLOP, {seconds:.3f} s, {gflop / seconds:.0f} GFLOP/s")


def _timed(part: Callable[[], object]) -> float:
    start = time.perf_counter()
    part()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
