"""A stand-in for the bundle embedded-lite: the embedded network, its refiner half as wide, in 8 bits."""

from dataclasses import replace
from pathlib import Path

from test_pruned import halve

from lwr.loading.adapter import Adapter, load_adapter, save_adapter
from lwr.loading.load import load_network
from lwr.loading.priors import EMBEDDED
from lwr.loading.save import save_network

NAME = "embedded-lite"


def make_lite(folder: Path) -> Path:
    """Write it, with adapters that leave out what was pruned."""
    network = load_network(EMBEDDED)
    for level in network.refiner.levels:
        for block in level.blocks:
            halve(block)
    network.prior.config = replace(network.prior.config, id=NAME, pruned=True)
    save_network(network, folder, bits=8)
    shapes = {name.removesuffix(".weight"): p.shape for name, p in network.named_parameters()}
    for place in sorted((EMBEDDED / "adapters").iterdir()):
        adapter = load_adapter(place)
        pairs = {
            name: (a, b)
            for name, (a, b) in adapter.pairs.items()
            if (b.shape[0], *a.shape[1:]) == tuple(shapes[name])
        }
        metadata = replace(adapter.metadata, prior=NAME)
        save_adapter(Adapter(metadata, pairs), folder / "adapters" / metadata.task, bits=8)
    return folder
