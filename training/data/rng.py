"""The random numbers of one micro-step: every step can be repeated, cut in two, or spread over processes.

They follow from (seed, step, micro-step) alone: a resumed run draws what an unbroken one would have drawn.
And each group of crops has numbers of its own, named by its place in the whole batch: two processes with four
crops each see the very crops of one process with eight.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from training.checkpoint import TrainingError
from training.config import Config


@dataclass
class RngStreams:
    """`shared` (CPU) gives every process the same numbers, `groups` (device) those of its own crops."""

    shared: torch.Generator
    groups: list[torch.Generator]
    group: int  # crops a group
    first: int  # place of this process's first crop in the whole batch

    @property
    def device(self) -> torch.device:
        """Where the crops are."""
        return self.groups[0].device

    def crops(self, draw: Callable[[torch.Generator], torch.Tensor]) -> torch.Tensor:
        """`draw(generator)` (group, ...) of every group, as one batch."""
        return torch.cat([draw(generator) for generator in self.groups])

    def randn(self, *shape: int) -> torch.Tensor:
        """Normal numbers (B,*shape)."""
        return self.crops(lambda g: torch.randn(self.group, *shape, generator=g, device=self.device))

    def noise(self, size: torch.Size) -> torch.Tensor:
        """Normal numbers of a batch's whole `size` (B, ...)."""
        return self.randn(*size[1:])

    def rand(self, *shape: int) -> torch.Tensor:
        """Uniform numbers in [0,1), (B,*shape)."""
        return self.crops(lambda g: torch.rand(self.group, *shape, generator=g, device=self.device))

    def integers(self, limit: int) -> torch.Tensor:
        """Whole numbers in [0,limit), (B,)."""
        return self.crops(lambda g: torch.randint(limit, (self.group,), generator=g, device=self.device))

    def thin(self, times: int) -> None:
        """From now on draw for one of every `times` crops alone, chosen by place: the same in any process."""
        if self.group % times:
            self.groups = self.groups[::times]
        else:
            self.group //= times

    def states(self) -> list[torch.Tensor]:
        """Where the groups' numbers are, to come back to."""
        return [generator.get_state() for generator in self.groups]

    def rewind(self, states: list[torch.Tensor]) -> None:
        """Draw from `states` on again."""
        for generator, state in zip(self.groups, states, strict=True):
            generator.set_state(state)


def rng_streams(
    config: Config, device: torch.device, step: int, micro: int = 0, rank: int = 0, *more: int
) -> RngStreams:
    """The numbers of process `rank` in one micro-step; TrainingError when no groups fit the batch.

    `more` names further numbers of the same micro-step.
    """
    group = config.group or (1 if device.type == "cpu" else config.batch)
    if config.batch % group:
        raise TrainingError(
            f"--batch {config.batch} is not a multiple of --group {group}: change one of them."
        )
    count = config.batch // group
    return RngStreams(
        _generator(torch.device("cpu"), config.seed, step, micro, 0, *more),
        [_generator(device, config.seed, step, micro, 1 + rank * count + i, *more) for i in range(count)],
        group,
        rank * config.batch,
    )


def _generator(device: torch.device, *names: int) -> torch.Generator:
    """A generator whose numbers depend on all of `names` and look independent of any other's."""
    seed = int(np.random.SeedSequence(names).generate_state(1, np.uint64)[0] >> np.uint64(1))
    return torch.Generator(device).manual_seed(seed)
