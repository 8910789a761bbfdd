"""A run's batches: drawn when they are wanted, or ahead of time by worker processes.

Crops are degraded in single precision. Workers do so beside the training, and hand crops over as the 8-bit
values that photos are stored in. What they draw follows from (seed, step, micro-step, process) as in
`rng.py`, so a resumed run sees the batches of an unbroken one.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch
from torch.utils.data import DataLoader, Dataset

from lwr.degrade.draw import single_precision
from training.config import Config
from training.data.mixture import Batch
from training.data.parts import Part, Sampler, Samplers
from training.data.rng import RngStreams, rng_streams

Draw = Callable[[Config, Sampler, RngStreams], Batch]
# (degraded, target) as uint8 (B,3,H,W), {task: strength}, kind
Packed = tuple[torch.Tensor, torch.Tensor, dict[str, float], str]
Drawn = tuple[list[Packed], list[str]]  # a batch and its twin, if it has one; ids of the photos
CPU = torch.device("cpu")
LOSS = 1  # names the numbers of the loss where the batch was drawn elsewhere
AHEAD = 4  # batches that each worker draws before they are wanted


class BatchLoader:
    """`loader(step, micro)` -> (the batch, random numbers for its loss), for micro-steps in their order."""

    def __init__(
        self, config: Config, draw: Draw, parts: Sequence[Part], device: torch.device, rank: int = 0
    ) -> None:
        self.config, self.device, self.rank = config, device, rank
        samplers = Samplers(parts, config, CPU if config.workers else device)
        self._draws = _Draws(config, draw, samplers, rank)
        self._ahead: Iterator[Drawn] | None = None
        self.drawn: Sequence[str] = ()  # ids of the newest batch's photos, for messages

    def __call__(self, step: int, micro: int = 0) -> tuple[Batch, RngStreams]:
        """Images are on the device, in the network's memory format."""
        config = self.config
        if not config.workers:
            rng = rng_streams(config, self.device, step, micro, self.rank)
            with single_precision():
                batch = self._draws.batch(rng)
            self.drawn = self._draws.samplers.newest.drawn
            return laid_out(batch, config), rng
        batch = self._next(step * config.accumulate + micro)
        rng = rng_streams(config, self.device, step, micro, self.rank, LOSS)
        if len(batch.target) < config.batch:
            rng.thin(config.batch // len(batch.target))
        return laid_out(batch, config), rng

    def close(self) -> None:
        """Let the workers go."""
        self._ahead = None

    def _next(self, first: int) -> Batch:
        """The workers' next batch; the first call starts them, at place `first`."""
        if self._ahead is None:
            workers = DataLoader(
                self._draws,
                batch_size=None,  # a worker's answer is a batch
                sampler=itertools.count(first),
                num_workers=self.config.workers,
                prefetch_factor=AHEAD,
                collate_fn=_as_it_is,
                pin_memory=self.device.type == "cuda",
            )
            self._ahead = iter(workers)
        packed, self.drawn = next(self._ahead)
        batch, *twin = (self._unpacked(one) for one in packed)
        return replace(batch, twin=twin[0]) if twin else batch

    def _unpacked(self, packed: Packed) -> Batch:
        photos = (photo.to(self.device, non_blocking=True).float().div(255) for photo in packed[:2])
        return Batch(*photos, *packed[2:])


def laid_out(batch: Batch, config: Config) -> Batch:
    """The batch in the network's memory format."""
    layout = torch.channels_last if config.channels_last else torch.contiguous_format
    degraded, target = (x.contiguous(memory_format=layout) for x in (batch.degraded, batch.target))
    twin = laid_out(batch.twin, config) if batch.twin else None
    return Batch(degraded, target, batch.tasks, batch.kind, twin)


class _Draws(Dataset[Drawn]):
    """What a worker is given: place of a batch in the run -> the batch."""

    def __init__(self, config: Config, draw: Draw, samplers: Samplers, rank: int) -> None:
        self.config, self.draw, self.samplers, self.rank = config, draw, samplers, rank

    def batch(self, rng: RngStreams) -> Batch:
        return self.draw(self.config, self.samplers.pick(rng.shared), rng)

    def __getitem__(self, place: int) -> Drawn:
        step, micro = divmod(place, self.config.accumulate)
        with single_precision():
            batch = self.batch(rng_streams(self.config, CPU, step, micro, self.rank))
        both = [batch, batch.twin] if batch.twin else [batch]
        return [_packed(one) for one in both], self.samplers.newest.drawn


def _packed(batch: Batch) -> Packed:
    degraded, target = (x.mul(255).round().to(torch.uint8) for x in (batch.degraded, batch.target))
    return degraded, target, batch.tasks, batch.kind


def _as_it_is(drawn: Drawn) -> Drawn:
    return drawn
