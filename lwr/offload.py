"""Weights that wait in main memory and visit the device a layer at a time, for GPUs that cannot hold them.

accelerate does it, through diffusers' pipelines: slow, but a GPU with room for the pictures is enough.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from diffusers import DiffusionPipeline

from lwr.network import RestorationNetwork


class Offload(DiffusionPipeline):
    """A network whose layers come to `work_device` when they are called, and leave it again."""

    def __init__(self, network: RestorationNetwork, work_device: torch.device) -> None:
        """ImportError when accelerate is not installed."""
        super().__init__()
        self.network, self.work_device = network, work_device
        network.prior.work_device = work_device
        self._engage()

    @contextmanager
    def lifted(self) -> Iterator[None]:
        """Within it every weight is in main memory, to be read or replaced."""
        self.remove_all_hooks()
        try:
            yield
        finally:
            self._engage()

    @property
    def components(self) -> dict[str, torch.nn.Module]:
        """What diffusers takes the layers of."""
        return {"network": self.network}

    def _engage(self) -> None:
        self.enable_sequential_cpu_offload(device=self.work_device)
