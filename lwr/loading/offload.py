"""Weights that wait in main memory and visit the device a layer at a time, for GPUs that cannot hold them.

accelerate does it: slow, but a GPU with room for the pictures is enough.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from lwr.models.network import RestorationNetwork


class Offload:
    """A network whose layers come to `device` when they are called, and leave it again."""

    def __init__(self, network: RestorationNetwork, device: torch.device) -> None:
        """ImportError when accelerate is not installed."""
        import accelerate.hooks  # only here: it takes seconds, and few need it

        self.network, self.device, self.accelerate = network, device, accelerate
        network.prior.work_device = device
        self._engage()

    @contextmanager
    def lifted(self) -> Iterator[None]:
        """Within it every weight is in main memory, to be read or replaced."""
        with torch.inference_mode(False):  # weights that are replaced here stay ordinary tensors
            self.accelerate.hooks.remove_hook_from_submodules(self.network)
        try:
            yield
        finally:
            self._engage()

    def _engage(self) -> None:
        with torch.inference_mode(False):
            self.accelerate.cpu_offload(self.network, self.device)
